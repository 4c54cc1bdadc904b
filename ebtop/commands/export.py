"""`ebtop export FILE`: a recording in other formats."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ebtop import arguments, privilege
from ebtop.arguments import UsageError
from ebtop.commands.run import open_output
from ebtop.commands.session import say
from ebtop.commands.times import time_of

if TYPE_CHECKING:
    from ebtop.record.reader import Recording
    from ebtop.tick import Tick
    from ebtop.tool import Names, Tool

NAME = "export"
HELP = "write a recording in another format"
EPILOG = (
    "folded, speedscope and pprof are of stacks: of a tool that samples, or of events that carry them. Times are as in "
    "14:02, 14:02:11.5 (on the day of the recording) or 2026-11-21T14:02:11Z."
)
FORMATS = ("json", "csv", "folded", "speedscope", "pprof")
_MOST_NAMES = 50_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ebtop export`."""
    parser.add_argument("file", metavar="FILE", help="a recording")
    from ebtop import registry
    from ebtop.export.digests import formats

    parser.add_argument("--format", choices=(*FORMATS, *formats(registry.tools())), required=True)
    parser.add_argument("--tool", metavar="TOOL", help="only this one; json alone takes several into one file")
    parser.add_argument("-o", "--output", metavar="OUT", help="write there instead of to standard output")
    parser.add_argument("--from", dest="start", metavar="TIME", help="leave out what was before")
    parser.add_argument("--to", dest="end", metavar="TIME", help="leave out what was after; both by whole intervals")
    parser.add_argument("--interval", type=float, metavar="S", help="json and csv: write histograms and stacks every S "
                        "seconds, not only at the end")  # fmt: skip
    parser.add_argument("--by", choices=("all", "pid", "cgroup", "probe"), help="histograms: one for all, or "
                        "one for each process, control group or attach point")  # fmt: skip


def main(args: argparse.Namespace, command: list[str] | None) -> int:
    """Write it: the exit code."""
    from ebtop.export.formats import BINARY
    from ebtop.record.reader import Recording, RecordingError
    from ebtop.source.fit import UnfitError

    if command is not None:
        raise UsageError("export starts no command")
    if args.interval is not None and not 0 < args.interval < 1e8:
        raise UsageError("--interval needs a number of seconds above 0")
    if args.format in BINARY and args.output is None and os.isatty(1):
        raise UsageError(f"{args.format} is nothing for a terminal: -o OUT, or a pipe")
    privilege.become_caller()
    try:
        with Recording(args.file) as recording:
            return Export(recording, args).go()
    except (RecordingError, UnfitError, ValueError) as error:
        arguments.fail(f"{args.file!r}: {error}", arguments.BAD_FILE)


