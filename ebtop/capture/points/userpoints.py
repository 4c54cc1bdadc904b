"""The functions and USDT probes of a program or library, as attach points.

They are spelt `uprobe:FILE:NAME` and `usdt:FILE:PROVIDER:NAME`. FILE is a path, a program on the PATH, or a library's
name ("libc", "libssl.so.3"); what a process sees elsewhere is at /proc/PID/root and /proc/PID/exe.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path

from ebtop.attachpoint import Argument, Point, PointKind
from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import BinaryError
from ebtop.resolve.binaryname import open_named
from ebtop.resolve.functionindex import Function
from ebtop.resolve.usdt import UsdtProbe
from ebtop.resolve.usdtargument import Operand

_UPROBES = Path("/sys/bus/event_source/devices/uprobe")
_NO_UPROBES = "this kernel has no uprobes (CONFIG_UPROBES)"
_MOST = 200_000


class UserPoints:
    """Those of any file. What was read of files is kept."""

    def __init__(self) -> None:
        self._known = Binaries()

    def functions(self, target: str) -> Iterator[Point]:
        """The functions that `FILE:PATTERN` means. Raises BinaryError."""
        name, _colon, pattern = target.partition(":")
        refusal = "" if _UPROBES.exists() else _NO_UPROBES
        path, opened = open_named(name)
        with opened as file:
            binary = Binary(file, self._known)
            found = binary.find(pattern or "*", limit=_MOST)
            if not found.complete:
                raise BinaryError(f"{path} has too many functions to look through: name more of what is wanted")
            if not found.functions and binary.offer().stripped:
                raise BinaryError(f"{path}: {binary.offer().text}")
        for function in found.functions:
            yield Point(PointKind.UPROBE, f"{path}:{function.name}", refusal or _refused(function))

    def usdt(self, target: str) -> Iterator[Point]:
        """The USDT probes that `FILE:PROVIDER:NAME`, `FILE:NAME` or `FILE` means. Raises BinaryError."""
        name, _colon, pattern = target.partition(":")
        refusal = "" if _UPROBES.exists() else _NO_UPROBES
        wanted = re.compile(fnmatch.translate(pattern if ":" in pattern else f"*:{pattern or '*'}")).fullmatch
        path, opened = open_named(name)
        with opened as file:
            probes = Binary(file, self._known).usdt
        for probe in probes:
            if wanted(f"{probe.provider}:{probe.name}"):
                yield Point(PointKind.USDT, f"{path}:{probe.provider}:{probe.name}", refusal, _arguments(probe))


def _refused(function: Function) -> str:
    return "" if function.whole else "a piece of a function that the compiler moved elsewhere"


def _arguments(probe: UsdtProbe) -> tuple[Argument, ...]:
    """Of its first place; the others have as many."""
    operands = probe.places[0].arguments if probe.places else ()
    return tuple(Argument(f"arg{number}", _ctype(operand)) for number, operand in enumerate(operands))


def _ctype(operand: Operand) -> str:
    return f"{'s' if operand.signed else 'u'}{8 * operand.size}"
