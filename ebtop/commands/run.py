"""`ebtop run TOOL`: one tool without a screen, as lines of text, JSON or CSV."""

from __future__ import annotations

import argparse
import os
import select
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ebtop import arguments, outfile, privilege
from ebtop.arguments import UsageError
from ebtop.commands.session import Session, focused_on, say, why_failed
from ebtop.memory import settle
from ebtop.namespaces import NESTED, nested_pids
from ebtop.source.live import Keeper, LiveSource

if TYPE_CHECKING:
    from ebtop.heldcommand import HeldCommand
    from ebtop.probing.plan import Plan, Probing
    from ebtop.tick import Focus, Tick, ToolState
    from ebtop.tool import Tool

NAME = "run"
HELP = "trace with one tool, without the dashboard"
WATCHED_S, UNWATCHED_S = 0.25, 2.0
"""Between two ticks: where somebody waits for lines, and where they go to a file, as each tick has its price."""
TOLD_S = 1.0
"""Of what processes did, unless another interval is asked for."""
LEAST_INTERVAL_S, MOST_INTERVAL_S = 0.1, 3600.0
MOST_BACKLOG = 768 << 20
"""Bytes of records that may wait while they are written (5.9 million opens); an eighth of the memory at most."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ebtop run`."""
    parser.add_argument("tool", metavar="TOOL", help="which (ebtop tools lists them)")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
    parser.add_argument("-o", "--output", metavar="FILE", help="write there instead of to standard output")
    parser.add_argument("--interval", type=float, metavar="S", help="histograms and stacks: write every S seconds, not "
                        "only at the end; processes: what they did in S seconds each (1)")  # fmt: skip
    parser.add_argument("--by", choices=("all", "pid", "cgroup", "probe"), help="histograms: one for all, or "
                        "one for each process, control group or attach point")  # fmt: skip
    parser.add_argument("--stacks", action="store_true", help="events: also the functions that led to each, the "
                        "program's and the kernel's")  # fmt: skip
    arguments.add_probing(parser)
    arguments.add_focus(parser)
    arguments.add_capture(parser)


def main(args: argparse.Namespace, command: list[str] | None) -> int:
    """Trace until told to stop: the exit code."""
    check_duration(args.duration)
    if args.interval is not None and not 0 < args.interval < 1e8:
        raise UsageError("--interval needs a number of seconds above 0")
    refusal = privilege.refusal()
    if refusal:
        arguments.fail(refusal, arguments.NOT_PERMITTED)
    check_command(command)
    keeper = Keeper()
    try:
        tool = arguments.one_tool(args.tool)
        focus = arguments.focus_from(args)
        options = tool_options(tool, args)
        probing = arguments.probing_from(tool, args)
        check_stacks(tool, args.stacks)
        keeper.request(capture_settings(args, tick_s(tool, args), backlog(), measure=False))
        privilege.become_caller()
        if nested_pids():
            sys.stderr.write(f"ebtop: {NESTED}\n")
        stream = open_output(args.output)
        held = hold_command(command, args.output is None)
        try:
            return Run(tool, args, keeper.source(), stream, held).go(focus, options, probing)
        finally:
            if held:
                held.cancel()
    finally:
        keeper.close()


def check_duration(seconds: float | None) -> None:
    """Raises UsageError for what is no time."""
    if seconds is not None and not 0 < seconds < 1e8:
        raise UsageError("--duration needs a number of seconds above 0")


def interval_s(output: str | None) -> float:
    """How often there are lines: soon for a terminal, a pipe or a socket."""
    mode = os.fstat(1).st_mode
    to_a_file = output is not None or stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(1))
    return UNWATCHED_S if to_a_file else WATCHED_S


def tick_s(tool: Tool, args: argparse.Namespace) -> float:
    """What processes did is told of each interval, whoever reads: that is then the one asked for."""
    from ebtop.tool import Kind

    if tool.kind is not Kind.PROCESSES:
        return interval_s(args.output)
    return min(max(args.interval or TOLD_S, LEAST_INTERVAL_S), MOST_INTERVAL_S)


def backlog() -> int:
    """How many bytes may wait on this machine."""
    return min(MOST_BACKLOG, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8)


def capture_settings(args: argparse.Namespace, interval_s: float, backlog: int, measure: bool) -> Any:
    """What capture is told."""
    from ebtop.source.settings import Settings

    return Settings(interval_s, backlog, args.perf_buffer, args.attach, os.getpid(), measure)


def tool_options(tool: Tool, args: argparse.Namespace) -> dict[str, int]:
    """The values of a tool's own options. Raises UsageError for one out of range."""
    found = {}
    for option in tool.options:
        value = getattr(args, option.name, None)
        if value is None:
            continue
        if not option.minimum <= value <= option.maximum:
            raise UsageError(f"--{option.name} must be between {option.minimum} and {option.maximum}, not {value}")
        found[option.name] = value
    return found


