"""The two maps that hold the focus, shared by all programs: changing it reloads nothing.

The layout is that of bpf/include/focus.h.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterable

from ebtop.capture import bpfcall
from ebtop.tick import Focus
from ebtop.tool import Attach, Probe, Slot

MOST_PIDS = 65536
MOST_COMMS = 4
_BY_PID, _BY_UID, _BY_CGROUP, _BY_COMM = 1, 2, 4, 8
_RULE = "<IIQII4I64s"
_KEY = struct.pack("<I", 0)
_ONE = struct.pack("<I", 1)
FOLLOW_SLOTS = (
    Slot("fork", ((Probe(Attach.RAW_TRACEPOINT, "sched_process_fork", "follow_fork"),),)),
    Slot("exit", ((Probe(Attach.RAW_TRACEPOINT, "sched_process_exit", "forget_exit"),),)),
)
"""Of bpf/focus.c, which keeps descendants in focus."""


class FocusError(Exception):
    """A focus that cannot be set, in one line."""


class FocusMaps:
    """Owns the maps. `shared` are their descriptors under the names that the programs use.

    `descendants` are those of a process, `started` tells it from others that have its number (0: it has gone).
    """

    def __init__(self, descendants: Callable[[int], Iterable[int]], started: Callable[[int], int]) -> None:
        self._descendants, self._started = descendants, started
        self._members: dict[int, int] = {}  # the processes that were asked for, and when they started
        self._rules = bpfcall.create_map(bpfcall.MAP_ARRAY, 4, struct.calcsize(_RULE), 1, "focus_rules")
        self._pids = bpfcall.create_map(bpfcall.MAP_HASH, 4, 4, MOST_PIDS, "focus_pids")
        self._self: list[int] = []
        self._cgroup = (0, 0)
        self.focus = Focus()

    @property
    def shared(self) -> dict[str, int]:
        """Map name to descriptor."""
        return {"focus_rules": self._rules, "focus_pids": self._pids}

    def exclude(self, pids: Iterable[int]) -> None:
        """ebtop's own processes, at most 4, which never count."""
        self._self = [pid for pid in pids if pid][:4]
        self._write()

    def apply(self, focus: Focus, cgroup_id: int = 0, cgroup_level: int = 0) -> None:
        """Apply a focus. Raises FocusError when it names too much or a process that is not there."""
        if len(focus.comms) > MOST_COMMS:
            raise FocusError(f"at most {MOST_COMMS} names can be focused on at once")
        members = {pid: self._started(pid) for pid in focus.pids}
        missing = [pid for pid, started in members.items() if not started]
        if missing:
            raise FocusError(f"no process {', '.join(map(str, missing))}")
        self.focus, self._members, self._cgroup = focus, members, (cgroup_id, cgroup_level)
        # In between the old rule still holds for the old pids: add first, switch, then drop what is not wanted.
        before = set(self.pids())
        wanted = set(focus.pids)
        self._add(wanted - before)
        self._write()
        if focus.follow:
            wanted |= self._add_descendants(focus.pids)
        self._remove(before - wanted)

    def forget_the_dead(self) -> None:
        """Take out processes that have gone: their numbers may be given to others, who were not asked for."""
        gone = [pid for pid, started in self._members.items() if self._started(pid) != started]
        self._remove(gone)
        for pid in gone:
            del self._members[pid]

    def _add_descendants(self, pids: Iterable[int]) -> set[int]:
        """The families of `pids`, looked through until a look finds nobody new: children are born meanwhile."""
        known: set[int] = set()
        for _round in range(8):
            found = {child for pid in pids for child in self._descendants(pid)} - known
            if not found:
                break
            self._add(found)
            known |= found
        return known

    def _add(self, pids: Iterable[int]) -> None:
        for pid in pids:
            try:
                bpfcall.update(self._pids, struct.pack("<I", pid), _ONE)
            except OSError as error:
                if error.errno == errno.E2BIG:
                    raise FocusError(f"more than {MOST_PIDS} processes cannot be focused on") from error
                raise

    def _remove(self, pids: Iterable[int]) -> None:
        for pid in pids:
            bpfcall.delete(self._pids, struct.pack("<I", pid))

    def pids(self) -> list[int]:
        """The processes that are in the map now, followed children included."""
        return [int(struct.unpack("<I", key)[0]) for key in bpfcall.keys(self._pids, 4, MOST_PIDS)]

    def _write(self) -> None:
        focus = self.focus
        by = (
            _BY_PID * bool(focus.pids)
            | _BY_UID * (focus.uid is not None)
            | _BY_CGROUP * bool(focus.cgroup)
            | _BY_COMM * bool(focus.comms)
        )
        comms = b"".join(os.fsencode(name)[:15].ljust(16, b"\0") for name in focus.comms).ljust(64, b"\0")
        own = (self._self + [0] * 4)[:4]
        rule = struct.pack(_RULE, by, focus.uid or 0, *self._cgroup, len(focus.comms), *own, comms)
        bpfcall.update(self._rules, _KEY, rule)
