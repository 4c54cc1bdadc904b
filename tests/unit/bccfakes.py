"""bcc modules that do what 0.26 and 0.37 do, in what ebtop uses of them. Whatever else is touched is not there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

_FUNCTION = re.compile(r"^(?:int (\w+)\(|(KFUNC|KRETFUNC)_PROBE\((\w+))", re.MULTILINE)
_MAP = re.compile(r"^BPF_\w+\((\w+)", re.MULTILINE)
_TRAMPOLINE = re.compile(rb"k(?:ret)?func__(?:(\w+?)__)?(\w+)$")


class Crashed(BaseException):
    """Where the real library ends the process with SIGSEGV."""


class Side:
    """One version: the module as ebtop sees it, and a log of what was done with it."""

    def __init__(self, version: str, *, modules: bool) -> None:
        self.version, self.modules = version, modules
        self.log: list[tuple[Any, ...]] = []
        self.refused: set[bytes] = set()
        lib = {name: self._attaching(name) for name in _ATTACHING}
        side = self

        class BPF:
            def __init__(self, *, text: bytes, cflags: list[str]) -> None:
                assert isinstance(text, bytes)
                side.log.append(("compile", *cflags))
                if b"#error" in text:
                    raise Exception("Failed to compile BPF module <text>")  # noqa: TRY002  as bcc does
                self.module = side._compiled(text.decode())
                self._trace_autoload()

            def _trace_autoload(self) -> None:
                for name in self.module.functions:
                    if name.startswith((b"kprobe__", b"tracepoint__", b"kfunc__", b"kretfunc__")):
                        side.log.append(("attached by bcc", name))

            def load_func(self, func_name: bytes, prog_type: int) -> SimpleNamespace:
                return SimpleNamespace(fd=side._load(self.module.functions, func_name, prog_type))

        self.module = SimpleNamespace(
            BPF=BPF,
            __file__=f"/fake-{version}/bcc/__init__.py",
            lib=SimpleNamespace(
                bpf_num_functions=lambda module: len(module.functions),
                bpf_function_name=lambda module, i: module.functions[i],
                bpf_function_start=lambda module, name: name in module.functions,
                bpf_function_size=lambda _module, _name: 16,
                bpf_module_license=lambda _module: b"GPL",
                bpf_num_tables=lambda module: len(module.maps),
                bpf_table_name=lambda module, number: list(module.maps)[number],
                bpf_table_fd=lambda module, name: module.maps.get(name, -1),
                **lib,
            ),
        )

    def _compiled(self, text: str) -> SimpleNamespace:
        names = [plain or self._trampoline(kind, target) for plain, kind, target in _FUNCTION.findall(text)]
        maps = {name.encode(): os.open(os.devnull, os.O_RDONLY) for name in _MAP.findall(text)}
        return SimpleNamespace(functions=[name.encode() for name in names], maps=maps)

    def _trampoline(self, kind: str, target: str) -> str:
        return f"{kind.lower()}__{'vmlinux__' if self.modules else ''}{target}"

    def _load(self, functions: list[bytes], name: bytes, kind: int) -> int:
        if name not in functions:
            raise Exception(f"Unknown program {name!r}")  # noqa: TRY002
        trampoline = _TRAMPOLINE.match(name)
        if trampoline and self.modules and not trampoline[1]:
            raise Crashed(name)
        if name in self.refused:
            raise Exception("Need super-user privileges to run")  # noqa: TRY002
        self.log.append(("load", name, kind))
        return os.open(os.devnull, os.O_RDONLY)

    def _attaching(self, call: str) -> Callable[..., int]:
        def attach(fd: int, *args: Any) -> int:
            os.fstat(fd)
            self.log.append((call, *(getattr(arg, "value", arg) for arg in args)))
            return -1 if b"refused" in args else os.open(os.devnull, os.O_RDONLY)

        return attach


_ATTACHING = (
    "bpf_attach_tracepoint", "bpf_attach_raw_tracepoint", "bpf_attach_kprobe", "bpf_attach_kfunc",
    "bpf_attach_perf_event",
)  # fmt: skip


def bcc_0_26() -> Side:
    """Debian 12's."""
    return Side("0.26.0", modules=False)


def bcc_0_37() -> Side:
    """Of the year 2026."""
    return Side("0.37.0", modules=True)
