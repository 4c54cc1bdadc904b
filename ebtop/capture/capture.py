"""The capture process: starts tools, drains their rings, makes a Tick of each every interval, obeys a few commands.

Three threads: this one; one that sleeps until a ring asks to be drained; one that reads commands. The first does all
that may take long (symbols, writing to a slow reader), so the second is never late.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from queue import Empty, Queue

from ebtop import capability, registry
from ebtop.arena import ArenaWriter, Descriptors
from ebtop.capture import kerneltypes, private, statistics, tracefs
from ebtop.capture.builds import Builds
from ebtop.capture.commands import check, chosen_options, chosen_slots
from ebtop.capture.compiler import Compilers
from ebtop.capture.distroheaders import REMEDY
from ebtop.capture.focusmaps import FOLLOW_SLOTS, FocusError, FocusMaps
from ebtop.capture.identities import KnownIdentities
from ebtop.capture.loader import Loaded, Request, online_cpus
from ebtop.capture.points.finder import Finder
from ebtop.capture.preparing import Preparing
from ebtop.capture.program import Program
from ebtop.capture.requests import given_defines, program_request, stacks_request, walks_stacks
from ebtop.capture.running import Running, StartError, start
from ebtop.capture.stackswitch import StackSwitch
from ebtop.capture.stopwatch import Stopwatch
from ebtop.capture.vitals import OwnCost, vitals
from ebtop.memory import settle
from ebtop.namespaces import nested_pids
from ebtop.resolve.symbols import Symbolizer
from ebtop.source.settings import Settings
from ebtop.source.wire import CommandReader, WireError, Writer
from ebtop.tick import (
    Attempt,
    Command,
    FindPoints,
    Focus,
    Gone,
    Load,
    Message,
    Notice,
    Phase,
    Resolve,
    SetFocus,
    Stop,
    TakeStacks,
    ToolState,
    Unload,
)
from ebtop.tool import Kind, Slot, Tool, probes_of

_FIRST_TICK_S = 0.03
_MOST_WAITING = 256
"""Commands; whoever sends faster has to wait."""
_STACKS_OF = "stacks of "
"""What a tool's programs are called that walk stacks."""
_TRIAL_OF = "trial of "
_FOLLOW = "focus"
"""The program that keeps descendants in focus; it belongs to no tool."""


