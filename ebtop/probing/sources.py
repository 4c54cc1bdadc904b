"""How C gets at an argument, by the place that it is in."""

from __future__ import annotations

from ebtop.attachpoint import PointKind
from ebtop.probing.plan import Form, Parameter, Place, Planned

_CONTEXT = {PointKind.KPROBE: "struct pt_regs", PointKind.UPROBE: "struct pt_regs", PointKind.USDT: "struct pt_regs"}


def context(point: Planned) -> str:
    """What a program at that point is given a pointer to."""
    return _CONTEXT.get(point.kind, "void")


def number(parameter: Parameter) -> str:
    """A number, or the address of a string: an expression of type s64 or u64."""
    bits = 8 * parameter.size
    ctype, wide = (f"s{bits}", "s64") if parameter.signed else (f"u{bits}", "u64")
    if parameter.place is Place.RECORD:
        if parameter.at % parameter.size:
            return f"({wide})READ_{ctype.upper()}((void *)ctx + {parameter.at})"
        return f"({wide})*({ctype} *)((void *)ctx + {parameter.at})"
    return f"({wide})({ctype}){_word(parameter)}"


def _word(parameter: Parameter) -> str:
    if parameter.place is Place.REGISTER:
        return f"ARGUMENT_{parameter.at}(ctx)"
    if parameter.place is Place.RESULT:
        return "RESULT(ctx)"
    return f"*(u64 *)((void *)ctx + {8 * parameter.at})"


def read_text(parameter: Parameter, local: str, into: str) -> str:
    """A call that reads a string: bytes with the NUL, more than 0; less where it cannot be read."""
    if parameter.form is Form.CHARS:
        return f"read_chars({into}, (void *)ctx + {parameter.at}, {parameter.size})"
    if parameter.form is Form.LOCATED:
        return f"read_located({into}, (void *)ctx, {parameter.at})"
    return f"read_text({into}, {local})"
