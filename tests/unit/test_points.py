"""Patterns of attach points, the formats of tracepoints, and BTF that is not as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebtop.attachpoint import Argument, Point, PointKind, spelt
from ebtop.capture.btf import BtfError
from ebtop.capture.points.btffunctions import VMLINUX, Functions
from ebtop.capture.points.search import matcher
from ebtop.capture.points.tracepoints import fields, tracepoints

OPENAT = """name: sys_enter_openat
ID: 782
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;
\tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;
\tfield:char comm[16];\toffset:32;\tsize:16;\tsigned:0;
\tfield:__data_loc char[] name;\toffset:48;\tsize:4;\tsigned:0;

print fmt: "x"
"""


@pytest.fixture
def tracefs(tmp_path: Path) -> Path:
    """As much of one as is read."""
    (tmp_path / "available_events").write_text("ftrace:function\nsyscalls:sys_enter_openat\nsched:sched_switch\n")
    folder = tmp_path / "events/syscalls/sys_enter_openat"
    folder.mkdir(parents=True)
    (folder / "format").write_text(OPENAT)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "kprobe:tcp_connect", True),
        ("tcp_*", "kprobe:tcp_connect", True),
        ("kprobe:tcp_*", "kprobe:tcp_connect", True),
        ("k:tcp_*", "kprobe:tcp_connect", True),
        ("*:tcp_connect", "fentry:tcp_connect", True),
        ("kprobe:tcp", "kprobe:tcp_connect", False),
        ("kprobe:TCP_*", "kprobe:tcp_connect", False),
        ("connect TCP", "kprobe:tcp_connect", True),
        ("connect udp", "kprobe:tcp_connect", False),
        ("kprobe:tcp_[ab]*", "kprobe:tcp_connect", False),
        ("kprobe:[", "kprobe:tcp_connect", False),
        ("kprobe:tcp.connect", "kprobe:tcp_connect", False),
    ],
)
def test_patterns(pattern: str, name: str, matches: bool) -> None:
    assert matcher(pattern)(name) is matches


def test_kinds_can_be_spelt_as_bpftrace_does() -> None:
    spellings = ["rawtracepoint:x", "t:a:b", "kfunc:x", "U:/bin/x:y:z", "other:x", "tcp_connect"]
    kinds = ["raw_tracepoint:x", "tracepoint:a:b", "fentry:x", "usdt:/bin/x:y:z", "other:x", "tcp_connect"]
    assert [spelt(name) for name in spellings] == kinds


def test_the_fields_of_a_tracepoint(tracefs: Path) -> None:
    wanted = [("__syscall_nr", "int"), ("filename", "const char *"), ("comm", "char[16]"), ("name", "char[]")]
    assert fields(tracefs, "syscalls:sys_enter_openat") == tuple(Argument(*one) for one in wanted)
    assert [str(a) for a in fields(tracefs, "syscalls:sys_enter_openat") or ()][1] == "const char *filename"
    assert fields(tracefs, "sched:sched_switch") is None
    assert fields(tracefs, "sched:a\0b") is None


def test_tracepoints_carry_why_none_can_be_attached(tracefs: Path) -> None:
    found = list(tracepoints(tracefs, "because"))
    assert [str(point) for point in found] == ["tracepoint:syscalls:sys_enter_openat", "tracepoint:sched:sched_switch"]
    assert {point.refusal for point in found} == {"because"}
    assert found[0] == Point(PointKind.TRACEPOINT, "syscalls:sys_enter_openat", "because")


def test_functions_of_this_kernel() -> None:
    if not VMLINUX.exists():
        pytest.skip("this kernel has no BTF")
    functions = Functions()
    assert [str(a) for a in functions.arguments("vfs_read") or ()] == [
        "struct file *file", "char *buf", "size_t count", "loff_t *pos",
    ]  # fmt: skip
    assert functions.returns("vfs_read") == "ssize_t"
    assert (functions.arguments("no_such_function"), functions.returns("no_such_function")) == (None, "")
    assert "sched_switch" in set(functions.tracepoints())


@pytest.mark.parametrize("keep", [0, 1, 23, 24, 40, 5000, -1])
def test_cut_btf(tmp_path: Path, keep: int) -> None:
    if not VMLINUX.exists():
        pytest.skip("this kernel has no BTF")
    cut = tmp_path / "btf"
    cut.write_bytes(VMLINUX.read_bytes()[:keep])
    with pytest.raises(BtfError):
        Functions(cut)


def test_btf_that_leads_out_of_itself(tmp_path: Path) -> None:
    """One function whose type is not there."""
    types = b"".join(number.to_bytes(4, "little") for number in (1, 12 << 24, 77))
    header = b"".join(number.to_bytes(4, "little") for number in (24, 0, len(types), len(types), 3))
    path = tmp_path / "btf"
    path.write_bytes(b"\x9f\xeb\x01\x00" + header + types + b"\0f\0")
    functions = Functions(path)
    with pytest.raises(BtfError):
        functions.arguments("f")
