"""From what is selected to the page of its process, and into the clipboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType

from ebtop.model.copying import Copy, process_copies
from ebtop.model.snapshot import Snapshot
from ebtop.tick import ProcessDetails
from ebtop.ui.choose import Choose
from ebtop.ui.lookback import LookBack
from ebtop.ui.view import ToolView

if TYPE_CHECKING:
    from ebtop.ui.app import Dashboard


class DrillDown(LookBack):
    """The keys that act on the process and the row that are selected."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "process", "Process", show=False, id="process.open",
                tooltip="All about the selected process: who it is, its family, and what each tool saw of it"),
        Binding("y", "copy", "Copy", id="copy",
                tooltip="Copy a field, the row or the command, through the terminal (OSC 52; in tmux: "
                        "set -g set-clipboard on)"),
    ]  # fmt: skip

    _snapshot: Snapshot | None

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        raise NotImplementedError

    @property
    def view(self) -> ToolView | None:
        """The view that is shown."""
        raise NotImplementedError

    def selected_process(self) -> int | None:
        """The process that keys act on; where there is none it is said."""
        pid = self.view.selected_pid() if self.view else None
        if pid is None:
            self.notify("no process is selected here", severity="warning", markup=False)
        return pid

    def process(self, pid: int | None) -> ProcessDetails | None:
        """What /proc said of a process, if it was asked."""
        return self._snapshot.processes.get(pid) if self._snapshot and pid is not None else None

    @on(ToolView.OpenProcess)
    def _process_wanted(self, event: ToolView.OpenProcess) -> None:
        event.stop()
        self.open_process(event.pid)

    def open_process(self, pid: int) -> None:
        """Show its page."""
        self.dashboard.open_process(pid)

    def action_process(self) -> None:
        """Show the page of the selected process."""
        if (pid := self.selected_process()) is not None:
            self.open_process(pid)

    def copies(self) -> list[Copy]:
        """What of the selected row and its process can be copied: each text once."""
        if self.view is None:
            return []
        pid = self.view.selected_pid()
        process = self.process(pid)
        found = list(self.view.copies(process.cwd if process else ""))
        known = {copy.name for copy in found}
        more = process_copies(process) if process else []
        found += [Copy(f"process {c.name}" if c.name in known else c.name, c.text, c.whole) for c in more]
        return found or ([] if pid is None else [Copy("pid", str(pid))])

    def action_copy(self) -> None:
        """Choose what to copy."""
        copies = self.copies()
        if not copies:
            self.notify("nothing is selected here to copy", severity="warning", markup=False)
            return
        options = [(str(place), copy.name, copy.text[:200].replace("\t", "  ")) for place, copy in enumerate(copies)]
        self.app.push_screen(Choose("copy", options), lambda key: self._copy(copies, key))

    def _copy(self, copies: list[Copy], key: str | None) -> None:
        if key is not None:
            self.dashboard.copy(copies[int(key)])

    def hint(self, *keys: tuple[str, str]) -> str:
        """Keys as they are bound now with what they do; `keys` are bindings' ids and words."""
        bound = {active.binding.id: active.binding for active in self.active_bindings.values()}
        shown = [(bound[name], word) for name, word in keys if name in bound]
        return "  ".join(f"{self.app.get_key_display(binding)} {word}" for binding, word in shown)
