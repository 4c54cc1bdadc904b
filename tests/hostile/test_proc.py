"""Files of /proc and maps of compiled code, with the worst names that the kernel lets through."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ebtop import arguments, capability
from ebtop.resolve import cgroup, mappings, perfmap, process, regularfile
from ebtop.resolve.container import container_of
from ebtop.resolve.kallsyms import KernelSymbols
from ebtop.resolve.perfmap import PerfMap, PerfMapError
from tests import pace
from tests.hostile import examples
from tests.hostile.words import raw, text

PID = 4242


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Files that `read_bounded` gives instead of the real ones, by path."""
    files: dict[str, bytes] = {}

    def read(path: str, limit: int) -> bytes:
        if path not in files:
            raise FileNotFoundError(2, "no such file", path)
        return files[path][:limit]

    for module in (process, perfmap, mappings, cgroup):
        monkeypatch.setattr(module, "read_bounded", read)
    process._known_details.clear()
    return files


def stat_line(name: bytes) -> bytes:
    return b"%d (%s) S 1 " % (PID, name) + b" ".join(b"%d" % n for n in range(5, 53)) + b"\n"


@examples(200)
@given(name=st.one_of(st.binary(max_size=15).map(lambda b: b.replace(b"\0", b"")), raw().map(lambda b: b[:15])),
       words=st.lists(raw(), max_size=3), group=raw())  # fmt: skip
@example(name=b") S 1 (", words=[], group=b"/a")
@example(name=b"\rUid:\t0\t77\t0", words=[], group=b"/a")
@example(name=b"a", words=[], group=b"/user\x0c0::/docker/" + b"f" * 64)
def test_a_process(proc: dict[str, bytes], name: bytes, words: list[bytes], group: bytes) -> None:
    """Only line feeds and backslashes are escaped in status; cgroups cannot have line feeds in their names."""
    group = group.replace(b"\n", b"")
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    proc[f"/proc/{PID}/stat"] = stat_line(name)
    proc[f"/proc/{PID}/status"] = b"Name:\t" + escaped + b"\nUid:\t54321\t54321\t54321\t54321\n"
    proc[f"/proc/{PID}/cgroup"] = b"1:name=systemd:/" + group + b"\n0::/" + group + b"\n"
    proc[f"/proc/{PID}/cmdline"] = b"\0".join(words) + b"\0" if words else b""
    process._known_details.clear()
    found = process.details(PID)
    assert found.alive
    assert os.fsencode(found.comm) == name
    assert found.user == "54321"
    assert os.fsencode(found.cgroup) == b"/" + group
    assert [os.fsencode(word) for word in found.argv] == words
    assert perfmap._owner_and_inner_pid(PID) == (54321, PID)


@examples(200)
@given(files=st.fixed_dictionaries({name: st.one_of(raw(), st.binary(max_size=100),
st.just(stat_line(b"x"))) for name in
                                    ("stat", "status", "cgroup", "cmdline", "comm", "maps")}))  # fmt: skip
def test_any_bytes_in_proc(proc: dict[str, bytes], files: dict[str, bytes]) -> None:
    proc.update({f"/proc/{PID}/{name}": data for name, data in files.items()})
    process.details(PID)
    process.comm(PID)
    mappings.read_mappings(PID)


