"""What is offered for the clipboard."""

from __future__ import annotations

import unicodedata

import pytest

from ebtop.model.copying import LONGEST, Copy, event_copies, process_copies
from ebtop.tick import ProcessDetails
from ebtop.tool import values
from tests.ui import synthetic
from tests.ui.screen import CONNECTS, EXECS, OPENS


def row(tool, number=0, **changes):
    """The first event of a tool, by key."""
    tick = synthetic.tick(tool, number, 200)
    batch = tick.events[0][:1]
    return {c.key: values(c, batch, tick.names)[0] for c in tool.columns} | changes


def test_a_command_comes_first_and_with_its_directory_where_that_is_known():
    argv = ["grep", "-e", "a b", "it's"]
    copies = event_copies(EXECS, row(EXECS, argv=argv), "/srv/app dir")
    assert [c.name for c in copies[:4]] == ["command", "command, there", "path", "row"]
    assert copies[0].text == "grep -e 'a b' $'it\\047s'"
    assert copies[1].text == "(cd -- '/srv/app dir' && grep -e 'a b' $'it\\047s')"
    assert "argv" not in [c.name for c in copies]  # it is the command
    assert "command, there" not in [c.name for c in event_copies(EXECS, row(EXECS, argv=argv), "/srv (deleted)")]


def test_arguments_that_were_cut_are_no_command():
    copies = event_copies(EXECS, row(EXECS, argv=["rm", "-rf", "/tmp/x"], truncated=True), "/srv")
    assert not any(c.name.startswith("command") for c in copies)
    assert "argv" in [c.name for c in copies]
    assert not any(c.name == "command" for c in event_copies(EXECS, row(EXECS, argv=["a\0b"])))


def test_paths_are_offered_as_they_are_and_quoted():
    copies = {c.name: c.text for c in event_copies(OPENS, row(OPENS, path="/srv/a b\x1b[0m;reboot\n"))}
    assert copies["path"] == "/srv/a b\\x1b[0m;reboot\\n"
    assert copies["path, quoted"] == "$'/srv/a b\\033[0m;reboot\\012'"
    assert "path, quoted" not in [c.name for c in event_copies(OPENS, row(OPENS, path="/etc/passwd"))]


def test_addresses_with_their_ports():
    four = event_copies(CONNECTS, row(CONNECTS, daddr="10.0.3.7", dport=443, saddr="10.0.0.2", sport=40000))
    assert [(c.name, c.text) for c in four[:2]] == [("daddr:dport", "10.0.3.7:443"), ("saddr:sport", "10.0.0.2:40000")]
    six = event_copies(CONNECTS, row(CONNECTS, daddr="2001:db8::5:1", dport=443))
    assert six[0].text == "[2001:db8::5:1]:443"


def test_a_row_is_one_line_with_tabs_and_numbers_are_exact():
    event = row(OPENS, path="a\tb\nc", latency_ns=2_103, ret=-2)
    copies = {c.name: c.text for c in event_copies(OPENS, event)}
    cells = copies["row"].split("\t")
    assert len(cells) == len(OPENS.columns)
    assert cells[[c.key for c in OPENS.columns].index("path")] == "a\\tb\\nc"
    assert (copies["latency_ns"], copies["ret"]) == ("2103", "ENOENT")
    assert copies["ts"].startswith("2026-11-1")


@pytest.mark.parametrize("tool", [OPENS, EXECS, CONNECTS], ids=lambda t: t.name)
def test_nothing_that_is_copied_acts(tool):
    odd = "\x1b]0;x\x07\r\n\u202e\udcff"
    event = {key: odd if isinstance(value, str) else value for key, value in row(tool).items()}
    if tool is EXECS:
        event["argv"] = [odd, odd]
    details = ProcessDetails(1, True, odd, f"/{odd}", f"/{odd}", odd, odd, odd, (odd,))
    for copy in [*event_copies(tool, event, f"/{odd}"), *process_copies(details)]:
        acting = {c for c in copy.text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
        assert acting <= ({"\t"} if copy.name == "row" else set()), copy


def test_long_texts_are_cut_and_long_commands_left_alone():
    assert Copy("path", "x" * LONGEST).bounded == "x" * LONGEST
    assert Copy("path", "ä" * LONGEST).bounded == "ä" * (LONGEST // 2)
    assert Copy("command", "x" * (LONGEST + 1), whole=True).bounded == ""


def test_a_process():
    found = process_copies(ProcessDetails(7, True, "sh", "/bin/sh", "/srv", "root", "/a", "", ("sh", "x y")))
    assert [(c.name, c.text) for c in found] == [
        ("command", "sh 'x y'"), ("command, there", "(cd -- /srv && sh 'x y')"), ("exe", "/bin/sh"), ("cwd", "/srv"),
        ("pid", "7"), ("cgroup", "/a"), ("user", "root"),
    ]  # fmt: skip
    cut = ProcessDetails(7, True, "sh", argv=("sh", "x" * (128 << 10)))  # as much as was read, perhaps not all
    assert [c.name for c in process_copies(cut)] == ["pid"]
