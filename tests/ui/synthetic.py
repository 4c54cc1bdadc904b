"""A source without a kernel: deterministic events for every tool, hostile strings among them.

`python -m tests.ui.synthetic [EVENTS_PER_SECOND]` opens the dashboard on it.
"""

from __future__ import annotations

import queue
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ebtop import eventstack, registry
from ebtop.tick import (
    Ancestor,
    Command,
    Cost,
    Focus,
    Frame,
    Gone,
    Histogram,
    Load,
    Message,
    Notice,
    Phase,
    ProcessDetails,
    Resolve,
    SetFocus,
    Stack,
    Stop,
    TakeStacks,
    Tick,
    ToolState,
    Vitals,
)  # fmt: skip
from ebtop.tool import Batch, Kind, Tool
from tests.ui import calls
from tests.ui.machinery import machine_tick

SECOND = 1_000_000_000
START = 1_795_000_000 * SECOND

COMMON: list[tuple[str, Any]] = [
    ("ts", "u8"), ("cgroup", "u8"), ("pid", "u4"), ("tid", "u4"), ("uid", "u4"), ("ret", "i4"), ("comm", "S16"),
    ("stack_id", "u8"),
]  # fmt: skip
OPEN_FIELDS: list[tuple[str, Any]] = [("latency_ns", "u8"), ("dir", "u8"), ("flags", "u4"), ("mode", "u4")]
EXEC_FIELDS: list[tuple[str, Any]] = [
    ("ppid", "u4"), ("argc", "u4"), ("args_len", "u4"), ("truncated", "u1"), ("exec_id", "u8"),
]  # fmt: skip
OPEN = np.dtype([*COMMON, *OPEN_FIELDS, ("path", "S64")])
OPEN_LONG = np.dtype([*COMMON, *OPEN_FIELDS, ("path", "S4096")])
EXEC = np.dtype([*COMMON, *EXEC_FIELDS, ("path", "S128"), ("args", "S384")])
EXEC_LONG = np.dtype([*COMMON, *EXEC_FIELDS, ("path", "S4096"), ("args", "S8192")])
EXEC_ROWS = np.dtype([
    ("ts", "u8"), ("exec_id", "u8"), ("pid", "u4"), ("duration_ns", "u8"), ("exit_code", "i4"), ("signal", "u4"),
    ("comm", "S16"),
])  # fmt: skip
CONNECT = np.dtype([
    *COMMON, ("latency_ns", "u8"), ("family", "u2"), ("sport", "u2"), ("dport", "u2"), ("saddr", "u1", 16),
    ("daddr", "u1", 16),
])  # fmt: skip

PROCESSES = (
    (2114, 33, b"nginx"), (8944, 1000, b"python"), (933, 108, b"postgres"), (8801, 1000, b"bash"), (412, 0, b"systemd"),
    (7001, 1000, "größe".encode()), (7002, 1000, b"\x1b]0;owned\x07"), (7003, 0, b"a\nb\xff\xc2\x9b31m"),
)  # fmt: skip
PATHS = (
    b"/etc/app/conf.d/local.toml", b"/usr/lib/python3.11/json/__init__.py", b"/proc/self/status", b"/dev/null",
    b"templates/base.html", b"/srv/app/static/logo.svg", b"/var/lib/postgresql/15/main/base/16384/2619",
    b"/etc/ld.so.cache", b"/tmp/\x1b]0;owned\x07\x1b[2J", "/srv/データ/レポート.txt".encode(),
    b"/tmp/\xe2\x80\xaegnp.exe",
)  # fmt: skip
ARGVS = (
    (b"sh", b"-c", b"sed -n 1p /etc/passwd | grep root"), (b"sed", b"-n", b"1p", b"/etc/passwd"), (b"grep", b"root"),
    (b"python3", b"render.py", b"--out", b"/tmp/out dir"), (b"printf", b"\x1b[31mred\x1b[0m", b""), (b"/bin/true",),
)  # fmt: skip
CGROUPS = {1: "/system.slice/nginx.service", 2: "/user.slice/user-1000.slice", 3: "/docker/3f2a"}
STACKS: dict[str, list[list[str]]] = {
    "stack": [
        ["_start", "main", "load_config", "open64"],
        ["_start", "main", "run", "std::map<int, std::string>::at", "[unknown] libodd.so"],
        ["start_thread", "worker\x1b]0;owned\x07", "connect_to_backend"],
        [],
    ],
    "kstack": [["entry_SYSCALL_64", "do_syscall_64"], ["entry_SYSCALL_64", "do_syscall_64", "__x64_sys_connect"]] * 2,
}
"""By domain; the stack with the id n + 1 is number n."""
DIRS = {1: "/srv/app", 2: "/tmp/\x1bdir"}


