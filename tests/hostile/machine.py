"""A machine on which all names were chosen by someone who means harm: messages for a dashboard, made of given words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np

from ebtop.tick import (
    Ancestor,
    Attempt,
    Frame,
    Histogram,
    Message,
    Namespace,
    Notice,
    Phase,
    ProcessDetails,
    Stack,
    Tick,
    ToolState,
    Vitals,
)
from ebtop.tool import Kind, Tool
from tests.ui import synthetic
from tests.ui.screen import TOOLS

ROWS = 24


class Machine:
    """Ticks and all other messages with `words` wherever others choose."""

    def __init__(self, words: Sequence[bytes]) -> None:
        self._words = cycle(words)
        self.words = tuple(words)

    def word(self) -> str:
        """The next one, as ebtop has it."""
        return next(self._words).decode("utf-8", "surrogateescape")

    def tick(self, tool: Tool, number: int = 0) -> Tick:
        """A tick of a tool, as synthetic ones are but for the names."""
        plain = synthetic.tick(tool, number, ROWS)
        names: dict[str, dict[int, str | int]] = {
            domain: {key: self.word() for key in known} for domain, known in plain.names.items()
        }
        events = tuple(self._renamed(batch) for batch in plain.events)
        rows = None if plain.rows is None else self._renamed(plain.rows)
        histograms = tuple(Histogram(h.group, h.key, self.word(), h.counts) for h in plain.histograms)
        lost = {self.word(): 3, self.word(): 1 << 40}
        return replace(plain, events=events, rows=rows, names=names, histograms=histograms, stacks=self.stacks(tool),
                       lost=lost)  # fmt: skip

    def _renamed(self, batch: Any) -> Any:
        for field in batch.dtype.names:
            if batch.dtype[field].kind == "S":
                batch[field] = np.array([next(self._words) for _ in batch], dtype=batch.dtype[field])
        if "args" in batch.dtype.names:
            self._arguments(batch)
        return batch

    def _arguments(self, batch: Any) -> None:
        """Blocks of words that end in NUL, as execve has them."""
        size = batch.dtype["args"].itemsize
        blocks = [b"\0".join(next(self._words) for _ in range(3))[: size - 1] + b"\0" for _ in batch]
        batch["args"] = np.array(blocks, dtype=f"S{size}")
        batch["args_len"] = [len(block) for block in blocks]
        batch["argc"] = [block.count(b"\0") for block in blocks]

    def stacks(self, tool: Tool) -> tuple[Stack, ...]:
        """Frames of hostile functions in hostile modules."""
        if tool.kind is not Kind.STACKS:
            return ()
        frames = [Frame(self.word(), self.word(), n % 4 == 3) for n in range(12)]
        return tuple(Stack(tuple(frames[n : n + 4]), n + 1, 100 + n, 100 + n, self.word()) for n in range(8))

    def details(self, pid: int) -> ProcessDetails:
        """What /proc would say."""
        up = tuple(Ancestor(n, self.word(), (self.word(), self.word())) for n in (9, 1))
        down = tuple(Ancestor(n, self.word(), (self.word(), self.word())) for n in range(20, 24))
        own = tuple(Namespace(self.word(), n, shared=False) for n in range(3))
        return ProcessDetails(pid, True, self.word(), self.word(), self.word(), self.word(), self.word(), self.word(),
                              tuple(self.word() for _ in range(4)), up, 3, 1 << 20, 5.0, 4321, 4321, (1, 2),
                              self.word(), (self.word(), self.word()), False, own, down, synthetic.START)  # fmt: skip

    def vitals(self) -> Vitals:
        """The machine."""
        return Vitals(self.word(), self.word(), 2, 99.0, 0.01, 1 << 26, self.word(), 2)

    def failed(self, tool: Tool) -> ToolState:
        """A tool that cannot run, for reasons that quote what was found."""
        tried = (Attempt(self.word(), self.word()), Attempt(self.word(), self.word()))
        return ToolState(tool.name, Phase.FAILED, (), tried, self.word(), self.word())

    def running(self, tool: Tool) -> ToolState:
        """A tool that runs on probes of odd names."""
        return ToolState(tool.name, Phase.RUNNING, (f"kprobe:{self.word()}", self.word()), (Attempt("x", self.word()),))

    def messages(self) -> list[Message]:
        """What a source says when all is well."""
        ticks = [self.tick(tool, number) for number in range(2) for tool in TOOLS]
        return [self.vitals(), *(self.running(t) for t in TOOLS), *ticks, Notice(self.word(), error=True)]
