"""Switches the stacks of events on and off, and has the programs built that walk them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ebtop import registry
from ebtop.capture.loader import Loaded
from ebtop.capture.program import Program
from ebtop.capture.running import Running
from ebtop.resolve.symbols import Symbolizer
from ebtop.tick import Message, Notice, TakeStacks


class StackSwitch:
    """`wanted` are the tools whose events are to carry their stacks, perhaps not running yet. `say` sends a message;
    `build` has what walks stacks built, False: it is being built already."""

    def __init__(
        self, say: Callable[[Message], object], build: Callable[[Running], object], symbols: Symbolizer
    ) -> None:
        self._say, self._build, self._symbols = say, build, symbols
        self.wanted: set[str] = set()

    def take(self, command: TakeStacks, running: Running | None) -> Iterator[Message]:
        """For a tool that runs; for one that does not yet it is remembered."""
        try:
            tool = running.tool if running else registry.find(command.tool)
        except LookupError as error:
            yield Notice(str(error), error=True)
            return
        if not tool.stacks and tool.make is None:
            yield Notice(f"the data of {tool.name} carry no stacks of events", error=True)
            return
        (self.wanted.add if command.on else self.wanted.discard)(tool.name)
        if running and self.want(running, on=command.on):
            yield running.state

    def want(self, running: Running, *, on: bool) -> bool:
        """At once, or (False) as soon as there are programs that walk them."""
        if on and not running.walks_stacks:
            if running.tool.headers:
                self.wanted.discard(running.tool.name)
                self._say(
                    Notice("programs of so many points cannot begin to walk stacks: start it with --stacks", True)
                )
            else:
                self._build(running)
            return False
        self._switch(running, on=on)
        if on:
            self._symbols.learn_running()
        return True

    def built(self, name: str, running: Running | None, program: Program, loaded: Loaded) -> None:
        """What walks the stacks of a tool is there, or could not be built."""
        error = program.locate(loaded.error)
        if running and not error:
            try:
                running.go_on_in(loaded)
            except OSError as failure:
                error = f"buffers cannot be mapped: {failure}"
        if running is None or error:
            loaded.close()
        else:
            self._switch(running, on=name in self.wanted)
            self._symbols.learn_running()
        if error:
            self.wanted.discard(name)
            self._say(Notice(f"stacks of {name} cannot be taken: {error}", error=True))
        if running:
            self._say(running.state)

    @staticmethod
    def _switch(running: Running, *, on: bool) -> None:
        running.tracer.take_stacks(on)
        running.state = replace(running.state, stacks=on)
