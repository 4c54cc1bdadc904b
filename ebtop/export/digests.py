"""The formats that a tool has of its own: texts made from how often each value of a column was there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from ebtop.model.columns import coded
from ebtop.tool import Batch, Column, Digest, Names, Tool, Value


def digest_of(tool: Tool, format_: str) -> Digest | None:
    """The tool's format of that name, if it has one."""
    return next((digest for digest in tool.digests if digest.format == format_), None)


def formats(tools: Iterable[Tool]) -> dict[str, Digest]:
    """All formats that some tool has, by name."""
    return {digest.format: digest for tool in tools for digest in tool.digests}


class ValueCounter:
    """Counts the values of a digest's column."""

    def __init__(self, tool: Tool, digest: Digest) -> None:
        column = tool.column(digest.column)
        if column is None:
            raise ValueError(f"{tool.name} has no column {digest.column}")
        self._column: Column = column
        self._digest = digest
        self.events = 0
        self._counts: Counter[Value] = Counter()

    def add(self, batch: Batch, names: Names) -> None:
        """Count the events of a batch; lists count as the text of their parts."""
        found = coded(self._column, batch, names)
        for value, count in zip(found.values, np.bincount(found.codes, minlength=len(found.values)), strict=True):
            self._counts[" ".join(value) if isinstance(value, list) else value] += int(count)
        self.events += len(batch)

    def text(self) -> bytes:
        """What was counted, as the tool writes it."""
        return self._digest.write(self._counts).encode("utf-8", "surrogateescape")
