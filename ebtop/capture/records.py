"""NumPy layouts of the C structs in bpf/: the C source is the only place where a record is declared."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

_TYPES = {"u8": "u1", "u16": "<u2", "u32": "<u4", "u64": "<u8", "s8": "i1", "s16": "<i2", "s32": "<i4", "s64": "<i8"}
_STRUCT = re.compile(r"struct\s+(\w+)\s*\{([^{}]*)\}\s*;")
_FIELD = re.compile(r"(?:struct\s+)?(\w+)\s+(\w+)(?:\[(\w+)\])?$")
_DEFINE = re.compile(r"^#define\s+(\w+)[ \t]+((?:.*\\\n)*.*)$", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def _defines(source: str, given: Mapping[str, int]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, body in _DEFINE.findall(source):
        found.setdefault(name, body.replace("\\\n", " ").strip())
    return found | {name: str(value) for name, value in given.items()}


def _field(text: str, defines: Mapping[str, str], known: Mapping[str, np.dtype[np.void]]) -> tuple[str, object]:
    match = _FIELD.match(text)
    if match is None:
        raise ValueError(f"cannot read the field {text!r}")
    ctype, name, length = match.groups()
    count = int(defines.get(length, length)) if length else 0
    if ctype == "char":
        return name, f"S{count}"
    base: object = _TYPES.get(ctype) or known[ctype]
    return name, (base, (count,)) if count else base


def layouts(source: str, given: Mapping[str, int] | None = None) -> dict[str, np.dtype[np.void]]:
    """Every struct of plain fields in a C source as an aligned dtype; structs with pointers are passed over.

    `given` are the values of -D defines. Sizes are checked against the compiler's when the program is built.
    """
    source = _COMMENT.sub("", source)
    defines = _defines(source, given or {})
    found: dict[str, np.dtype[np.void]] = {}
    for name, body in _STRUCT.findall(source):
        for macro in set(re.findall(r"\b[A-Z_]{4,}\b", body)) & {k for k, v in defines.items() if ";" in v}:
            body = body.replace(macro, defines[macro])
        fields = [" ".join(part.split()) for part in body.split(";") if part.strip()]
        if all("*" not in part and part.count("[") < 2 for part in fields):
            found[name] = np.dtype([_field(part, defines, found) for part in fields], align=True)
    return found
