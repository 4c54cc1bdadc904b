"""Messages without arrays as JSON, read back by the annotations of their dataclasses: exactly those types or an error.

A dataclass is an object with exactly its fields, a NamedTuple a list, an Enum its value.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ebtop.source.wire_json import WireError

Decoder = Callable[[Any], Any]
"""From parsed JSON to a value; raises WireError."""

_INT_LIMIT = 1 << 64


def plain(value: Any) -> Any:
    """A message (or what is in it) as what `dump` takes."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return value


@cache
def decoder(hint: Any) -> Decoder:
    """The decoder of a type. Known: what the messages are made of; else TypeError (when the module is imported)."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin is types.UnionType and len(arguments) == 2 and arguments[1] is type(None):
        return _optional(decoder(arguments[0]))
    if origin is tuple and arguments[1:] == (...,):
        return _sequence(decoder(arguments[0]))
    if origin is not None and issubclass(origin, Mapping) and arguments[0] is str:
        return _mapping(decoder(arguments[1]))
    if isinstance(hint, type):
        return _class(hint)
    raise TypeError(f"the protocol has no form for {hint}")


def _class(hint: type[Any]) -> Decoder:
    if issubclass(hint, enum.Enum):
        return _member(hint)
    if dataclasses.is_dataclass(hint) or issubclass(hint, tuple):
        fields = {name: decoder(kind) for name, kind in typing.get_type_hints(hint).items()}
        return _record(hint, fields) if dataclasses.is_dataclass(hint) else _named_tuple(hint, fields)
    raise TypeError(f"the protocol has no form for {hint}")


def integer(value: Any) -> int:
    """An int of at most 64 bits."""
    if type(value) is not int or not -_INT_LIMIT < value < _INT_LIMIT:
        raise WireError("a whole number was expected")
    return value


def _real(value: Any) -> float:
    if type(value) is int:
        return integer(value)
    if type(value) is not float or not math.isfinite(value):
        raise WireError("a number was expected")
    return value


def string(value: Any) -> str:
    """A str that stands for bytes: JSON can hold halves of characters that no program can write again."""
    if type(value) is not str:
        raise WireError("text was expected")
    if not value.isascii():
        try:
            value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise WireError("text was expected, not half a character") from None
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise WireError("true or false was expected")
    return value


_PLAIN: dict[Any, Decoder] = {int: integer, float: _real, str: string, bool: _boolean}


def _optional(inner: Decoder) -> Decoder:
    return lambda value: None if value is None else inner(value)


def _sequence(inner: Decoder) -> Decoder:
    def decode(value: Any) -> tuple[Any, ...]:
        return tuple(map(inner, items(value)))

    return decode


def items(value: Any, length: int | None = None) -> list[Any]:
    """A list, of that length if one is given."""
    if type(value) is not list or (length is not None and len(value) != length):
        raise WireError("a list was expected" if length is None else f"a list of {length} was expected")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """An object."""
    if type(value) is not dict:
        raise WireError("an object was expected")
    return value


def _mapping(inner: Decoder) -> Decoder:
    return lambda value: {string(key): inner(item) for key, item in mapping(value).items()}


def _member(hint: type[enum.Enum]) -> Decoder:
    known = {member.value: member for member in hint}

    def decode(value: Any) -> enum.Enum:
        member = known.get(string(value))
        if member is None:
            raise WireError(f"no {hint.__name__} of that name")
        return member

    return decode


def _record(hint: type[Any], fields: Mapping[str, Decoder]) -> Decoder:
    def decode(value: Any) -> Any:
        if mapping(value).keys() != fields.keys():
            raise WireError(f"the fields are not those of a {hint.__name__}")
        return hint(**{name: inner(value[name]) for name, inner in fields.items()})

    return decode


def _named_tuple(hint: type[Any], fields: Mapping[str, Decoder]) -> Decoder:
    inners = tuple(fields.values())

    def decode(value: Any) -> Any:
        return hint(*(inner(item) for inner, item in zip(inners, items(value, len(inners)), strict=True)))

    return decode
