"""The first pane of a process's page: who it is, what it does by tool, whom it was started by and whom it started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget

from ebtop.model.copying import Copy, process_copies
from ebtop.model.narrow import Narrow
from ebtop.model.processfacts import ProcessFacts, ProcessReader
from ebtop.model.snapshot import Snapshot, ToolSnapshot
from ebtop.tick import Message as Told
from ebtop.tick import Phase, ProcessDetails, Tick, ToolState
from ebtop.tool import Kind, Tool
from ebtop.ui.process_parts import MORE, parts
from ebtop.ui.sheet import Sheet
from ebtop.ui.view import ToolView

PROCESS = Tool(
    name="process",
    key="1",
    kind=Kind.PROCESSES,
    title="one process: who it is, what it does, its family",
    help=(
        "All that is known of one process: what /proc says, asked again every two seconds, and what every tool saw "
        "of it. The other panes here show that process alone, by a filter on what was traced; f and F still set the "
        "focus, which says what is traced at all."
    ),
    slots=(),
)
"""No tracer: it gives the page's first pane its name, key and help."""


class ProcessView(ToolView, can_focus=False):
    """Shows what a ProcessReader finds, and the details from /proc."""

    DEFAULT_CSS = """
    ProcessView { layout: vertical; }
    """
    help_text: ClassVar[str] = (
        "The arrows go to the lines that lead on: a tool's line to its pane, for this process alone; a process's line "
        "to its page. /s is the rate of the last seconds, HELD counts what can be looked back on (for a histogram "
        "values, for stacks samples). A tool that tells who started a process (PPID) counts the children, too.\n"
        "Children that live are those that /proc tells of; gone or seen are those that events told of. Where the "
        "page looks back, what the tools saw is of that time, what /proc says is of now."
    )

    class OpenPane(Message):
        """The user wants to see a tool's pane."""

        def __init__(self, tool: str) -> None:
            super().__init__()
            self.tool = tool

    def __init__(self, pid: int, narrows: Sequence[Narrow], keys: Mapping[str, str]) -> None:
        super().__init__(PROCESS)
        self.pid = pid
        self._reader = ProcessReader(narrows, pid)  # the reader's; see ToolView
        self._keys = dict(keys)
        self._sheet = Sheet()
        self._whole = False
        self._process: ProcessDetails | None = None
        self.facts = ProcessFacts()

    def compose(self) -> ComposeResult:
        """One sheet."""
        yield self._sheet

    def concerns(self, message: Told) -> bool:
        """Any tool may have seen it."""
        return isinstance(message, Tick)

    def take(self, snapshot: Snapshot, wanted: object | None) -> tuple[ToolSnapshot, object | None]:
        """The facts, and when the process was active."""
        del wanted
        facts = self._reader.read(snapshot)
        now = Tick(self.tool.name, snapshot.time, snapshot.time)
        return ToolSnapshot(self.tool, ToolState(self.tool.name, Phase.RUNNING), (now,), activity=facts.activity), facts

    def show(self, snapshot: ToolSnapshot, result: object | None) -> None:
        """Take over the facts."""
        del snapshot
        if isinstance(result, ProcessFacts):
            self.facts = result
            self._draw()

    def know(self, process: ProcessDetails | None) -> None:
        """Take over what /proc says."""
        if process != self._process:
            self._process = process
            self._draw()

    def _draw(self) -> None:
        self._sheet.set_parts(parts(self.pid, self._process, self.facts, self._keys, self._whole))

    def selected_pid(self) -> int | None:
        """The relative under the cursor, else the process itself."""
        kind, _, rest = self._sheet.cursor.partition(" ")
        return int(rest) if kind == "pid" else self.pid

    def copies(self, directory: str = "") -> Sequence[Copy]:
        """What is known of the process; of a relative under the cursor the page adds what it knows."""
        del directory
        own = self.selected_pid() == self.pid
        return process_copies(self._process) if self._process and own else ()

    def keyboard_target(self) -> Widget:
        """The sheet."""
        return self._sheet

    @on(Sheet.Moved)
    def _moved(self, event: Sheet.Moved) -> None:
        event.stop()
        self.post_message(self.Selected(self))

    @on(Sheet.Chosen)
    def _chosen(self, event: Sheet.Chosen) -> None:
        event.stop()
        kind, _, rest = event.key.partition(" ")
        if kind == MORE:
            self._whole = not self._whole
            self._draw()
        elif kind == "pid":
            self.post_message(self.OpenProcess(int(rest)))
        else:
            self.post_message(self.OpenPane(rest))
