"""Who a process acts as and where: ids, capabilities and namespaces, as /proc tells them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ebtop import capability
from ebtop.tick import Namespace

_MOST_GROUPS = 64
_MOST_NAMESPACES = 16

_LINK = re.compile(r"\w+:\[(\d{1,10})\]")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Effective ids (None where the status does not say), supplementary groups, and the effective capabilities."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = ()
    all_capabilities: bool = False


def credentials(status: bytes) -> Credentials:
    """What /proc/PID/status says; what is missing or makes no sense is left out. Never raises."""
    lines = dict(
        line.split(b":\t", 1) for line in reversed(status.split(b"\n")) if b":\t" in line
    )  # a name may hold \r
    held = _number(lines.get(b"CapEff", b""), 16) or 0
    every = _all_capabilities()
    return Credentials(
        _effective(lines.get(b"Uid", b"")),
        _effective(lines.get(b"Gid", b"")),
        tuple(_numbers(lines.get(b"Groups", b""))[:_MOST_GROUPS]),
        capability_names(held),
        held & every == every,
    )


def capability_names(mask: int) -> tuple[str, ...]:
    """The names of the capabilities in a bit mask of 64 bits; those of newer kernels are called by their numbers."""
    numbers = [number for number in range(64) if mask >> number & 1]
    return tuple(f"CAP_{capability.EVERY[n] if n < len(capability.EVERY) else n}" for n in numbers)


@cache
def _all_capabilities() -> int:
    return (2 << capability.newest()) - 1


def _effective(ids: bytes) -> int | None:
    """The second of real, effective, saved and file system id."""
    found = _numbers(ids)
    return found[1] if len(found) > 1 else None


def _numbers(words: bytes) -> list[int]:
    found = (_number(word, 10) for word in words.split()[: _MOST_GROUPS + 1])
    return [number for number in found if number is not None]


def _number(word: bytes, base: int) -> int | None:
    try:
        number = int(word, base) if len(word) <= 20 else -1
    except ValueError:
        return None
    return number if 0 <= number < 1 << 64 else None


def namespaces(pid: int) -> tuple[Namespace, ...]:
    """The namespaces that a process is in, and whether pid 1 (where that cannot be read: ebtop) is in them too; ()
    where they cannot be read. Never raises."""
    found = _links(pid)
    first = _links(1) or _links("self")
    return tuple(Namespace(name, inode, first.get(name) == inode) for name, inode in found.items())


def _links(pid: int | str) -> dict[str, int]:
    """Inode numbers by kind. What a process's future children will be in (`..._for_children`) is left out."""
    found = {}
    try:
        kinds = sorted(kind for kind in Path(f"/proc/{pid}/ns").iterdir() if not kind.name.endswith("_for_children"))
        for kind in kinds[:_MOST_NAMESPACES]:
            if link := _LINK.fullmatch(str(kind.readlink())):
                found[kind.name] = int(link[1])
    except OSError:  # it has gone, or is none of ours to look into
        return {}
    return found
