"""A process whose page is opened in tests: what /proc says of it, and ways to get there."""

from __future__ import annotations

from dataclasses import replace

from textual.pilot import Pilot

from ebtop.tick import Ancestor, Namespace, ProcessDetails
from ebtop.ui.process_page import ProcessPage
from ebtop.ui.sheet import Sheet
from tests.ui import synthetic
from tests.ui.screen import lines, shown, until
from tests.ui.synthetic import START, Scripted

BASH, PYTHON, SSHD = 8801, 8944, 8790


def bash(**changes: object) -> ProcessDetails:
    """A shell that has started two programs that live."""
    plain = ProcessDetails(
        BASH, True, "bash", "/usr/bin/bash", "/srv/app dir", "deploy", "/user.slice", "web-build",
        ("bash", "deploy.sh", "--to", "the moon"), (Ancestor(SSHD, "sshd", ("sshd", "-D")), Ancestor(1, "systemd")),
        3, 41_000_000, 184.0, 1000, 1000, (4, 1000), "S", ("CAP_KILL", "CAP_NET_RAW"), False,
        (Namespace("mnt", 4026532281, False), Namespace("net", 4026531840, True)),
        (Ancestor(PYTHON, "python", ("python", "render.py")), Ancestor(9000, "sleep", ("sleep", "60"))),
        START - 180 * 10**9,
    )  # fmt: skip
    return replace(plain, **changes)


async def opened(pilot: Pilot, source: Scripted, pid: int = BASH, says: ProcessDetails | None = None) -> ProcessPage:
    """The page of a process, filled."""
    pilot.app.open_process(pid)
    await until(pilot, lambda: isinstance(pilot.app.screen, ProcessPage) and pilot.app.screen.pid == pid)
    await until(pilot, lambda: pilot.app.screen.query_one(Sheet).has_focus)
    source.say(says or synthetic.details(pid))
    await until(pilot, lambda: pilot.app.screen._details is not None and "DOES" in shown(pilot))
    return pilot.app.screen


def crumbs(pilot: Pilot) -> str:
    """The line of the way to the page."""
    return lines(pilot)[1]


async def go_to(pilot: Pilot, key: str) -> None:
    """The cursor to a line of the sheet."""
    sheet = pilot.app.screen.query_one(Sheet)
    await pilot.press("home")
    for _ in range(60):
        if sheet.cursor == key:
            return
        await pilot.press("down")
    raise AssertionError(f"{key} is not reached: {shown(pilot)}")
