"""`ebtop record`: what happens, into a file, for `ebtop replay` and for anyone's SQL."""

from __future__ import annotations

import argparse
import re
import sqlite3
import sys
import time
from typing import TYPE_CHECKING

from ebtop import arguments, privilege
from ebtop.arguments import UsageError
from ebtop.commands.run import backlog, capture_settings, check_command, check_duration, hold_command, tool_options
from ebtop.commands.session import Session, focused_on, say, why_failed
from ebtop.memory import Trimmer, settle
from ebtop.namespaces import NESTED, nested_pids
from ebtop.source.live import Keeper, LiveSource

if TYPE_CHECKING:
    from ebtop.heldcommand import HeldCommand
    from ebtop.probing.plan import Probing
    from ebtop.record.retention import Keep
    from ebtop.record.writer import RecordingWriter
    from ebtop.tick import Focus, Tick, ToolState
    from ebtop.tool import Tool

NAME = "record"
HELP = "record what happens into a file"
EPILOG = (
    "The file is an SQLite database with a view for each tool, open to anyone's SQL also while it is written; "
    "ebtop replay FILE shows it. Without a TOOL all are recorded that can run."
)
INTERVAL_S = 1.0
LEAST_SIZE = 1 << 20
_COMMIT_S = 0.5
"""In a flood there are many ticks a second: so much time at most between two commits."""

