"""The stack of every event: exactly that of its path, whichever way it comes, and switched while it runs."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebtop import registry
from ebtop.source.live import Keeper
from ebtop.source.settings import Settings
from ebtop.tick import Command, Focus, Load, Notice, Phase, SetFocus, Stop, TakeStacks, Tick, ToolState
from ebtop.tool import Attach, Column, values
from tests import loads
from tests.kernel.ebtop import Output, run, started, trace
from tests.kernel.test_dashboard import dashboard

ABLE = [tool.name for tool in registry.tools() if tool.stacks]
FIRST, SECOND = ["main", "first_way", "do_it"], ["main", "second_way", "deeper", "do_it"]
"""Of tests/loads/paths.c."""


def ways(name: str) -> list[Any]:
    """How a tool's records can come: through either buffer, and by each alternative of its probes. What can be seen on
    any kernel is seen on this one, as emulated ones take half a minute each time."""
    functions = [
        (
            next(
                f
                for f in ours
                if f not in {p.function for other in slot.alternatives if other is not way for p in other}
            ),
            bool({p.kind for p in way} & {Attach.FENTRY, Attach.KPROBE}),
        )
        for slot in registry.find(name).slots
        if len(slot.alternatives) > 1
        for way in slot.alternatives
        for ours in [[p.function for p in way]]
    ]
    others = [("--perf-buffer", False), *((f"--attach={function}", elsewhere) for function, elsewhere in functions)]
    return ["", *(pytest.param(way, marks=[] if elsewhere else [pytest.mark.native]) for way, elsewhere in others)]


def with_stacks(tmp_path: Path, name: str, command: list[str], way: str) -> Output:
    """Trace a command and its stacks; a way that this kernel has not is skipped."""
    if way.startswith("--attach="):
        tried = run("run", name, way, "--duration", "0.01")
        if tried.returncode == 4:
            pytest.skip(tried.stderr.strip()[:300])
    return trace(tmp_path, name, command, "--stacks", way)


def below_main(stack: list[str]) -> tuple[str, ...]:
    """What the load's own functions are; what starts a program differs from one C library to the next."""
    return tuple(stack[stack.index("main") :]) if "main" in stack else tuple(stack)


def counted(events: list[dict[str, Any]]) -> Counter[tuple[str, ...]]:
    """Events by their stack."""
    return Counter(below_main(event["stack"] or []) for event in events)


def expected(does: str, first: int, second: int) -> Counter[tuple[str, ...]]:
    """What `paths` does."""
    end = [does, "by_itself"]
    return Counter({(*FIRST, *end): first, (*SECOND, *end): second})


def entered(event: dict[str, Any]) -> bool:
    """Does the kernel's part begin where system calls do?"""
    return any("syscall" in name.lower() or "el0" in name for name in event["kstack"][:3])


@pytest.mark.parametrize("way", ways("opensnoop"))
def test_opens_by_two_ways(tmp_path: Path, way: str) -> None:
    target = tmp_path / "target"
    target.touch()
    found = with_stacks(tmp_path, "opensnoop", loads.command("paths", "open", target, 1009, 503), way)
    events = found.where(path=str(target))
    assert counted(events) == expected("open_it", 1009, 503)
    assert found.summary["lost"] == 0
    assert all(map(entered, events))
    assert not any("bpf" in name for event in events for name in event["kstack"])


@pytest.mark.parametrize("way", ways("execsnoop"))
def test_execs_that_succeed_and_that_fail(tmp_path: Path, way: str) -> None:
    """The caller's stack, which is gone when the new program is there."""
    missing = tmp_path / "missing"
    both = [*loads.command("paths", "exec", "/bin/true", 53, 31), ";", *loads.command("paths", "exec", missing, 11, 3)]
    found = with_stacks(tmp_path, "execsnoop", ["sh", "-c", " ".join(both)], way)
    done, failed = found.where(path="/bin/true", ret=0), found.where(path=str(missing), ret=-2)
    assert counted(done) == expected("exec_it", 53, 31)
    assert counted(failed) == expected("exec_it", 11, 3)
    assert found.summary["lost"] == 0
    # Linux 6.1 gives programs at plain tracepoints of system calls the program's part only; 6.18 gives both.
    assert all(not event["kstack"] or entered(event) for event in [*done, *failed])


