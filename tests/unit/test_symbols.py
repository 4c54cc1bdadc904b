"""Stacks of real programs: living, replaced, exited, inside another root."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ebtop.resolve import symbolfiles
from ebtop.resolve.elf import ElfSymbols, read_build_id
from ebtop.resolve.elflayout import kernel_build_id
from ebtop.resolve.mappings import read_mappings
from ebtop.resolve.symbols import Symbolizer, UserFrame
from ebtop.tick import Frame

needs_gcc = pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("g++"), reason="needs gcc and g++")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to follow map_files")

ADDRESS = 2
BUILD_ID = 1

SOURCE = r"""
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) void NAME(void) { __asm__ volatile("nop"); }
__attribute__((noreturn, noinline)) void ends_with_a_call(void) { _exit(0); }
void first_byte_after(void) {}
int main(void) {
    printf("%p %p\n", (void *)NAME, (void *)first_byte_after);
    fflush(stdout);
    getchar();
    ends_with_a_call();
}
"""


def build(folder: Path, name: str, function: str = "inner_step", *flags: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.c").write_text(SOURCE.replace("NAME", function))
    program = str(folder / name)
    subprocess.run(["gcc", "-w", "-O1", "-o", program, f"{program}.c", *flags], check=True)
    return program


class Running:
    """A program of SOURCE that waits; `inner` is the address of its function, `after` that of the next one."""

    def __init__(self, *command: str) -> None:
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.child.stdout
        line = self.child.stdout.readline()
        if not line and command[0] == "unshare":
            pytest.skip("no mount namespaces here")
        self.inner, self.after = (int(word, 16) for word in line.split())
        self.pid = self.child.pid

    def offset(self, address: int) -> int:
        mapping = read_mappings(self.pid).find(address)
        assert mapping
        return address - mapping.start + mapping.offset

    def end(self) -> None:
        if self.child.poll() is None:
            self.child.communicate(b"\n")


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(*command: str) -> Running:
        started.append(Running(*command))
        return started[-1]

    yield run
    for running in started:
        running.end()


def by_address(*addresses: int) -> list[UserFrame]:
    return [UserFrame(ADDRESS, bytes(20), address) for address in addresses]


@needs_gcc
@pytest.mark.parametrize(
    "flags", [["-pie"], ["-no-pie"], ["-static"], ["-Wl,-Ttext=0x5000000", "-no-pie"], ["-Wl,--build-id=none"]]
)
def test_living_programs(tmp_path: Path, start: Callable[..., Running], flags: list[str]) -> None:
    running = start(build(tmp_path, "program", "inner_step", *flags))
    symbols = Symbolizer()
    assert symbols.user(running.pid, by_address(running.inner)) == [Frame("inner_step", "program", False)]
    offset, build_id = running.offset(running.inner), kernel_build_id(read_build_id(str(tmp_path / "program")))
    if build_id:
        found = symbols.user(running.pid, [UserFrame(BUILD_ID, build_id, offset)])
        assert found == [Frame("inner_step", "program", False)]


@needs_gcc
def test_return_addresses_belong_to_the_call_before_them(tmp_path: Path, start: Callable[..., Running]) -> None:
    running = start(
        build(
            tmp_path, "program", "inner_step", "-fno-reorder-functions", "-fno-toplevel-reorder", "-falign-functions=1"
        )
    )
    found = Symbolizer().user(running.pid, by_address(running.after, running.after))
    assert [frame.name for frame in found] == ["first_byte_after", "ends_with_a_call"]


@needs_gcc
def test_cpp_names_come_demangled(tmp_path: Path) -> None:
    (tmp_path / "a.cc").write_text(
        "namespace app { template <class T> T work(T x) { return x + 1; } } int main() { return app::work(1); }"
    )
    subprocess.run(["g++", "-o", tmp_path / "a", tmp_path / "a.cc"], check=True)
    symbols = ElfSymbols.load(str(tmp_path / "a"))
    line = next(
        li
        for li in subprocess.run(["nm", tmp_path / "a"], capture_output=True, text=True).stdout.splitlines()
        if "work" in li
    )
    address = int(line.split()[0], 16)
    assert symbols.lookup(address) == line.split()[2]
    naming = Symbolizer()
    naming.learn_exec(0, str(tmp_path / "a"))
    frame = UserFrame(BUILD_ID, kernel_build_id(symbols.build_id), address)  # PIE: the text's offset is its address
    assert naming.user(0x7FFFFFF0, [frame]) == [Frame("int app::work<int>(int)", "a", False)]


@needs_gcc
def test_a_program_that_is_gone_is_named_by_its_build_id(tmp_path: Path, start: Callable[..., Running]) -> None:
    path = build(tmp_path, "program")
    running = start(path)
    frame = UserFrame(BUILD_ID, kernel_build_id(read_build_id(path)), running.offset(running.inner))
    by_exec, by_scan, ignorant = Symbolizer(), Symbolizer(), Symbolizer()
    assert by_scan.learn_running(5)
    running.end()
    by_exec.learn_exec(running.pid, path)
    assert by_exec.user(running.pid, [frame]) == [Frame("inner_step", "program", False)]
    assert by_scan.user(running.pid, [frame]) == [Frame("inner_step", "program", False)]
    [unknown] = ignorant.user(running.pid, [frame])
    assert unknown == ("[unknown]", f"[build id {frame.build_id[:4].hex()}]", False)
    assert ignorant.failures["no file with that build id"] == 1


@needs_gcc
def test_what_others_still_run_is_found_for_a_process_that_is_gone(
    tmp_path: Path, start: Callable[..., Running]
) -> None:
    path = build(tmp_path, "program")
    running, gone = start(path), 0x7FFFFFF0
    frame = UserFrame(BUILD_ID, kernel_build_id(read_build_id(path)), running.offset(running.inner))
    assert Symbolizer().user(gone, [frame]) == [Frame("inner_step", "program", False)]


@needs_gcc
def test_a_program_without_build_id_at_a_fixed_address_is_named_when_gone(
    tmp_path: Path, start: Callable[..., Running]
) -> None:
    path = build(tmp_path, "program", "inner_step", "-static", "-Wl,--build-id=none")
    running = start(path)
    symbols = Symbolizer()
    symbols.learn_exec(running.pid, path)
    running.end()
    assert symbols.user(running.pid, by_address(running.inner)) == [Frame("inner_step", "program", False)]
    assert symbols.user(running.pid, by_address(12345))[0].name == "[unknown]"


@needs_gcc
@needs_root
@pytest.mark.parametrize("learnt", [False, True])
def test_a_replaced_binary_gives_no_wrong_names(tmp_path: Path, start: Callable[..., Running], learnt: bool) -> None:
    path, other = build(tmp_path, "program", "old_name"), build(tmp_path, "other", "new_name")
    running = start(path)
    frame = UserFrame(BUILD_ID, kernel_build_id(read_build_id(path)), running.offset(running.inner))
    symbols = Symbolizer()
    if learnt:
        symbols.learn_running(5)
    os.replace(other, path)
    expected = Frame("old_name", "program", False)
    assert symbols.user(running.pid, [frame, *by_address(running.inner + 1)]) == [expected, expected]
    running.end()
    [after] = Symbolizer().user(running.pid, [frame])
    assert after.name == "[unknown]"


@needs_gcc
def test_a_replaced_binary_that_is_gone_is_unknown(tmp_path: Path, start: Callable[..., Running]) -> None:
    path, other = build(tmp_path, "program", "old_name"), build(tmp_path, "other", "new_name")
    running = start(path)
    frame = UserFrame(BUILD_ID, kernel_build_id(read_build_id(path)), running.offset(running.inner))
    symbols = Symbolizer()
    symbols.learn_exec(running.pid, path)
    running.end()
    os.replace(other, path)
    assert symbols.user(running.pid, [frame])[0].name == "[unknown]"
    assert symbols.failures["file was replaced"] == 1


@needs_gcc
@needs_root
def test_a_program_in_another_root(tmp_path: Path, start: Callable[..., Running]) -> None:
    """Its path leads nowhere from here, and to another program from an unlucky place."""
    path = build(tmp_path / "root", "program", "contained_name", "-static")
    running = start("chroot", str(tmp_path / "root"), "/program")
    frame = UserFrame(BUILD_ID, kernel_build_id(read_build_id(path)), running.offset(running.inner))
    expected = Frame("contained_name", "program", False)
    assert Symbolizer().user(running.pid, by_address(running.inner)) == [expected]
    assert Symbolizer().user(running.pid, [frame]) == [expected]
    at_exec = Symbolizer()
    at_exec.learn_exec(running.pid, "/program")
    running.end()
    assert at_exec.user(running.pid, [frame]) == [expected]


@needs_gcc
@needs_root
def test_a_program_on_a_file_system_that_is_not_seen_from_here(tmp_path: Path, start: Callable[..., Running]) -> None:
    """As in a container: when it has gone, so has the way to its file."""
    path, inside = build(tmp_path, "program"), tmp_path / "inside"
    inside.mkdir()
    script = f"mount -t tmpfs none {inside} && cp {path} {inside}/copy && exec {inside}/copy"
    running = start("unshare", "--mount", "sh", "-c", script)
    frame = UserFrame(BUILD_ID, kernel_build_id(read_build_id(path)), running.offset(running.inner))
    assert Symbolizer().user(running.pid, [frame]) == [Frame("inner_step", "copy", False)]
    at_exec = Symbolizer()
    at_exec.learn_exec(running.pid, f"{inside}/copy")
    running.end()
    assert at_exec.user(running.pid, [frame]) == [Frame("inner_step", "copy", False)]


@needs_gcc
def test_without_the_right_to_follow_map_files(
    tmp_path: Path, start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ebtop.resolve.mappings.mapped_file", lambda *_: "/nonexistent")
    path, other = build(tmp_path, "program", "old_name"), build(tmp_path, "other", "new_name")
    running = start(path)
    symbols = Symbolizer()
    assert symbols.user(running.pid, by_address(running.inner))[0].name == "old_name"
    os.replace(other, path)
    symbols.tick()
    assert symbols.user(running.pid, by_address(running.inner))[0] == ("[unknown]", "program", False)


@needs_gcc
@needs_root
def test_files_of_root_win_over_others_that_claim_their_build_id(tmp_path: Path) -> None:
    same = "-Wl,--build-id=0x" + "ab" * 20
    real, fake = build(tmp_path, "real", "true_name", same), build(tmp_path, "fake", "fake_name", same)
    os.chown(fake, 12345, 12345)
    address = next(
        int(li.split()[0], 16)
        for li in subprocess.run(["nm", real], capture_output=True, text=True).stdout.splitlines()
        if "true_name" in li
    )
    symbols, frame = Symbolizer(), UserFrame(BUILD_ID, b"\xab" * 20, address)
    symbols.learn_exec(0, fake)
    assert symbols.user(0x7FFFFFF0, [frame])[0].name == "fake_name"
    for path in (real, fake):
        symbols.learn_exec(0, path)
    symbols.tick()
    assert symbols.user(0x7FFFFFF0, [frame]) == [Frame("true_name", "real", False)]


def test_libraries_of_this_process() -> None:
    libc = ctypes.CDLL(None)
    address = ctypes.cast(libc.qsort, ctypes.c_void_p).value
    assert address
    [frame] = Symbolizer().user(os.getpid(), by_address(address))
    assert frame.name.startswith("qsort")
    assert frame.module.startswith("libc")


def test_the_vdso() -> None:
    try:
        vdso = ctypes.CDLL("linux-vdso.so.1")  # the loader knows it by this name, and where its functions are
        function = vdso.__vdso_gettimeofday
    except (OSError, AttributeError):
        pytest.skip("no vdso that the loader tells of")
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address
    [frame] = Symbolizer().user(os.getpid(), by_address(address))
    assert frame.name in {"gettimeofday", "__vdso_gettimeofday"}
    assert frame.module == "[vdso]"


@pytest.mark.parametrize("flags", [mmap.MAP_SHARED, mmap.MAP_PRIVATE])
def test_compiled_code_is_named_by_the_perf_map(flags: int) -> None:
    code = mmap.mmap(-1, 4096, flags | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    start = ctypes.addressof(ctypes.c_char.from_buffer(code))
    path = Path(f"/tmp/perf-{os.getpid()}.map")
    symbols = Symbolizer()
    try:
        assert symbols.user(os.getpid(), by_address(start)) == [Frame("[unknown]", "[anon]", False)]
        path.write_text(f"{start:x} 40 LazyCompile:step\n")
        symbols.tick()
        assert symbols.user(os.getpid(), by_address(start + 8)) == [Frame("LazyCompile:step", "[jit]", False)]
        assert symbols.user(os.getpid(), by_address(start + 0x80)) == [Frame("[unknown]", "[anon]", False)]
    finally:
        path.unlink(missing_ok=True)


@needs_gcc
def test_exec_and_new_mappings_are_noticed(tmp_path: Path, start: Callable[..., Running]) -> None:
    running = start(build(tmp_path, "program"))
    symbols = Symbolizer()
    symbols._maps.put(running.pid, read_mappings(os.getpid()))  # as if this pid had been another program before
    symbols.tick()
    assert symbols.user(running.pid, by_address(running.inner))[0].name == "inner_step"
    symbols._maps.put(running.pid, type(read_mappings(running.pid))([]))  # known, but before a dlopen
    symbols._modules.clear()
    assert symbols.user(running.pid, by_address(running.inner))[0].name == "inner_step"


def test_unknown_frames_never_raise() -> None:
    symbols = Symbolizer()
    strange = [(2, b"", 0), (2, b"", 2**64 - 1), (1, b"", 5), (1, b"\xff" * 20, 2**64 - 1), (7, b"", 1), (-1, b"", 1)]
    frames = [UserFrame(*parts) for parts in strange]
    for pid in (os.getpid(), 0x7FFFFFF0, 0, -1):
        assert {frame.name for frame in symbols.user(pid, frames)} == {"[unknown]"}
    assert sum(symbols.failures.values()) >= 4 * len(frames)
    assert symbols.user(1, [UserFrame(0, b"", 0), *frames]) == []
    symbols.learn_exec(0x7FFFFFF0, "/none")
    symbols.learn_exec(0x7FFFFFF0, "relative")
    symbols.learn_exec(os.getpid(), "a\0b")
    symbols.learn_exec(0x7FFFFFF0, "/etc/passwd")


@needs_gcc
def test_a_damaged_file_costs_its_own_names_only(tmp_path: Path) -> None:
    path = Path(build(tmp_path, "program"))
    build_id = read_build_id(str(path))
    data = bytearray(path.read_bytes())
    data[40:48] = b"\xff" * 8  # where the sections are
    path.write_bytes(data)
    symbols = Symbolizer()
    symbols.learn_exec(0, str(path))
    assert (
        symbols.user(0x7FFFFFF0, [UserFrame(BUILD_ID, kernel_build_id(build_id), 0x1000)] * 2)
        == [Frame("[unknown]", "program", False)] * 2
    )
    assert symbols.failures["no symbols could be read"] == 2


@needs_gcc
def test_what_has_too_many_symbols_to_be_kept_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, reads = build(tmp_path, "program"), []

    class Huge(ElfSymbols):
        nbytes = 1 << 40

        def __init__(self, *args: object) -> None:
            reads.append(args)

    monkeypatch.setattr(symbolfiles, "ElfSymbols", Huge)
    files = symbolfiles.SymbolFiles(Counter())
    with Path(path).open("rb") as file:
        for _ in range(3):
            assert files.by_file(file.fileno(), path).symbols is None
    assert len(reads) == 1
    assert files.failures["unreadable ELF file: more symbols than can be kept"] == 1


def test_the_scan_of_running_programs_can_be_interrupted() -> None:
    symbols = Symbolizer()
    assert not symbols.learn_running(0)
    assert not symbols.learn_running(5, stopped=lambda: True)
    assert symbols.learn_running(5)
