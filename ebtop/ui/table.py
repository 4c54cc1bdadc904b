"""A list of any length: the cursor stays on its row, whatever comes in around it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from ebtop.ui.cells import GUTTER
from ebtop.ui.rowlines import Model, RowLines


class Table(RowLines, can_focus=True):
    """Shows a Model."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False, id="table.up"),
        Binding("down", "move(1)", "Down", show=False, id="table.down"),
        Binding("pageup,b", "page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="table.page_down"),
        Binding("home", "first", "First row", show=False, id="table.first"),
        Binding("end,G", "last", "Last row", show=False, id="table.last"),
        Binding("enter", "choose", "Details", id="table.choose", tooltip="All fields of the row, and its process"),
    ]

    class Moved(Message):
        """The cursor is on another row."""

    class Chosen(Message):
        """Enter, or a click on the row that the cursor was on."""

    class HeadingClicked(Message):
        """A click on a heading."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name for it
        super().__init__(id=id)
        self._cursor_key: Hashable | None = None
        self._following = True
        self._placing = False

    @property
    def model(self) -> Model | None:
        """What is shown."""
        return self._model

    @property
    def cursor(self) -> int | None:
        """The row that the cursor is on."""
        return self._cursor if self._model is not None and len(self._model) else None

    @property
    def following(self) -> bool:
        """Whether the cursor stays at the end where news come in."""
        return self._following

    def set_model(self, model: Model, follow: bool = False) -> None:
        """Show other rows. The cursor stays on its row and the row on its line; with `follow` it goes to the news."""
        old = self._cursor_key
        line = self._cursor - self._top
        keep = self._may_keep(model)
        self._model = model
        if not keep:
            self._forget_rows()
        self._following |= follow
        found = None if self._following or old is None else model.find(old)
        if self._following:
            row = self._live_end
        else:
            row = found if found is not None else min(self._cursor, len(model) - 1) if model.live_at_top else 0
        self._set_length(len(model))
        self._put(row, self._top_with(row, line))
        self._place_bar()
        self._refresh_changed()

    def _top_with(self, row: int, line: int) -> int:
        """Which row comes first when the cursor, so far on that line, is on that row of a new model."""
        return row - line

    @property
    def _page(self) -> int:
        """How many rows are seen at once."""
        return max(self.size.height - 1, 1)

    @property
    def _live_end(self) -> int:
        if self._model is None or self._model.live_at_top:
            return 0
        return max(len(self._model) - 1, 0)

    def _put(self, row: int, top: int | None = None) -> None:
        """Put the cursor on a row, the row on a line, and the line on the screen."""
        count = len(self._model) if self._model is not None else 0
        self._cursor = min(max(row, 0), max(count - 1, 0))
        self._cursor_key = self._model.key(self._cursor) if self._model is not None and count else None
        top = self._top if top is None else top
        top = min(max(top, self._cursor - self._page + 1), self._cursor)
        top = min(max(top, 0), max(count - self._page, 0))
        if top != self._top:
            self._placing = True
            self.scroll_target_y = self.scroll_y = top
            self._placing = False

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The wheel and the scrollbar move the rows; the cursor comes along when it would leave the screen."""
        if round(old_value) != round(new_value):
            self.refresh(self.size.region)
        self._place_bar()
        if self._placing or self._model is None or round(old_value) == round(new_value):
            return
        self._go(min(max(self._cursor, self._top), self._top + self._page - 1), self._top)

    def _go(self, row: int, top: int | None = None) -> None:
        if self._model is None or not len(self._model):
            return
        self._put(row, top)
        self._following = self._cursor == self._live_end
        self.refresh()
        self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self._go(self._cursor + by)

    def action_page(self, pages: int) -> None:
        """Move by what is seen at once."""
        step = pages * max(self._page - 1, 1)
        self._go(self._cursor + step, self._top + step)

    def action_first(self) -> None:
        """To the first row."""
        self._go(0)

    def action_last(self) -> None:
        """To the last row."""
        self._go(len(self._model) - 1 if self._model is not None else 0)

    def action_choose(self) -> None:
        """Tell that the row is chosen."""
        if self.cursor is not None:
            self.post_message(self.Chosen())

    def on_resize(self) -> None:
        """Other columns may fit now; the cursor stays on the screen."""
        self._redraw()
        self._put(self._live_end if self._following else self._cursor)

    def on_click(self, event: events.Click) -> None:
        """A heading sorts, a row is gone to, the row of the cursor is chosen."""
        if event.y == 0:
            key = self._heading_at(event.x)
            if key:
                self.post_message(self.HeadingClicked(key))
            return
        row = self._top + event.y - 1
        if self._model is None or row >= len(self._model):
            return
        if row == self._cursor:
            self.action_choose()
        else:
            self._go(row)

    def _heading_at(self, x: int) -> str:
        start = GUTTER
        for heading, width in self._columns():
            if start <= x < start + width:
                return heading.key
            start += width + 1
        return ""
