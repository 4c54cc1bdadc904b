"""The panel below a view: all that is known of the selected row, and of its process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from ebtop.model.format import duration, nbytes, quoted
from ebtop.sanitise import sanitise
from ebtop.tick import Ancestor, ProcessDetails

_SHORT = 24
"""Fields up to this width stand beside each other."""

_ARGUMENTS_SHOWN = 4096


def command(comm: str, argv: Sequence[str], most: int = _ARGUMENTS_SHOWN) -> str:
    """A process as people know it: its arguments where they are known, else its name; safe to draw."""
    # Each word takes at least a blank: more of them than there is room for need not be looked at.
    text = " ".join(quoted(word[: most + 1]) for word in argv[: most + 1]) or sanitise(comm)
    return text if len(text) <= most else f"{text[:most]}…"


def _ancestor(ancestor: Ancestor) -> str:
    return f"{command(ancestor.comm, ancestor.argv, 40)} {ancestor.pid}"


def process_fields(process: ProcessDetails) -> Iterator[tuple[str, str]]:
    """What /proc says of a process, as names and safe texts."""
    own = f"{command(process.comm, process.argv)} {process.pid}"
    yield "process", " ← ".join([own, *map(_ancestor, process.ancestors)]) + ("" if process.alive else "  (gone)")
    for name, value in (
        ("user", process.user),
        ("container", process.container),
        ("cwd", process.cwd),
        ("exe", process.exe),
        ("cgroup", process.cgroup),
    ):
        if value:
            yield name, sanitise(value)
    if process.alive:
        yield "threads", str(process.threads)
        yield "memory", nbytes(process.rss)
        yield "age", duration(process.age_s * 1e9)


def laid_out(fields: Sequence[tuple[str, str]], width: int, key_style: str, value_style: str = "") -> Text:
    """Fields as lines: short ones side by side, long ones on lines of their own, wrapped."""
    text = Text(end="")
    used = 0
    for name, value in fields:
        size = cell_len(name) + 1 + cell_len(value)
        long = cell_len(value) > _SHORT
        if used and (long or used + 3 + size > width):
            text.append("\n")
            used = 0
        if used:
            text.append("   ")
            used += 3
        text.append(name, key_style).append(" ").append(value, value_style)
        used += size
        if long:
            text.append("\n")
            used = 0
    text.rstrip()
    return text


class Details(VerticalScroll, can_focus=False):
    """Shown by Enter, hidden by Enter or Esc."""

    DEFAULT_CSS = """
    Details { height: auto; max-height: 45%; display: none; padding: 0 1; border-top: solid $border;
              border-title-color: $text-muted; scrollbar-size-vertical: 1; }
    Details.-open { display: block; }
    Details Static { width: 1fr; height: auto; }
    """

    def __init__(self) -> None:
        super().__init__(id="details")
        self._shown: object = None

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static(id="details-text")

    @property
    def opened(self) -> bool:
        """Whether it is seen."""
        return self.has_class("-open")

    hint = ""
    """The keys that act on what is shown; set before it is opened."""

    def open(self, on: bool) -> None:
        """Show or hide."""
        self.border_title = self.hint
        self.set_class(on, "-open")

    def on_resize(self) -> None:
        """Lines break elsewhere now."""
        self._draw()

    def show(
        self, fields: Sequence[tuple[str, str]], pid: int | None, process: ProcessDetails | None, note: str = ""
    ) -> None:
        """Fields of the row, and of its process once they are known, and a note; drawn again only when they changed."""
        known = process if process is not None and process.pid == pid else None
        if (now := (tuple(fields), pid, known, note)) != self._shown:
            self._shown = now
            self._fields, self._pid, self._process, self._note = tuple(fields), pid, known, note
            self._draw()

    _fields: Sequence[tuple[str, str]] = ()
    _pid: int | None = None
    _process: ProcessDetails | None = None
    _note = ""

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        width = max(self.size.width - 3, 20)
        text = laid_out(self._fields, width, "dim") if self._fields else Text("nothing is selected", style="dim")
        if self._note:
            text.append(f"\n{self._note}", style="dim")
        if self._process is not None:
            text.append("\n").append_text(laid_out(list(process_fields(self._process)), width, "dim"))
        elif self._pid is not None:
            text.append(f"\nprocess {self._pid} …", style="dim")
        self.query_one("#details-text", Static).update(text)
