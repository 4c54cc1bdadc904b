"""The footer: the keys that count now, the most useful first, as many as fit."""

from __future__ import annotations

from collections.abc import Collection

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding

from ebtop.ui.line import Line

_PLACES = {"restart": -1, "leave": -1, "copy": 1, "pause": 1, "export": 1, "attach": 1, "help": 2, "app.quit": 2}


class KeyLine(Line):
    """Draws the shown bindings of what has the keyboard; a click on one is as good as its key."""

    DEFAULT_CSS = """
    KeyLine { background: $panel; }
    """

    def __init__(self) -> None:
        super().__init__(id="keyline")
        self._keys: list[tuple[str, str, str, bool]] = []
        self._first: frozenset[str] = frozenset()

    def put_first(self, actions: Collection[str]) -> None:
        """What these do is what the pane is for."""
        if self._first != frozenset(actions):
            self._first = frozenset(actions)
            self.read_keys()

    def on_mount(self) -> None:
        """Follow what has the keyboard."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.call_later(self.read_keys))
        self.read_keys()

    def read_keys(self) -> None:
        """Take over the bindings of now."""
        found: dict[str, tuple[str, str, str, bool]] = {}
        for active in self.screen.active_bindings.values():
            binding: Binding = active.binding
            if binding.show and binding.description and binding.action not in found:
                shown = self.app.get_key_display(binding)
                found[binding.action] = (shown, binding.description, binding.key, active.enabled)
        # What is rarely offered stands first; help and quit at the end, where they stay when others find no room.
        keys = list(found.items())
        keys.sort(key=lambda item: -1 if item[0] in self._first else _PLACES.get(item[0], 0))
        self._keys = [value for _, value in keys]
        self.changed()

    def _fitting(self, width: int) -> list[tuple[str, str, str, bool]]:
        """All, or those that fit; the last two (help, quit) stay."""
        keys = list(self._keys)
        while len(keys) > 2 and sum(cell_len(k) + cell_len(d) + 3 for k, d, _, _ in keys) > width + 2:
            del keys[-3]
        return keys

    def text(self, width: int) -> Text:
        """The line."""
        text = Text(no_wrap=True, end="")
        styles = self.styles_by_tone
        for key, description, _, enabled in self._fitting(width):
            if text.cell_len:
                text.append("  ")
            text.append(key, styles["accent"] if enabled else styles["dim"])
            text.append(f" {description.lower()}", Style() if enabled else styles["dim"])
        text.truncate(width)
        return text

    def on_click(self, event: events.Click) -> None:
        """Do what the key under the mouse does."""
        x = 1
        for shown, description, key, _ in self._fitting(self.content_size.width):
            size = cell_len(shown) + 1 + cell_len(description)
            if x <= event.x < x + size:
                self.app.simulate_key(key)
                return
            x += size + 2
