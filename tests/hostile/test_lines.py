"""What is written without the dashboard: tables, CSV and JSON full of hostile names, and lines on stderr."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given

from ebtop import arguments, registry
from ebtop.cli import main
from ebtop.commands import doctor
from ebtop.export.csv import _bytes
from ebtop.export.exporter import Summary
from ebtop.export.formats import FORMATS
from ebtop.sanitise import sanitise
from ebtop.tick import Tick
from ebtop.tool import Tool, values
from tests.hostile import examples
from tests.hostile.emulator import Emulator, acting
from tests.hostile.machine import Machine
from tests.hostile.words import ATTACKS, harmless, pool, raw, text
from tests.ui.screen import TOOLS

WIDTH = 100


class Stream(io.BytesIO):
    """Standard output that is a terminal, or none."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def written(form: str, words: Sequence[bytes], tool: Tool, terminal: bool) -> tuple[bytes, str, Tick]:
    """What a run writes to stdout and to stderr, and of which tick."""
    machine = Machine(words)
    tick = machine.tick(tool)
    stream, notes = Stream(terminal), io.StringIO()
    exporter = FORMATS[form](stream)
    if hasattr(exporter, "_notes"):
        exporter._notes = notes
    exporter.begin(tool, (machine.word(),))
    exporter.tick(tool, tick, tick.names)
    exporter.end(Summary(tool.name, 1, 2, 3, 1.5, (machine.word(),)))
    return stream.getvalue(), notes.getvalue(), tick


def after(data: bytes, utf8: bool = True) -> dict[str, Any]:
    """What a terminal is when it has shown that."""
    terminal = Emulator(300, 10, utf8)
    data += b"\n" * 10  # the cursor is at the lower left then, wherever it was
    terminal.feed(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))  # as the line discipline does
    return terminal.state


@pytest.mark.parametrize("form", ["table", "csv"])
@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
@examples(3)
@example(words=list(ATTACKS))
@given(words=pool(40))
def test_a_terminal_is_the_same_afterwards(words: list[bytes], tool: Tool, form: str) -> None:
    out, notes, _ = written(form, words, tool, terminal=True)
    assert not acting(out.decode().replace("\r\n", "").replace("\n", ""))
    assert not acting(notes.replace("\n", ""))
    assert after(out + notes.encode()) == after(b"")


@pytest.mark.parametrize("encoding", ["latin-1", "koi8-r", "ascii", "cp1252"])
def test_a_terminal_of_another_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """UTF-8 there would be full of C1 controls: U+015B is c5 9b."""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    for form in ("table", "csv"):
        out, _, _ = written(form, ["ś31mŚ2J".encode(), "ěĝ".encode(), *ATTACKS], TOOLS[1], terminal=True)
        out.decode(encoding)
        if encoding in {"latin-1", "ascii"}:
            assert not [byte for byte in out if 0x80 <= byte < 0xA0]
            assert after(out, utf8=False) == after(b"", utf8=False)


def texts_of(tool: Tool, tick: Tick) -> list[dict[str, Any]]:
    """The texts of a tick's events, in the order of time."""
    found = []
    for batch in tick.events:
        columns = [c for c in tool.columns if not c.late]
        rows = zip(*(values(c, batch, tick.names) for c in columns), strict=True)
        found += [dict(zip((c.key for c in columns), row, strict=True)) for row in rows]
    return sorted(found, key=lambda event: event["ts"])


def as_bytes(value: Any) -> Any:
    return [as_bytes(v) for v in value] if isinstance(value, list) else value.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
@examples(30)
@given(words=pool(30))
def test_json_gives_the_same_bytes_back(words: list[bytes], tool: Tool) -> None:
    out, _, tick = written("json", words, tool, terminal=True)
    assert out.isascii()
    assert not acting(out.decode().replace("\n", ""))
    read = [json.loads(line) for line in out.decode().split("\n")[:-1]]
    events = [one for one in read if one["type"] == "event"]
    for one, event in zip(events, texts_of(tool, tick), strict=True):
        for key, value in event.items():
            if isinstance(value, (str, list)):
                assert as_bytes(one[key]) == as_bytes(value)
    stacks = [one for one in read if one["type"] == "stack"]
    assert [[frame.name for frame in s.frames] for s in tick.stacks] == [one["frames"] for one in stacks]
    assert [h.label for h in tick.histograms] == [one["label"] for one in read if one["type"] == "histogram"]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
