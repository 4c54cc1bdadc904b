"""What the name of a function says: its base, its parameters, and whether compilers cut it out of another function."""

from __future__ import annotations

import re
from typing import Final

from ebtop.resolve.demangle import without_parameters

PIECES: Final = frozenset({"cold", "part"})
"""Clones that are not entered once per call: rarely run rests of a function, and what was not inlined of it."""

_CLONES = "cold|part|constprop|isra|lto_priv|localalias|specialized|clone|llvm|resume|destroy|cleanup|actor"
_SUFFIX = re.compile(rf"(?:\.(?:{_CLONES})(?:\.[0-9A-Fa-f]+)*)+\Z")
_CLONE = re.compile(rf"\.({_CLONES})(?![a-z])")
_BRACKETS = re.compile(r"(?: \[clone [^\]]*\])+\Z")
_OPENING, _CLOSING = "(<[{", ")>]}"


def unversioned(symbol: bytes) -> bytes:
    """A symbol without the version that some tables append: `read@@GLIBC_2.2.5`."""
    return symbol.partition(b"@")[0] if b"@" in symbol[1:] else symbol


def clones_of(name: str) -> tuple[str, ...]:
    """How the compiler changed a function, the last change last: `f() [clone .isra.0] [clone .cold]` is isra, cold.

    For mangled and demangled names of C, C++ and Rust; dots mean something else in Go.
    """
    suffix = _BRACKETS.search(name) or _SUFFIX.search(name)
    return tuple(_CLONE.findall(suffix[0])) if suffix and suffix.start() else ()


def base_of(full: str, dotted: bool = False) -> str:
    """A demangled name without parameters and clone suffixes; templates keep their return type.

    `dotted` is for Go, whose names have dots between their parts and no clones.
    """
    bare = _BRACKETS.sub("", full)
    suffix = None if dotted else _SUFFIX.search(bare)
    if suffix and suffix.start():
        bare = bare[: suffix.start()]
    return without_parameters(bare)


def inner_names(base: str) -> list[str]:
    """What a base name is called further inside: `void a::b::f<x::y>` gives `a::b::f<x::y>`, `b::f<x::y>`, `f<x::y>`.

    Go's `example.com/net.(*T).Send` gives `net.(*T).Send`, `(*T).Send` and `Send`.
    """
    found, depth = [], 0
    for index, letter in enumerate(base):
        if letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
        elif depth == 0 and (letter in "./ *&" or base[index - 1 : index + 1] == "::"):
            found.append(base[index + 1 :])
    return [name for name in found if name and not name.startswith(":")]
