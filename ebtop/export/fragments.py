"""Columns as JSON fragments: one list of text (or plain ints) per column of a batch, never a dict per event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

from ebtop.tool import Batch, Column, Names, Type, Value, text, values

escape: Callable[[str], str] = encode_basestring_ascii
"""A JSON string in ASCII; lone surrogates, which stand for bytes that are no UTF-8, stay lone surrogates."""

Fragment = str | int

_BOOLEANS = ("false", "true")


def write(value: Any) -> str:
    """Any JSON value, as compact as the lines are."""
    return json.dumps(value, separators=(",", ":"))


def fragments(column: Column, batch: Batch, names: Names) -> Sequence[Fragment]:
    """The column as JSON; what is known only later is null."""
    if column.late:
        return ["null"] * len(batch)
    if column.derive is None:
        return raw_fragments(column, batch)
    return _of_values(column.derive(batch, names))


def raw_fragments(column: Column, batch: Batch) -> Sequence[Fragment]:
    """The batch's field of that name as JSON, whatever the column would derive."""
    if column.key not in (batch.dtype.names or ()):
        return ["null"] * len(batch)
    data = batch[column.key]
    if data.dtype.kind == "S":
        raw = data.tolist()
        known = {item: escape(text(item)) for item in set(raw)}
        return list(map(known.__getitem__, raw))
    if data.dtype.kind == "b" or column.type is Type.BOOL:
        return list(map(_BOOLEANS.__getitem__, (data != 0).tolist()))
    if data.dtype.kind in "iu" and data.ndim == 1:
        numbers: list[int] = data.tolist()
        return numbers
    return _of_values(values(column, batch, {}))


def _of_values(derived: Sequence[Value]) -> Sequence[Fragment]:
    """Any values as JSON; what most columns are made of, quickly."""
    kinds = set(map(type, derived))
    if kinds <= {int}:
        return derived  # type: ignore[return-value]
    if kinds <= {bool}:
        return list(map(_BOOLEANS.__getitem__, derived))  # type: ignore[arg-type]
    if kinds <= {int, type(None)}:
        return ["null" if value is None else value for value in derived]  # type: ignore[misc]
    if kinds <= {str, int, type(None)}:
        known = {value: _scalar(value) for value in set(derived)}
        return list(map(known.__getitem__, derived))
    if kinds <= {list}:
        return _lists(derived)  # type: ignore[arg-type]
    return [_scalar(value) for value in derived]


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return escape(value)
    if value is None or value != value:  # a float that is no number has no place in JSON
        return "null"
    return write(value)


def _lists(derived: Sequence[list[Any]]) -> Sequence[str]:
    """Lists as JSON; columns of few different ones (flags) share them, so each object is written once."""
    ids = list(map(id, derived))
    known = {number: _list(item) for number, item in dict(zip(ids, derived, strict=True)).items()}
    return list(map(known.__getitem__, ids))


def _list(items: Iterable[Any]) -> str:
    return f"[{','.join([escape(item) if type(item) is str else _scalar(item) for item in items])}]"
