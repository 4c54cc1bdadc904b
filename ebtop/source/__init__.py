"""Where Ticks come from: live capture, a remote one, a recording, a demo. All look alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:  # as in ebtop.source.live: a start waits for what is imported here
    from ebtop.model.activity import Moment
    from ebtop.model.snapshot import Playback
    from ebtop.tick import Command, Message


class Source(Protocol):
    """A stream of messages, and a few commands back. `messages` ends after a Gone."""

    def messages(self) -> Iterator[Message]:
        """Messages as they come; blocks in between. Meant for a thread of its own."""
        ...

    def send(self, command: Command) -> None:
        """Hand a command over; returns at once, from any thread. A source that cannot do it says so in a Notice."""
        ...

    def close(self) -> None:
        """End the stream and what feeds it."""
        ...


@runtime_checkable
class Playable(Source, Protocol):
    """A source whose time can be moved. What is said after it has moved begins with a Past. All but `messages` return
    at once, in any thread."""

    def now(self) -> int:
        """The time (Unix ns) that is shown."""
        ...

    def playback(self) -> Playback:
        """How it is played."""
        ...

    def activity(self, tool: str) -> Sequence[Moment]:
        """When how much happened, from the first moment to the last."""
        ...

    def stand(self, time: int | None = None) -> int:
        """Show what was so at a time and stay there; without one, stay where it is. The time that is shown."""
        ...

    def play(self) -> None:
        """Go on from what is shown."""
        ...

    def go_to_end(self) -> None:
        """Show the newest, and go on from there."""
        ...

    def change_speed(self, by: int) -> None:
        """Faster (1) or slower (-1), as far as it goes."""
        ...
