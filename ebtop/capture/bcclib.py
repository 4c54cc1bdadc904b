"""The distribution's bcc package, found from whatever Python runs ebtop, and all that ebtop uses of it.

bcc is pure Python over libbcc.so; PyPI's "bcc" is an unrelated package. Nothing else in ebtop touches the module: it
compiles and loads programs and opens attachments, and what it hands out are descriptors. What differs between bcc 0.26
and 0.37 and matters for that is dealt with here:

- What KFUNC_PROBE(X) and KRETFUNC_PROBE(X) are called: kfunc__X, from 0.28 on kfunc__vmlinux__X. libbcc finds the
  target in the name, and from 0.28 on it crashes on a name without the second "__". See `Compiled.load`.
- bcc attaches by itself what has such a name, before our maps are in their place. See `Bcc`.
- bcc before 0.31 has escape sequences that newer Pythons warn of, on a terminal that is ours. See `_imported`.
- The package does not import over the library of an older version. See `_imported`.

The rest cannot matter, as it is not used: records are laid out by records.py and rings read by ring.py (event() ends
the process on `unsigned char x[N]` in 0.26), maps are read by bpfcall.py (items_lookup_batch() gives plain integers or
ctypes), probes have exact targets (get_tracepoints() gives str or bytes, event_re is matched in part or in full), and
TCP states are the program's (tcp.tcpstate became state2str()). Program and event types are the kernel's numbers.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ebtop.capture.bpfsyscall import (
    FENTRY,
    FEXIT,
    ITER,
    KPROBE,
    RAW_TP,
    UPROBE_MULTI,
    attach_iterator,
    attach_typed,
    load_typed,
)
from ebtop.probe import TYPED, Attach, Probe

_PLACES = (
    "/usr/lib/python3/dist-packages",  # Debian, Ubuntu
    *(str(p) for p in sorted(Path("/usr/lib").glob("python3*/site-packages"))),  # Fedora, Arch, openSUSE, Alpine
    *(str(p) for p in sorted(Path("/usr/lib64").glob("python3*/site-packages"))),
)

PACKAGES = (
    "install python3-bpfcc (Debian, Ubuntu), python3-bcc (Fedora, RHEL, openSUSE), "
    "python-bcc (Arch) or py3-bcc (Alpine)"
)

# Numbers of the kernel (enum bpf_prog_type; PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK).
_PROGRAM_TYPES = {
    Attach.KPROBE: 2, Attach.KRETPROBE: 2, Attach.TRACEPOINT: 5, Attach.PERF_EVENT: 7, Attach.RAW_TRACEPOINT: 17,
    Attach.FENTRY: 26, Attach.FEXIT: 26, Attach.UPROBE: 2, Attach.URETPROBE: 2, Attach.USDT: 2, Attach.COUNTED: 7,
    Attach.TIMED: 7,
}  # fmt: skip
_SOFTWARE, _CPU_CLOCK = 1, 0
_TYPES_OF = {Attach.TP_BTF: RAW_TP, Attach.ITER: ITER, Attach.FENTRY: FENTRY, Attach.FEXIT: FEXIT}
_TRAMPOLINES = {Attach.FENTRY: b"kfunc__", Attach.FEXIT: b"kretfunc__"}
_CALLS = (
    "bpf_num_functions", "bpf_function_name", "bpf_function_start", "bpf_function_size", "bpf_module_license",
    "bpf_table_fd", "bpf_num_tables", "bpf_table_name", "bpf_attach_tracepoint", "bpf_attach_raw_tracepoint",
    "bpf_attach_kprobe", "bpf_attach_kfunc", "bpf_attach_perf_event",
)  # fmt: skip


class BccMissingError(Exception):
    """The bcc package, or its library, is not installed, or they do not belong together."""


class BccError(Exception):
    """bcc refused; why is on stderr."""


class Compiled:
    """A compiled program. It owns the descriptors that it gives out."""

    def __init__(self, lib: Any, module: Any) -> None:
        self._lib, self._module = lib, module

    def map_fd(self, name: str) -> int:
        """The descriptor of a map. Raises BccError."""
        fd = int(self._lib.bpf_table_fd(self._module.module, name.encode()))
        if fd < 0:
            raise BccError(f"the program has no map {name!r}")
        return fd

    def map_names(self) -> list[str]:
        """All maps."""
        count, name = self._lib.bpf_num_tables, self._lib.bpf_table_name
        # bcc does not call these two, and declares them nowhere.
        count.restype, count.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
        name.restype, name.argtypes = ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_size_t]
        module = self._module.module
        return [name(module, number).decode() for number in range(count(module))]

    def load(self, probe: Probe, type_id: int = 0) -> int:
        """Have the kernel check and load the probe's function: its descriptor. One for tp_btf or an iterator is loaded
        for that type id, by ourselves, as bcc does not know these kinds. Raises BccError."""
        if probe.kind in TYPED or (type_id and probe.kind in _TYPES_OF):
            return self._load_typed(probe, type_id, _TYPES_OF[probe.kind])
        try:
            return int(self._module.load_func(self._name(probe), _PROGRAM_TYPES[probe.kind]).fd)
        except Exception as error:  # bcc raises plain Exception
            # bcc tells root, too, to become root; the kernel's own words follow on stderr
            raise BccError(str(error).replace("Need super-user privileges to run", "not permitted")) from error

    def load_for_links(self, probe: Probe) -> int:
        """The same for user functions that one link is to attach it to, where the kernel has such links. Raises
        BccError."""
        return self._load_as(probe, 0, UPROBE_MULTI, kind=KPROBE, told=False)

    def _load_typed(self, probe: Probe, type_id: int, where: int) -> int:
        if not type_id:
            raise BccError(f"this kernel's BTF has no {probe}")
        return self._load_as(probe, type_id, where)

    def _load_as(self, probe: Probe, type_id: int, where: int, **how: Any) -> int:
        module, name = self._module.module, probe.function.encode()
        start, size = self._lib.bpf_function_start(module, name), self._lib.bpf_function_size(module, name)
        if not start:
            raise BccError(f"the program has no function for {probe}")
        licence = self._lib.bpf_module_license(module)
        try:
            return load_typed(probe.function, ctypes.string_at(start, size), licence, type_id, where, **how)
        except OSError as error:
            raise BccError(str(error.strerror)) from error

    def _name(self, probe: Probe) -> bytes:
        """What the probe's function is called in the program."""
        prefix, target = _TRAMPOLINES.get(probe.kind), probe.target.encode()
        if prefix is None:
            return probe.function.encode()
        known = {prefix + target, prefix + b"vmlinux__" + target}
        count = self._lib.bpf_num_functions(self._module.module)
        for name in (self._lib.bpf_function_name(self._module.module, i) for i in range(count)):
            if name in known:
                return bytes(name)
        raise BccError(f"the program has no function for {probe}")