_AGE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ebtop record`."""
    parser.add_argument(
        "tool",
        metavar="TOOL",
        nargs="*",
        help="which (ebtop tools lists them); all without any, probe where -p says of what",
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the recording")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists and is yours")
    parser.add_argument("--max-age", type=age, default=0, metavar="TIME", help="keep only the last so many seconds, "
                        "minutes (10m), hours (2h) or days")  # fmt: skip
    parser.add_argument("--max-size", type=size, default=0, metavar="SIZE", help="keep only the last so many bytes "
                        "(500MB)")  # fmt: skip
    parser.add_argument("--stacks", action="store_true", help="events: also the functions that led to each, the "
                        "program's and the kernel's")  # fmt: skip
    arguments.add_probing(parser)
    arguments.add_focus(parser)
    arguments.add_capture(parser)


def age(text: str) -> int:
    """A time in ns. Raises ArgumentTypeError."""
    match = _AGE.fullmatch(text.strip())
    found = round(float(match[1]) * _SECONDS[match[2]] * 1e9) if match else 0
    if not 0 < found < 1 << 62:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90, 10m or 2h")
    return found


def size(text: str) -> int:
    """A size in bytes. Raises ArgumentTypeError."""
    from ebtop import config

    found = config.size(text)
    if found is None or not LEAST_SIZE <= found < 1 << 62:
        raise argparse.ArgumentTypeError(f"{text!r} is no size of at least 1 MiB such as 500MB")
    return found


def main(args: argparse.Namespace, command: list[str] | None) -> int:
    """Record until told to stop: the exit code."""
    check_duration(args.duration)
    refusal = privilege.refusal()
    if refusal:
        arguments.fail(refusal, arguments.NOT_PERMITTED)
    check_command(command)
    keeper = Keeper()
    try:
        from ebtop import registry

        tools = [arguments.one_tool(name) for name in dict.fromkeys(args.tool)] or [
            tool for tool in registry.tools() if tool.make is None or args.point
        ]
        focus = arguments.focus_from(args)
        options = {tool.name: tool_options(tool, args) for tool in tools}
        probing = arguments.probing_for(tools, args)
        keeper.request(capture_settings(args, INTERVAL_S, backlog(), measure=True))
        privilege.become_caller()
        if nested_pids():
            sys.stderr.write(f"ebtop: {NESTED}\n")
        return _record(args, tools, focus, options, probing, keeper, hold_command(command, ours_is_stdout=False))
    finally:
        keeper.close()


def _record(
    args: argparse.Namespace, tools: list[Tool], focus: Focus, options: dict[str, dict[str, int]],
    probing: Probing | None, keeper: Keeper, held: HeldCommand | None,
) -> int:  # fmt: skip
    from ebtop.record.retention import Keep

    focus = focused_on(focus, held)
    try:
        writer = _open(args.output, args.force, str(focus), tools, Keep(args.max_age, args.max_size))
        try:
            source = keeper.source()
        except ConnectionError:
            writer.close()
            writer.remove()
            raise
        stacks = [tool.name for tool in tools if tool.stacks and args.stacks]
        return Record(writer, source, held, args.duration).go(focus, options, stacks, probing)
    finally:
        if held:
            held.cancel()


def _open(path: str, force: bool, focus: str, tools: list[Tool], keep: Keep) -> RecordingWriter:
    """The file, made with the rights of who calls. Raises UsageError where it cannot be."""
    from ebtop.record.newfile import PlaceError
    from ebtop.record.writer import RecordingWriter

    try:
        return RecordingWriter(path, force=force, focus=focus, tools=tools, keep=keep)
    except PlaceError as error:
        raise UsageError(str(error)) from error
    except (sqlite3.Error, ValueError) as error:
        raise UsageError(f"cannot write {path!r}: {error}") from error


class Record:
    """One recording in the making."""

    def __init__(
        self, writer: RecordingWriter, source: LiveSource, held: HeldCommand | None, duration: float | None
    ) -> None:
        self._writer, self._source = writer, source
        self._session = Session(source, held, duration)
        self._awaited: set[str] = set()
        self._running: list[str] = []
        self._events = self._lost = 0
        self._began = self._committed = time.monotonic()
        self._trimmer = Trimmer()

    def go(
        self, focus: Focus, options: dict[str, dict[str, int]], stacks: list[str], probing: Probing | None = None
    ) -> int:
        """From the first command to the last tick: the exit code."""
        from ebtop.source.wire_json import WireError

        self._awaited = set(options)
        self._session.begin(focus, options, stacks, probing)
        try:
            self._read()
            self._writer.close()
        except (sqlite3.Error, OSError, OverflowError, WireError) as error:
            self._writer.abandon()
            say(f"cannot write {str(self._writer.path)!r}: {error}; what was committed before is in it")
            return arguments.WRITE_FAILED
        finally:
            self._source.close()
        if self._running:
            self._sum_up()
        else:
            self._writer.remove()
        return self._session.code

    def _read(self) -> None:
        from ebtop.tick import Tick, ToolState, Vitals

        settle()
        for message in self._source.messages():
            self._writer.add(message)
            match message:
                case ToolState():
                    self._tool_state(message)
                case Tick():
                    self._tick(message)
                case Vitals():  # the last word of an interval
                    self._commit()
                case _:
                    self._session.heed(message)

    def _tool_state(self, state: ToolState) -> None:
        from ebtop.tick import Phase

        if state.phase is Phase.FAILED:
            say(why_failed(state))
        elif state.phase is Phase.RUNNING:
            self._running.append(state.tool)
        else:
            return
        self._awaited.discard(state.tool)
        if self._awaited:
            return
        if not self._running:
            self._session.code = arguments.CANNOT_RUN  # each has said why
            self._session.stop()
            return
        self._began = time.monotonic()
        say(f"recording {', '.join(self._running)} to {str(self._writer.path)!r}; Ctrl+C ends it")
        self._session.attached()

    def _tick(self, tick: Tick) -> None:
        self._events += tick.event_count
        self._lost += tick.lost_count
        if time.monotonic() - self._committed > _COMMIT_S:
            self._commit()

    def _commit(self) -> None:
        self._writer.commit()
        self._committed = time.monotonic()
        self._trimmer.now_and_then()

    def _sum_up(self) -> None:
        from ebtop.model.format import nbytes

        took = time.monotonic() - self._began
        size = nbytes(self._writer.path.stat().st_size)
        say(f"{self._events:,} events, {self._lost:,} lost, {size} in {took:.0f} s: {str(self._writer.path)!r}")
