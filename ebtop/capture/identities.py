"""Who processes and control groups are, for ticks, the focus and the details of a row."""

from __future__ import annotations

from ebtop.resolve import process
from ebtop.resolve.cgroup import Cgroups
from ebtop.resolve.container import container_of
from ebtop.tick import ProcessDetails


class KnownIdentities:
    """One place that asks /proc and the cgroup tree."""

    def __init__(self) -> None:
        self._cgroups = Cgroups()

    def cgroup(self, cgroup_id: int) -> str:
        """The path of a control group, "" when it is not known."""
        return self._cgroups.path_of(cgroup_id)

    def cgroup_place(self, path: str) -> tuple[int, int]:
        """(id, level below the root) of a control group; (0, 0) for "". Raises LookupError with near paths."""
        if not path:
            return 0, 0
        relative = self._cgroups.relative(path)
        return self._cgroups.id_of(path), len([part for part in relative.split("/") if part])

    def comm(self, pid: int) -> str:
        """The name of a process, "" when it has gone."""
        return process.comm(pid)

    def descendants(self, pid: int) -> set[int]:
        """The children of a process, and theirs."""
        return process.descendants(pid)

    def started(self, pid: int) -> int:
        """When a process started, in ticks since boot; 0 when it has gone."""
        return process.started(pid)

    def details(self, pid: int) -> ProcessDetails:
        """What is known of a process now."""
        return process.details(pid)

    def arguments(self, pid: int) -> str:
        """A process's arguments with a NUL between them, "" when it has none, or has gone."""
        return process.arguments(pid)

    def resident(self, pid: int) -> int:
        """Bytes of memory that a process has resident, 0 when it has gone."""
        return process.resident(pid)

    def container(self, cgroup_id: int) -> str:
        """The container that a control group belongs to, "" without one."""
        return container_of(self.cgroup(cgroup_id))
