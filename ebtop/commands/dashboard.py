"""`ebtop [TOOL]`: the dashboard."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import replace
from functools import partial
from typing import IO, TYPE_CHECKING

from ebtop import arguments, preferences, privilege, standard
from ebtop.arguments import UsageError
from ebtop.commands.run import capture_settings, check_command, tool_options
from ebtop.endings import leave_at_signals
from ebtop.memory import settle
from ebtop.namespaces import nested_pids
from ebtop.source.live import Keeper, LiveSource

if TYPE_CHECKING:
    from ebtop.heldcommand import HeldCommand
    from ebtop.probing.plan import Probing
    from ebtop.tick import Command, Focus, Message
    from ebtop.ui.app import Dashboard

NAME = "dashboard"
HELP = "top for what /proc cannot show: a live dashboard fed by eBPF"
EPILOG = (
    "Other verbs: ebtop run TOOL, ebtop record, ebtop replay FILE, ebtop demo, ebtop export FILE, ebtop tools, "
    "ebtop doctor; each has --help. After -- comes a command to watch."
)
INTERVAL_S = 1.0
BACKLOG = 256 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the dashboard."""
    parser.add_argument("tool", metavar="TOOL", nargs="?", help="the pane to begin with")
    arguments.add_probing(parser)
    arguments.add_focus(parser)
    arguments.add_capture(parser)


def main(args: argparse.Namespace, command: list[str] | None) -> int:
    """Show the dashboard until it is left: the exit code."""
    refusal = privilege.refusal()
    if refusal:
        arguments.fail(refusal, arguments.NOT_PERMITTED)
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        raise UsageError("the dashboard needs a terminal; without one: ebtop run TOOL --format json")
    check_command(command)
    check_size()
    keeper = Keeper()
    try:
        notes: tuple[str, ...] = () if privilege.caller() or os.geteuid() else ("running as root",)
        notes += ("pids are the host's",) if nested_pids() else ()
        settings = capture_settings(args, INTERVAL_S, BACKLOG, measure=True)
        keeper.request(settings)  # it starts while we import what the screen needs
        privilege.become_caller()
        return _show(args, command, keeper, notes, lambda: keeper.request(settings))
    finally:
        keeper.close()


def check_size(environ: MutableMapping[str, str] = os.environ) -> None:
    """A size that no terminal has is not believed: a screen of that size would be drawn."""
    for name in ("COLUMNS", "LINES"):
        if name in environ and not re.fullmatch("[1-9][0-9]{0,2}", environ[name]):
            del environ[name]


def _show(
    args: argparse.Namespace, command: list[str] | None, keeper: Keeper, notes: tuple[str, ...],
    again: Callable[[], None],
) -> int:  # fmt: skip
    preferences.prefer("ESCDELAY", "25")  # ms, as htop: an Esc is answered at once
    import asyncio

    from ebtop import config, registry
    from ebtop.ui.app import Dashboard

    first = arguments.one_tool(args.tool).name if args.tool else None
    options = {tool.name: tool_options(tool, args) for tool in registry.tools()}
    focus = arguments.focus_from(args)
    probing = dashboard_probing(args)
    tools = tuple(tool.name for tool in registry.tools() if tool.make is None or tool.name in probing)
    try:
        settings = config.load()
        with _Spectacle(command) as held:
            if held:
                focus = replace(focus, pids=(*focus.pids, held.pid), follow=True)
            source = Launch(keeper.source(), tools, options, focus, held)

            def restart() -> Launch:
                again()
                return Launch(keeper.source(), (), options, focus, None)

            app = Dashboard(source, registry.tools(), first, interval_s=INTERVAL_S, notes=notes, config=settings,
                            restart=restart, probing=probing)  # fmt: skip
            tune()
            asyncio.run(run_app(app))
            source.close()
            return app.return_code or 0
    except config.ConfigError as error:
        raise UsageError(str(error)) from error


def dashboard_probing(args: argparse.Namespace) -> dict[str, Probing]:
    """What is asked for of the tool that is shown first. Raises UsageError."""
    tool = arguments.one_tool(args.tool) if args.tool else None
    if tool is None or (tool.make is not None and not args.point):
        return {}
    asked = arguments.probing_from(tool, args)
    return {tool.name: asked} if asked else {}


async def run_app(app: Dashboard) -> None:
    """Until it is left, or told to end: the terminal is then as it was."""
    import asyncio

    loop = asyncio.get_running_loop()

    def leave(code: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: it ends already
            loop.call_soon_threadsafe(partial(app.exit, return_code=code))

    leave_at_signals(leave)
    try:
        await app.run_async()
    finally:
        standard.give_up_the_lost()


def tune() -> None:
    """For a process that answers keys while a hundred megabytes a second may pass through it."""
    sys.setswitchinterval(0.001)  # a key waits for the thread that reads at most so long
    settle()


class Launch:
    """A live source that begins with a focus, gives tools their options, and lets the command go once each of `tools`
    runs (or has failed)."""

    def __init__(
        self, source: LiveSource, tools: Iterable[str], options: dict[str, dict[str, int]], focus: Focus,
        held: HeldCommand | None,
    ) -> None:  # fmt: skip
        from ebtop.tick import Focus, SetFocus

        self._source, self._options, self._held = source, options, held
        self._awaited = set(tools)
        if focus != Focus():
            source.send(SetFocus(focus))

    def messages(self) -> Iterator[Message]:
        """The live messages."""
        from ebtop.tick import Phase, ToolState

        for message in self._source.messages():
            if isinstance(message, ToolState) and message.phase in {Phase.RUNNING, Phase.FAILED}:
                self._awaited.discard(message.tool)
                if self._held and not self._awaited:
                    self._held.release()
                    self._held = None
            yield message

    def send(self, command: Command) -> None:
        """Hand a command to capture."""
        from ebtop.tick import Load

        if isinstance(command, Load):
            options = {**self._options.get(command.tool, {}), **command.options}
            command = replace(command, options=options)
        self._source.send(command)

    def close(self) -> None:
        """End capture."""
        self._source.close()


class _Spectacle:
    """The command under the dashboard. What it writes to the terminal is kept and shown when the screen is gone;
    output that was redirected goes where it was sent."""

    def __init__(self, command: list[str] | None) -> None:
        self._command = command
        self._held: HeldCommand | None = None

    def __enter__(self) -> HeldCommand | None:
        from ebtop.heldcommand import HeldCommand

        if not self._command:
            return None
        self._kept: IO[bytes] = tempfile.TemporaryFile()
        kept = self._kept.fileno()
        nothing = os.open(os.devnull, os.O_RDONLY)
        out = kept if sys.stdout.isatty() else -1
        self._held = HeldCommand(self._command, stdin=nothing, stdout=out, stderr=kept)
        os.close(nothing)
        self._held.when_done(lambda: None)
        return self._held

    def __exit__(self, *_exc: object) -> None:
        if not self._held:
            return
        self._held.cancel()
        if self._held.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._held.pid, signal.SIGTERM)
            sys.stderr.write(f"ebtop: the command was still running and has been told to end (pid {self._held.pid})\n")
        self._kept.seek(0)
        shutil.copyfileobj(self._kept, sys.stdout.buffer)
        sys.stdout.flush()
        self._kept.close()
