"""What ticks tell again and again (stacks, as texts or as frames), and is to be held once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import takewhile

from ebtop.tick import Frame, Stack
from ebtop.tool import Names

_ENTRY_BYTES = 200  # about what an entry takes beside its text


class SharedStacks:
    """Stacks with the frames that equal ones had before: the same functions run every second."""

    MOST = 20_000

    def __init__(self) -> None:
        self._frames: dict[Frame, Frame] = {}
        self._paths: dict[tuple[Frame, ...], tuple[Frame, ...]] = {}

    def shared(self, stacks: Iterable[Stack]) -> tuple[Stack, ...]:
        """The same stacks."""
        if len(self._frames) > self.MOST or len(self._paths) > self.MOST:
            self._frames, self._paths = {}, {}  # ticks keep what they have
        return tuple(replace(stack, frames=self._path(stack.frames)) for stack in stacks)

    def _path(self, frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
        known = self._paths.get(frames)
        if known is None:
            known = tuple(self._frames.setdefault(frame, frame) for frame in frames)
            self._paths[known] = known
        return known


class Told:
    """Texts by id, of one domain, by when they were told last. `nbytes` is about what they take."""

    def __init__(self) -> None:
        self.texts: dict[int, str | int] = {}
        self.nbytes = 0
        self._last: dict[int, int] = {}  # the end of the tick that told it last; those told longest ago first
        self._copy: Mapping[int, str | int] | None = {}

    def frozen(self) -> Mapping[int, str | int]:
        """A copy that never changes: the same one again while all is the same."""
        if self._copy is None:
            self._copy = dict(self.texts)
        return self._copy

    def learn(self, end: int, names: Mapping[int, str | int]) -> dict[int, str | int]:
        """Take over what a tick tells that ended then: the same names, with the texts that are held already."""
        same: dict[int, str | int] = {}
        for key, text in names.items():
            known = self.texts.get(key)
            if known != text:
                self._drop(key)
                self.texts[key] = known = text
                self._copy = None
                self.nbytes += len(str(text)) + _ENTRY_BYTES
            same[key] = known
            self._last.pop(key, None)
            self._last[key] = end
        return same

    def forget(self, before: int) -> None:
        """Give up what was told last by ticks that ended before that time."""
        for key in list(takewhile(lambda key: self._last[key] < before, self._last)):
            self._drop(key)

    def _drop(self, key: int) -> None:
        self._last.pop(key, None)
        text = self.texts.pop(key, None)
        if text is not None:
            self._copy = None
            self.nbytes -= len(str(text)) + _ENTRY_BYTES


class Recent:
    """Texts of the last seconds, for who writes events as they come."""

    def __init__(self, domains: Iterable[str], keep_ns: int = 5_000_000_000) -> None:
        self._keep_ns = keep_ns
        self._told = {domain: Told() for domain in domains}

    def learn(self, end: int, names: Names) -> dict[str, dict[int, str | int]]:
        """Take over what a tick that ended then (Unix ns) tells: all that is known now, by domain."""
        for domain, told in self._told.items():
            told.learn(end, names.get(domain, {}))
            told.forget(end - self._keep_ns)
        return {domain: told.texts for domain, told in self._told.items()}
