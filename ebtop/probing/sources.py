"""How C gets at an argument, by the place that it is in."""

from __future__ import annotations

from ebtop.attachpoint import PointKind
from ebtop.probing.plan import Form, Parameter, Place, Planned

_CONTEXT = {PointKind.KPROBE: "struct pt_regs", PointKind.UPROBE: "struct pt_regs", PointKind.USDT: "struct pt_regs"}
_X86 = frozenset({"ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "ip", *(f"r{n}" for n in range(8, 16))})
_ARM = [f"x{n}" for n in range(31)]


def context(point: Planned) -> str:
    """What a program at that point is given a pointer to."""
    return _CONTEXT.get(point.kind, "void")


def number(parameter: Parameter) -> str:
    """A number, or the address of a string: an expression of type s64 or u64."""
    bits = 8 * parameter.size
    ctype, wide = (f"s{bits}", "s64") if parameter.signed else (f"u{bits}", "u64")
    if parameter.place is Place.RECORD:
        if parameter.at % parameter.size:  # the verifier wants plain loads aligned
            return f"({wide})({ctype})kernel_word((void *)ctx + {parameter.at}, {parameter.size})"
        return f"({wide})*({ctype} *)((void *)ctx + {parameter.at})"
    return f"({wide})({ctype}){_word(parameter)}"


def _word(parameter: Parameter) -> str:
    """As u64, its lowest bytes being the argument."""
    at = parameter.at
    match parameter.place:
        case Place.ARGUMENT:
            return f"ARGUMENT_{at}(ctx)"
        case Place.RESULT:
            return "RESULT(ctx)"
        case Place.REGISTER:
            return f"({_register(parameter.register)} >> {8 * at})" if at else _register(parameter.register)
        case Place.MEMORY:
            return f"user_word({_address(parameter)}, {parameter.size})"
        case Place.CONSTANT:
            return f"{at % (1 << 64):#x}ULL"
    return f"*(u64 *)((void *)ctx + {8 * at})"


def _address(parameter: Parameter) -> str:
    terms = [_register(parameter.register)] if parameter.register else []
    terms += [f"{_register(parameter.indexed_by)} * {parameter.scale}"] if parameter.indexed_by else []
    return " + ".join([*terms, f"{parameter.at % (1 << 64):#x}ULL"])


def _register(name: str) -> str:
    """Raises ValueError for what is no register."""
    if name in _X86:
        return f"ctx->{name}"
    if name in _ARM:
        return f"ctx->regs[{_ARM.index(name)}]"
    raise ValueError(f"no register {name!a}")


def read_text(parameter: Parameter, local: str, into: str) -> str:
    """A call that reads a string: bytes with the NUL, more than 0; less where it cannot be read."""
    if parameter.form is Form.CHARS:
        return f"read_chars({into}, (void *)ctx + {parameter.at}, {parameter.size})"
    if parameter.form is Form.LOCATED:
        return f"read_located({into}, (void *)ctx, {parameter.at})"
    return f"read_text({into}, {local})"
