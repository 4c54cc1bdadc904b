"""overview: every process, with what it did in the last second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ebtop.processrow import FIRST_WAIT_BITS
from ebtop.tool import Attach, Batch, Column, Kind, Names, Probe, Ring, Slot, Tool, Type, Value, named


def argv(batch: Batch, names: Names) -> Sequence[Value]:
    """The `argv` column: arguments are told once for each process, with a NUL between them; None where there are none
    (kernel threads) or the process had gone before it was asked."""
    known = names.get("argv", {})
    return [str(known[key]).split("\0") if key in known else None for key in batch["id"].tolist()]


def mean_io(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `io_latency_ns` column: the mean, None without I/O."""
    return [ns // ios if ios else None for ns, ios in zip(batch["io_ns"].tolist(), batch["ios"].tolist(), strict=True)]


def disk_bytes(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `disk_bytes` column: read and written."""
    both: list[Value] = (batch["read_bytes"] + batch["write_bytes"]).tolist()
    return both


def wait_p99(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `wait_p99_ns` column: within the bucket of the 99th percentile in proportion; None without a wait."""
    return [None if np.isnan(ns) else round(ns) for ns in percentile(batch["wait"], 0.99).tolist()]


def percentile(counts: npt.NDArray[np.uint32], share: float) -> npt.NDArray[np.float64]:
    """A percentile in ns of each row of ROW["wait"] counts (rows x WAIT_BUCKETS); NaN where a row has none."""
    sums = np.cumsum(counts, axis=1, dtype=np.float64)
    total = sums[:, -1]
    wanted = total * share
    bucket = np.argmax(sums >= np.maximum(wanted, 1e-9)[:, None], axis=1)
    rows = np.arange(len(counts))
    here = counts[rows, bucket].astype(np.float64)
    before = sums[rows, bucket] - here
    high = np.exp2(bucket + float(FIRST_WAIT_BITS))
    low = np.where(bucket == 0, 0.0, high / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = np.clip((wanted - before) / here, 0.0, 1.0)
    return np.where(total > 0, low + inside * (high - low), np.nan)


TOOL = Tool(
    name="overview",
    key="1",
    kind=Kind.PROCESSES,
    group="system",
    title="who does what: CPU, waiting, execs, opens, connects, disk, by process",
    help=(
        "Every process, with what the kernel knows of it and /proc does not tell: CPU time from the scheduler's own "
        "sums, so that processes that lived for a millisecond are seen and add up; how long it waited for a CPU; "
        "programs started, files opened, connections begun, what it read from and wrote to block devices. Figures are "
        "those of the last second. What a process wrote to a file is written to the device later, by a kernel thread, "
        "and counts for that. Opens are those of openat, openat2, open and creat."
    ),
    slots=(
        Slot(
            "threads",
            (
                (
                    Probe(Attach.ITER, "task", "each_task"),
                    Probe(Attach.TP_BTF, "sched_switch", "switched"),
                    Probe(Attach.TP_BTF, "sched_process_fork", "forked"),
                    Probe(Attach.RAW_TRACEPOINT, "sched_process_exec", "executed"),
                ),
            ),
        ),
        Slot("opens", ((Probe(Attach.RAW_TRACEPOINT, "sys_exit", "called"),),)),
        Slot("connects", ((Probe(Attach.RAW_TRACEPOINT, "inet_sock_set_state", "connecting", optional=True),),)),
        Slot(
            "disks",
            (
                (
                    Probe(Attach.RAW_TRACEPOINT, "block_rq_issue", "io_begins"),
                    Probe(Attach.RAW_TRACEPOINT, "block_rq_complete", "io_ends"),
                ),
            ),
        ),
    ),
    rings=(Ring("ends", "thread_totals", 2 << 20, role="threads", cleared=True),),
    gauge_maps=("refused",),
    row_key="id",
    columns=(
        Column("pid", "PID", Type.INT, "process", 7, rank=1),
        Column("uid", "USER", Type.USER, "user", 9, rank=5),
        Column("cpu_ns", "CPU %", Type.DURATION, "time on a CPU, from the scheduler's own sums", 7, rank=1, rate=True),
        Column("wait_p99_ns", "WAIT p99", Type.DURATION, "waiting for a CPU: 99 of 100 waits were shorter", 8, rank=2,
               derive=wait_p99),
        Column("wait_ns", "WAIT %", Type.DURATION, "waiting for a CPU, all its threads", 7, hidden=True, rate=True),
        Column("execs", "EXEC/s", Type.COUNT, "programs started", 6, rank=4, rate=True),
        Column("forks", "FORK/s", Type.COUNT, "processes begun", 6, hidden=True, rate=True),
        Column("opens", "OPEN/s", Type.COUNT, "files opened, or tried to", 7, rank=3, rate=True),
        Column("failed_opens", "FAIL/s", Type.COUNT, "opens that failed", 6, rank=4, rate=True),
        Column("connects", "CONN/s", Type.COUNT, "outgoing TCP connections begun", 6, rank=5, rate=True),
        Column("disk_bytes", "DISK/s", Type.BYTES, "read from and written to block devices", 8, rank=3, rate=True,
               derive=disk_bytes),
        Column("read_bytes", "READ/s", Type.BYTES, "read from block devices", 8, hidden=True, rate=True),
        Column("write_bytes", "WRITE/s", Type.BYTES, "written to block devices", 8, hidden=True, rate=True),
        Column("ios", "IO/s", Type.COUNT, "operations of block devices", 6, hidden=True, rate=True),
        Column("io_latency_ns", "IO LAT", Type.DURATION, "mean time of a block device's operation", 8, rank=7,
               derive=mean_io),
        Column("rss", "RSS", Type.BYTES, "memory that is resident", 7, rank=5),
        Column("threads", "THR", Type.COUNT, "threads", 4, rank=8),
        Column("state", "S", Type.TEXT, "R runs, S sleeps, D waits for a device, Z a zombie, X gone", 1, rank=8),
        Column("age_ns", "AGE", Type.DURATION, "since it was started", 7, rank=7),
        Column("voluntary", "VCSW/s", Type.COUNT, "voluntary context switches", 7, hidden=True, rate=True),
        Column("involuntary", "ICSW/s", Type.COUNT, "involuntary context switches", 7, hidden=True, rate=True),
        Column("minor_faults", "MINFLT/s", Type.COUNT, "page faults without I/O", 8, hidden=True, rate=True),
        Column("major_faults", "MAJFLT/s", Type.COUNT, "page faults that had to read", 8, hidden=True, rate=True),
        Column("count", "COUNT", Type.COUNT, "processes in this row: more than one where they lived and ended within "
               "the interval", 5, hidden=True),
        Column("exits", "EXITS", Type.COUNT, "of those, how many have ended", 5, hidden=True),
        Column("failed_exits", "FAILED", Type.COUNT, "of those, with another status than 0, or killed", 6, hidden=True),
        Column("exit_code", "EXIT", Type.INT, "exit status of the last that ended, 128 + signal when killed; -1: it "
               "lives", 4, hidden=True),
        Column("ppid", "PPID", Type.INT, "parent, or the nearest ancestor that lives", 7, hidden=True),
        Column("start", "STARTED", Type.TIME, "when it was started", 12, hidden=True),
        Column("comm", "COMM", Type.TEXT, "name", 16, hidden=True),
        Column("container", "CONTAINER", Type.TEXT, "container", 12, hidden=True,
               derive=named("container", "cgroup")),
        Column("cgroup", "CGROUP", Type.TEXT, "control group", 24, hidden=True, derive=named("cgroup", "cgroup")),
        Column("id", "ID", Type.INT, "tells the process from others that had its pid", 12, hidden=True),
        Column("argv", "COMMAND", Type.ARGV, "arguments", 32, rank=1, derive=argv),
    ),
)  # fmt: skip
