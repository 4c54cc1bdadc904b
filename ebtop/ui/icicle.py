"""An icicle graph: the root on top, callees below their callers, as wide as their samples."""

from __future__ import annotations

from typing import ClassVar
from zlib import crc32

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ebtop.model.icicle import REST, Block, Rows, layout
from ebtop.model.stacktree import PROCESS, CallTree, Path
from ebtop.tick import Frame
from ebtop.ui.functionnames import KERNEL_EDGE, USER_EDGE, name_of, percent, shortened

_TINTS = (("primary", 0.22), ("secondary", 0.30), ("success", 0.20), ("primary", 0.38), ("success", 0.34))
_KERNEL_TINT = ("secondary", 0.5)
_PROCESS_TINT = ("foreground", 0.12)
_ANSI = (("white", "blue"), ("black", "cyan"), ("black", "green"))


class Icicle(ScrollView, can_focus=True):
    """Draws a CallTree from a node down. The cursor and the top are paths, and so stay when the tree changes."""

    DEFAULT_CSS = """
    Icicle {
        width: 1fr; height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
        & > .icicle--cursor { color: $background; background: $accent 75%; }
        & > .icicle--cursor-ansi { color: $block-cursor-foreground; background: $block-cursor-background; }
        & > .icicle--match { color: $foreground; background: $accent 40%; }
        & > .icicle--edge { color: $foreground 45%; }
        & > .icicle--empty { color: $foreground 60%; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "icicle--cursor",
        "icicle--cursor-ansi",
        "icicle--match",
        "icicle--edge",
        "icicle--empty",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "caller", "Caller", show=False, id="flame.caller"),
        Binding("down", "callee", "Callee", show=False, id="flame.callee"),
        Binding("left", "beside(-1)", "Left", show=False, id="flame.left"),
        Binding("right", "beside(1)", "Right", show=False, id="flame.right"),
        Binding("home", "top", "Top", show=False, id="flame.top"),
        Binding("end", "deepest", "Deepest", show=False, id="flame.deepest"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="flame.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="flame.page_down"),
        Binding("enter", "zoom", "Zoom", id="flame.zoom", tooltip="Show this frame over the whole width"),
    ]

    class Moved(Message):
        """The cursor is on another frame."""

    class Zoom(Message):
        """The frame of this path is to fill the width."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name for it
        super().__init__(id=id)
        self.calls: CallTree | None = None
        self.empty = ""
        self._top_path: Path = ()
        self._cursor_path: Path = ()
        self.marked: Frame | None = None
        self._rows: Rows = ()
        self._top = self._cursor = 0
        self._styles: dict[tuple[str, bool], Style] = {}

    @property
    def cursor(self) -> int:
        """The node that the cursor is on."""
        return self._cursor

    @property
    def top(self) -> int:
        """The node that fills the width."""
        return self._top

    def set_calls(self, calls: CallTree) -> None:
        """Draw these samples; the cursor and the top stay where they were, or on the nearest caller that is left."""
        self.calls = calls
        self._lay_out()

    def set_top(self, path: Path) -> None:
        """Let a frame fill the width; a cursor outside of it goes there."""
        self._top_path = path
        if self._cursor_path[: len(path)] != path:
            self._cursor_path = path
        self._lay_out()
        self._reveal()

    def mark(self, frame: Frame | None) -> None:
        """Highlight a function wherever it occurs."""
        self.marked = frame
        self.refresh()

    def _lay_out(self) -> None:
        if self.calls is None:
            return
        self._top = self.calls.find(self._top_path)
        self._cursor = self.calls.find(self._cursor_path)
        self._rows = layout(self.calls, self._top, self.scrollable_content_region.width)
        if not any(block.node == self._cursor for row in self._rows for block in row):
            self._cursor = self._visible(self._cursor)
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._rows))
        self.refresh()

    def _visible(self, node: int) -> int:
        """The node, or its nearest caller that has a block."""
        drawn = {block.node for row in self._rows for block in row}
        while node > 0 and node not in drawn and self.calls is not None:
            node = int(self.calls.parent[node])
        return node if node in drawn else self._top

    def on_resize(self) -> None:
        """Widths are of this screen; the cursor stays on it."""
        self._lay_out()
        self._reveal()

    def notify_style_update(self) -> None:
        """Colours have changed."""
        super().notify_style_update()
        self._styles.clear()

    # Moving

    def _place(self) -> tuple[int, int] | None:
        """The row and the index within it of the cursor's block."""
        for depth, row in enumerate(self._rows):
            for at, block in enumerate(row):
                if block.node == self._cursor:
                    return depth, at
        return None

    def _go(self, node: int) -> None:
        if self.calls is None or node == REST:
            return
        self._cursor = node
        self._cursor_path = self.calls.path(node)
        self._reveal()
        self.refresh()
        self.post_message(self.Moved())

    def _reveal(self) -> None:
        place = self._place()
        height = self.scrollable_content_region.height
        if place is not None and height:
            top = min(max(round(self.scroll_y), place[0] - height + 1), place[0])
            self.scroll_to(y=top, animate=False, force=True, immediate=True)

    def action_caller(self) -> None:
        """To the caller."""
        if self.calls is not None and self._cursor != self._top:
            self._go(int(self.calls.parent[self._cursor]))

    def action_callee(self) -> None:
        """To the callee with most samples."""
        place = self._place()
        if place is None or place[0] + 1 >= len(self._rows):
            return
        below = [b for b in self._rows[place[0] + 1] if b.parent == self._cursor and b.node != REST]
        if below:
            self._go(max(below, key=lambda block: block.samples).node)

    def action_beside(self, by: int) -> None:
        """To the next block of the same row."""
        place = self._place()
        if place is None:
            return
        row = [block for block in self._rows[place[0]] if block.node != REST]
        at = next(i for i, block in enumerate(row) if block.node == self._cursor) + by
        if 0 <= at < len(row):
            self._go(row[at].node)

    def action_top(self) -> None:
        """To the frame that fills the width."""
        self._go(self._top)

    def action_deepest(self) -> None:
        """Down the widest callees to the end."""
        before = -1
        while before != self._cursor:
            before = self._cursor
            self.action_callee()

    def action_page(self, pages: int) -> None:
        """Up or down by what is seen at once."""
        for _ in range(max(self.size.height - 1, 1)):
            if pages < 0:
                self.action_caller()
            else:
                self.action_callee()

    def action_zoom(self) -> None:
        """Let the frame of the cursor fill the width."""
        if self.calls is not None and self._rows:
            self.post_message(self.Zoom(self.calls.path(self._cursor)))

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a frame and zooms in on it."""
        y = event.y + round(self.scroll_y)
        if y >= len(self._rows):
            return
        block = next((b for b in self._rows[y] if b.left <= event.x < b.right), None)
        if block is not None and block.node != REST:
            self._go(block.node)
            self.action_zoom()

    # Drawing

    def render_line(self, y: int) -> Strip:
        """A row of blocks."""
        width = self.scrollable_content_region.width
        depth = y + round(self.scroll_y)
        if not self._rows and y == 1:
            text = set_cell_size(f"  {self.empty}", width)
            return Strip([Segment(text, self.get_component_rich_style("icicle--empty"))])
        if depth >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        segments, at = [], 0
        for block in self._rows[depth]:
            segments.append(Segment(" " * (block.left - at), self.rich_style))
            segments += self._drawn(block)
            at = block.right
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _drawn(self, block: Block) -> list[Segment]:
        width = block.right - block.left
        if block.node == REST or self.calls is None:
            style = self.get_component_rich_style("icicle--edge")
            return [Segment("…" + " " * (width - 1), style)]
        frame = self.calls.name(block.node)
        selected = block.node == self._cursor
        matched = frame == self.marked or self.calls.matches(block.node)
        style = self._style(frame, selected, matched)
        text = self._label(frame, block.samples, width - 1)
        edge = KERNEL_EDGE if frame.kernel else USER_EDGE
        if selected:
            edge = "›"
        padding = " " * (width - 1 - cell_len(text))
        plain = style + Style(underline=False)
        edge_style = plain if selected else self._edge(plain)
        return [Segment(edge, edge_style), Segment(text, style), Segment(padding, plain)]

    def _edge(self, style: Style) -> Style:
        return style + Style(color=self.get_component_rich_style("icicle--edge").color)

    def _label(self, frame: Frame, samples: int, width: int) -> str:
        """The name, and the share of all samples where there is room for it too."""
        name = name_of(frame)
        share = percent(samples, self.calls.samples if self.calls else 0)
        if width >= cell_len(name) + cell_len(share) + 1:
            return f"{name} {share}"
        return shortened(name, width)

    def _style(self, frame: Frame, selected: bool, matched: bool) -> Style:
        side = "kernel" if frame.kernel else frame.module
        style = self._styles.get((side, matched))
        if style is None:
            style = self._tinted(side) if not matched else self._tinted(side) + self._match_style()
            self._styles[side, matched] = style
        if not selected:
            return style
        # The few colours of a poor terminal are all taken by modules: the cursor is black on white there.
        cursor = self.get_component_rich_style(
            "icicle--cursor-ansi" if self.app.current_theme.ansi else "icicle--cursor"
        )
        return style + Style(color=cursor.color, bgcolor=cursor.bgcolor, bold=True)

    def _match_style(self) -> Style:
        """Underlined and bold, so that it is seen without colour too."""
        match = self.get_component_rich_style("icicle--match")
        back = None if self.app.current_theme.ansi else match.bgcolor
        return Style(color=None if back is None else match.color, bgcolor=back, bold=True, underline=True)

    def _tinted(self, side: str) -> Style:
        """The quiet colour of a module: always the same one, as it goes by a hash of the name."""
        number = crc32(side.encode("utf-8", "surrogateescape"))
        theme = self.app.current_theme
        if theme.ansi:
            color, back = ("white", "magenta") if side == "kernel" else _ANSI[number % len(_ANSI)]
            return Style(color=color, bgcolor=back)
        variables = self.app.theme_variables
        tint, share = _KERNEL_TINT if side == "kernel" else _TINTS[number % len(_TINTS)]
        if side == PROCESS:
            tint, share = _PROCESS_TINT
        back_color = Color.parse(variables["background"]).blend(Color.parse(variables[tint]), share)
        return Style(color=variables["foreground"], bgcolor=back_color.rich_color)
