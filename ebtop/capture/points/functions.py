"""The kernel's functions: which there are, and which of them kprobes and fentry may be attached to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from ebtop.attachpoint import Point, PointKind
from ebtop.capture.bpfsyscall import FENTRY, attach_typed, load_typed
from ebtop.capture.points.btffunctions import Functions

_KALLSYMS = Path("/proc/kallsyms")
_KPROBES = Path("/sys/bus/event_source/devices/kprobe")
_BLACKLIST = Path("/sys/kernel/debug/kprobes/blacklist")
_FUNCTION = re.compile(rb"^\S+ [tT] (?!__pfx_)(\S+)(?:\t\[(?!bpf\]|__builtin__)\S+)?$", re.MULTILINE)
"""A line of kallsyms for a function. __pfx_ is the room before one; BPF programs come and go."""
_RETURN_0 = bytes.fromhex("b700000000000000 9500000000000000")  # r0 = 0; exit
_TRIED = "bpf_fentry_test1"
"""A function of the kernel that is there for such trials, and that nothing calls."""
_NO_KPROBES = "this kernel has no kprobes (CONFIG_KPROBES)"
_BLACKLISTED = "the kernel keeps kprobes out of it (its blacklist)"
_NOT_TRACED = "the kernel does not let its functions be traced here (notrace)"


class KernelFunctions:
    """`functions` are those of BTF, None where there is none; `tracefs` where it is mounted, None where it is not."""

    def __init__(self, functions: Functions | None, tracefs: Path | None) -> None:
        self._functions, self._tracefs = functions, tracefs

    @cached_property
    def names(self) -> list[str]:
        """All functions of the kernel and its modules, sorted. Raises OSError."""
        found = _FUNCTION.findall(_KALLSYMS.read_bytes())
        return sorted(set(b"\n".join(found).decode("utf-8", "surrogateescape").split("\n")))

    @cached_property
    def _traced(self) -> frozenset[str] | None:
        """Those that the function tracer knows; None where it does not tell."""
        if self._tracefs is None:
            return None
        try:
            text = (self._tracefs / "available_filter_functions").read_text("utf-8", "surrogateescape")
        except OSError:
            return None
        return frozenset(line.split(" ", 1)[0] for line in text.splitlines())

    @cached_property
    def _blacklisted(self) -> frozenset[str]:
        try:
            lines = _BLACKLIST.read_text().splitlines()
        except OSError:
            return frozenset()  # not told; the kernel refuses when it is tried
        return frozenset(line.split("\t", 1)[-1].split(" ", 1)[0] for line in lines)

    def kprobes(self) -> Iterator[Point]:
        """All functions, as points of kprobes."""
        none = "" if _KPROBES.exists() else _NO_KPROBES
        for name in self.names:
            yield Point(PointKind.KPROBE, name, none or (_BLACKLISTED if name in self._blacklisted else ""))

    def fentries(self) -> Iterator[Point]:
        """The functions that BTF knows the parameters of."""
        if self._functions is None:
            return
        known, traced = self._functions, self._traced
        refusal = self.fentry_refusal
        for name in self.names:
            if name in known:
                untraced = traced is not None and name not in traced
                yield Point(PointKind.FENTRY, name, refusal or (_NOT_TRACED if untraced else ""))

    @cached_property
    def fentry_refusal(self) -> str:
        """Why no fentry program can be loaded, "" if one could be: tried, as only that tells."""
        type_id = self._functions.number(_TRIED) if self._functions else 0
        if not type_id:
            return f"this kernel's BTF does not know {_TRIED}, on which fentry is tried"
        fds: list[int] = []
        try:
            fds.append(load_typed("tried", _RETURN_0, b"GPL", type_id, FENTRY, told=False))
            fds.append(attach_typed(fds[0]))
        except OSError as error:
            return f"this kernel refuses fentry programs: {os.strerror(error.errno or 0)}"
        finally:
            for fd in fds:
                os.close(fd)
        return ""