def test_a_thread_that_execs_becomes_the_first_of_its_process(tmp_path: Path) -> None:
    source = tmp_path / "thread.c"
    source.write_text(
        "#include <pthread.h>\n"
        "#define KEPT __attribute__((noinline, noclone)) static\n"
        "static volatile int calls;\n"
        "KEPT void done(void) { calls++; }\n"
        "KEPT long call_it(const char *p, char **a) {\n"
        '  long r; __asm__ volatile("syscall" : "=a"(r) : "a"(59), "D"(p), "S"(a), "d"(0) : "rcx", "r11", "memory");\n'
        "  done(); return r; }\n"
        "KEPT void *from_a_thread(void *p) { char *argv[] = {p, 0}; call_it(p, argv); done(); return 0; }\n"
        'int main(void) { pthread_t t; pthread_create(&t, 0, from_a_thread, "/bin/true");\n'
        "  pthread_join(t, 0); return 1; }\n"
    )
    if os.uname().machine != "x86_64":
        pytest.skip("the system call in it is x86-64's")
    program = tmp_path / "thread"
    subprocess.run(["gcc", *loads.FLAGS, "-o", str(program), str(source)], check=True)
    found = trace(tmp_path, "execsnoop", ["sh", "-c", f"{program}; true"], "--stacks")
    (event,) = found.where(path="/bin/true")
    assert event["pid"] == event["tid"]
    assert event["stack"][-2:] == ["from_a_thread", "call_it"]


@contextmanager
def listener() -> Iterator[int]:
    """A port on which everybody is accepted."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:

        def accept() -> None:
            try:
                while True:
                    server.accept()[0].close()
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def refuser() -> Iterator[int]:
    """A port that is taken, and on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("way", ways("tcpconnect"))
def test_connects_refused_and_established(tmp_path: Path, way: str) -> None:
    with listener() as open_port, refuser() as closed_port:
        both = [*loads.command("paths", "connect", open_port, 101, 43), ";"]
        both += loads.command("paths", "connect", closed_port, 29, 61)
        found = with_stacks(tmp_path, "tcpconnect", ["sh", "-c", " ".join(both)], way)
    assert counted(found.where(dport=open_port, ret=0)) == expected("connect_it", 101, 43)
    assert counted(found.where(dport=closed_port, ret=-111)) == expected("connect_it", 29, 61)
    assert found.lost_in(way) == 0
    assert all(any("connect" in name for name in event["kstack"]) for event in found.events)


def test_processes_that_are_gone_before_the_tick(tmp_path: Path) -> None:
    """Nobody else runs that program: it is known by what was told as it was started."""
    target, program = tmp_path / "target", tmp_path / "short"
    target.touch()
    shutil.copy(loads.build("paths"), program)
    loop = f"for i in $(seq 61); do {program} open {target} 2 1; done"
    found = trace(tmp_path, "opensnoop", ["sh", "-c", loop], "--stacks")
    assert counted(found.where(path=str(target))) == expected("open_it", 122, 61)


