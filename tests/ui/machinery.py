"""A made-up machine of processes: deterministic rows for Kind.PROCESSES, hostile names among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ebtop.processrow import KEYFRAME, KEYFRAME_EVERY, ROW, WAIT_BUCKETS
from ebtop.tick import Cost, Tick
from ebtop.tool import Batch, Tool

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
CGROUPS = {1: "/system.slice/nginx.service", 2: "/user.slice/user-1000.slice", 3: "/docker/3f2a", 4: "/"}
CONTAINERS = {3: "web-build"}


@dataclass(frozen=True)
class Actor:
    """Somebody who is there all the time. `load` scales what it does; 0 for who sleeps."""

    pid: int
    ppid: int
    uid: int
    comm: bytes
    argv: str
    cpu: float = 0.0  # cores
    opens: int = 0
    failed: int = 0
    connects: int = 0
    disk: int = 0
    rss: int = 4_000_000
    threads: int = 1
    wait_ms: float = 0.05
    kernel: bool = False
    cgroup: int = 4

    @property
    def busy(self) -> bool:
        return self.cpu > 0


ACTORS = [
    Actor(1, 0, 0, b"systemd", "/usr/lib/systemd/systemd\0--system", 0.001, 2, rss=13_000_000),
    Actor(2, 0, 0, b"kthreadd", "", kernel=True, rss=0),
    Actor(2100, 1, 0, b"nginx", "nginx: master process /usr/sbin/nginx -g daemon on;", rss=9_000_000, cgroup=1),
    Actor(2114, 2100, 33, b"nginx", "nginx: worker process", 2.12, 310, 0, 48, 900_000, 1_200_000_000, 5, 4.1,
          cgroup=1),
    Actor(2115, 2100, 33, b"nginx", "nginx: worker process", 0.31, 44, 0, 6, 90_000, 900_000_000, 5, 1.1, cgroup=1),
    Actor(8790, 1, 0, b"sshd", "sshd: deploy@pts/0", 0.002, rss=8_000_000),
    Actor(8801, 8790, 1000, b"bash", "/bin/bash\0deploy.sh", 0.16, 101, 0, rss=12_000_000, wait_ms=0.8, cgroup=2),
    Actor(8944, 8801, 1000, b"python", "python\0render.py\0--out\0/tmp/out dir", 0.09, 101, 2, 0, 200_000, 40_000_000,
          cgroup=2),
    Actor(930, 1, 108, b"postgres", "/usr/lib/postgresql/15/bin/postgres\0-D\0/var/lib/postgresql/15/main",
          rss=200_000_000),
    Actor(933, 930, 108, b"postgres", "postgres: writer", 0.31, 20, 0, 0, 7_100_000, 8_000_000_000),
    Actor(934, 930, 108, b"postgres", "postgres: wal writer", 0.04, 1, 0, 0, 2_100_000, 30_000_000),
    Actor(7000, 8790, 1000, b"burn", "./burn\0--forever", 0.998, rss=1_900_000, wait_ms=2.0, cgroup=3),
    Actor(7001, 1, 1000, "größe".encode(), "größe\0データ", 0.012, 4),
    Actor(7002, 1, 1000, b"\x1b]0;owned\x07", "\x1b[2J\x1b]0;owned\x07\0\u202egnp.exe", 0.006, 1),
    Actor(7003, 1, 0, b"a\nb\xff\xc2\x9b31m", "", 0.004),
    *(Actor(10 + n, 2, 0, f"kworker/{n}:0".encode(), "", 0.003 * (n < 3), kernel=True, rss=0) for n in range(24)),
    *(Actor(400 + n, 1, 0, f"daemon-{n}".encode(), f"/usr/sbin/daemon-{n}\0--foreground", rss=3_000_000 + 40_000 * n)
      for n in range(120)),
]  # fmt: skip

SHELL = ((b"sh", 20, 1), (b"sed", 14, 0), (b"grep", 8, 3), (b"cut", 3, 0), (b"date", 2, 0))
"""What the deploy script starts every second: name, how many, how many fail."""

DEPLOY_FROM = 25
"""The second in which the script begins; before, the machine is at rest."""


def identity(actor: Actor) -> int:
    """An id that no other process has at any time."""
    return (actor.pid << 32) + 17


def spread(count: int, around_ns: float) -> Any:
    """A histogram of waits: most around one time, a few far above."""
    counts = np.zeros(WAIT_BUCKETS, np.uint32)
    middle = min(max(int(around_ns).bit_length() - 10, 0), WAIT_BUCKETS - 4)
    counts[middle] = count - count // 50
    counts[middle + 3] = count // 50
    return counts


def row(actor: Actor, number: int, rng: np.random.Generator) -> Any:
    """What it did in second `number`."""
    one = np.zeros(1, ROW)[0]
    one["id"], one["pid"], one["ppid"], one["uid"] = identity(actor), actor.pid, actor.ppid, actor.uid
    one["comm"], one["cgroup"], one["kind"], one["count"] = actor.comm, actor.cgroup, actor.kernel, 1
    one["age_ns"] = (41 * DAY if actor.pid < 8000 else 180 * SECOND) + number * SECOND
    one["start"] = 1_795_000_000 * SECOND + number * SECOND - one["age_ns"]
    one["threads"], one["rss"], one["exit_code"] = actor.threads, actor.rss, -1
    one["state"] = b"R" if actor.cpu > 0.5 else b"I" if actor.kernel else b"S"
    if actor.busy:
        work(one, actor, 0.85 + 0.3 * rng.random())
    return one


def work(one: Any, actor: Actor, much: float) -> None:
    """The counters of somebody who is not idle."""
    one["cpu_ns"] = actor.cpu * much * SECOND
    one["voluntary"] = 1 + 900 * actor.cpu * much
    one["involuntary"] = 300 * actor.cpu
    one["wait"] = spread(int(one["voluntary"]) + 50, actor.wait_ms * 200_000)
    one["wait_ns"] = actor.wait_ms * 1e6 * 20
    one["opens"], one["failed_opens"] = actor.opens * much, actor.failed
    one["connects"], one["write_bytes"] = actor.connects * much, actor.disk * much
    one["ios"] = actor.disk // 60_000
    one["io_ns"] = int(one["ios"]) * 2_200_000
    one["minor_faults"] = 40 * actor.cpu


def short_lived(number: int) -> Batch:
    """The script's children, a row for each name."""
    rows = np.zeros(len(SHELL), ROW)
    for at, (comm, count, failed) in enumerate(SHELL):
        one = rows[at]
        one["id"] = (1 << 60) + number * 100 + at
        one["pid"], one["ppid"], one["uid"] = 20_000 + (number * 50 + at) % 10_000, 8801, 1000
        one["comm"], one["count"], one["exits"], one["failed_exits"] = comm, count, count, failed
        one["exit_code"], one["state"], one["cgroup"] = int(failed > 0), b"X", 2
        one["age_ns"] = 5_000_000
        one["cpu_ns"] = count * 15_000_000
        one["execs"], one["forks"] = count, 0
        one["opens"], one["failed_opens"] = count * 168, count * 6
        one["write_bytes"], one["ios"], one["io_ns"] = count * 66_000, count, count * 1_900_000
        one["wait"] = spread(count * 4, 200_000)
        one["minor_faults"] = count * 190
    return rows


