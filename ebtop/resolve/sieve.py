"""A word of a pattern that is found as it is in each mangled name whose source has it: others can be passed over.

Mangled names have identifiers letter by letter, and demanglers add words of their own. A word that could be, or be part
of, one of those is no good here; nor is a number, which is written in other ways.
"""

from __future__ import annotations

import re
from typing import Final

_SHORTEST = 4
_WORD = re.compile(r"[A-Za-z0-9_]+", re.ASCII)

# What Itanium C++ and Rust demanglers write without finding it in a name.
_ADDED: Final = (
    "void wchar_t bool char signed unsigned short int long __int128 float double __float128 char8_t char16_t",
    "char32_t decimal32 decimal64 decimal128 half auto decltype nullptr nullptr_t bfloat16_t _Float16 _Complex",
    "_Imaginary complex imaginary std allocator basic_string string char_traits basic_istream basic_ostream",
    "basic_iostream istream ostream iostream operator new delete co_await sizeof alignof typeid throw noexcept",
    "dynamic_cast static_cast const_cast reinterpret_cast vtable VTT typeinfo name for guard variable thunk to non",
    "virtual covariant return construction in reference temporary TLS init function wrapper transaction clone",
    "hidden alias template parameter object initializer module anonymous namespace lambda unnamed type invocation",
    "block string literal default arg abi const volatile restrict enable_if requires typename true false objcproto",
    "vector pixel this transaction_safe dependent local property class struct union enum global constructors keyed",
    "destructors java resource Class impl closure shim fn extern unsafe dyn mut as str usize isize u8 i8 u16 i16",
    "u32 i32 u64 i64 u128 i128 f32 f64",
)
_TEXT: Final = " ".join(_ADDED).lower()


def sieve_of(pattern: str) -> bytes:
    """The longest such word of a pattern with wildcards, b"" without one."""
    words = (word for word in _WORD.findall(pattern) if len(word) >= _SHORTEST and not word[0].isdigit())
    good = [word for word in words if word.lower() not in _TEXT]
    return max(good, key=len, default="").encode("ascii")
