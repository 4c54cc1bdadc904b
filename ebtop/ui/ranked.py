"""A table in the order of a quantity: rows change places, the cursor stays on its row."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from textual.binding import Binding, BindingType

from ebtop.ui.table import Table


class RankedTable(Table, inherit_bindings=False):
    """A Table of what is first by some figure, which leaves letters to the view around it.

    Until it is moved, and after Home, the cursor stands on whoever is first; then it stays on its row, and rows scroll
    only where that would leave the screen. Without `follows` it stays from the beginning, where what else is shown goes
    by it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False, id="ranked.up"),
        Binding("down", "move(1)", "Down", show=False, id="ranked.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="ranked.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="ranked.page_down"),
        Binding("home", "first", "First row", show=False, id="ranked.first"),
        Binding("end", "last", "Last row", show=False, id="ranked.last"),
        Binding("enter", "choose", "Choose", show=False, id="ranked.choose"),
    ]

    def __init__(self, *, id: str | None = None, follows: bool = True) -> None:  # noqa: A002  Textual's name for it
        super().__init__(id=id)
        self._follows = self._following = follows

    @property
    def _live_end(self) -> int:
        return -1  # no row is one to follow: only who has not moved is at the first

    def _top_with(self, row: int, line: int) -> int:
        del row, line
        return 0 if self._following else self._top

    def action_first(self) -> None:
        """To whoever is first."""
        super().action_first()
        self._following = self._follows

    def go_to(self, key: Hashable) -> None:
        """Put the cursor on the row of a key, if there is one, without telling."""
        row = self.model.find(key) if self.model is not None else None
        if row is not None:
            self._following = False
            self._put(row)
            self.refresh()

    def forget(self) -> None:
        """The next model is of other things: its cursor begins at the first row."""
        self._cursor_key = None
        self._cursor = 0
        self._following = self._follows
