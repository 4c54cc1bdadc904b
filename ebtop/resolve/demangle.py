"""Mangled names as people wrote them: C++ through libstdc++'s own demangler, Rust through rust-demangler.

Names come from files that anyone may have made, and demanglers expand back-references: a name of 300 bytes can stand
for more text than there is memory. So names whose worst case is large are not handed over at all.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from ebtop.resolve.bounded import BoundedCache
from ebtop.tool import text

_MAX_MANGLED = 2048
_MAX_RESULT = 4096
_MAX_CPP_OUTPUT = 1 << 22
_MAX_RUST_OUTPUT = 1 << 15
_FEW = 18

_VERSION = re.compile(r"@.*\Z", re.DOTALL)
_CPP_REFERENCE = re.compile(r"[ST][0-9A-Z]*_")
_CPP_PACK = re.compile(r"Dp|sp")
_RUST_REFERENCE = re.compile(r"B[0-9a-zA-Z]*_")
_RUST_LEGACY = re.compile(r"_ZN.*17h[0-9a-f]{16}E(\.llvm\.[0-9A-Fa-f@]+)?\Z", re.DOTALL)
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}(?=\.|\Z)")
_RUST_SUFFIX = re.compile(r"\.llvm\.[0-9A-Fa-f@]+\Z")
_SOURCE_NAME = re.compile(r"[1-9][0-9]{0,3}")
_QUALIFIERS = re.compile(r"(?: const| volatile| &&| &|&&|&| \[clone [^\]]*\])+\Z")

_known: BoundedCache[tuple[str, bool], str] = BoundedCache(32768, 16 << 20)


def demangle(name: str, short: bool = False) -> str:
    """The name as its source has it, without a symbol version; the name itself when it is not mangled.

    C++ names keep their parameters, unless `short`. Rust names lose their hash. Never raises; results are at most
    4,096 characters long. For one thread at a time.
    """
    key = (name, short) if len(name) <= _MAX_MANGLED else (name[: _MAX_MANGLED + 1], short)
    found = _known.get(key)
    if found is None:
        found = _clipped(_demangle(key[0], short))
        _known.put(key, found, len(found) + len(key[0]) + 200)
    return found


def demangle_once(symbol: bytes) -> bytes:
    """As `demangle`, but the result is not remembered, and text stays bytes: for whole tables of names."""
    if not symbol.startswith((b"_Z", b"_R", b"__Z", b"___Z")):
        return symbol[:_MAX_RESULT]
    if symbol.startswith(b"_Z") and b"17h" not in symbol and b"@" not in symbol and _is_simple(symbol):
        import cxxfilt  # only here is its library looked for

        with suppress(Exception):  # whatever the library raises, there is the slow way
            return bytes(cxxfilt.demangleb(symbol))[:_MAX_RESULT]
    found = _clipped(_demangle(text(symbol[: _MAX_MANGLED + 1]), False))
    return found.encode("utf-8", "surrogateescape")


def _is_simple(symbol: bytes) -> bool:
    """Whether so few references are in a C++ name that no more than 3 ** (_FEW / 3) times its length can come out."""
    return len(symbol) <= _MAX_MANGLED and symbol.count(b"_") <= _FEW and b"Dp" not in symbol and b"sp" not in symbol


def _demangle(name: str, short: bool) -> str:
    if name.startswith("_R"):
        return _rust_v0(name) or name
    if not name.startswith(("_Z", "__Z", "___Z")):
        return name
    plain = _VERSION.sub("", name)
    if _RUST_LEGACY.match(plain):
        rust = _rust(plain)
        if rust:
            return rust
    full = _cpp(plain) or _leading_path(plain) or name
    return without_parameters(full) if short else full


def _worst_case(length: int, references: int, packs: int) -> float:
    """An upper bound of the text that a mangled name can stand for.

    References multiply most when each level of nesting takes three; `packs` nested expansions multiply with as many
    members as fit into the name, whose bytes must be shared with them.
    """
    return float(3.0 ** min(references / 3, 200) * (length / (packs + 1)) ** (packs + 1))


def _cpp(name: str) -> str:
    if len(name) > _MAX_MANGLED:
        return ""
    packs = len(_CPP_PACK.findall(name))
    if packs > 8 or _worst_case(len(name), len(_CPP_REFERENCE.findall(name)), packs) > _MAX_CPP_OUTPUT:
        return ""
    try:
        import cxxfilt  # only here is its library looked for, and that may fail

        result: Any = cxxfilt.demangleb(name.encode("utf-8", "surrogateescape"))
        return text(result)
    except Exception:  # noqa: BLE001  whatever the library raises, the mangled name is still a name
        return ""


def _rust_v0(name: str) -> str:
    name = _RUST_SUFFIX.sub("", name)
    if len(name) > _MAX_MANGLED:
        return ""
    if _worst_case(len(name), len(_RUST_REFERENCE.findall(name)), 0) > _MAX_RUST_OUTPUT:
        return ""
    return _rust(name)


def _rust(name: str) -> str:
    if len(name) > _MAX_MANGLED:
        return ""
    try:
        import rust_demangler  # as above

        result: Any = rust_demangler.demangle(_RUST_SUFFIX.sub("", name))
        return _RUST_HASH.sub("", str(result))
    except Exception:  # noqa: BLE001  it indexes and converts unchecked: anything may come
        return ""


def _leading_path(name: str) -> str:
    """The namespaces and the class or function that a C++ name begins with: `Eigen::internal::product<...>`."""
    position, parts = 2, []
    nested = name.startswith("_ZN")
    if nested:
        position = 3
        while name[position : position + 1] in {"r", "V", "K"}:
            position += 1
    if name[position : position + 2] == "St":
        parts.append("std")
        position += 2
    while (digits := _SOURCE_NAME.match(name, position)) and (nested or len(parts) < 2):
        start = digits.end()
        position = start + int(digits[0])
        if position > len(name):
            break
        part = name[start:position]
        parts.append("(anonymous namespace)" if part.startswith("_GLOBAL__N_") else part)
        if not nested:
            break
    if not parts or parts == ["std"]:
        return ""
    following = name[position : position + 1]
    return "::".join(parts) + ("<...>" if following == "I" else "::..." if nested and following != "E" else "")


def without_parameters(name: str) -> str:
    """A demangled C++ name without its parameters and what follows them: `f(int) const` becomes `f`."""
    bare = _QUALIFIERS.sub("", name)
    if not bare.endswith(")"):
        return name
    depth = 0
    for index in range(len(bare) - 1, -1, -1):
        depth += (bare[index] == ")") - (bare[index] == "(")
        if depth == 0:
            head, inside = bare[:index], bare[index:]
            plain = not head or head.endswith(("operator", "::")) or inside == "(anonymous namespace)"
            return name if plain else head
    return name


def _clipped(name: str) -> str:
    return name if len(name) <= _MAX_RESULT else name[: _MAX_RESULT - 3] + "..."
