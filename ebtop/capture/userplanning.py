"""The functions and USDT probes of programs and libraries that a request means, with where they are in the file."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import replace

from ebtop.attachpoint import PointKind
from ebtop.capture.points.userparameters import by_convention, by_convention_of_go, of_description, of_usdt
from ebtop.capture.points.userpoints import parted
from ebtop.near import near
from ebtop.probing.plan import MOST_POINTS, Parameter, Planned, Site
from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import BinaryError, open_binary
from ebtop.resolve.functionindex import Function

GO = "Go moves its stacks, and a probe at a function's return would end the program: only entries can be probed"
_PIECE = "a piece of a function that the compiler moved elsewhere"


class UserPlans:
    """Of any file. What was read of files is kept. All raise BinaryError."""

    def __init__(self) -> None:
        self._known = Binaries()

    def functions(self, target: str, described: bool = True) -> Iterator[tuple[Planned, str]]:
        """`FILE:PATTERN`: a function each, with entry and return, and why not if it cannot be."""
        path, pattern = parted(target)
        with open_binary(path) as file:
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

    def usdt(self, target: str) -> Iterator[tuple[Planned, str]]:
        """`FILE:PROVIDER:NAME`, `FILE:NAME` or `FILE`: those places of a probe together that have its arguments in the
        same registers."""
        path, pattern = parted(target)
        wanted = re.compile(fnmatch.translate(pattern if ":" in pattern else f"*:{pattern or '*'}")).fullmatch
        with open_binary(path) as file:
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
