"""A tool's C program as BCC is given it: one text, as BCC sees map operations in the main file only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ebtop.capture.records import layouts
from ebtop.capture.streams import stream_defines, stream_header
from ebtop.tool import Tool, probes_of

_INCLUDE = re.compile(r'^#include "([\w.]+)"[^\n]*$', re.MULTILINE)


def bpf_folder() -> Path:
    """Where the C programs are: in the installed package, or beside it in a source tree."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_bpf"
    return inside if inside.is_dir() else package.parent / "bpf"


def all_sources() -> list[str]:
    """Every C file, for finding the kernel members that they name."""
    return [path.read_text() for path in sorted(bpf_folder().rglob("*.[ch]"))]


def places(tool: Tool) -> dict[str, int]:
    """A number for each function of a tool whose events can carry stacks."""
    functions = dict.fromkeys(probe.function for probe in probes_of(tool.slots)) if tool.stacks else {}
    return {function: place for place, function in enumerate(functions)}


@dataclass(frozen=True)
class Program:
    """The C program `name` (bpf/NAME.c), for a tool where it is one's."""

    name: str
    tool: Tool | None = None
    cpus: int = 1
    perf_buffer: bool = False

    @cached_property
    def _lines(self) -> list[tuple[str, str, int]]:
        """(line, file, number) of the whole text; each header is taken once, kernel_offsets.h stays an include."""
        return list(self._expand(f"{self.name}.c", set()))

    def _expand(self, name: str, seen: set[str]) -> Iterator[tuple[str, str, int]]:
        for number, line in enumerate(self._source(name).split("\n"), 1):
            match = _INCLUDE.match(line)
            if match is None:
                yield line.replace("#pragma once", ""), name, number
            elif match[1] not in seen:
                seen.add(match[1])
                yield from self._expand(match[1], seen)

    def _source(self, name: str) -> str:
        if name == "streams.h":
            return stream_header(self.tool) if self.tool else ""
        if self.tool and name in self.tool.headers:
            return self.tool.headers[name]
        return (bpf_folder() / ("include" if name.endswith(".h") else "") / name).read_text()

    @cached_property
    def text(self) -> str:
        """The C source with its own headers in it."""
        return "\n".join(line for line, _file, _number in self._lines)

    def locate(self, message: str) -> str:
        """A compiler's message with the lines of the text turned into those of the files."""

        def origin(match: re.Match[str]) -> str:
            _line, file, number = self._lines[min(int(match[1]), len(self._lines)) - 1]
            return f"{file}:{number}"

        return re.sub(r"/virtual/main\.c:(\d+)", origin, message)

    @cached_property
    def records(self) -> dict[str, np.dtype[np.void]]:
        """The structs of the program."""
        return layouts(self.text, self._given)

    @property
    def _given(self) -> dict[str, int]:
        if self.tool is None:
            return {}
        return dict(self.tool.defines) | (dict(self.tool.perf_buffer_defines) if self.perf_buffer else {})

    @property
    def defines(self) -> dict[str, int]:
        """The -D values that the text needs."""
        given = self._given | ({"PERF_BUFFER": 1} if self.perf_buffer else {})
        return given | self._places | (stream_defines(self.tool, self.records, self.cpus) if self.tool else {})

    @property
    def _places(self) -> dict[str, int]:
        """PLACE_function: where the program that walks stacks is found, for those that do not (stacks.h)."""
        return {f"PLACE_{function}": place for function, place in places(self.tool).items()} if self.tool else {}
