"""Columns as JSON fragments: one list of text (or plain ints) per column of a batch, never a dict per event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

import numpy.typing as npt

from ebtop.tool import Batch, Column, Names, Type, Value, text, values

escape: Callable[[str], str] = encode_basestring_ascii
"""A JSON string in ASCII; lone surrogates, which stand for bytes that are no UTF-8, stay lone surrogates."""

Fragment = str | int


def write(value: Any) -> str:
    """Any JSON value, as compact as the lines are."""
    return json.dumps(value, separators=(",", ":"))


class Same(NamedTuple):
    """The fragment of every row."""

    text: str


Cells = Sequence[Fragment] | Same
"""A fragment a row. In most batches many columns (user, cgroup, name) have the same in all."""


def fragments(column: Column, batch: Batch, names: Names, *, late: bool = False) -> Cells:
    """The column as JSON; what is known only later is null, unless `late` says that it is later now. The batch has at
    least one row."""
    if column.late and not late:
        return Same("null")
    if column.derive is None:
        return raw_fragments(column, batch)
    return _of_values(column.derive(batch, names))


def raw_fragments(column: Column, batch: Batch) -> Cells:
    """The batch's field of that name as JSON, whatever the column would derive."""
    if column.key not in (batch.dtype.names or ()):
        return Same("null")
    data = batch[column.key]
    if data.dtype.kind == "S":
        raw = data.tolist()
        return _looked_up({item: escape(text(item)) for item in set(raw)}, raw)
    if data.dtype.kind == "b" or column.type is Type.BOOL:
        return _of_values((data != 0).tolist())
    if data.dtype.kind in "iu" and data.ndim == 1:
        return _numbers(data)
    return _of_values(values(column, batch, {}))


def _numbers(data: npt.NDArray[Any]) -> Cells:
    if data[0] == data[-1] and bool((data == data[0]).all()):
        return Same(str(data[0]))
    numbers: list[int] = data.tolist()
    return numbers


def _looked_up(known: Mapping[Any, str], keys: Sequence[Any]) -> Cells:
    return list(map(known.__getitem__, keys)) if len(known) > 1 else Same(known[keys[0]])


def _of_values(derived: Sequence[Value]) -> Cells:
    """Any values as JSON; what most columns are made of, quickly."""
    kinds = set(map(type, derived))
    if kinds <= {int}:
        return derived  # type: ignore[return-value]
    if kinds <= {str, int, bool, type(None)} and len(kinds - {type(None)}) <= 1:  # 1 and True are equal
        return _looked_up({value: _scalar(value) for value in set(derived)}, derived)
    if kinds <= {list, type(None)}:
        return _lists(derived)  # type: ignore[arg-type]
    return [_scalar(value) for value in derived]


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return escape(value)
    if value is None or value != value:  # a float that is no number has no place in JSON
        return "null"
    return write(value)


def _lists(derived: Sequence[list[Any] | None]) -> Cells:
    """Lists as JSON; columns of few different ones (flags, stacks) share them, so each object is written once."""
    ids = list(map(id, derived))
    return _looked_up({number: _list(item) for number, item in dict(zip(ids, derived, strict=True)).items()}, ids)


def _list(items: Iterable[Any] | None) -> str:
    if items is None:
        return "null"
    return f"[{','.join([escape(item) if type(item) is str else _scalar(item) for item in items])}]"
