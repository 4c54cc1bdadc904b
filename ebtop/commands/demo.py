"""`ebtop demo`: a recording that ships with ebtop."""

from __future__ import annotations

import argparse
import lzma
import shutil
import sys
import tempfile
from pathlib import Path

from ebtop import privilege
from ebtop.commands.replay import add_speed, play

NAME = "demo"
HELP = "show a recorded incident: no root, no BPF, on any system"
EPILOG = (
    "A shop on one machine: nginx, an application, PostgreSQL. After a quarter of a minute somebody deploys. Why is "
    "the machine busy when no process seems to be, what does the new version look for, and what eats a whole CPU after "
    "that? Space stops and goes on, < and > change the speed, [ ] { } step, Enter opens what is selected, ? helps."
)
INCIDENT = Path(__file__).parents[1] / "demo" / "incident.ebtop.xz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ebtop demo`."""
    add_speed(parser)


def main(args: argparse.Namespace, command: list[str] | None) -> int:
    """Show it until it is left: the exit code."""
    if sys.platform == "linux":
        privilege.become_caller()  # the file is to be the caller's
    with tempfile.TemporaryDirectory(prefix="ebtop-demo-") as folder:
        recording = Path(folder, "incident.ebtop")
        with lzma.open(INCIDENT) as packed, recording.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        return play(recording, args.speed, command)
