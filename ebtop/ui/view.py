"""What every way of showing a tool has in common.

The life of a view:

1. The dashboard makes one view per tool, with the tool, when its pane is first shown; `compose` and `BINDINGS` are
   Textual's as usual. Give bindings an `id` ("stream.sort") so that they can be rebound, and a `tooltip`.
2. What the user wants to see (a filter, a zoom, a choice) is one immutable value, `wanted`. A view changes it with
   `want(value)`, in the UI thread, and keeps showing what it has.
3. The reader thread calls `prepare(snapshot, wanted)` for the pane that is shown, after each tick and after each
   `want`, and at no other time. All that takes more than a few milliseconds belongs there. It must not touch the
   widget: it may only use its arguments, `self.tool`, and caches that nothing but `prepare` uses. It is never called
   twice at once for one view. While paused it is given the same snapshot again and again, and where the user looks
   back an earlier one. On the page of a process the snapshot has that process's data alone (`narrow`).
4. The UI thread calls `show(snapshot, result)` with what `prepare` returned: store it, and `refresh()` what changed.
   Once a second, ten times in the first three seconds; never when nothing changed, never before the view and its
   children are mounted. The view may be hidden or have no size at that time.

Around the view the dashboard draws the header, the tabs, the pane's line (what it measures, probes, cost, rate,
lost), the reasons when the tool failed, the details and the footer: a view draws its data and nothing else. A view
whose rows are processes posts `OpenProcess` when one is chosen; any other tells by `selected_pid` whose its row is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.message import Message
from textual.widget import Widget

from ebtop.model.copying import Copy
from ebtop.model.narrow import Narrow
from ebtop.model.snapshot import Snapshot, ToolSnapshot
from ebtop.tick import Message as Told
from ebtop.tool import Tool
from ebtop.ui.still import Still

if TYPE_CHECKING:
    from ebtop.export.shown import Exports


class ToolView(Still, Widget, can_focus=True):
    """One tool's data on the screen. Subclasses fill the space below the pane's line."""

    DEFAULT_CSS = """
    ToolView { width: 1fr; height: 1fr; }
    """

    help_text: ClassVar[str] = ""
    """What the view's own marks, colours and keys mean: plain text, a paragraph per line, shown by `?`."""

    class Wanted(Message):
        """The user wants to see something else: the reader is to prepare it."""

        def __init__(self, view: ToolView) -> None:
            super().__init__()
            self.view = view

    def __init__(self, tool: Tool) -> None:
        super().__init__(id=f"view-{tool.name}")
        self.tool = tool
        self.wanted: object | None = None
        self.narrow: Narrow | None = None

    class Selected(Message):
        """Another row (or cell) is selected; with `open_details` the user asked for its details."""

        def __init__(self, view: ToolView, open_details: bool = False) -> None:
            super().__init__()
            self.view = view
            self.open_details = open_details

    class OpenProcess(Message):
        """The user wants to see all about a process."""

        def __init__(self, pid: int) -> None:
            super().__init__()
            self.pid = pid

    def want(self, wanted: object) -> None:
        """Ask for other data; `show` follows soon, with what `prepare` made of them."""
        self.wanted = wanted
        self.post_message(self.Wanted(self))

    def concerns(self, message: Told) -> bool:
        """Whether what is shown may be another after this message from the source."""
        return getattr(message, "tool", None) == self.tool.name

    def take(self, snapshot: Snapshot, wanted: object | None) -> tuple[ToolSnapshot, object | None]:
        """The tool's part of a snapshot, narrowed where it is to be, and what was prepared from it."""
        part = snapshot.tools[self.tool.name]
        part = self.narrow(part) if self.narrow is not None else part
        return part, self.prepare(part, wanted)

    class StacksAsked(Message):
        """The user wants the stacks of events taken from now on, or no longer."""

    def prepare(self, snapshot: ToolSnapshot, wanted: object | None) -> object | None:
        """What `show` needs, computed in the reader thread; see the module's text for what it may touch."""
        del snapshot, wanted
        return None

    def show(self, snapshot: ToolSnapshot, result: object | None) -> None:
        """Take over what was prepared, in the UI thread; cheap."""
        raise NotImplementedError

    def selected_pid(self) -> int | None:
        """The process that `f`, `F` and the details act on, if the view has one selected."""
        return None

    def selected_fields(self) -> Sequence[tuple[str, str]]:
        """All that is known of what is selected, as names and sanitised texts, for the details; () if nothing is."""
        return ()

    def copies(self, directory: str = "") -> Sequence[Copy]:
        """What of the selected can be copied, the most useful first; `directory` is where its process works, if that
        is known."""
        del directory
        return ()

    def selected_note(self) -> str:
        """What there might be to know beside the fields: a line of plain text, "" for none."""
        return ""

    def exportable(self, snapshot: ToolSnapshot) -> Exports:
        """What is shown of the snapshot, by the formats that it can be written in. Cheap, and in the UI thread; each
        writes in another one, and must use nothing of the view that changes."""
        del snapshot
        return {}

    def back(self) -> bool:
        """Esc: leave the innermost of the view's own states (a group, a filter, a zoom); False if there is none."""
        return False

    def keyboard_target(self) -> Widget:
        """What gets the keyboard when the pane is shown: the view, or a child of it."""
        return self
