"""Keys on a real pseudo-terminal: those that are one byte, those that come in parts, and bytes that are none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import RichLog

from ebtop.preferences import callers, prefer
from ebtop.ui.terminal import Terminal as Driver
from tests.bench.terminal import Terminal


class Keys(App[None]):
    """Writes all keys that were pressed so far, a line for each; q leaves."""

    def __init__(self) -> None:
        super().__init__(driver_class=Driver)
        self.seen: list[str] = []

    def compose(self) -> ComposeResult:
        yield RichLog()

    def on_mount(self) -> None:
        self.query_one(RichLog).write("ready.")

    def on_key(self, event: events.Key) -> None:
        self.seen.append(event.character if event.is_printable and event.character else event.key)
        self.query_one(RichLog).write(" ".join(self.seen) + ".")
        if event.key == "q":
            self.exit()


@pytest.fixture
def keys() -> Iterator[Terminal]:
    terminal = Terminal([sys.executable, "-m", "tests.ui.test_terminal"], 100, 20, ESCDELAY="300")
    try:
        terminal.wait_for("ready.", 30)
        yield terminal
        terminal.type("q")
        assert terminal.process.wait(10) == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()


def test_an_escape_is_a_key_when_nothing_follows(keys: Terminal) -> None:
    keys.type("a\x1b")
    keys.wait_for("a escape.")
    keys.type("b")
    keys.wait_for("a escape b.")


def test_a_sequence_may_come_in_parts(keys: Terminal) -> None:
    for part in ("\x1b", "[", "A", "\x1b[", "B"):
        keys.type(part)
        time.sleep(0.02)
    keys.wait_for("up down.")


def test_bytes_that_are_no_text_are_no_end(keys: Terminal) -> None:
    os.write(keys._master, b"a\xff\xfe\xc3")
    time.sleep(0.05)
    os.write(keys._master, b"\xa4b")
    keys.wait_for("ä b.")


def test_what_is_preferred_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBTOP_SET", "theirs")
    monkeypatch.delenv("EBTOP_UNSET", raising=False)
    prefer("EBTOP_SET", "ours")
    prefer("EBTOP_UNSET", "ours")
    left = callers()
    assert (os.environ["EBTOP_SET"], os.environ.pop("EBTOP_UNSET")) == ("theirs", "ours")
    assert left.get("EBTOP_SET") == "theirs"
    assert "EBTOP_UNSET" not in left


if __name__ == "__main__":
    Keys().run()
