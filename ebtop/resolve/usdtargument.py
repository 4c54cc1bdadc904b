"""Where the arguments of a USDT probe are: operands of the assembler, as x86 and arm64 write them.

`-4@%eax` is an int in a register, `8@-16(%rbp)` a long on the stack, `4@$17` a constant; on arm64 `-4@w0`,
`8@[sp, 16]`, `4@17`. Formats: sys/sdt.h of SystemTap, and the manuals of the GNU assembler.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

CONSTANT, REGISTER, MEMORY, GLOBAL, UNKNOWN = "constant", "register", "memory", "global", "unknown"
_MOST_ARGUMENTS = 12
"""As many as sys/sdt.h has macros for."""

_LONGEST = 256

_START = re.compile(r"(?<!\S)(-?(?:16|32|[1248]))(f?)@", re.ASCII)
_NUMBER = re.compile(r"\$?(-?(?:0x[0-9a-fA-F]+|\d+))\Z", re.ASCII)
_X86_MEMORY = re.compile(
    r"(?:%(?P<segment>[c-gs]s):)?(?:(?:(?P<before>-?\d+)\+)?(?P<symbol>[A-Za-z_.$][\w.$]*))?(?P<offset>[+-]?(?:0x[0-9a-fA-F]+|\d+)(?:[+-]\d+)*)?"
    r"(?:\((?:%(?P<base>\w+))?(?:,\s*%(?P<index>\w+)(?:,\s*(?P<scale>[1248]))?)?\))?\Z", re.ASCII
)  # fmt: skip
_ARM_MEMORY = re.compile(
    r"\[(?P<base>sp|x\d\d?|w\d\d?)(?:,\s*(?:#?(?P<offset>-?\d+)|(?P<index>[xw]\d\d?)"
    r"(?:,\s*(?:lsl|sxtw|uxtw|sxtx)(?:\s*#?(?P<shift>\d))?)?))?\]\Z", re.ASCII
)  # fmt: skip
_ARM_REGISTER = re.compile(r"([xw])(\d\d?)\Z|(sp|wsp|xzr|wzr)\Z", re.ASCII)


def _x86_registers() -> dict[str, tuple[str, int]]:
    """The name of struct pt_regs and the first byte of what an x86 register's name stands for."""
    found: dict[str, tuple[str, int]] = {}
    for letter in "abcd":
        whole = f"{letter}x"
        found |= {f"r{whole}": (whole, 0), f"e{whole}": (whole, 0), whole: (whole, 0)}
        found |= {f"{letter}l": (whole, 0), f"{letter}h": (whole, 1)}
    for whole in ("si", "di", "bp", "sp"):
        found |= {f"r{whole}": (whole, 0), f"e{whole}": (whole, 0), whole: (whole, 0), f"{whole}l": (whole, 0)}
    for number in range(8, 16):
        found |= {f"r{number}{part}": (f"r{number}", 0) for part in ("", "d", "w", "b")}
    return found


_X86: Final = _x86_registers()


class Operand(NamedTuple):
    """Where one argument is. `size` is its width in bytes, at which it must be read; `text` is the note's own.

    kind      uses
    constant  value
    register  register (as in struct pt_regs of x86-64, "x0" and so on of arm64), byte (the first one, 1 for %ah)
    memory    at register + index_register * scale + value; both registers may be "", as with addresses that are fixed
    global    at the address of `symbol` + value, wherever the file is loaded
    unknown   nothing: what it says is not understood (as of vector registers, or addresses in a segment)
    """

    text: str
    kind: str
    size: int = 8
    signed: bool = False
    floating: bool = False
    value: int = 0
    register: str = ""
    byte: int = 0
    index_register: str = ""
    scale: int = 1
    symbol: str = ""


def parse_arguments(arguments: str) -> tuple[Operand, ...]:
    """The arguments of one place. Never raises: what is not understood comes out as kind "unknown"."""
    starts = list(_START.finditer(arguments))
    if not starts:  # of the first version of the format, which had no sizes
        return tuple(_operand(word, word, 8) for word in arguments.split()[:_MOST_ARGUMENTS])
    ends = [match.start() for match in starts[1:]] + [len(arguments)]
    found = []
    for start, end in zip(starts[:_MOST_ARGUMENTS], ends, strict=False):
        whole, place = (arguments[begin:end].strip() for begin in start.span())
        found.append(_operand(whole, place, abs(int(start[1])), start[1].startswith("-"), bool(start[2])))
    return tuple(found)


def _operand(whole: str, place: str, size: int, signed: bool = False, floating: bool = False) -> Operand:
    found: dict[str, Any] = {}
    if len(place) <= _LONGEST:
        found = _number(place) or _x86_register(place) or _arm(place) or _x86_memory(place) or {}
    if not found or not -(1 << 63) <= found.get("value", 0) < 1 << 64:
        found = {"kind": UNKNOWN}
    return Operand(whole, size=size, signed=signed, floating=floating, **found)


def _number(place: str) -> dict[str, Any] | None:
    number = _NUMBER.match(place)
    return {"kind": CONSTANT, "value": int(number[1], 0 if "x" in number[1] else 10)} if number else None


def _x86_register(place: str) -> dict[str, Any] | None:
    known = _X86.get(place[1:]) if place.startswith("%") else None
    return {"kind": REGISTER, "register": known[0], "byte": known[1]} if known else None


def _x86_memory(place: str) -> dict[str, Any] | None:
    match = _X86_MEMORY.match(place)
    if match is None or match["segment"] or not place:
        return None
    value = _sum(match["offset"] or "") + int(match["before"] or 0)
    if match["symbol"]:
        relative = match["base"] in {None, "rip"} and not match["index"]
        return {"kind": GLOBAL, "symbol": match["symbol"], "value": value} if relative else None
    names = [_X86.get(match[part] or "", ("", 0))[0] for part in ("base", "index")]
    if any(match[part] and not name for part, name in zip(("base", "index"), names, strict=True)):
        return None
    return {
        "kind": MEMORY,
        "register": names[0],
        "index_register": names[1],
        "scale": int(match["scale"] or 1),
        "value": value,
    }


def _sum(terms: str) -> int:
    return sum(int(term, 0 if "x" in term else 10) for term in re.findall(r"[+-]?(?:0x[0-9a-fA-F]+|\d+)", terms))


def _arm(place: str) -> dict[str, Any] | None:
    register = _ARM_REGISTER.match(place)
    if register:
        if register[3] in {"xzr", "wzr"}:
            return {"kind": CONSTANT, "value": 0}
        if register[3] or int(register[2]) < 31:
            return {"kind": REGISTER, "register": "sp" if register[3] else f"x{int(register[2])}"}
        return {"kind": UNKNOWN}
    match = _ARM_MEMORY.match(place)
    if match is None:
        return None
    index = f"x{match['index'][1:]}" if match["index"] else ""
    base = match["base"] if match["base"] == "sp" else f"x{match['base'][1:]}"
    return {"kind": MEMORY, "register": base, "index_register": index, "scale": 1 << int(match["shift"] or 0),
            "value": int(match["offset"] or 0)}  # fmt: skip
