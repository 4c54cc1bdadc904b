"""What became of one fault, and the table of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = ("fault", "tried", "made", "seen", "lost", "left behind", "held", "note")


@dataclass
class Outcome:
    """One row. `made`, `seen` and `lost` are events, None where none are counted; `left` are processes and BPF
    objects that stayed behind."""

    fault: str
    tried: int = 0
    made: int | None = None
    seen: int | None = None
    lost: int | None = None
    left: int = 0
    wrong: str = ""
    note: str = ""

    def blame(self, what: str) -> None:
        """Something did not hold; the first is kept."""
        self.wrong = self.wrong or what

    @property
    def held(self) -> bool:
        """All was as it should be."""
        return not self.wrong and not self.left and self.tried > 0

    def cells(self) -> tuple[str, ...]:
        """The row's texts."""
        counts = ("" if n is None else f"{n:,}" for n in (self.made, self.seen, self.lost))
        said = self.wrong or self.note
        return (self.fault, str(self.tried), *counts, str(self.left), "yes" if self.held else "NO", said)


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown."""
    rows = [_HEAD, tuple("---" for _ in _HEAD), *(outcome.cells() for outcome in outcomes)]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
