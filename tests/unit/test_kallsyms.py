"""Kernel names, from made-up symbol tables and from the running kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ebtop.resolve.kallsyms import KernelSymbols
from ebtop.resolve.symbols import Symbolizer
from ebtop.tick import Frame
from tests import pace

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to see addresses")


def kallsyms(tmp_path: Path, text: str) -> KernelSymbols:
    (tmp_path / "kallsyms").write_text(text)
    return KernelSymbols(str(tmp_path / "kallsyms"))


def test_kernel_names(tmp_path: Path) -> None:
    symbols = kallsyms(
        tmp_path,
        "ffffffff81000000 T _stext\nffffffff81000000 t alias\n"
        "ffffffff81000100 t do_work\nffffffff81000200 D some_data\n"
        "ffffffffc0000000 t step\t[ext4]\nffffffff81000180 W weak_one\nffffffffc0000100 T last\t[ext4]\nbroken\n",
    )
    wanted = [0xFFFFFFFF81000010, 0xFFFFFFFF81000150, 0xFFFFFFFF81000190, 0xFFFFFFFF81000210, 0xFFFFFFFFC0000001]
    assert symbols.lookup(wanted) == [
        ("_stext", "kernel"), ("do_work", "kernel"), ("weak_one", "kernel"), ("[unknown]", "kernel"), ("step", "ext4"),
    ]  # fmt: skip
    assert symbols.lookup([0, 1, 2**64 - 1, -1]) == [("[unknown]", "kernel")] * 4
    assert symbols.state == ""
    assert symbols.lookup([]) == []


def test_what_is_known_goes_with_the_table_it_is_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module is unloaded and another takes its place: as soon as the table is read again, its names are the ones."""
    monkeypatch.setattr("ebtop.resolve.kallsyms._REFRESH_S", 0.0)
    work, module, later = 0xFFFFFFFF81000004, 0xFFFFFFFFC0000004, 0xFFFFFFFFC0200004
    symbols = kallsyms(tmp_path, "ffffffff81000000 T work\nffffffffc0000000 t old\t[one]\n")
    for _ in range(2):
        assert symbols.lookup([work, module]) == [("work", "kernel"), ("old", "one")]
    kallsyms(tmp_path, "ffffffff81000000 T work\nffffffffc0000000 t new\t[two]\nffffffffc0200000 t other\t[two]\n")
    assert symbols.lookup([work, later, work]) == [("work", "kernel"), ("other", "two"), ("work", "kernel")]
    assert symbols.lookup([module]) == [("new", "two")]


def test_kernel_frames_know_return_addresses(tmp_path: Path) -> None:
    symbols = Symbolizer(kallsyms(tmp_path, "ffffffff81000000 T caller\nffffffff81000100 T next\n"))
    at_end = 0xFFFFFFFF81000100
    assert symbols.kernel([at_end, at_end]) == [Frame("next", "kernel", True), Frame("caller", "kernel", True)]
    assert symbols.kernel([]) == []


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("0000000000000000 T _stext\n0000000000000000 t f\n", "no kernel symbols: kptr_restrict"),
        ("", "is empty"),
        ("\n\nnot a symbol table at all\n", "is empty"),
        ("ffffffff81000000 T ", "is empty"),
    ],
)
def test_no_kernel_names(tmp_path: Path, text: str, state: str) -> None:
    symbols = Symbolizer(kallsyms(tmp_path, text))
    assert symbols.kernel([0xFFFFFFFF81000001]) == [Frame("[unknown]", "kernel", True)]
    assert state in symbols.kernel_state


def test_no_kallsyms(tmp_path: Path) -> None:
    symbols = KernelSymbols(str(tmp_path / "none"))
    assert symbols.lookup([1]) == [("[unknown]", "kernel")]
    assert "No such file" in symbols.state


@needs_root
def test_the_running_kernel() -> None:
    lines = Path("/proc/kallsyms").read_text().splitlines()
    functions = {line.split()[2]: int(line.split()[0], 16) for line in lines if line.split()[1] in "tT"}
    symbols = KernelSymbols()
    with pace.at_most(300):
        symbols.lookup([1])
    if symbols.state:
        pytest.skip(symbols.state)
    wanted = [name for name in ("do_syscall_64", "schedule", "vfs_read", "tcp_v4_connect") if name in functions]
    assert [name for name, _ in symbols.lookup([functions[name] + 4 for name in wanted])] == wanted


def test_places_of_functions(tmp_path: Path) -> None:
    symbols = kallsyms(
        tmp_path,
        "ffffffff81000000 T first\nffffffff81000000 t alias\nffffffff81000100 t second\n"
        "ffffffff81000180 t second.cold\nffffffff81000200 D second_data\nffffffffc0000000 t first\t[module]\n",
    )
    assert symbols.places(["first", "second", "second_data", "missing", "fir.t"]) == {
        "first": (0xFFFFFFFF81000000, 0x100), "second": (0xFFFFFFFF81000100, 0x80),
    }  # fmt: skip


def test_places_that_are_kept_back_are_not_told(tmp_path: Path) -> None:
    assert kallsyms(tmp_path, "0000000000000000 T first\n0000000000000000 t second\n").places(["first"]) == {}
