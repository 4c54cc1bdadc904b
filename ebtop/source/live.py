"""Ticks from this machine's capture process, and the root process that starts it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # NumPy takes its time to import; until the keeper runs nothing here may need it
    from ebtop.source.settings import Settings
    from ebtop.tick import Command, Message

_MESSAGE = 1 << 16
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "XDG_RUNTIME_DIR")
"""All that capture is told of the caller's environment: bcc, the loader and allocators take orders from others."""


class Keeper:
    """Our side of ebtop.capture.keeper. Start it before root is given up."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-I", "-m", "ebtop.capture.keeper", str(theirs.fileno())]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/",
            start_new_session=True, env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )  # fmt: skip
        theirs.close()
        self._socket = ours

    def request(self, settings: Settings) -> None:
        """Have a capture started; `source` takes it over later."""
        self._socket.send(json.dumps({"start": asdict(settings)}).encode())

    def source(self) -> LiveSource:
        """The capture that was asked for. Raises ConnectionError when the keeper is gone."""
        _message, fds, _flags, _address = socket.recv_fds(self._socket, 64, 4)
        if len(fds) != 4:
            raise ConnectionError("the capture process could not be started")
        return LiveSource(self, *fds)

    def why(self) -> str:
        """How the last capture ended."""
        try:
            self._socket.send(b'{"why": true}')
            return self._socket.recv(_MESSAGE).decode("utf-8", "replace") or "its keeper is gone too"
        except OSError as error:
            return f"its keeper is gone too: {error}"

    def close(self) -> None:
        """End it and what it started; waits until all has been given back."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)


class LiveSource:
    """A capture process's messages and commands."""

    def __init__(self, keeper: Keeper, commands: int, output: int, units: int, marks: int) -> None:
        from ebtop.arena import ArenaReader
        from ebtop.source.wire import Writer

        self._arena = ArenaReader(units, marks)
        self._keeper, self._output, self._commands = keeper, output, commands
        self._writer = Writer(commands)
        self._lock = threading.Lock()
        self._closed = False

    def messages(self) -> Iterator[Message]:
        """Messages as they come, a Gone at the end whatever happens."""
        from ebtop.registry import tools
        from ebtop.source.fit import Fit, UnfitError
        from ebtop.source.wire import Reader, WireError
        from ebtop.tick import Gone

        reason, fit = "", Fit(tools())
        try:
            for message in Reader(self._output, arena=self._arena):
                fit.check(message)
                yield message
                if isinstance(message, Gone):
                    return
        except UnfitError as error:
            self._keeper.why()  # it is ended, as it is not what it was
            yield Gone(f"capture was ended: {error}")
            return
        except (WireError, OSError) as error:
            reason = f": {error}"
        yield Gone("" if self._closed else f"capture has ended, {self._keeper.why()}{reason}")

    def send(self, command: Command) -> None:
        """Hand a command to capture; one that has died is told nothing (`messages` says so)."""
        with self._lock, contextlib.suppress(BrokenPipeError):
            if not self._closed:
                self._writer.send(command)

    def close(self) -> None:
        """Close the pipes: capture ends at that."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._commands)
