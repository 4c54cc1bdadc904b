"""Writing what is shown to a file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message

from ebtop.model.format import count, duration
from ebtop.model.snapshot import Snapshot
from ebtop.sanitise import sanitise
from ebtop.ui.lookback import LookBack
from ebtop.ui.saveas import Choice, SaveAs
from ebtop.ui.view import ToolView

if TYPE_CHECKING:
    from ebtop.export.shown import Export

RECORDING = "recording"
_SUFFIX = ".ebtop"

Write = Callable[[str], str]
"""Writes a new file of that name, which is not there yet, and says what is in it. Whatever it raises is shown."""


class Saving(LookBack):
    """The key that exports. Files are written in a thread, with the rights of who runs the screen, and none is written
    over."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "export", "Export", id="app.export", tooltip="Write what is shown to a file, or all that is held"),
    ]

    class Saved(Message):
        """A file was written, or was not."""

        def __init__(self, text: str, failed: bool) -> None:
            super().__init__()
            self.text = text
            self.failed = failed

    current: str

    @property
    def view(self) -> ToolView | None:
        """The view that is shown."""
        raise NotImplementedError

    @property
    def moment(self) -> Snapshot | None:
        """What is shown, now or as it was."""
        raise NotImplementedError

    def action_export(self) -> None:
        """Choose the format and the file of what is shown at this moment, whatever comes in meanwhile."""
        ways = self._ways()
        if not ways:
            self.app.notify("there is nothing to export yet", severity="warning", markup=False)
            return
        choices = [choice for choice, _ in ways]
        writers = {choice.format: write for choice, write in ways}
        self.app.push_screen(SaveAs(f"export {self.current}, as it is shown", choices), partial(self._save, writers))

    def _ways(self) -> list[tuple[Choice, Write]]:
        """All that can be written now."""
        from ebtop.export.digests import digest_of
        from ebtop.export.formats import ABOUT, SUFFIXES  # when it is wanted: the first screen does not wait for it

        view, moment = self.view, self.moment
        if view is None or moment is None:
            return []
        at = time.strftime("%Y%m%d-%H%M%S", time.localtime(self.reader.now // 1_000_000_000))
        ways: list[tuple[Choice, Write]] = []
        for name, export in view.exportable(moment.tools[self.current]).items():
            digest = digest_of(view.tool, name)
            about, suffix = (digest.about, digest.suffix) if digest else (ABOUT[name], SUFFIXES[name])
            ways.append((Choice(name, about, f"ebtop-{self.current}-{at}{suffix}"), partial(_write_export, export)))
        if any(tool.ticks for tool in moment.tools.values()):
            about = "all that is held of all tools, for `ebtop replay`"
            ways.append((Choice(RECORDING, about, f"ebtop-{at}{_SUFFIX}"), partial(_write_recording, moment)))
        return ways

    def _save(self, writers: dict[str, Write], chosen: tuple[str, str] | None) -> None:
        if chosen is not None:
            name, path = chosen
            self.run_worker(partial(self._write, writers[name], path), thread=True, exit_on_error=False)

    def _write(self, write: Write, path: str) -> None:
        """In a thread of its own."""
        try:
            self.post_message(self.Saved(f"{path}: {write(str(Path(path).expanduser()))}", failed=False))
        except Exception as error:  # noqa: BLE001  the user asked for it, and is to read why it did not work
            self.post_message(self.Saved(f"{path!r} is not written: {_why(error)}", failed=True))

    @on(Saved)
    def _say(self, event: Saved) -> None:
        text = sanitise(event.text)
        self.app.notify(text, severity="error" if event.failed else "information", markup=False, timeout=8)


def _why(error: Exception) -> str:
    if isinstance(error, FileExistsError):
        return "there is a file of that name"
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _write_export(export: Export, path: str) -> str:
    from ebtop.outfile import new_output

    with new_output(path) as stream:
        written = export.write(stream)
    missing = f"; {count(export.lost)} lost are not among them" if export.lost else ""
    return f"{written:,} {export.what}{missing}"


def _write_recording(snapshot: Snapshot, path: str) -> str:
    from ebtop.record.held import save

    if os.path.lexists(path):  # the writer says so too, in the words of the command line
        raise FileExistsError(path)
    written = save(path, snapshot)
    seconds = max(tick.end for tool in snapshot.tools.values() for tick in tool.ticks) - min(
        tick.start for tool in snapshot.tools.values() for tick in tool.ticks
    )
    return f"{written:,} intervals of {duration(seconds)}"
