"""What stands in place of a view that has nothing to show: it is being loaded, or could not be, and why."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.widgets import Static

from ebtop.model.snapshot import ToolSnapshot
from ebtop.sanitise import sanitise
from ebtop.tick import Phase

_FAILED = "×"


def explained(snapshot: ToolSnapshot, error: str = "", gone: bool = False, instead: Text | None = None) -> Text | None:
    """The text, or None when the view has something to show and nothing is wrong. `instead` is what the pane has to say
    while capture runs."""
    state = snapshot.state
    if error:
        return Text(f"{_FAILED} this view failed: {sanitise(error)}")
    if instead is not None and not gone:
        return instead
    if state.phase is Phase.FAILED:
        return _failed(snapshot)
    if snapshot.ticks:
        return None
    if gone:
        return Text("capture ended before there was anything to show")
    if state.phase is Phase.RUNNING:
        return Text("attached; the first second is being collected …")
    if state.phase is Phase.PLANNING:
        return Text("looking for the attach points …")
    if state.phase is Phase.TRYING:
        return Text("trying for a second how often the attach points are hit …")
    if state.phase is Phase.LOADING:
        return Text("loading: compiling the program and attaching its probes …")
    return Text("waiting for its turn to be loaded …")


def _failed(snapshot: ToolSnapshot) -> Text:
    state = snapshot.state
    text = Text(f"{_FAILED} {snapshot.tool.name} cannot run here")
    text.append(f"\n\n{sanitise(state.reason) or 'capture gave no reason'}")
    if state.remedy:
        text.append("\n\nwhat to do: ", "dim").append(sanitise(state.remedy))
    if state.tried:
        text.append("\n\nwhat was tried:", "dim")
        for attempt in state.tried:
            text.append(f"\n  {sanitise(attempt.probe)}: {sanitise(attempt.error)}")
    text.append("\n\nThe other panes go on.", "dim")
    return text


class Trouble(Static):
    """Shows the text, if there is one."""

    DEFAULT_CSS = """
    Trouble { height: auto; max-height: 50%; padding: 1 2; display: none; }
    Trouble.-alone { height: 1fr; max-height: 100%; }
    Trouble > .trouble--failed { color: $warning; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"trouble--failed"}

    def __init__(self) -> None:
        super().__init__(id="trouble")
        self._said: Text | None = None

    def show(self, snapshot: ToolSnapshot, error: str, gone: bool, instead: Text | None = None) -> bool:
        """Say it; whether it stands alone, as there is nothing else to show."""
        text = explained(snapshot, error, gone, instead)
        alone = text is not None and (bool(error) or not snapshot.ticks)
        self.set_class(alone, "-alone")
        if text is not None and text.plain.startswith(_FAILED):
            text.stylize(self.get_component_rich_style("trouble--failed"), 0, len(text.plain.split("\n")[0]))
        if text != self._said:
            self._said = text
            self.display = text is not None
            self.update(text or "")
        return alone
