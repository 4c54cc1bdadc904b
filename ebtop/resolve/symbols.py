"""Names for stack addresses, of the kernel and of processes, of those that are gone as well as can be."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ebtop.resolve.bounded import BoundedCache
from ebtop.resolve.debugfile import DEBUG_ROOT
from ebtop.resolve.demangle import demangle
from ebtop.resolve.kallsyms import KernelSymbols
from ebtop.resolve.mappings import Mapping, Mappings, mapped_file, open_mapping, read_mappings
from ebtop.resolve.perfmap import PerfMap, PerfMapError
from ebtop.resolve.regularfile import Identity, open_regular
from ebtop.resolve.symbolfiles import Module, SymbolFiles
from ebtop.resolve.vdso import NAME as VDSO
from ebtop.resolve.vdso import vdso_function
from ebtop.tick import Frame

UNKNOWN = "[unknown]"
ANONYMOUS = "[anon]"
JIT = "[jit]"

_SEARCH_AGAIN_S = 10.0
_SEARCH_S = 0.1
_PROGRAMS = 4

_END, _BUILD_ID, _ADDRESS = 0, 1, 2  # enum bpf_stack_build_id_status, Linux include/uapi/linux/bpf.h


class UserFrame(NamedTuple):
    """struct bpf_stack_build_id. `value` is a file offset when `status` is 1, an instruction pointer when it is 2."""

    status: int
    build_id: bytes
    value: int


class Symbolizer:
    """Names stack frames. Nothing raises: what fails becomes an [unknown] frame, counted by reason in `failures`.

    Stacks come innermost frame first. All frames but the innermost are return addresses, which may already belong to
    the next function, so they are looked up one byte earlier. For one thread at a time.
    """

    def __init__(self, kernel: KernelSymbols | None = None, debug_root: str = DEBUG_ROOT) -> None:
        self.failures: Counter[str] = Counter()
        self.epoch = 0
        self._kernel = KernelSymbols() if kernel is None else kernel
        self.files = SymbolFiles(self.failures, debug_root)
        self._names: BoundedCache[tuple[bytes | Identity, int], Frame] = BoundedCache(65536, 24 << 20)
        self._maps: BoundedCache[int, Mappings] = BoundedCache(4096)
        self._modules: dict[tuple[int, Mapping], Module | None] = {}
        self._learnt: set[int] = set()
        self._perf_maps: BoundedCache[int, PerfMap] = BoundedCache(64, 64 << 20)
        self._perf_maps_read: dict[int, bool] = {}
        self._programs: BoundedCache[int, Module] = BoundedCache(1024)
        self._executed: BoundedCache[int, tuple[bytes, ...]] = BoundedCache(4096)
        self._searched_at = float("-inf")
        self._unscanned: list[int] | None = None
        self._seen_files: set[tuple[int, int]] = set()

    @property
    def kernel_state(self) -> str:
        """ "" when kernel functions can be named, otherwise why not; known after the first kernel stack."""
        return self._kernel.state

    def tick(self) -> None:
        """Begin a new interval: what processes have mapped is read anew, so that exec and dlopen are noticed."""
        self.epoch += 1
        self._maps.clear()
        self._modules.clear()
        self._learnt.clear()
        self._perf_maps_read.clear()
        if self.files.revision:
            self.files.revision = 0
            self._names.clear()
        if len(self.failures) > 1000:  # reasons name sizes that a file claims: anyone can make many
            self.failures = self.files.failures = Counter(dict(self.failures.most_common(100)))

    def kernel_places(self, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Address and size of kernel functions, as far as they are known."""
        return self._kernel.places(names)

    def kernel(self, addresses: Sequence[int]) -> list[Frame]:
        """Frames for kernel addresses, innermost first. The module is "kernel" or a kernel module's name."""
        wanted = [address - 1 if index else address for index, address in enumerate(addresses)]
        return [Frame(name, module, True) for name, module in self._kernel.lookup(wanted)]

    def user(self, pid: int, frames: Sequence[UserFrame]) -> list[Frame]:
        """Frames for the user part of a stack, innermost first; an empty frame (status 0) ends it."""
        result: list[Frame] = []
        for frame in frames:
            if frame.status == _END:
                break
            value = frame.value - 1 if result else frame.value
            try:
                result.append(self._user(pid, frame, value))
            except (OSError, ValueError, OverflowError, MemoryError) as error:
                result.append(self._unknown(ANONYMOUS, type(error).__name__))
        return result

    def _user(self, pid: int, frame: UserFrame, value: int) -> Frame:
        if frame.status == _BUILD_ID:
            return self._by_build_id(pid, frame.build_id, value)
        if frame.status == _ADDRESS:
            return self._by_address(pid, value)
        return self._unknown(ANONYMOUS, f"stack frame status {frame.status}")

    def _unknown(self, module: str, reason: str) -> Frame:
        self.failures[reason] += 1
        return Frame(UNKNOWN, module, False)

    def _by_build_id(self, pid: int, build_id: bytes, offset: int) -> Frame:
        known = self._names.get((build_id, offset))
        if known is not None:
            return known
        module = self.files.by_build_id(build_id)
        if module is None:
            self._learn_process(pid)
            module = self.files.by_build_id(build_id)
        if module is None and time.monotonic() - self._searched_at > _SEARCH_AGAIN_S:
            self._searched_at = time.monotonic()
            self.learn_running(_SEARCH_S)  # others may still run what a process that is gone has run
            module = self.files.by_build_id(build_id)
        if module is None:
            return self._unknown(f"[build id {build_id[:4].hex()}]", "no file with that build id")
        return self._in_file(module, build_id, offset)

    def _in_file(self, module: Module, key: bytes | Identity, offset: int) -> Frame:
        if module.symbols is None:
            return self._unknown(module.name, "no symbols could be read")
        name = module.symbols.lookup_offset(offset)
        frame = Frame(demangle(name), module.name, False) if name else self._unknown(module.name, "no such symbol")
        self._names.put((key, offset), frame, 200 + len(frame.name))
        return frame

    def _by_address(self, pid: int, address: int) -> Frame:
        mapping = self.mapping(pid, address)
        if mapping is None:
            return self._without_mapping(pid, address)
        if mapping.path == VDSO:
            return self._in_vdso(mapping, address)
        if mapping.is_file:
            module = self._module_of(pid, mapping)
            offset = address - mapping.start + mapping.offset
            if module is not None and module.symbols is not None:
                known = self._names.get((module.identity, offset))
                return known if known is not None else self._in_file(module, module.identity, offset)
        return self._compiled(pid, address, mapping.module)

    def _module_of(self, pid: int, mapping: Mapping) -> Module | None:
        key = (pid, mapping)
        if key not in self._modules:
            self._modules[key] = self._open_module(pid, mapping)
        return self._modules[key]

    def _open_module(self, pid: int, mapping: Mapping) -> Module | None:
        try:
            fd = open_mapping(pid, mapping)
        except (OSError, ValueError) as error:
            self.failures[f"mapped file: {type(error).__name__}"] += 1
            return None
        try:
            return self.files.by_file(fd, mapping.path)
        finally:
            os.close(fd)

    def mapping(self, pid: int, address: int) -> Mapping | None:
        """What is mapped at an address; what was read before is read again, once, when it has nothing there."""
        known = self._maps.get(pid)
        found = known.find(address) if known is not None else None
        if found is None and (known is None or not known.fresh):
            read = self._read_mappings(pid)
            if read is None:
                return None
            read.fresh = known is not None
            found = read.find(address)
        return found

    def mappings_now(self, pid: int) -> Iterable[Mapping]:
        """What a process has mapped as executable at this moment."""
        return self._read_mappings(pid) or ()

    def _read_mappings(self, pid: int) -> Mappings | None:
        try:
            read = read_mappings(pid)
        except (OSError, ValueError):
            return None
        self._maps.put(pid, read)
        return read

    def _without_mapping(self, pid: int, address: int) -> Frame:
        """The process is gone, or has unmapped that: a program at a fixed address can still be named."""
        program = self._programs.get(pid)
        if self._maps.get(pid) is None and program is not None and program.symbols is not None:
            name = program.symbols.lookup(address)
            if name:
                return Frame(demangle(name), program.name, False)
        return self._compiled(pid, address, ANONYMOUS)

    def _compiled(self, pid: int, address: int, module: str) -> Frame:
        perf_map = self._perf_map(pid)
        name = perf_map.lookup(address) if perf_map is not None else None
        return Frame(name, JIT, False) if name else self._unknown(module, "no perf map has that address")

    def _perf_map(self, pid: int) -> PerfMap | None:
        """The perf map of a process, read once an interval; of a process that is gone, what was read before."""
        known = self._perf_maps.get(pid)
        if self._perf_maps_read.get(pid):
            return known
        self._perf_maps_read[pid] = True
        perf_map = known or PerfMap(pid)
        try:
            perf_map.refresh()
        except PerfMapError:
            if pid in self._maps:  # it is there and has no map: this pid had another process before
                self._perf_maps.drop(pid)
            return known if pid not in self._maps else None
        self._perf_maps.put(pid, perf_map, perf_map.nbytes)
        return perf_map

    def _in_vdso(self, mapping: Mapping, address: int) -> Frame:
        name = vdso_function(mapping, address)
        return Frame(name, mapping.path, False) if name else self._unknown(mapping.path, "no such symbol")

    def programs(self, inode: int) -> tuple[bytes, ...]:
        """The build ids of programs that were seen to be executed and have that number in their file system."""
        return self._executed.get(inode) or ()

    def _learn_process(self, pid: int) -> None:
        """Remember the build ids of everything that a process has mapped; once an interval."""
        if pid in self._learnt:
            return
        self._learnt.add(pid)
        mappings = self._maps.get(pid) or self._read_mappings(pid)
        for mapping in mappings or ():
            if mapping.is_file:
                self._learn_mapping(pid, mapping)

    def _learn_mapping(self, pid: int, mapping: Mapping) -> None:
        try:
            fd = open_mapping(pid, mapping)
        except (OSError, ValueError) as error:
            self.failures[f"mapped file: {type(error).__name__}"] += 1
            return
        try:
            self.files.learn(fd, mapping.path, mapped_file(pid, mapping))
        finally:
            os.close(fd)

    def learn_running(self, seconds: float = 0.5, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Remember the build ids of all programs that run, for at most `seconds`; True when all were seen.

        Call it again to go on where it stopped. `stopped` is asked between processes.
        """
        deadline = time.monotonic() + seconds
        if self._unscanned is None:
            self._unscanned = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        while self._unscanned:
            if time.monotonic() > deadline or stopped():
                return False
            self._learn_new_files(self._unscanned.pop())
        self._unscanned = None
        self._seen_files.clear()
        return True

    def _learn_new_files(self, pid: int) -> None:
        try:
            mappings = read_mappings(pid)
        except (OSError, ValueError):
            return
        for mapping in mappings:
            if mapping.is_file and (mapping.device, mapping.inode) not in self._seen_files:
                self._seen_files.add((mapping.device, mapping.inode))
                self._learn_mapping(pid, mapping)

    def learn_exec(self, pid: int, path: str) -> None:
        """Remember the program that a process was seen to execute, which may be gone in a moment."""
        executable = f"/proc/{pid}/exe"
        self._programs.drop(pid)
        try:
            name = str(Path(executable).readlink()).removesuffix(" (deleted)")
        except OSError:
            name = ""
        if name and self._learn_program(pid, executable, name) and name == path:
            return
        if path.startswith("/"):
            _ = self._learn_program(pid, f"/proc/{pid}/root{path}", path) or self._learn_program(pid, path, path)

    def _learn_program(self, pid: int, opens: str, path: str) -> bool:
        try:
            fd = open_regular(opens)
        except (OSError, ValueError):
            return False
        try:
            facts = self.files.learn(fd, path, opens)
            if facts is None:
                return False
            inode = os.fstat(fd).st_ino
            others = [known for known in self.programs(inode) if known != facts.build_id]
            self._executed.put(inode, (*others[-_PROGRAMS + 1 :], facts.build_id))
            # What cannot be found again later has to be read now.
            if not facts.build_id and facts.fixed:
                self._programs.put(pid, self.files.by_file(fd, path))
            elif facts.build_id and not self.files.lasting(facts.build_id):
                self.files.by_file(fd, path)
            return True
        finally:
            os.close(fd)