@examples(30)
@given(words=pool(30))
def test_csv_gives_the_same_bytes_back(words: list[bytes], tool: Tool) -> None:
    """A file of RFC 4180 whatever the names hold; a name that a spreadsheet would calculate is still that name."""
    out, _, tick = written("csv", words, tool, terminal=False)
    header, *lines = csv.reader(io.StringIO(out.decode("utf-8", "surrogateescape"), newline=""))
    assert {len(line) for line in lines} <= {len(header)}
    read = [dict(zip(header, line, strict=True)) for line in lines]
    for one, event in zip((r for r in read if r["type"] == "event"), texts_of(tool, tick), strict=True):
        for key, value in event.items():
            if isinstance(value, str):
                assert as_bytes(one[key]) == as_bytes(value)
            elif isinstance(value, list):
                assert as_bytes(json.loads(one[key])) == as_bytes(value)


def test_half_a_character_costs_no_other_row_its_bytes() -> None:
    assert _bytes("\ud800,\udcff,ś") == b"\\ud800,\xff,\xc5\x9b"


def said(capsys: pytest.CaptureFixture[str], run: Callable[[], object]) -> tuple[int, str]:
    """The exit code and the one line on stderr of something that fails."""
    with pytest.raises(SystemExit) as caught:
        run()
    line = capsys.readouterr().err
    assert line.startswith("ebtop: ")
    assert line.endswith("\n")
    assert not acting(line[:-1]), line
    return int(caught.value.code or 0), line


PLACES = [
    ["{}"], ["run", "{}"], ["{}", "run"], ["run", "opens", "--format", "{}"], ["--{}"], ["run", "{}", "--pid", "{}"],
    ["--pid", "{}"], ["--uid", "{}"], ["--comm", "{}"], ["--cgroup", "{}"], ["--attach", "{}"], ["--frequency", "{}"],
    ["run", "--duration", "{}", "x"], ["run", "x", "--interval", "{}"], ["tools", "{}"], ["doctor", "{}"],
    ["doctor", "--json={}"], ["run", "x", "--by", "{}"], ["run", "x", "--", "{}"], ["--", "{}"], ["{}", "--follow"],
]  # fmt: skip


@pytest.mark.parametrize("argv", PLACES, ids=" ".join)
@examples(12)
@given(word=text())
def test_arguments(capsys: pytest.CaptureFixture[str], argv: list[str], word: str) -> None:
    """Nobody gets so far that something is traced: there is no terminal, or the word is no tool."""
    given_ = [part.replace("{}", word) for part in argv]
    if any(part in {"-h", "--help", "--version"} or "--help".startswith(part) for part in given_ if part[:2] == "--"):
        return
    code, _ = said(capsys, lambda: main(given_))
    assert code == arguments.USAGE


@examples(60)
@given(word=text())
def test_focus(capsys: pytest.CaptureFixture[str], word: str) -> None:
    for ask in (arguments.uid_of, arguments.cgroup_of, arguments.one_tool):
        try:
            ask(word)
        except arguments.UsageError as error:
            assert "\n" not in sanitise(str(error))


@pytest.mark.parametrize("digits", ["9" * 5000, "4294967296", "-1", "²", "a\0b", "x" * 5000, "/a" * 4000, "../" * 50])
def test_focus_on_what_cannot_be(digits: str) -> None:
    for ask in (arguments.uid_of, arguments.cgroup_of):
        with pytest.raises(arguments.UsageError, match=r"no (user|control group)|not mounted"):
            ask(digits)


def test_a_broken_tool_is_named_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "broken", lambda: (registry.Broken("bad", "\x1b]0;x\x07\nsecond line"),))
    assert main(["tools"]) == 0
    assert not acting(capsys.readouterr().out.replace("\n", ""))


@examples(10)
@given(words=pool(20))
def test_doctor(capsys: pytest.CaptureFixture[str], words: list[bytes]) -> None:
    machine = Machine(words)
    checks = [doctor.Check(machine.word(), ok, machine.word(), machine.word()) for ok in (True, False)]
    doctor.print_all(checks, [machine.failed(TOOLS[0]), machine.running(TOOLS[0])])
    assert not acting(capsys.readouterr().out.replace("\n", ""))


@examples(100)
@given(word=raw())
def test_sanitised_text_takes_the_cells_of_its_letters(word: bytes) -> None:
    shown = sanitise(word.decode("utf-8", "surrogateescape"))
    terminal, quiet = Emulator(200, 50), Emulator(200, 50)
    terminal.feed(shown[:5000].encode())
    quiet.feed(harmless(shown[:5000].encode()))
    assert terminal.state["title"] == quiet.state["title"] == ("", "")
    assert terminal.state == quiet.state


def test_widths_are_those_that_terminals_use() -> None:
    """The table, the dashboard and the emulator agree about every character that is drawn as it is."""
    from rich.cells import cell_len
    from wcwidth import wcwidth

    drawn = [chr(code) for code in range(0x20, 0x110000) if sanitise("x" + chr(code)) == "x" + chr(code)]
    assert len(drawn) > 100_000
    assert [c for c in drawn if cell_len("x" + c) - 1 != max(wcwidth(c), 0)] == []
