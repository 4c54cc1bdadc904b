"""What is being built: the programs that were asked of the compiler processes, by the name of what they are for."""

from __future__ import annotations

from collections.abc import Mapping

from ebtop.capture.compiler import Compilers
from ebtop.capture.loader import Loaded, Request
from ebtop.capture.program import Program


class Builds:
    """One at a time for each name."""

    def __init__(self, compilers: Compilers) -> None:
        self._compilers = compilers
        self._asked: dict[int, tuple[str, Program]] = {}

    def __contains__(self, name: str) -> bool:
        return any(name == known for known, _program in self._asked.values())

    def ask(self, name: str, program: Program, request: Request, shared: Mapping[str, int]) -> None:
        """Have it built; `shared` as Compilers.ask() takes them."""
        self._asked[self._compilers.ask(request, shared)] = (name, program)

    def drop(self, name: str) -> bool:
        """What is being built under that name is wanted no longer; was there anything?"""
        dropped = [number for number, (known, _program) in self._asked.items() if known == name]
        for number in dropped:
            del self._asked[number]
            self._compilers.drop(number)
        return bool(dropped)

    def collect(self, readable: list[int]) -> list[tuple[str, Program, Loaded]]:
        """What was built, given the descriptors that are readable."""
        return [(*self._asked.pop(number), loaded) for number, loaded in self._compilers.collect(readable)]
