"""The functions and USDT probes of a program or library, as attach points.

They are spelt `uprobe:FILE:NAME` and `usdt:FILE:PROVIDER:NAME`. FILE is a path, a program on the PATH, or a library's
name ("libc", "libssl.so.3").
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ebtop.attachpoint import Argument, Point, PointKind
from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import BinaryError, open_binary
from ebtop.resolve.functionindex import Function
from ebtop.resolve.usdt import UsdtProbe
from ebtop.resolve.usdtargument import Operand

_UPROBES = Path("/sys/bus/event_source/devices/uprobe")
_NO_UPROBES = "this kernel has no uprobes (CONFIG_UPROBES)"
_MOST = 200_000
_LIBRARIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")


class UserPoints:
    """Those of any file. What was read of files is kept."""

    def __init__(self) -> None:
        self._known = Binaries()

    def functions(self, target: str) -> Iterator[Point]:
        """The functions that `FILE:PATTERN` means. Raises BinaryError."""
        path, pattern = parted(target)
        refusal = "" if _UPROBES.exists() else _NO_UPROBES
        with open_binary(path) as file:
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
        path, pattern = parted(target)
        refusal = "" if _UPROBES.exists() else _NO_UPROBES
        wanted = re.compile(fnmatch.translate(pattern if ":" in pattern else f"*:{pattern or '*'}")).fullmatch
        with open_binary(path) as file:
            probes = Binary(file, self._known).usdt
        for probe in probes:
            if wanted(f"{probe.provider}:{probe.name}"):
                yield Point(PointKind.USDT, f"{path}:{probe.provider}:{probe.name}", refusal, _arguments(probe))


def parted(target: str) -> tuple[str, str]:
    """The path of a file, and what is behind it. Raises BinaryError."""
    name, _colon, pattern = target.partition(":")
    return located(name), pattern


def located(name: str) -> str:
    """The path of a program or library that is named without one. Raises BinaryError."""
    if "/" in name:
        return os.path.normpath(Path.cwd() / name)
    path = shutil.which(name) or next(_libraries(name), None)
    if not path:
        raise BinaryError(f"there is no program {name!r} on the PATH, and no such library: give its path")
    return path


def _libraries(name: str) -> Iterator[str]:
    """Those of that name, with or without what comes before and after it, in the system's folders and that of its
    architecture. `libNAME.so` itself is for linkers, and often a script."""
    literal = glob.escape(name)
    for folder in _LIBRARIES:
        for where in (Path(folder), Path(folder, f"{os.uname().machine}-linux-gnu")):
            for pattern in (literal, f"{literal}.so.*", f"lib{literal}.so.*"):
                yield from sorted(map(str, where.glob(pattern)))


def _refused(function: Function) -> str:
    return "" if function.whole else "a piece of a function that the compiler moved elsewhere"


def _arguments(probe: UsdtProbe) -> tuple[Argument, ...]:
    """Of its first place; the others have as many."""
    operands = probe.places[0].arguments if probe.places else ()
    return tuple(Argument(f"arg{number}", _ctype(operand)) for number, operand in enumerate(operands))


def _ctype(operand: Operand) -> str:
    return f"{'s' if operand.signed else 'u'}{8 * operand.size}"
