"""Looking at what was so a while ago."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from ebtop.model.activity import Moment, step
from ebtop.ui.reader import Reader
from ebtop.ui.timebar import TimeBar


class LookBack(Screen[None]):
    """The keys that move in time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "Pause", id="app.pause",
                tooltip="Let what is shown stand still; capture goes on"),
        Binding("left_square_bracket", "step(-1)", "A second back", key_display="[", show=False, id="time.back",
                tooltip="Look at what was so a second ago; capture goes on"),
        Binding("right_square_bracket", "step(1)", "A second on", key_display="]", show=False, id="time.on",
                tooltip="Look at the second after the one that is shown"),
        Binding("left_curly_bracket", "step(-10)", "Ten back", key_display="{", show=False, id="time.back_ten",
                tooltip="Ten seconds back"),
        Binding("right_curly_bracket", "step(10)", "Ten on", key_display="}", show=False, id="time.on_ten",
                tooltip="Ten seconds on"),
        Binding("greater_than_sign", "speed(1)", "Faster", key_display=">", show=False, id="time.faster",
                tooltip="Play the recording faster: 2 times, 10 times"),
        Binding("less_than_sign", "speed(-1)", "Slower", key_display="<", show=False, id="time.slower",
                tooltip="Play the recording slower"),
        Binding("end", "now", "Now", show=False, priority=True, id="time.now",
                tooltip="Go on with what happens now, where something earlier is shown"),
    ]  # fmt: skip

    interval_s: float

    @property
    def at(self) -> int | None:
        """The moment (Unix ns) that is looked at, on whatever screen; None for now."""
        return self.reader.at

    @property
    def reader(self) -> Reader:
        """What prepares the pictures."""
        raise NotImplementedError

    @property
    def activity(self) -> Sequence[Moment]:
        """That of the pane that is shown, until now."""
        raise NotImplementedError

    def moved(self) -> None:
        """Another moment is looked at."""
        raise NotImplementedError

    @property
    def can_go_on(self) -> bool:
        """Now can be gone back to when something earlier is shown, the end of a recording from anywhere, unless the key
        is wanted for typing."""
        return (self.at is not None or self.reader.is_recorded) and not isinstance(self.focused, Input)

    def action_pause(self) -> None:
        """What is shown stands still, or goes on."""
        if self.at is None:
            self.reader.pause()
            self.moved()
        else:
            self._look_at(None)

    def action_step(self, by: int) -> None:
        """Show what was so some ticks earlier, or later."""
        by_ns = round(by * self.interval_s * 1e9)
        if self.reader.is_recorded:
            self._look_at((self.at or self.reader.now) + by_ns)
        elif activity := self.activity:
            self._look_at(step(activity, self.at or activity[-1].end, by_ns))

    def action_now(self) -> None:
        """Go on with what happens now, or with the end of a recording."""
        self.reader.go_to_end()
        self.moved()

    def action_speed(self, by: int) -> None:
        """Play a recording faster or slower."""
        self.reader.change_speed(by)

    @on(TimeBar.Chosen)
    def _time_chosen(self, event: TimeBar.Chosen) -> None:
        self._look_at(event.moment)

    def _look_at(self, time: int | None) -> None:
        self.reader.look_back(time)
        self.moved()
