"""The functions and USDT probes of programs and libraries that a request means, with where they are in the file."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ebtop.attachpoint import PointKind
from ebtop.capture.points.userparameters import by_convention, by_convention_of_go, of_description, of_usdt
from ebtop.near import near
from ebtop.probing.plan import MOST_POINTS, Parameter, Planned, Site
from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import BinaryError, BinaryFile
from ebtop.resolve.binaryname import open_named
from ebtop.resolve.functionindex import Function
from ebtop.resolve.regularfile import Identity

GO = "Go moves its stacks, and a probe at a function's return would end the program: only entries can be probed"
_PIECE = "a piece of a function that the compiler moved elsewhere"


class View:
    """From where files are looked at: as a process sees them (0: we), and a short name as that of a file that it has
    `mapped`, or not. `files` are descriptors of what was looked at, by its path: that is what is attached to, whoever
    could open it then, and whatever has its name."""

    def __init__(self, pid: int = 0, *, mapped: bool = True) -> None:
        self._pid, self._mapped = pid, mapped
        self.files: dict[str, int] = {}

    @contextmanager
    def open(self, name: str) -> Iterator[tuple[str, BinaryFile]]:
        """The file of that name, with its path. Raises BinaryError."""
        path, file = open_named(name, self._pid, mapped=self._mapped)
        with file:
            if path not in self.files:
                self.files[path] = os.dup(file.fd)
            elif Identity.of(self.files[path]) != file.identity:
                raise BinaryError(f"{path} has just become another file")
            yield path, file

    def close(self) -> None:
        """Let go of the files."""
        while self.files:
            os.close(self.files.popitem()[1])


class UserPlans:
    """Of any file. What was read of files is kept. All raise BinaryError."""

    def __init__(self) -> None:
        self._known = Binaries()

    def functions(self, target: str, view: View, described: bool = True) -> Iterator[tuple[Planned, str]]:
        """`FILE:PATTERN`: a function each, with entry and return, and why not if it cannot be."""
        name, _colon, pattern = target.partition(":")
        with view.open(name) as (path, file):
            binary = Binary(file, self._known)
            found = binary.find(pattern or "*", limit=MOST_POINTS + 1)
            if not found.functions:
                raise BinaryError(self._nothing(binary, path, pattern))
            if not found.complete:
                raise BinaryError(f"{path} has too many functions to look through: name more of what is wanted")
            if len(found.addresses) > MOST_POINTS:
                raise BinaryError(
                    f"{path}: {found.total} functions match {pattern!r}; {MOST_POINTS} can be attached at once"
                )
            each = {function.address: function for function in reversed(found.functions)}.values()
            planned = [self._function(binary, path, function, described) for function in each]
            if all(why for _planned, why in planned):
                point, why = planned[0]
                raise BinaryError(f"{point.name}: {why}")
            yield from planned

    @staticmethod
    def _nothing(binary: Binary, path: str, pattern: str) -> str:
        some = binary.find("*", limit=_MOST_NEAR).functions
        names = [function.name for function in some]
        told = near(pattern, names) if names else ""
        return f"{path} has no function {pattern!r}{told}; {binary.offer().text}"

    @staticmethod
    def _function(binary: Binary, path: str, function: Function, described: bool) -> tuple[Planned, str]:
        identity = binary.file.identity
        name = f"{PointKind.UPROBE}:{path}:{function.name}"
        planned = Planned(name, PointKind.UPROBE, f"{path}:{function.name}")
        try:
            entry = Site(path, binary.entry(function).offset, 0, identity.device, identity.inode)
            back = entry._replace(offset=binary.offset_of(function.address))
        except BinaryError as error:  # a name for the end of the code, say
            return planned, str(error)
        arguments, result = _parameters(binary, function) if described else ((), None)
        whole = replace(planned, arguments=arguments, result=result, sites=(entry,),
                        returns=() if binary.go else (back,))  # fmt: skip
        return whole, "" if function.whole else _PIECE

    def usdt(self, target: str, view: View) -> Iterator[tuple[Planned, str]]:
        """`FILE:PROVIDER:NAME`, `FILE:NAME` or `FILE`: those places of a probe together that have its arguments in the
        same registers."""
        name, _colon, pattern = target.partition(":")
        wanted = re.compile(fnmatch.translate(pattern if ":" in pattern else f"*:{pattern or '*'}")).fullmatch
        with view.open(name) as (path, file):
            probes = Binary(file, self._known).usdt
            identity = file.identity
        chosen = [probe for probe in probes if wanted(f"{probe.provider}:{probe.name}")]
        if not chosen:
            there = [f"{probe.provider}:{probe.name}" for probe in probes]
            raise BinaryError(
                f"{path} has no USDT probe {pattern!r}{near(pattern, there) if there else ', nor any other'}"
            )
        for probe in chosen:
            target = f"{path}:{probe.provider}:{probe.name}"
            for arguments, places in of_usdt(probe):
                sites = tuple(Site(path, *place, identity.device, identity.inode) for place in places)
                yield (
                    Planned(f"{PointKind.USDT}:{target}", PointKind.USDT, target, arguments=arguments, sites=sites),
                    "",
                )


_MOST_NEAR = 2000


def _parameters(binary: Binary, function: Function) -> tuple[tuple[Parameter, ...], Parameter | None]:
    try:
        return of_description(binary.describe(function))
    except BinaryError:  # no debug information, or none of this function
        return by_convention_of_go(binary.image.machine) if binary.go and "." in function.name else by_convention()
