"""What the page says of a process."""

from __future__ import annotations

import pytest

from ebtop.capability import EVERY
from ebtop.tick import Namespace
from ebtop.ui.sheet import Sheet
from tests.ui.processes import bash, go_to, opened
from tests.ui.screen import dashboard, filled, shown, started, until
from tests.ui.synthetic import START, Scripted


async def test_the_page_says_who_it_is():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 40)) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash())
        for said in (
            "bash deploy.sh --to 'the moon'", "user deploy (1000)", "groups 1000 4", "state sleeping",
            "cwd '/srv/app dir'", "exe /usr/bin/bash", "container web-build", "threads 3", "memory 41 MB", "age 3.1 m",
            "capabilities kill net_raw", "namespaces of its own: mnt 4026532281", "8790  sshd -D", "1  systemd",
            "8944  python render.py", "9000  sleep 60", "2 live",
        ):  # fmt: skip
            assert said in shown(pilot), said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"all_capabilities": True}, "capabilities all"),
        ({"capabilities": ()}, "capabilities none"),
        ({"capabilities": tuple(f"CAP_{n}" for n in EVERY[2:])},
         "capabilities all but chown dac_override"),
        ({"namespaces": (Namespace("user", 1, False),)}, "net_raw, in its own user namespace only"),
        ({"namespaces": (Namespace("net", 1, True),)}, "namespaces those of pid 1"),
        ({"alive": False}, "▲ it has gone"),
        ({"state": "Z"}, "zombie"),
        ({"start": START + 2 * 10**9}, "another process had the pid 8801"),
        ({"argv": ("x" * 5000,)}, "4,400 more characters of arguments"),
    ],
)  # fmt: skip
async def test_what_is_odd_is_said(changes, said):
    source = Scripted(started())
    async with dashboard(source).run_test(size=(120, 40)) as pilot:
        await filled(pilot)
        await opened(pilot, source, says=bash(**changes))
        await until(pilot, lambda: said in shown(pilot))


async def test_all_arguments_where_they_are_asked_for():
    source = Scripted(started())
    async with dashboard(source).run_test(size=(80, 24)) as pilot:
        await filled(pilot)
        page = await opened(pilot, source, says=bash(argv=("y" * 3000, "THE END")))
        assert "THE END" not in shown(pilot)
        await go_to(pilot, "more")
        await pilot.press("enter")
        sheet = page.query_one(Sheet)
        await until(pilot, lambda: any("THE END" in line.text.plain for line in sheet._lines))
        await pilot.press("home", *["down"] * 60)
        assert sheet.cursor.startswith(("tool", "pid"))  # a long text can be crossed