class Bcc:
    """The compiler, and the library's ways to attach."""

    def __init__(self, module: Any) -> None:
        """Raises BccMissingError for a bcc that lacks what is needed."""
        self._lib, self._make = module.lib, module.BPF
        lacking = [name for name in _CALLS if not hasattr(self._lib, name)]
        if lacking:
            raise BccMissingError(f"bcc in {_folder(module)} is too old: it has no {lacking[0]}()")
        self._make._trace_autoload = lambda _program: None

    def compile(self, text: str, flags: Sequence[str]) -> Compiled:
        """Compile a C program. Raises BccError."""
        try:
            return Compiled(self._lib, self._make(text=text.encode(), cflags=list(flags)))
        except Exception as error:  # bcc raises plain Exception
            raise BccError(str(error)) from error

    def attach(self, probe: Probe, fd: int) -> int:
        """Attach a loaded function where the probe says: a descriptor, negative when that failed."""
        target = probe.target.encode()
        if probe.kind is Attach.TRACEPOINT:
            return int(self._lib.bpf_attach_tracepoint(fd, *target.split(b":")))
        if probe.kind is Attach.RAW_TRACEPOINT:
            return int(self._lib.bpf_attach_raw_tracepoint(fd, target))
        if probe.kind in TYPED:
            return _attached(probe, fd)
        if probe.kind in _TRAMPOLINES:
            return int(self._lib.bpf_attach_kfunc(fd))
        returns = int(probe.kind is Attach.KRETPROBE)
        event = f"{'pr'[returns]}_ebtop_{os.getpid()}_{probe.target}".encode()
        return int(self._lib.bpf_attach_kprobe(fd, returns, event, target, 0, 0))

    def sample(self, fd: int, frequency: int, cpu: int) -> int:
        """Run a loaded function `frequency` times a second on a CPU: a descriptor, negative when that failed."""
        period, per_second = ctypes.c_uint64(0), ctypes.c_uint64(frequency)
        return int(self._lib.bpf_attach_perf_event(fd, _SOFTWARE, _CPU_CLOCK, period, per_second, -1, cpu, -1))


def _attached(probe: Probe, program: int) -> int:
    try:
        return attach_typed(program) if probe.kind is Attach.TP_BTF else attach_iterator(program)
    except OSError as error:
        raise BccError(f"cannot attach: {error.strerror}") from error


def _folder(module: Any) -> Path:
    return Path(module.__file__).parent


def _spec() -> Any:
    for place in _PLACES:
        init = Path(place, "bcc", "__init__.py")
        if init.is_file() and Path(place, "bcc", "libbcc.py").is_file():
            return importlib.util.spec_from_file_location("bcc", init, submodule_search_locations=[str(init.parent)])
    return None


def _imported(spec: Any) -> Any:
    """The module. Raises BccMissingError with one line."""
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec.loader.exec_module(module)
    except Exception as error:
        raise BccMissingError(_why(_folder(module), error)) from error
    return module


def _why(folder: Path, error: Exception) -> str:
    if isinstance(error, AttributeError) and "symbol" in str(error).lower():
        return f"bcc in {folder} and its library are of different versions ({error}): install both anew"
    return f"bcc in {folder} does not load ({error}): {PACKAGES}"


def load() -> Bcc:
    """bcc, imported. Raises BccMissingError with what to install."""
    spec = _spec()
    if spec is None:
        raise BccMissingError(f"bcc is missing: {PACKAGES}")
    return Bcc(_imported(spec))


def installed() -> str:
    """Where bcc is and which version it says it is, "" when it is not there."""
    spec = _spec()
    if spec is None:
        return ""
    folder = Path(spec.origin).parent
    return f"{folder}{_version(folder)}"


def _version(folder: Path) -> str:
    try:
        told = re.search(r"""__version__ = ["']([\w.+~-]+)""", (folder / "version.py").read_text())
    except OSError:
        return ""
    return f" ({told[1]})" if told else ""