def test_a_process_may_call_itself_what_it_likes() -> None:
    """The kernel's own word for it: a carriage return in a name is no new line in status."""
    script = (
        "import ctypes\nctypes.CDLL(None).prctl(15, b'\\rUid:\\t0\\t77\\t0', 0, 0, 0)\nprint(flush=True)\ninput()\n"
    )
    child = subprocess.Popen([sys.executable, "-S", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    try:
        found = process.details(child.pid)
        assert found.comm == "\rUid:\t0\t77\t0"
        assert found.user == process.user_name(os.geteuid())
    finally:
        child.communicate(b"\n")


def test_our_own_name_may_be_any_bytes() -> None:
    names: list[int] = []

    def renamed() -> None:
        before = capability.mask()
        ctypes.CDLL(None).prctl(15, b"\xff\rCapEff:\tf", 0, 0, 0)
        names.extend([before, capability.mask()])

    thread = threading.Thread(target=renamed)
    thread.start()
    thread.join()
    assert names[0] == names[1]


MAPS = [b"7f00-7f10 r-xp 00000000 08:01 5 /lib/a\\012b.so (deleted)",
b"7f00-7f10 r-xp 00000000 08:01 5 /a (deleted) (deleted)",
        b"10-0 r-xp 0 0:0 0", b"ffffffffffffffff-ffffffffffffffff r-xp 0 0:0 0", b"7f00-7f10 r-xp 0 00:00 0 [vdso]",
        b"7f00-7f10 r-xp 0 00:05 9 /memfd:x (deleted)", b"7f00-7f10 --xp 0 00:05 99999999999999999999 /x", b"x",
        b"7f00-7f10 r-xp 0 00:00 0 [anon:" + b"x" * 80 + b"]", b"7f00-7f10 rwxs 0 00:05 9 /dev/zero"]  # fmt: skip


@examples(150)
@given(lines=st.lists(st.one_of(st.sampled_from(MAPS),
raw().map(lambda b: b"7f00-7f10 r-xp 0 08:01 5 /" + b.replace(b"\n", b"\\012")),
                                raw()), max_size=12), address=st.integers(-1, 1 << 65))  # fmt: skip
def test_maps(proc: dict[str, bytes], lines: list[bytes], address: int) -> None:
    proc[f"/proc/{PID}/maps"] = b"\n".join(lines) + b"\n"
    for mapping in mappings.read_mappings(PID):
        assert "/" not in mapping.module or mapping.module.startswith("[")
        with pytest.raises((OSError, ValueError)):
            mappings.open_mapping(PID + (1 << 40), mapping._replace(path="/nowhere" + mapping.path))
    mappings.read_mappings(PID).find(address)


@examples(150)
@given(word=raw(), field=st.integers(0, 1))
def test_mounts(proc: dict[str, bytes], word: bytes, field: int) -> None:
    """Anyone may mount a FUSE file system on a folder of an odd name: it is never taken for the cgroup tree."""
    odd = b"".join(b"\\%03o" % b if b in b" \t\n\\#" else bytes([b]) for b in word)
    lines = b"".join((
        b"30 1 0:1 / /" + odd + b" rw - fuse." + odd + b" " + odd + b" rw\n",
        b"31 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        b"32 1 0:1 /" + odd + b" /x rw - fuse cgroup2 rw\n",
    ))  # fmt: skip
    proc["/proc/self/mountinfo"] = lines
    assert cgroup.find_mount() == "/sys/fs/cgroup"
    with pytest.raises(arguments.UsageError, match="no control group"):
        arguments.cgroup_of("no/such/\x1bgroup" + "x" * 300)


@examples(200)
@given(path=text())
@example(path="/machine.slice/machine-" * 2000)
@example(path="/lxc." * 20_000)
@example(path="/system.slice/machine-\\x1b[2J.scope")
def test_containers(path: str) -> None:
    with pace.at_most(100):
        container_of(path)
        container_of("/docker/" + path + "a" * 64)


KALLSYMS = [b"ffffffff81000000 T _text", b"0000000000000000 A x", b"ffffffff81000010 t a\t[mod]",
b"ffffffffc0000000 t \x1b]0;x\x07\t[m\xff]",
            b"zzzzzzzzzzzzzzzz T x", b"ffffffff81000000", b"ffffffff81000000 T " + b"n" * 5000,
            b"fffffffffffffffff T y", b"", b"\t\t[", b" "]  # fmt: skip


@examples(150)
@given(
    lines=st.lists(st.one_of(st.sampled_from(KALLSYMS), st.binary(max_size=30)), max_size=12),
    end=st.sampled_from([b"\n", b""]),
)
def test_kernel_symbols(tmp_path: Path, lines: list[bytes], end: bytes) -> None:
    path = tmp_path / "kallsyms"
    path.write_bytes(b"\n".join(lines) + end)
    symbols = KernelSymbols(str(path))
    for name, module in symbols.lookup([0, 1, 0xFFFFFFFF81000008, 0xFFFFFFFFC0000004, (1 << 64) - 1, -1, 1 << 70]):
        assert name
        assert module


@pytest.fixture
def owner() -> Iterator[int]:
    """A process whose map is hostile."""
    child = subprocess.Popen(["sleep", "300"])
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()
        Path(f"/tmp/perf-{child.pid}.map").unlink(missing_ok=True)


def map_of(pid: int) -> Path:
    return Path(f"/tmp/perf-{pid}.map")


PERF_LINES = [b"1000 10 f", b"0x1000 0x10 g", b"-1 10 h", b"1000 -10 i", b"ffffffffffffffff ffffffffffffffff top",
b"0 ffffffffffffffff all",
              b"1000 10", b"1000 10 ", b"zz 10 x", b"1000 0 none", b"  1000 10 x", b"1000\t10\ttab",
              b"1" * 17 + b" 1 x", b"\0" * 50,
              b"1000 10 " + b"n" * 9000, b"1000 10 \x1b]0;x\x07", b"1000 10 \xff\xfe",
              b"1000 10 a\rb\x0bc"]  # fmt: skip


@examples(100)
@given(
    lines=st.lists(st.one_of(st.sampled_from(PERF_LINES), raw(), st.binary(max_size=20)), max_size=20),
    address=st.integers(-1, 1 << 65),
)
def test_perf_maps(owner: int, lines: list[bytes], address: int) -> None:
    map_of(owner).write_bytes(b"\n".join(lines) + b"\n")
    found = PerfMap(owner)
    found.refresh()
    for at in (address, 0, 0x1000, 0x1008, (1 << 64) - 1):
        name = found.lookup(at)
        assert name is None or 0 < len(os.fsencode(name)) <= 4096


def flood(write: Callable[[Path], None], pid: int) -> PerfMap:
    """A map after one refresh, which takes neither long (capture has other things to do) nor much memory."""
    write(map_of(pid))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = PerfMap(pid)
    with pace.at_most(200):
        found.refresh()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10  # KiB
    return found


def test_a_map_that_is_one_line_of_64_megabytes(owner: int) -> None:
    assert len(flood(lambda path: path.write_bytes(b"1000 10 " + b"x" * (64 << 20)), owner)) == 0


def test_a_map_of_a_terabyte_that_takes_no_disk(owner: int) -> None:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(b"1000 10 good\n")
            file.truncate(1 << 40)

    assert flood(write, owner).lookup(0x1001) == "good"


def test_a_map_of_millions_of_lines_is_read_a_part_at_a_time(owner: int) -> None:
    found = flood(lambda path: path.write_bytes(b"".join(b"%x 1 f\n" % n for n in range(2_000_000))), owner)
    assert 100_000 < len(found) < 450_000
    for _ in range(10):
        found.refresh()
    assert len(found) > 450_000
    assert found.nbytes < 50 << 20
    assert found.lookup(400_000) == "f"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make devices")
def test_a_map_that_is_a_device(owner: int) -> None:
    os.mknod(map_of(owner), 0o20644, os.makedev(1, 5))
    with pytest.raises(PerfMapError):
        PerfMap(owner).refresh()
    with pytest.raises(OSError, match="not a regular file"):
        regularfile.open_regular(str(map_of(owner)))