class Capture:
    """Everything of the process that traces. `commands` and `output` are file descriptors."""

    def __init__(
        self, settings: Settings, commands: int, output: int, shared: Descriptors, keeper: socket.socket,
        compilers: Compilers,
    ) -> None:  # fmt: skip
        self._settings, self._arena = settings, ArenaWriter(shared.write, shared.marks)
        self._output = Writer(output, arena=self._arena)
        self._compilers = compilers
        self._queue: Queue[Command] = Queue(_MOST_WAITING)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._symbols = Symbolizer()
        self._identities = KnownIdentities()
        self._focus = FocusMaps(self._identities.descendants, self._identities.started)
        self._cost = OwnCost(settings.screen_pid)
        self._finder = Finder(self._output.send)
        self._running: dict[str, Running] = {}
        self._builds = Builds(compilers)
        self._stacks = StackSwitch(self._output.send, self._ask_stacks, self._symbols)
        self._options: dict[str, dict[str, int]] = {}
        self._preparing = Preparing(self._output.send, self._wake, self._ask_trial, self._start)
        self._following: Loaded | None = None
        self._stopping = False
        self._reason = ""
        self._poll = select.epoll()
        self._no_tracefs = tracefs.ensure()
        self._kernel = kerneltypes.learn()
        if self._kernel.note:
            self._output.send(Notice(self._kernel.note))
        self._stopwatch = Stopwatch(settings.measure, partial(statistics.ask, keeper))
        self._exclude_ourselves()
        threading.Thread(target=self._read_commands, args=(commands,), daemon=True).start()
        threading.Thread(target=self._drain, daemon=True).start()

    # The other two threads

    def _read_commands(self, fd: int) -> None:
        try:
            for command in CommandReader(fd):
                check(command)
                self._enqueue(command)
        except (WireError, OSError) as error:
            self._reason = f"capture was told what it does not understand: {error}"
        self._enqueue(Stop())  # the other side has gone, or talks nonsense

    def _enqueue(self, command: Command) -> None:
        self._queue.put(command)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"!")

    def _drain(self) -> None:
        while True:
            with contextlib.suppress(InterruptedError):
                self._poll.poll()
            for running in list(self._running.values()):
                running.tracer.drain()
                if running.flooded or running.tracer.has_new:
                    self._wake()

    # The main thread

    def run(self) -> None:
        """Until Stop, or until nobody reads."""
        settle()
        next_tick = time.monotonic() + self._settings.interval_s
        while not self._stopping:
            timed = self._stopwatch.due(next_tick)
            if self._wait(min(timed, next_tick) - time.monotonic()):
                next_tick = min(next_tick, time.monotonic() + _FIRST_TICK_S)
            if time.monotonic() >= timed and self._stopwatch.start():
                for running in self._running.values():
                    running.tracer.begin_timing()
            if time.monotonic() >= next_tick:
                self._tick()
                next_tick = max(next_tick + self._settings.interval_s, time.monotonic())
        self._finish()

    def _wait(self, seconds: float) -> bool:
        """Until the time is up, a command came or a program was built; did a tool start?"""
        readable, _, _ = select.select([self._wake_read, *self._compilers.filenos()], [], [], max(0, seconds))
        if self._wake_read in readable:
            os.read(self._wake_read, 4096)
            self._obey()
            self._preparing.go_on(focused=self._focus.focus != Focus())
            for running in self._running.values():
                running.maker.look_at(running.tracer.take_new())
                if running.flooded:
                    self._send_tick(running)
        return self._collect(readable)

    def _collect(self, readable: list[int]) -> bool:
        """Take over what was built; did a tool start?"""
        started = [self._built(name, program, loaded) for name, program, loaded in self._builds.collect(readable)]
        return any(started)

    def _obey(self) -> None:
        for _ in range(_MOST_WAITING):
            try:
                command = self._queue.get_nowait()
            except Empty:
                return
            for message in self._do(command):
                self._output.send(message)
            if self._stopping:
                return
        self._wake()  # there may be more, and a tick may be due in between

    def _do(self, command: Command) -> Iterator[Message]:
        match command:
            case Load():
                self._load(command)
            case Unload():
                yield from self._unload(command.tool)
            case SetFocus():
                yield from self._set_focus(command.focus)
            case Resolve():
                yield self._identities.details(command.pid)
            case FindPoints():
                self._finder.ask(command)
            case TakeStacks():
                yield from self._stacks.take(command, self._running.get(command.tool))
            case Stop():
                self._stopping = True

    def _load(self, command: Load) -> None:
        if command.tool in self._running:
            return
        try:
            tool = registry.find(command.tool)
        except LookupError as error:
            self._output.send(Notice(str(error), error=True))
            return
        if not self._kernel.headers:
            self._output.send(self._failed(command.tool, self._kernel.why, REMEDY))
        elif tool.make is not None:
            self._drop(tool.name)
            self._preparing.begin(command, self._focus.focus)
        elif tool.name not in self._builds:
            self._start(command, tool)

    def _start(self, command: Load, tool: Tool) -> None:
        try:
            options = self._options[tool.name] = chosen_options(tool, command.options)
        except ValueError as error:
            self._preparing.close(tool.name)
            self._output.send(self._failed(tool.name, str(error), ""))
            return
        self._ask(tool.name, tool, chosen_slots(tool, self._settings.attach), options)
        self._output.send(ToolState(tool.name, Phase.LOADING))

    def _ask_trial(self, name: str, tool: Tool) -> None:
        self._ask(f"{_TRIAL_OF}{name}", tool, tool.slots, {})

    def _drop(self, name: str) -> bool:
        """Call off whatever is being done to start a tool; was there anything?"""
        called_off = [self._preparing.cancel(name), self._builds.drop(f"{_TRIAL_OF}{name}"), self._builds.drop(name)]
        return any(called_off)

    def _ask(self, name: str, tool: Tool | None, slots: tuple[Slot, ...], options: dict[str, int]) -> None:
        program, shared = self._program(tool.name if tool else name, tool), self._focus.shared
        made = self._preparing.made.get(tool.name) if tool else None
        files = made.files if made else {}
        given = given_defines(self._symbols, tool, options)
        types = self._kernel.of(probes_of(slots)) | (dict(made.types) if made else {})
        stacks = name in self._stacks.wanted or (tool is not None and walks_stacks(tool))
        request = program_request(name, program, slots, given, self._kernel, types, shared, files, stacks)
        self._hand_over(name, program, request, {**shared, **files})

    def _program(self, name: str, tool: Tool | None) -> Program:
        return Program(name, tool, len(online_cpus()), self._settings.perf_buffer)

    def _hand_over(self, name: str, program: Program, request: Request, shared: Mapping[str, int]) -> None:
        self._builds.ask(name, program, request, shared)
        self._exclude_ourselves()

    def _ask_stacks(self, running: Running) -> None:
        """Have the programs of a tool built once more, with the code that walks stacks."""
        tool = running.tool
        name = f"{_STACKS_OF}{tool.name}"
        if name not in self._builds:
            program = self._program(tool.name, tool)
            given = given_defines(self._symbols, tool, self._options[tool.name])
            self._hand_over(name, program, *stacks_request(name, program, running, given, self._kernel))

    def _exclude_ourselves(self) -> None:
        if nested_pids():
            return  # the host's processes of these numbers are others
        self._focus.exclude([os.getpid(), self._settings.screen_pid, *self._compilers.pids])

    def _built(self, name: str, program: Program, loaded: Loaded) -> bool:
        """Take over a program; did a tool start with it?"""
        self._exclude_ourselves()
        if name.startswith(_TRIAL_OF):
            self._preparing.tried(name.removeprefix(_TRIAL_OF), loaded)
            return False
        if name == _FOLLOW:
            self._following = loaded
            if loaded.error:
                self._output.send(Notice(f"children cannot be followed: {program.locate(loaded.error)}", error=True))
            return False
        if name.startswith(_STACKS_OF):
            tool_name = name.removeprefix(_STACKS_OF)
            self._stacks.built(tool_name, self._running.get(tool_name), program, loaded)
            return False
        tool = program.tool or registry.find(name)
        tried = tuple(Attempt(probe, program.locate(error)) for probe, error in loaded.tried)
        if made := self._preparing.made.get(name):
            tried = (*made.left_out, *tried)
            made.close()
        if loaded.error:
            loaded.close()
            self._output.send(self._failed(name, program.locate(loaded.error), self._remedy(), tried))
            return False
        state = ToolState(name, Phase.RUNNING, tuple(loaded.probes), tried, options=self._options[name])
        try:
            running = start(program, loaded, state, self._settings.backlog, self._symbols, self._identities)
        except StartError as error:
            self._output.send(self._failed(name, str(error), "", tried))
            return False
        if tool.kind is Kind.STACKS:
            self._symbols.learn_running()
        running.tracer.watch(self._poll)
        self._stopwatch.soon()
        self._running[name] = running
        if name in self._stacks.wanted and tool.stacks:
            self._stacks.want(running, on=True)
        self._output.send(running.state)
        return True

    def _remedy(self) -> str:
        refusal = capability.perf_refusal(capability.paranoid())
        return refusal or self._no_tracefs or "ebtop doctor tells what this kernel lacks"

    @staticmethod
    def _failed(name: str, reason: str, remedy: str, tried: tuple[Attempt, ...] = ()) -> ToolState:
        return ToolState(name, Phase.FAILED, (), tried, reason, remedy)

    def _unload(self, name: str) -> Iterator[Message]:
        if self._drop(name):
            yield ToolState(name, Phase.IDLE)
        running = self._running.pop(name, None)
        if running:
            yield running.maker.make(running.since, time.time_ns(), last=True)
            threading.Thread(target=running.close, name="detaches", daemon=True).start()  # that can take seconds
            yield ToolState(name, Phase.IDLE)

    def _set_focus(self, focus: Focus) -> Iterator[Message]:
        try:
            if focus.follow and self._following is None:
                self._ask(_FOLLOW, None, FOLLOW_SLOTS, {})
                while _FOLLOW in self._builds:  # children would be missed before
                    self._wait_for_compilers()
            self._focus.apply(focus, *self._identities.cgroup_place(focus.cgroup))
            for running in self._running.values():
                running.maker.focus_changed()
        except (FocusError, LookupError) as error:
            yield Notice(f"focus not changed: {error}", error=True)
        yield from self._vitals()

    def _wait_for_compilers(self) -> None:
        self._collect(select.select(self._compilers.filenos(), [], [])[0])

    def _vitals(self) -> Iterator[Message]:
        if not self._settings.measure:
            return
        pids = len(self._focus.pids()) if self._focus.focus.follow else len(self._focus.focus.pids)
        yield vitals(self._cost, str(self._focus.focus), pids, self._compilers.pids)

    def _tick(self, last: bool = False) -> None:
        self._symbols.tick()
        self._arena.trim()
        self._focus.forget_the_dead()
        timed_s = self._stopwatch.stop()
        with self._output.together():
            for running in self._running.values():
                self._send_tick(running, timed_s, last)
            for message in self._vitals():
                self._output.send(message)

    def _send_tick(self, running: Running, timed_s: float = 0.0, last: bool = False) -> None:
        start, running.since = running.since, time.time_ns()
        self._output.send(running.maker.make(start, running.since, timed_s, last))

    def _finish(self) -> None:
        for running in self._running.values():
            running.tracer.detach()
        time.sleep(0.005)  # programs that are running now finish their record
        self._tick(last=True)
        self._output.send(Gone(self._reason))


def main(
    settings: str, commands: int, output: int, shared: Descriptors, keeper: socket.socket, compilers: Compilers
) -> int:
    """Run until told to stop: the process's exit code."""
    try:
        Capture(Settings.decode(settings), commands, output, shared, keeper, compilers).run()
    except BrokenPipeError:
        return 0  # nobody reads any more
    finally:
        private.leave()
    return 0
