"""What stands in place of a view that has nothing to show: it is being loaded, or could not be, and why."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from ebtop.model.snapshot import ToolSnapshot
from ebtop.sanitise import sanitise
from ebtop.tick import Phase


def explained(snapshot: ToolSnapshot, error: str = "", gone: bool = False) -> Text | None:
    """The text, or None when the view has something to show and nothing is wrong."""
    state = snapshot.state
    if error:
        return Text(f"× this view failed: {sanitise(error)}", style="bold")
    if state.phase is Phase.FAILED:
        return _failed(snapshot)
    if snapshot.ticks:
        return None
    if gone:
        return Text("capture ended before there was anything to show")
    if state.phase is Phase.RUNNING:
        return Text("attached; the first second is being collected …")
    if state.phase is Phase.LOADING:
        return Text("loading: compiling the program and attaching its probes …")
    return Text("waiting for its turn to be loaded …")


def _failed(snapshot: ToolSnapshot) -> Text:
    state = snapshot.state
    text = Text(f"× {snapshot.tool.name} cannot run here", style="bold")
    text.append(f"\n\n{sanitise(state.reason) or 'capture gave no reason'}", "not bold")
    if state.remedy:
        text.append("\n\nwhat to do: ", "not bold dim").append(sanitise(state.remedy), "not bold")
    if state.tried:
        text.append("\n\nwhat was tried:", "not bold dim")
        for attempt in state.tried:
            text.append(f"\n  {sanitise(attempt.probe)}: {sanitise(attempt.error)}", "not bold")
    text.append("\n\nThe other panes go on.", "not bold dim")
    return text


class Trouble(Static):
    """Shows the text, if there is one."""

    DEFAULT_CSS = """
    Trouble { height: auto; max-height: 100%; padding: 1 2; display: none; color: $text; }
    Trouble.-failed { color: $warning; }
    """

    def __init__(self) -> None:
        super().__init__(id="trouble")
        self._said: Text | None = None

    def show(self, snapshot: ToolSnapshot, error: str, gone: bool) -> bool:
        """Say it; False when all is well."""
        text = explained(snapshot, error, gone)
        if text != self._said:
            self._said = text
            self.set_class(bool(error) or snapshot.state.phase is Phase.FAILED, "-failed")
            self.display = text is not None
            self.update(text or "")
        return text is not None
