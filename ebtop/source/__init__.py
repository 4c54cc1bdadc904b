"""Where Ticks come from: live capture, a remote one, a recording, a demo. All look alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

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