def common(dtype: np.dtype[Any], count: int, start: int, rng: np.random.Generator) -> Batch:
    """`count` events of one second with the fields that all have; a third of the processes' calls fail."""
    batch = np.zeros(count, dtype)
    who = rng.choice(len(PROCESSES), count, p=[0.3, 0.25, 0.2, 0.1, 0.06, 0.05, 0.02, 0.02])
    batch["ts"] = start + np.sort(rng.integers(0, SECOND, count, dtype=np.uint64))
    batch["pid"] = np.array([p[0] for p in PROCESSES])[who]
    batch["tid"] = batch["pid"]
    batch["uid"] = np.array([p[1] for p in PROCESSES])[who]
    batch["comm"] = np.array([p[2] for p in PROCESSES], dtype="S16")[who]
    batch["cgroup"] = rng.integers(1, 4, count)
    return batch


def opens(count: int, start: int, rng: np.random.Generator) -> Batch:
    """Files opened."""
    batch = common(OPEN, count, start, rng)
    batch["path"] = np.array(PATHS, dtype="S64")[rng.integers(0, len(PATHS), count)]
    batch["ret"] = rng.choice([3, 4, 5, 17, -2, -13], count, p=[0.4, 0.2, 0.15, 0.1, 0.12, 0.03])
    batch["latency_ns"] = rng.gamma(2.0, 1500.0, count).astype(np.uint64)
    batch["flags"] = rng.choice([0o2000000, 0o2000101, 0, 0o202200000], count, p=[0.6, 0.1, 0.2, 0.1])
    batch["dir"] = rng.integers(1, 3, count)
    return batch


def long_opens(count: int, start: int, rng: np.random.Generator) -> Batch:
    """Files opened by long paths."""
    batch = common(OPEN_LONG, count, start, rng)
    batch["path"] = b"/srv/" + b"deep/" * 60 + b"end.txt"
    batch["ret"] = 3
    batch["latency_ns"] = 9_000
    batch["flags"] = 0o2000000
    return batch


def execs(count: int, start: int, rng: np.random.Generator, first_id: int) -> Batch:
    """Programs started."""
    batch = common(EXEC, count, start, rng)
    which = rng.integers(0, len(ARGVS), count)
    blocks = [b"\0".join(words) + b"\0" for words in ARGVS]
    batch["args"] = np.array(blocks, dtype="S384")[which]
    batch["args_len"] = np.array([len(b) for b in blocks])[which]
    batch["argc"] = np.array([len(words) for words in ARGVS])[which]
    batch["path"] = np.array([b"/usr/bin/" + words[0] for words in ARGVS], dtype="S128")[which]
    batch["comm"] = np.array([words[0] for words in ARGVS], dtype="S16")[which]
    batch["pid"] = 20_000 + first_id + np.arange(count)
    batch["tid"] = batch["pid"]
    batch["ppid"] = 8801
    batch["ret"] = rng.choice([0, -2], count, p=[0.9, 0.1])
    batch["exec_id"] = first_id + np.arange(count)
    return batch


def exits(events: Batch) -> Batch:
    """How the programs of a batch ended."""
    rows = np.zeros(len(events), EXEC_ROWS)
    for field in ("exec_id", "pid", "comm"):
        rows[field] = events[field]
    rows["duration_ns"] = 5_000_000 + events["exec_id"] % 7 * 1_300_000
    rows["exit_code"] = np.where(events["exec_id"] % 5 == 0, 1, 0)
    return rows


def connects(count: int, start: int, rng: np.random.Generator) -> Batch:
    """Connections."""
    batch = common(CONNECT, count, start, rng)
    six = rng.random(count) < 0.4
    batch["family"] = np.where(six, socket.AF_INET6, socket.AF_INET)
    batch["daddr"][:, :4] = [10, 0, 3, 7]
    batch["daddr"][six] = np.frombuffer(socket.inet_pton(socket.AF_INET6, "2001:db8::5:1"), np.uint8)
    batch["saddr"][:, :4] = [10, 0, 0, 2]
    batch["saddr"][six] = np.frombuffer(socket.inet_pton(socket.AF_INET6, "2001:db8::1"), np.uint8)
    batch["sport"] = rng.integers(32768, 60999, count)
    batch["dport"] = rng.choice([443, 5432, 80], count)
    batch["ret"] = rng.choice([0, -111, -110], count, p=[0.9, 0.08, 0.02])
    batch["latency_ns"] = rng.gamma(2.0, 400_000.0, count).astype(np.uint64)
    return batch


