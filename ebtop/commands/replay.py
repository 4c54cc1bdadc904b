"""`ebtop replay FILE`: the dashboard, fed by a recording."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from ebtop import arguments, preferences, privilege
from ebtop.arguments import UsageError
from ebtop.commands.dashboard import INTERVAL_S, check_size, run_app, tune

NAME = "replay"
HELP = "show a recording in the dashboard: no root, no BPF, on any system"
EPILOG = (
    "Space stops and goes on, < and > change the speed, [ ] { } step through the recording, a click on the time bar "
    "leads to a time, End to its end. A recording that is still being made can be watched."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ebtop replay`."""
    parser.add_argument("file", metavar="FILE", help="what ebtop record has written")
    add_speed(parser)


def add_speed(parser: argparse.ArgumentParser) -> None:
    """How fast it is played."""
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="play it 1, 2 or 10 times as fast as it "
                        "was")  # fmt: skip


def main(args: argparse.Namespace, command: list[str] | None) -> int:
    """Show the recording until it is left: the exit code."""
    return play(Path(args.file), args.speed, command)


def play(path: Path, speed: float, command: list[str] | None) -> int:
    """Show a recording until it is left: the exit code."""
    from ebtop.source.replay import SPEEDS

    if command is not None:
        raise UsageError("a recording runs no command")
    if speed not in SPEEDS:
        raise UsageError(f"--speed must be one of {', '.join(f'{known:g}' for known in SPEEDS)}")
    if sys.platform == "linux":  # elsewhere there are no capabilities, nor has anyone a reason to call sudo
        privilege.become_caller()
    return _show(path, speed)


def _show(path: Path, speed: float) -> int:
    preferences.prefer("ESCDELAY", "25")  # as in the dashboard
    from ebtop import config, registry
    from ebtop.record.reader import Recording, RecordingError
    from ebtop.source.replay import ReplaySource
    from ebtop.ui.app import Dashboard

    try:
        recording = Recording(path)
        tools = registry.as_planned(recording.plans.values())
        first = next((tool.name for tool in tools if tool.name in recording.tools), None)
    except (RecordingError, ValueError) as error:
        arguments.fail(f"{str(path)!r}: {error}", arguments.BAD_FILE)
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        raise UsageError("replay needs a terminal; without one: ebtop export")
    check_size()
    source = ReplaySource(recording, tools, speed=speed)
    try:
        app = Dashboard(source, tools, first, interval_s=INTERVAL_S, config=config.load(), clock=source.now)
    except config.ConfigError as error:
        raise UsageError(str(error)) from error
    tune()
    asyncio.run(run_app(app))
    source.close()
    return app.return_code or 0