class Capturing:
    """A real capture, told what to do while it runs; its messages are kept."""

    def __init__(self, tool: str, focus: Focus) -> None:
        self.tool = registry.find(tool)
        self._keeper = Keeper()
        self._keeper.request(Settings(interval_s=0.1, measure=False))
        self._source = self._keeper.source()
        self.messages: list[Any] = []
        self._thread = threading.Thread(target=lambda: self.messages.extend(self._read()), daemon=True)
        self._source.send(SetFocus(focus))
        self._source.send(Load(tool))
        self._states: list[ToolState] = []
        self._thread.start()
        self.wait(1, Phase.RUNNING)

    def _read(self) -> Iterator[Any]:
        for message in self._source.messages():
            if isinstance(message, ToolState):
                self._states.append(message)
            yield message

    def wait(self, count: int, phase: Phase) -> ToolState:
        """Until it has said so often where the tool stands."""
        deadline = time.monotonic() + 60
        while len(found := [s for s in self._states if s.phase is phase]) < count:
            assert time.monotonic() < deadline, self._states
            time.sleep(0.002)
        return found[-1]

    def send(self, command: Command) -> None:
        """Have it do something."""
        self._source.send(command)

    def switch(self, on: bool) -> tuple[int, int]:
        """Turn it: the times (Unix ns) between which that came to be."""
        count, before = len([s for s in self._states if s.phase is Phase.RUNNING]), time.time_ns()
        self.send(TakeStacks(self.tool.name, on))
        assert self.wait(count + 1, Phase.RUNNING).stacks is on
        return before, time.time_ns()

    def stop(self) -> list[Tick]:
        """All its ticks."""
        self._source.send(Stop())
        self._thread.join(60)
        self._source.close()
        self._keeper.close()
        return [message for message in self.messages if isinstance(message, Tick)]


def rows(capturing: Capturing, ticks: list[Tick], *keys: str) -> list[tuple[Any, ...]]:
    """Those columns of all events."""
    names: dict[str, dict[int, str | int]] = {}
    found: list[tuple[Any, ...]] = []
    columns: list[Column] = [column for key in keys if (column := capturing.tool.column(key)) is not None]
    for tick in ticks:
        for domain, known in tick.names.items():
            names.setdefault(domain, {}).update(known)
        for batch in tick.events:
            found += zip(*(values(column, batch, names) for column in columns), strict=True)
    return found