def histograms(tool: Tool, count: int, rng: np.random.Generator) -> tuple[Histogram, ...]:
    """Latencies of the whole system, of processes and of cgroups."""
    if tool.buckets is None:
        return ()
    edges = tool.buckets.low.astype(np.float64)
    found = []
    groups = [("all", 0, "all")] + [("pid", p[0], p[2].decode("utf-8", "surrogateescape")) for p in PROCESSES]
    for index, (group, key, label) in enumerate([*groups, *(("cgroup", k, v) for k, v in CGROUPS.items())]):
        values = rng.lognormal(9.2 + index % 3 * 0.6, 1.1, count if group == "all" else count // 6)
        found.append(Histogram(group, key, label, np.histogram(values, edges)[0].astype(np.uint64)))
    return tuple(found)


def samples(rng: np.random.Generator) -> tuple[Stack, ...]:
    """On-CPU samples."""
    kernel = (Frame("entry_SYSCALL_64", "kernel", True), Frame("vfs_read", "kernel", True))
    shapes = (
        (2114, "nginx", ("_start", "main", "ngx_worker_process_cycle", "ngx_http_gzip", "deflate_slow")),
        (2114, "nginx", ("_start", "main", "ngx_worker_process_cycle", "ngx_event_recv", "recv")),
        (933, "postgres", ("_start", "main", "PostgresMain", "ExecScan", "heap_getnext")),
        (8944, "python", ("_start", "Py_RunMain", "std::vector<int, std::allocator<int>>::push_back", "[unknown]")),
    )
    found = []
    for (pid, comm, names), weight in zip(shapes, (44, 12, 25, 18), strict=True):
        frames = tuple(Frame(name, comm, False) for name in names)
        found.append(
            Stack((*frames, *kernel) if weight == 12 else frames, int(rng.poisson(weight)) + 1, pid, pid, comm)
        )
    return tuple(found)


def with_stacks(found: Tick) -> Tick:
    """The tick as if stacks had been taken; of some events they could not be."""
    count = len(STACKS["stack"])
    for batch in found.events:
        batch["stack_id"] = np.arange(len(batch)) % (count + 1)
    told = {domain: {n + 1: eventstack.written(frames) for n, frames in enumerate(STACKS[domain])} for domain in STACKS}
    return replace(found, names={**found.names, **told})


def tick(tool: Tool, number: int, rate: int, seed: int = 7, start: int = START, *, stacks: bool = False) -> Tick:
    """What a tool produced in second `number`; the same for the same arguments."""
    found = _tick(tool, number, rate, seed, start)
    return with_stacks(found) if stacks and tool.stacks else found


def _tick(tool: Tool, number: int, rate: int, seed: int, start: int) -> Tick:
    rng = np.random.default_rng([seed, number, len(tool.name)])
    begin = start + number * SECOND
    names = {"cgroup": CGROUPS, "dir": DIRS}
    common_parts: dict[str, Any] = {"tool": tool.name, "start": begin, "end": begin + SECOND, "names": names}
    if tool.kind is Kind.PROCESSES:
        return machine_tick(tool, number, begin, seed)
    if tool.kind is Kind.HISTOGRAM:
        return Tick(**common_parts, histograms=histograms(tool, rate, rng), cost=Cost(rate * 300, rate))
    if tool.kind is Kind.STACKS:
        return Tick(**common_parts, stacks=samples(rng), cost=Cost(99 * 4000, 99))
    if tool.row_key:
        count = max(min(rate // 20, 500), 5)
        batch = execs(count, begin, rng, first_id=number * 1000 + 1)
        return Tick(**common_parts, events=(batch,), rows=exits(batch[: count // 2]), cost=Cost(count * 1800, count))
    if any(c.key == "daddr" for c in tool.columns):
        count = max(min(rate // 10, 200), 3)
        return Tick(**common_parts, events=(connects(count, begin, rng),), cost=Cost(count * 1500, count))
    fields = {column.key for column in tool.columns}
    if "optname" in fields:
        count = max(min(rate // 10, 200), 3)
        batch = calls.fill_sockets(common(np.dtype([*COMMON, *calls.SOCKET_FIELDS]), count, begin, rng))
        return Tick(**common_parts, events=(batch,), cost=Cost(count * 1500, count))
    if "cap" in fields:
        batch = common(np.dtype([*COMMON, *calls.CAPABILITY_FIELDS]), rate, begin, rng)
        return Tick(**common_parts, events=(calls.fill_capabilities(batch, rng),), cost=Cost(rate * 900, rate))
    batches = (opens(rate, begin, rng), long_opens(max(rate // 500, 1), begin, rng))
    return Tick(**common_parts, events=batches, cost=Cost(rate * 700, rate))


def details(pid: int) -> ProcessDetails:
    """What /proc might say."""
    comm = next((p[2] for p in PROCESSES if p[0] == pid), b"sh").decode("utf-8", "surrogateescape")
    up = (Ancestor(8801, "bash", ("bash", "deploy.sh")), Ancestor(8790, "sshd"), Ancestor(1, "systemd"))
    argv = (comm, "render.py")
    return ProcessDetails(pid, True, comm, f"/usr/bin/{comm}", "/srv/app", "deploy", "/user.slice/user-1000.slice",
                          "web-build", argv, up, 3, 41_000_000, 184.0)  # fmt: skip


def vitals(focus: Focus | None = None) -> Vitals:
    """The machine."""
    return Vitals("web-03", "6.8.0", 16, 41 * 86_400.0, 0.003, 62_000_000, str(focus or Focus()),
                  len(focus.pids) if focus else 0)  # fmt: skip


def running(tool: Tool, *, stacks: bool = False) -> ToolState:
    """A tool that was attached."""
    probes = tuple(str(p) for slot in tool.slots for p in slot.alternatives[0])
    return ToolState(tool.name, Phase.RUNNING, probes, stacks=stacks)


class Scripted:
    """A source that says what a test tells it to, and remembers what it was sent."""

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        self.commands: list[Command] = []
        self.closed = False
        self._queue: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.say(*messages)

    def say(self, *messages: Message) -> None:
        """Let these come out next."""
        for message in messages:
            self._queue.put(message)

    def messages(self) -> Iterator[Message]:
        """What was said, until Gone."""
        while (message := self._queue.get()) is not None:
            yield message
            if isinstance(message, Gone):
                return

    def send(self, command: Command) -> None:
        """Remember it."""
        self.commands.append(command)

    def close(self) -> None:
        """End."""
        self.closed = True
        self._queue.put(None)


class Synthetic(Scripted):
    """A machine that is always busy: a tick a second of each tool that was loaded."""

    def __init__(self, tools: Sequence[Tool], rate: int) -> None:
        super().__init__()
        self._tools = {t.name: t for t in tools}
        self._rate = rate
        self._loaded: list[Tool] = []
        self._focus = Focus()
        self._first: dict[str, Tick] = {}
        self._since: dict[str, int] = {}
        self._stacks: set[str] = set()

    def send(self, command: Command) -> None:
        """Do as told."""
        super().send(command)
        match command:
            case Load():
                self._loaded.append(self._tools[command.tool])
                self.say(running(self._tools[command.tool], stacks=command.tool in self._stacks))
            case TakeStacks():
                (self._stacks.add if command.on else self._stacks.discard)(command.tool)
                self.say(running(self._tools[command.tool], stacks=command.on))
            case SetFocus():
                self._focus = command.focus
                self.say(vitals(self._focus), Notice(f"focus: {self._focus}"))
            case Resolve():
                self.say(details(command.pid))
            case Stop():
                self.close()

    def messages(self) -> Iterator[Message]:
        """Ticks of now."""
        begin = time.time_ns() // SECOND * SECOND
        yield vitals()
        for number in range(1_000_000):
            for tool in list(self._loaded):
                yield self._focused(self._tick(tool, number, begin))
            yield vitals(self._focus)
            until = time.monotonic() + 1.0
            while (rest := until - time.monotonic()) > 0:
                try:
                    message = self._queue.get(timeout=rest)
                except queue.Empty:
                    break
                if message is None:
                    return
                yield message

    def _tick(self, tool: Tool, number: int, begin: int) -> Tick:
        """At high rates the first second is played again and again: making events up is dearer than showing them."""
        since = self._since.setdefault(tool.name, number)  # the first tick of a tool is always number 0
        number, begin = number - since, begin + since * SECOND
        if self._rate < 50_000 or tool.kind is not Kind.EVENTS or tool.row_key:
            return tick(tool, number, self._rate, start=begin, stacks=tool.name in self._stacks)
        first = self._first.get(tool.name) or tick(tool, number, self._rate, start=begin)
        self._first[tool.name] = first
        shift = begin + number * SECOND - first.start
        events = tuple(batch.copy() for batch in first.events)
        for batch in events:
            batch["ts"] += np.uint64(shift)
        return replace(first, start=first.start + shift, end=first.end + shift, events=events)

    def _focused(self, found: Tick) -> Tick:
        if not self._focus.pids:
            return found
        events = tuple(b[np.isin(b["pid"], self._focus.pids)] for b in found.events)
        return Tick(found.tool, found.start, found.end, events, found.rows, found.histograms, found.stacks, found.names)


if __name__ == "__main__":
    from ebtop.ui.app import Dashboard

    _tools = registry.tools()
    _rate = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    Dashboard(Synthetic(_tools, _rate), _tools, first=sys.argv[2] if len(sys.argv) > 2 else None).run()
