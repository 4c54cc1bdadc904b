"""Believable ticks for the aggregate views, the same every time, and an app that holds one view."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from textual.app import App, ComposeResult

from ebtop.model.snapshot import ToolSnapshot
from ebtop.tick import Frame, Histogram, Phase, Stack, Tick, ToolState
from ebtop.tool import Attach, Kind, Probe, Slot, Tool, log_buckets
from ebtop.ui.theme import QUIET
from ebtop.ui.view import ToolView

SECOND = 10**9
BEGIN = 1_760_000_000 * SECOND
BUCKETS = log_buckets("ns", powers=36)
_SLOT = Slot("made up", ((Probe(Attach.PERF_EVENT, "cpu-clock", "sample"),),))
LATENCIES = Tool("waits", "5", Kind.HISTOGRAM, "waiting", "", (_SLOT,), buckets=BUCKETS)
STACKS = Tool("samples", "6", Kind.STACKS, "on-CPU stacks", "", (_SLOT,))


def tick(number: int, tool: Tool, **parts: object) -> Tick:
    """The tick of that second."""
    start = BEGIN + number * SECOND
    return replace(Tick(tool.name, start, start + SECOND), **parts)  # type: ignore[arg-type]


def snapshot(tool: Tool, ticks: Sequence[Tick]) -> ToolSnapshot:
    """What a view is given."""
    return ToolSnapshot(tool, ToolState(tool.name, Phase.RUNNING), tuple(ticks))


def counts(values: np.ndarray) -> np.ndarray:
    """A histogram of values in ns."""
    return np.histogram(values, bins=BUCKETS.low.astype(np.float64))[0].astype(np.uint64)


def contended(seconds: int = 90) -> list[Tick]:
    """Waits for a CPU: calm, and 20 seconds of a neighbour that does not yield."""
    random_ = np.random.default_rng(7)
    who = [(2114, "nginx"), (933, "postgres"), (8801, "bash"), (1, "systemd"), (4242, "python render.py")]
    ticks = []
    for second in range(seconds):
        parts = []
        for weight, (pid, comm) in zip((900, 400, 120, 30, 60), who, strict=True):
            values = random_.lognormal(9.1, 0.8, weight)
            if 50 <= second < 70 or second % 29 == 3:
                late = int(weight * (0.12 if comm != "systemd" else 0.0))
                values[:late] = random_.lognormal(15.1, 0.4, late)
            parts.append(Histogram("pid", pid, comm, counts(values)))
        groups = [Histogram("cgroup", 77, "/system.slice/nginx.service", parts[0].counts)]
        groups.append(Histogram("cgroup", 78, "/user.slice", sum((p.counts for p in parts[1:]), start=np.uint64(0))))
        whole = Histogram("all", 0, "", sum((p.counts for p in parts), start=np.uint64(0)))
        ticks.append(tick(second, LATENCIES, histograms=(whole, *parts, *groups)))
    return ticks


def _frames(path: str) -> tuple[Frame, ...]:
    """`libc.so.6!main` is a frame with its module, `kernel!do_syscall_64` one of the kernel."""
    split = [part.split("!") for part in path.split(" > ")]
    return tuple(Frame(name, module, module == "kernel") for module, name in split)


_NGINX = "/usr/sbin/nginx!main > /usr/sbin/nginx!ngx_master_process_cycle > /usr/sbin/nginx!ngx_worker_process_cycle"
_EVENTS = f"{_NGINX} > /usr/sbin/nginx!ngx_process_events_and_timers > /usr/sbin/nginx!ngx_epoll_process_events"
_GZIP = f"{_EVENTS} > /usr/sbin/nginx!ngx_http_handler > /usr/sbin/nginx!ngx_http_gzip_body_filter"
_SYSCALL = "kernel!entry_SYSCALL_64_after_hwframe > kernel!do_syscall_64"
_RECV = f"{_EVENTS} > /lib/libc.so.6!recv > {_SYSCALL} > kernel!__x64_sys_recvfrom > kernel!tcp_recvmsg"
_BASH = "/usr/bin/bash!main > /usr/bin/bash!reader_loop"
_FORK = f"{_BASH} > /usr/bin/bash!execute_command > /usr/bin/bash!execute_command > /usr/bin/bash!make_child"
_COPY = f"{_FORK} > /lib/libc.so.6!fork > {_SYSCALL} > kernel!kernel_clone > kernel!copy_page_range"
_POSTGRES = "/usr/lib/postgresql/15/bin/postgres!PostgresMain > /usr/lib/postgresql/15/bin/postgres!PortalRun"
_SCAN = f"{_POSTGRES} > /usr/lib/postgresql/15/bin/postgres!ExecutorRun > /usr/lib/postgresql/15/bin/postgres!ExecScan"
_TEMPLATE = "std::vector<std::pair<int, char>, std::allocator<std::pair<int, char>>>::_M_realloc_insert(int const&)"
PROFILE = (
    ("nginx", 2114, f"{_GZIP} > /lib/libz.so.1.2.13!deflate > /lib/libz.so.1.2.13!deflate_slow", 38),
    ("nginx", 2114, f"{_GZIP} > /lib/libz.so.1.2.13!deflate > /lib/libz.so.1.2.13!crc32_z", 5),
    ("nginx", 2115, f"{_GZIP} > /lib/libc.so.6!__memmove_avx_unaligned_erms", 3),
    ("nginx", 2115, _RECV, 11),
    ("nginx", 2114, f"{_EVENTS} > /lib/libc.so.6!epoll_wait > {_SYSCALL} > kernel!ep_poll", 4),
    ("postgres", 933, f"{_SCAN} > /usr/lib/postgresql/15/bin/postgres!heap_getnextslot", 12),
    ("postgres", 933, f"{_SCAN} > /lib/libc.so.6!pread64 > {_SYSCALL} > kernel!vfs_read > kernel!filemap_read", 6),
    ("postgres", 934, f"{_SCAN} > [unknown]![unknown] > /opt/ext/score.so!{_TEMPLATE}", 4),
    ("bash", 8801, _COPY, 7),
    ("bash", 8801, f"{_BASH} > /usr/bin/bash!yyparse", 2),
    ("kworker/3:1", 77, "kernel!ret_from_fork > kernel!kthread > kernel!worker_thread > kernel!process_one_work", 1),
)  # fmt: skip


def profiled(seconds: int = 20) -> list[Tick]:
    """A web server that compresses, a database that scans, a shell that forks."""
    random_ = random.Random(3)
    ticks = []
    for second in range(seconds):
        stacks = [
            Stack(_frames(path), max(weight + random_.randint(-weight // 3, weight // 3), 1), pid, pid, comm)
            for comm, pid, path, weight in PROFILE
        ]
        ticks.append(tick(second, STACKS, stacks=tuple(stacks)))
    return ticks


class Stage(App[None]):
    """One view; what it wants is prepared at once."""

    def __init__(self, make: Callable[[Tool], ToolView], tool: Tool, ticks: Sequence[Tick]) -> None:
        super().__init__()
        self.register_theme(QUIET)
        self.theme = QUIET.name
        self.animation_level = "none"
        self.view = make(tool)
        self.data = snapshot(tool, ticks)

    def compose(self) -> ComposeResult:
        """The view."""
        yield self.view

    def on_mount(self) -> None:
        """The first data, and the keyboard."""
        self.view.keyboard_target().focus()
        self.give(self.data)

    def give(self, data: ToolSnapshot) -> None:
        """A newer snapshot."""
        self.data = data
        self.view.show(data, self.view.prepare(data, self.view.wanted))

    def on_tool_view_wanted(self) -> None:
        """As the reader does."""
        self.give(self.data)
