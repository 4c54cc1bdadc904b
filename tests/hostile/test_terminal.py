"""The dashboard as a program on a real pseudo-terminal: the very bytes that it writes, from the first to the last."""

from __future__ import annotations

import re
import sys
from collections import Counter

from tests.bench.terminal import Terminal
from tests.hostile.emulator import OWN, Emulator
from tests.hostile.words import ATTACKS, harmless
from tests.ui.screen import OPENS, TOOLS, dashboard
from tests.ui.synthetic import Scripted, details

COLUMNS, ROWS = 100, 30
KEYS = "\r|\x1b|g|\r|\r|/|\x1b[200~\x1b]0;owned\x07\x1b[2J\x1b[201~|\x1b|?|\x1b|" + "|".join(t.key for t in TOOLS)

_SEQUENCE = re.compile(rb"\x1b\[([?<=>]?)[0-9;:]*([$ ]?[@-~])|\x1b([^\[])")


def kinds(written: bytes) -> Counter[bytes]:
    """Which kinds of escape sequences there are: `?h`, `m`, `H`."""
    return Counter(b"".join(part or b"" for part in match) for match in _SEQUENCE.findall(written))


def played(which: str) -> tuple[bytes, Emulator]:
    """A session: what was written, and the terminal as it is left behind."""
    terminal = Terminal([sys.executable, "-m", "tests.hostile.test_terminal", which], COLUMNS, ROWS, TZ="UTC")
    try:
        terminal.wait_for(OPENS.name, 30)
        terminal.wait_for("events", 30)
        for key in KEYS.split("|"):
            terminal.type(key)
            terminal._reader.join(0.4)
        terminal.type("\x03")
        terminal.process.wait(15)
    finally:
        if terminal.process.poll() is None:
            terminal.process.kill()
        terminal.process.wait()
        terminal.close()
    left = Emulator(COLUMNS, ROWS)
    left.feed(terminal.written)
    return terminal.written, left


def test_a_whole_session() -> None:
    hostile, left = played("hostile")
    quiet, expected = played("harmless")
    assert "\\x1b]0;owned" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", hostile.decode())  # it was there, and harmless
    assert set(kinds(hostile)) == set(kinds(quiet))
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]", OWN.sub(b"", hostile))
    assert not re.search("[\x80-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", hostile.decode())
    assert left.state == expected.state
    assert left.state["title"] == ("", "")


def _subject(which: str) -> None:
    """The program under the terminal."""
    from tests.hostile.machine import Machine

    machine = Machine(ATTACKS if which == "hostile" else [harmless(word) for word in ATTACKS])
    source = Scripted([*machine.messages(), machine.details(details(1).pid)])
    dashboard(source, first=OPENS.name).run()


if __name__ == "__main__":
    _subject(sys.argv[1])