def test_switched_while_it_runs_no_event_is_lost_or_doubled(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    capturing = Capturing("opensnoop", Focus(comms=("paths",)))
    capturing.switch(on=True)  # what walks stacks is built now
    capturing.switch(on=False)
    load = started(loads.command("paths", "open", target, 30011, 20011), stdout=subprocess.DEVNULL)
    turned = []
    while load.poll() is None:
        turned.append(capturing.switch(on=len(turned) % 2 == 0))
        time.sleep(0.01)
    ticks = capturing.stop()
    assert [tick.lost for tick in ticks if tick.lost_count] == []
    seen = [row for row in rows(capturing, ticks, "ts", "path", "stack") if row[1] == str(target)]
    assert len(seen) == 50022
    assert len({ts for ts, _, _ in seen}) == 50022  # one thread: no two at once
    assert {below_main(stack) for _, _, stack in seen if stack} == set(expected("open_it", 1, 1))
    assert min(sum(stack is None for *_, stack in seen), sum(stack is not None for *_, stack in seen)) > 0
    # Between two answers it was one way only; a millisecond for the clocks.
    for number, ((_, since), (until, _)) in enumerate(pairwise(turned)):
        inside = [stack is not None for ts, _, stack in seen if since + 1_000_000 < ts < until - 1_000_000]
        assert set(inside) <= {number % 2 == 0}


@pytest.mark.native
def test_while_what_walks_stacks_is_built_no_event_is_lost_or_doubled(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    capturing = Capturing("opensnoop", Focus(comms=("paths",)))
    load = started(loads.command("paths", "open", target, 2_000_003, 11), stdout=subprocess.DEVNULL)
    capturing.switch(on=True)
    assert load.poll() is None
    load.wait()
    ticks = capturing.stop()
    assert [tick.lost for tick in ticks if tick.lost_count] == []
    seen = [batch[batch["path"] == os.fsencode(target)] for tick in ticks for batch in tick.events]
    times = np.concatenate([batch["ts"] for batch in seen])
    stacks = np.concatenate([batch["stack_id"] for batch in seen])[np.argsort(times)]
    assert len(times) == len(np.unique(times)) == 2_000_014
    first = int(np.argmax(stacks != 0))
    assert first > 0
    assert np.all(stacks[first:] != 0)
    assert len(np.unique(stacks[first:])) <= 2


@pytest.mark.parametrize("name", ABLE)
def test_it_can_be_asked_for_before_the_tool_runs(name: str) -> None:
    keeper = Keeper()
    keeper.request(Settings(interval_s=0.1, measure=False))
    source = keeper.source()
    for command in (TakeStacks(name, on=True), Load(name)):
        source.send(command)
    states = []
    for message in source.messages():
        states += [message] if isinstance(message, ToolState) else []
        if states and states[-1].phase in {Phase.RUNNING, Phase.FAILED}:
            break
    source.close()
    keeper.close()
    assert [(s.phase, s.stacks) for s in states] == [(Phase.LOADING, False), (Phase.RUNNING, True)]


def test_what_cannot_be_is_answered_and_nothing_ends() -> None:
    capturing = Capturing("opensnoop", Focus())
    for name in ("runqlat", "nothing"):
        capturing.send(TakeStacks(name, on=True))
    assert capturing.switch(on=True)
    capturing.stop()
    said = [message.text for message in capturing.messages if isinstance(message, Notice)]
    assert ["runqlat" in said[0], "nothing" in said[1], len(said)] == [True, True, 2]


@pytest.mark.native
def test_by_a_key_on_the_screen(tmp_path: Path) -> None:
    """From the pane of opens to the functions that led to one of a process that goes on."""
    target = tmp_path / "target"
    target.touch()
    started(loads.command("paths", "open", target, 9000, 9000, 20), stdout=subprocess.DEVNULL)
    with dashboard("opensnoop", "--comm", "paths") as terminal:
        terminal.wait_for(str(target)[:12])
        terminal.type("k")
        terminal.wait_for("stacks on")
        time.sleep(1.5)  # what is there already has none
        terminal.type("\r")
        terminal.wait_for("do_it › open_it › by_itself")
        terminal.type("k")
        terminal.type("\r")
        deadline = time.monotonic() + 20
        while "stacks on" in terminal.text():
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_tools_that_have_no_stacks_of_events_say_so() -> None:
    done = run("run", "runqlat", "--stacks", "--duration", "1")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert all(name in done.stderr for name in ABLE)


def test_without_being_asked_for_there_are_no_columns_of_it(tmp_path: Path) -> None:
    found = trace(tmp_path, "opensnoop", ["true"])
    assert all("stack" not in event and "kstack" not in event for event in found.events)


@pytest.mark.native
def test_the_same_stacks_as_bpftrace(tmp_path: Path) -> None:
    if shutil.which("bpftrace") is None:
        pytest.skip("bpftrace is not installed: there is no second opinion")
    target = tmp_path / "target"
    target.touch()
    script = (
        'tracepoint:syscalls:sys_exit_openat /comm == "paths"/ { printf("-- %d\\n", args->ret); print(ustack); '
        'printf("--\\n"); }'
    )
    peer = started(["bpftrace", "-e", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert peer.stdout is not None
    assert any("Attaching" in line for line in iter(peer.stdout.readline, ""))
    time.sleep(1)  # it says so before it does
    # Slowly: it names the functions as it prints them, and the process must still be there.
    command = loads.command("paths", "open", target, 23, 17, 20)
    found = trace(tmp_path, "opensnoop", command, "--stacks")
    peer.send_signal(2)
    said = peer.communicate(timeout=30)[0]
    theirs = [
        tuple(reversed(re.findall(r"^\s+(\w+)\+\d+", part, re.MULTILINE)))
        for part in re.split(r"^-- .*$", said, flags=re.MULTILINE)
    ]
    whole = Counter(below_main(list(stack)) for stack in theirs if "main" in stack)
    ours = counted(found.where(path=str(target)))
    assert ours == expected("open_it", 23, 17)
    assert whole == ours
