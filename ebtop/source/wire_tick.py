"""Ticks on the wire. Events, rows, bucket counts and stacks are arrays; what repeats (stack frames) is sent once.

Names that come every second are held once, as thousands of ticks are held. Not by sys.intern: Python 3.12 never forgets
what it was given, and programs choose their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np

from ebtop.source.wire_arrays import Array, ArrayReader, ArrayWriter
from ebtop.source.wire_json import WireError
from ebtop.source.wire_values import decoder, integer, items, mapping, plain, string
from ebtop.tick import Cost, Frame, Histogram, Stack, Tick
from ebtop.tool import Names

_ALWAYS = {"tool", "start", "end"}
_FIELDS = _ALWAYS | {"lost", "cost", "names", "gauges", "events", "rows", "histograms", "stacks"}
_NO_COST = Cost()
_lost = decoder(Mapping[str, int])
_gauges = decoder(Mapping[str, float])
_cost = decoder(Cost)
_frame = decoder(Frame)


def encode(tick: Tick, arrays: ArrayWriter) -> dict[str, Any]:
    """The header of a tick, without what it has not; its arrays are added to `arrays` in the order in which `decode`
    takes them."""
    header = {
        "lost": dict(tick.lost),
        "cost": plain(tick.cost) if tick.cost != _NO_COST else None,
        "gauges": dict(tick.gauges),
        "names": {domain: [list(known), list(known.values())] for domain, known in tick.names.items()},
        "events": [arrays.add(batch) for batch in tick.events],
        "rows": None if tick.rows is None else arrays.add(tick.rows),
        "histograms": _encode_histograms(tick.histograms, arrays) if tick.histograms else None,
        "stacks": _encode_stacks(tick.stacks, arrays) if tick.stacks else None,
    }
    said = {name: value for name, value in header.items() if value}
    return {"tool": tick.tool, "start": tick.start, "end": tick.end, **said}


_MOST_KNOWN = 20_000
_known: dict[str, str] = {}


def once(text: str) -> str:
    """The same text; for equal ones mostly the same object."""
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    return _known.setdefault(text, text)


def decode(header: Any, arrays: ArrayReader) -> Tick:
    """The tick of a header; its arrays are views of the frame."""
    if not _ALWAYS <= mapping(header).keys() <= _FIELDS:
        raise WireError("the fields are not those of a Tick")
    return Tick(
        tool=once(string(header["tool"])),
        start=integer(header["start"]),
        end=integer(header["end"]),
        # In the order of the arrays; what is not said is as in a Tick of nothing.
        **{name: read(header[name], arrays) for name, read in _READ.items() if name in header},
    )


def _decode_names(value: Any) -> Names:
    names: dict[str, dict[int, str | int]] = {}
    for domain, pair in mapping(value).items():
        keys, known = items(pair, 2)
        _only({int}, items(keys))
        _only({int, str}, items(known, len(keys)))
        string("".join(name for name in known if type(name) is str))  # all at once
        names[string(domain)] = dict(zip(keys, known, strict=True))
    return names


def _only(allowed: set[type], values: Iterable[Any]) -> None:
    """Check the types of many values at once."""
    if not set(map(type, values)) <= allowed:
        raise WireError("a list holds what it may not")


def _encode_histograms(histograms: tuple[Histogram, ...], arrays: ArrayWriter) -> list[Any]:
    said = [[h.group, h.key, h.label, len(h.counts)] for h in histograms]
    return [said, arrays.add(np.concatenate([h.counts for h in histograms]))]


def _decode_histograms(value: Any, arrays: ArrayReader) -> tuple[Histogram, ...]:
    said, counts = items(value, 2)
    heads = [items(head, 4) for head in items(said)]
    pieces = arrays.split(counts, "<u8", [integer(head[3]) for head in heads])
    return tuple(
        Histogram(once(string(group)), integer(key), once(string(label)), piece)
        for (group, key, label, _), piece in zip(heads, pieces, strict=True)
    )


def _encode_stacks(stacks: tuple[Stack, ...], arrays: ArrayWriter) -> list[Any]:
    """Each different frame once, and for all stacks in a row which frames they consist of."""
    numbers: dict[Frame, int] = {}
    path: Array = np.fromiter(
        (numbers.setdefault(frame, len(numbers)) for frame in chain.from_iterable(s.frames for s in stacks)),
        dtype="<u4",
    )
    said = [[len(s.frames), s.count, s.pid, s.tid, s.comm] for s in stacks]
    return [list(numbers), said, arrays.add(path)]


def _decode_stacks(value: Any, arrays: ArrayReader) -> tuple[Stack, ...]:
    table, said, path = items(value, 3)
    frames = [_frame(frame) for frame in items(table)]
    heads = [items(head, 5) for head in items(said)]
    pieces = arrays.split(path, "<u4", [integer(head[0]) for head in heads])
    return tuple(
        Stack(_look_up(frames, piece), integer(count), integer(pid), integer(tid), string(comm))
        for (_, count, pid, tid, comm), piece in zip(heads, pieces, strict=True)
    )


def _look_up(frames: list[Frame], path: Array) -> tuple[Frame, ...]:
    if len(path) and int(path.max()) >= len(frames):
        raise WireError("a stack names a frame that was not sent")
    return tuple(map(frames.__getitem__, path.tolist()))


_READ: Mapping[str, Callable[[Any, ArrayReader], Any]] = {
    "lost": lambda said, _arrays: _lost(said),
    "cost": lambda said, _arrays: _cost(said),
    "names": lambda said, _arrays: _decode_names(said),
    "gauges": lambda said, _arrays: {once(name): value for name, value in _gauges(said).items()},
    "events": lambda said, arrays: tuple(arrays.structured(each) for each in items(said)),
    "rows": lambda said, arrays: arrays.structured(said),
    "histograms": _decode_histograms,
    "stacks": _decode_stacks,
}