def check_stacks(tool: Tool, wanted: bool) -> None:
    """Refuse to take the stacks of events where a tool cannot. Raises UsageError."""
    if wanted and not tool.stacks and tool.make is None:
        from ebtop.registry import tools

        able = ", ".join(other.name for other in tools() if other.stacks)
        raise UsageError(f"--stacks: {tool.name} cannot take the stack of each event; these can: {able}")


def check_command(command: list[str] | None) -> None:
    """Refuse what cannot be started before anything is traced."""
    if command is None:
        return
    if not command:
        raise UsageError("after -- comes the command to run")
    if shutil.which(command[0]) is None:
        raise UsageError(f"no command {command[0]!r}")
    arguments.need_host_pids("-- COMMAND")


def open_output(path: str | None) -> BinaryIO:
    """Where lines go. Raises UsageError when it cannot be written."""
    if path is None:
        return os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    try:
        return outfile.open_output(path)
    except OSError as error:
        raise UsageError(f"cannot write {path!r}: {error.strerror}") from error


def hold_command(command: list[str] | None, ours_is_stdout: bool) -> HeldCommand | None:
    """The command, waiting. Where our lines go to stdout, its own output goes to stderr: the two never mix."""
    from ebtop.heldcommand import HeldCommand

    return HeldCommand(command, stdout=2 if ours_is_stdout else -1) if command else None


class Run:
    """One run of one tool."""

    def __init__(
        self, tool: Tool, args: argparse.Namespace, source: LiveSource, stream: BinaryIO, held: HeldCommand | None
    ) -> None:
        from ebtop import eventstack
        from ebtop.export.accumulate import Accumulator
        from ebtop.export.formats import FORMATS
        from ebtop.export.known import KnownNames
        from ebtop.export.summary import Tally

        self._stacks = args.stacks
        self._tool = tool if args.stacks else eventstack.without(tool)
        self._source, self._stream, self._held = source, stream, held
        self._session = Session(source, held, args.duration)
        self._interval = args.interval
        self._exporter = FORMATS[args.format](stream)
        self._accumulator = Accumulator(args.by)
        self._tally = Tally(tool.name)
        self._known = KnownNames(recent=eventstack.DOMAINS if args.stacks else ())
        self._state: ToolState | None = None
        self._written_at = 0

    def go(self, focus: Focus, options: dict[str, int], probing: Probing | None = None) -> int:
        """From the first command to the summary."""
        stacks = [self._tool.name] if self._stacks else []
        self._session.begin(focused_on(focus, self._held), {self._tool.name: options}, stacks, probing)
        try:
            self._read()
            if self._session.code == 0:
                self._end()
        except BrokenPipeError:
            self._stream = Path(os.devnull).open("wb")  # noqa: SIM115  what is still buffered has no reader
        except OSError as error:
            say(f"cannot write the output: {error.strerror or error}")
            return arguments.WRITE_FAILED
        finally:
            self._source.close()
        return self._session.code

    def _read(self) -> None:
        from ebtop.probing.plan import Plan
        from ebtop.tick import Tick, ToolState

        settle()
        for message in self._source.messages():
            match message:
                case Plan():
                    self._made(message)
                case ToolState():
                    self._tool_state(message)
                case Tick():
                    self._tick(message)
                case _:
                    self._session.heed(message)

    def _made(self, plan: Plan) -> None:
        """What is run is what the plan describes."""
        from ebtop import eventstack, registry

        made = registry.made(plan)
        self._tool = made if self._stacks else eventstack.without(made)

    def _tool_state(self, state: ToolState) -> None:
        from ebtop.tick import Phase

        if state.phase is Phase.FAILED:
            self._session.give_up(why_failed(state), arguments.CANNOT_RUN)
        elif state.phase is Phase.RUNNING:
            self._state = state
            self._exporter.begin(self._tool, state.probes)
            self._session.attached()

    def _tick(self, tick: Tick) -> None:
        from ebtop.tool import Kind

        self._tally.add(tick)
        self._known.learn(tick)
        self._notice_a_reader_that_left()
        if self._tool.kind in {Kind.EVENTS, Kind.PROCESSES}:
            self._exporter.tick(self._tool, tick, self._known.names)
            return
        self._accumulator.add(tick)
        self._written_at = self._written_at or tick.start
        if self._interval and tick.end - self._written_at >= self._interval * 1e9:
            self._flush()

    def _notice_a_reader_that_left(self) -> None:
        """`| head` has what it wants; on a quiet machine the next line to fail on may be far away."""
        poll = select.poll()
        poll.register(self._stream.fileno(), 0)
        if any(event & select.POLLERR for _fd, event in poll.poll(0)):
            raise BrokenPipeError

    def _flush(self) -> None:
        whole = self._accumulator.take()
        if whole:
            self._written_at = whole.end
            self._exporter.tick(self._tool, whole, self._known.names)

    def _end(self) -> None:
        probes = self._state.probes if self._state else ()
        if self._state is None:  # told to stop before anything was attached
            self._exporter.begin(self._tool, probes)
        self._flush()
        code = self._held.exit_code if self._held else None
        self._exporter.end(self._tally.summary(probes, code))
        self._stream.flush()