def gauges(number: int, rows: Batch) -> dict[str, float]:
    """The machine's own figures; its sixteen CPUs were as busy as the rows say."""
    busy = float(rows["cpu_ns"].sum()) / SECOND
    shares = np.clip(busy - np.arange(16) * 0.5, 0.02, 1.0)
    shares *= busy / shares.sum() if shares.sum() > 0 else 0.0
    found = {f"cpu{at}": float(min(share, 1.0)) for at, share in enumerate(shares)}
    calm = number < DEPLOY_FROM
    return found | {
        "memory_total": 64e9, "memory_used": 41e9, "swap_total": 8e9, "swap_used": 0.0, "load1": 4.1, "load5": 3.6,
        "load15": 2.9, "psi_cpu": 1.0 if calm else 12.0, "psi_io": 0.0, "psi_memory": 0.0, "tasks_running": 5.0,
        "refused": 0.0 if calm else 4.0,
    }  # fmt: skip


def machine_tick(tool: Tool, number: int, begin: int, seed: int = 7) -> Tick:
    """Second `number` of the machine."""
    rng = np.random.default_rng([seed, number])
    script = number >= DEPLOY_FROM
    keyframe = number % KEYFRAME_EVERY == 0
    all_ = {actor.pid: row(actor, number, rng) for actor in ACTORS}
    there = [a for a in ACTORS if (a.busy or keyframe) and (script or a.pid not in (8801, 8944))]
    rows = np.array([all_[actor.pid] for actor in there], ROW)
    if script:
        rows = np.concatenate([rows, short_lived(number)])
    if not script and keyframe:  # the script waits, before it begins
        rows = np.concatenate([rows, np.array([idle(all_[pid]) for pid in (8801, 8944)], ROW)])
    names = {"cgroup": CGROUPS, "container": CONTAINERS}
    argv = {identity(a): a.argv for a in ACTORS if a.argv} if keyframe else {}
    said = gauges(number, rows) | ({KEYFRAME: 1.0} if keyframe else {})
    told = names | ({"argv": argv} if argv else {})
    return Tick(tool.name, begin, begin + SECOND, rows=rows, names=told, gauges=said,
                cost=Cost(80_000 * 300, 80_000))  # fmt: skip


def idle(one: Any) -> Any:
    """The same process, doing nothing."""
    still = np.zeros(1, ROW)[0]
    for name in (
        "id",
        "start",
        "age_ns",
        "cgroup",
        "pid",
        "ppid",
        "uid",
        "threads",
        "count",
        "exit_code",
        "rss",
        "comm",
    ):
        still[name] = one[name]
    still["state"] = b"S"
    return still