class Export:
    """One export of one recording."""

    def __init__(self, recording: Recording, args: argparse.Namespace) -> None:
        self._recording, self._args = recording, args
        self._start = time_of(args.start, recording.meta.start, recording.meta.end) if args.start else 0
        self._end = time_of(args.end, recording.meta.start, recording.meta.end) if args.end else None

    def go(self) -> int:
        """Choose the tools, read, write: the exit code. Raises RecordingError, UnfitError, UsageError."""
        from ebtop.export.formats import STACK_FORMATS

        tools = self._tools()
        if not self._recording.meta.closed:
            say(f"{self._args.file!r} was not closed: it is still being recorded, or its recorder was killed")
        try:
            if self._args.format in STACK_FORMATS:
                self._stacks(tools[0])
            elif self._args.format not in FORMATS:
                self._digest(tools[0])
            else:
                self._tables(tools)
        except BrokenPipeError:
            return 0
        except OSError as error:
            say(f"cannot write the output: {error.strerror or error}")
            return arguments.WRITE_FAILED
        return 0

    def _tools(self) -> list[Tool]:
        """What to write: at least one. Raises UsageError."""
        from ebtop import registry
        from ebtop.export.recorded import fitting

        name, format_ = self._args.tool, self._args.format
        recorded = self._recording.tools
        known = [tool for tool in registry.as_planned(self._recording.plans.values()) if tool.name in recorded]
        if name is not None and name not in recorded:
            raise UsageError(f"no tool {name!r} in {self._args.file!r}; there are {', '.join(recorded) or 'none'}")
        if unknown := sorted({*recorded} - {tool.name for tool in known}):
            if name in unknown or not known:
                raise UsageError(f"this ebtop does not know {', '.join(unknown)}, whose recording this is")
            say(f"left out, as this ebtop does not know them: {', '.join(unknown)}")
        states = self._recording.states
        fit = [t for t in fitting(known, format_) if t.name == name] if name else fitting(known, format_, states)
        if not fit:
            whose = [tool.name for tool in fitting(known, format_, states)]
            raise UsageError(_nothing_fits(format_, name or "the recording", whose))
        if len(fit) > 1 and format_ != "json":
            raise UsageError(f"{format_} is of one tool: --tool {' or '.join(tool.name for tool in fit)}")
        return fit

    def _ticks(self, tools: list[Tool]) -> Iterator[Tick]:
        from ebtop.source.fit import Fit

        fit = Fit(tools)
        for tick in self._recording.ticks({tool.name for tool in tools}, self._start, self._end):
            fit.check(tick)
            yield tick

    def _names(self, tool: Tool) -> Names:
        """Those that were known before the first tick."""
        return self._recording.names(tool.name, self._start, _MOST_NAMES) if self._start else {}

    def _open(self) -> BinaryIO:
        """Raises UsageError, also for a file that would be lost before it was read."""
        output = self._args.output
        if output is not None and _is_same(output, self._recording.path):
            raise UsageError(f"{output!r} is the recording itself")
        return open_output(output)

    def _stacks(self, tool: Tool) -> None:
        """All at once; nothing is opened to be written before there is something to write."""
        from ebtop.export.formats import STACK_FORMATS
        from ebtop.export.recorded import count_stacks

        counts = count_stacks(self._ticks([tool]), tool, self._names(tool), self._recording.states)
        if not counts.stacks:
            events = f"none of {counts.without:,} events carries a stack" if counts.without else "there are no stacks"
            raise UsageError(f"{events} of {tool.name} in that time")
        if counts.without:
            say(f"{counts.without:,} events without a stack are left out")
        with self._open() as stream:
            STACK_FORMATS[self._args.format](counts, stream)

    def _digest(self, tool: Tool) -> None:
        """A format of the tool's own."""
        from ebtop.export.digests import digest_of
        from ebtop.export.recorded import count_values

        digest = digest_of(tool, self._args.format)
        assert digest is not None  # noqa: S101  only tools that have it fit
        counter = count_values(self._ticks([tool]), tool, digest, self._names(tool))
        with self._open() as stream:
            stream.write(counter.text())

    def _tables(self, tools: list[Tool]) -> None:
        from ebtop.export.formats import FORMATS
        from ebtop.export.recorded import write_tables

        named = [(tool, self._names(tool)) for tool in tools]
        with self._open() as stream:
            exporter = FORMATS[self._args.format](stream)
            write_tables(
                exporter, self._ticks(tools), named, self._recording.states, self._args.by, self._args.interval
            )


def _nothing_fits(format_: str, asked: str, whose: list[str]) -> str:
    from ebtop.export.formats import STACK_FORMATS

    what = "stacks" if format_ in STACK_FORMATS else "events of a kind"
    other = f"--tool {' or '.join(whose)} has some" if whose else "json and csv fit every tool"
    return f"{format_} is for {what}, of which {asked} has none; {other}"


def _is_same(output: str, recording: Path) -> bool:
    with contextlib.suppress(OSError):  # whoever opens it says what is wrong with it
        return Path(output).samefile(recording)
    return False
