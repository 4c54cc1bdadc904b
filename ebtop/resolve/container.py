"""Which container a cgroup path belongs to, by the paths that container runtimes give their cgroups."""

from __future__ import annotations

import re

_SHORT = 12

_ID = r"(?P<id>[0-9a-f]{64})"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        # systemd's cgroup driver: docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope
        rf"/(?:docker|cri-containerd|nerdctl|crio|libpod|podman)-{_ID}\.scope(?=/|$)",
        # the cgroupfs driver: /docker/ID, /kubepods/burstable/podUID/ID, /libpod_parent/libpod-ID, /NAMESPACE/ID
        rf"/(?:libpod-)?{_ID}(?=/|$)",
        # Kubernetes on containerd with the systemd driver and a colon: kubepods-podUID.slice:cri-containerd:ID
        rf":{_ID}(?=/|$)",
        # LXC, Incus and LXD: /lxc/NAME, /lxc.payload/NAME, /lxc.payload.NAME
        r"/lxc(?:\.payload)?(?:/|\.)(?P<name>[^/]+)(?=/|$)",
        # systemd-nspawn: machine.slice/machine-NAME.scope, machine.slice/systemd-nspawn@NAME.service
        r"/machine\.slice/(?:machine-(?P<machine>[^/]+)\.scope|systemd-nspawn@(?P<unit>[^/]+)\.service)(?=/|$)",
    )
)
_NOT_CONTAINERS = frozenset({"monitor", "pivot"})


def container_of(cgroup: str) -> str:
    """The container of a cgroup path: the first 12 digits of its id, or its name where it has one; "" without one."""
    for pattern in _PATTERNS:
        matches = list(pattern.finditer(cgroup))
        if not matches:
            continue
        found = matches[-1].groupdict()  # of nested containers the innermost counts
        if found.get("id"):
            return found["id"][:_SHORT]
        name = next((value for value in found.values() if value), "")
        if name and name.partition(".")[0] not in _NOT_CONTAINERS:
            return _unescaped(name)
    return ""


def _unescaped(name: str) -> str:
    """systemd writes `-` in names as `\\x2d`."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), name)
