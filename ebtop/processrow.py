"""The row of a process in an interval, as tools of Kind.PROCESSES have it in Tick.rows.

A tick has a row for each process that did something in it, began or ended; the first tick, and then one in
`KEYFRAME_EVERY`, has one for each process there is, so that who looks back needs to go no farther to know who was
there. What a process did (`cpu_ns` to `major_faults`) is that of the interval.

Processes that began and ended within one interval are put together in one row for each name below a parent that
lives: `count` says how many; `pid` and `id` are those of the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

WAIT_BUCKETS, FIRST_WAIT_BITS = 24, 10
"""wait[i] counts delays on a run queue of less than 2**(i + 10) ns and at least half of that; the first all below
1,024 ns, the last all from 4.3 s on."""

KEYFRAME_EVERY = 10

KEYFRAME = "keyframe"
"""The gauge (1) of a tick that has a row for each process: who is in none of the rows from there on is not there."""

ROW = np.dtype(
    [
        ("id", "<u8"),  # tells the process from others that had its pid, at any time
        ("start", "<u8"),  # Unix ns
        ("age_ns", "<u8"),  # at the end of the interval, or of its life; of several the mean
        ("cgroup", "<u8"),
        ("pid", "<u4"),
        ("ppid", "<u4"),  # where the parent has gone too, the nearest ancestor that lives
        ("uid", "<u4"),
        ("threads", "<u4"),
        ("count", "<u4"),
        ("exits", "<u4"),  # how many of `count` have ended
        ("failed_exits", "<u4"),  # of those, with a status that is not 0, or killed
        ("exit_code", "<i4"),  # status, 128 + signal when killed; of several the last one's; -1 while it lives
        ("rss", "<u8"),  # bytes; 0 for who has gone
        ("cpu_ns", "<u8"),
        ("wait_ns", "<u8"),
        ("io_ns", "<u8"),  # from issue to completion, all `ios` together
        ("read_bytes", "<u8"),
        ("write_bytes", "<u8"),
        ("voluntary", "<u4"),  # context switches
        ("involuntary", "<u4"),
        ("execs", "<u4"),
        ("forks", "<u4"),
        ("opens", "<u4"),
        ("failed_opens", "<u4"),
        ("connects", "<u4"),
        ("ios", "<u4"),
        ("minor_faults", "<u4"),
        ("major_faults", "<u4"),
        ("wait", "<u4", (WAIT_BUCKETS,)),
        ("comm", "S16"),
        ("state", "S1"),  # as ps has it: R S D T t I, Z when it waits for its parent, X when it has gone
        ("kind", "u1"),  # 0 a process, 1 a kernel thread
    ]
)
"""Packed, 64-bit fields first."""


def joined(batches: Sequence[npt.NDArray[np.void]]) -> npt.NDArray[np.void]:
    """The records of several batches (at least one), one after the other, in the first one's layout; all have its
    fields. np.concatenate goes through every field of every batch, which for a few rows is most of the work, and where
    layouts differ in a field of several numbers it (NumPy 2.4) writes past its memory."""
    layout = batches[0].dtype
    if all(batch.dtype == layout for batch in batches):
        whole = np.dtype((np.void, layout.itemsize))
        return np.concatenate([np.ascontiguousarray(batch).view(whole) for batch in batches]).view(layout)
    found = np.zeros(sum(map(len, batches)), layout)
    for name in layout.names or ():
        found[name] = np.concatenate([batch[name] for batch in batches])
    return found
