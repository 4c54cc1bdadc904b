"""The runner of other kernels, as far as it goes without one."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from ebtop import registry
from tests.vm import initramfs, packages, results
from tests.vm.expectations import EXPECTED
from tests.vm.guest import ways
from tests.vm.packages import Kernel, UnavailableError
from tests.vm.results import Result


def entries(raw: bytes) -> dict[str, tuple[int, bytes]]:
    """(mode, content) by name, read by the format's own words."""
    found, at = {}, 0
    while True:
        assert raw[at : at + 6] == b"070701"
        fields = [int(raw[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = raw[at + 110 : at + 110 + fields[11] - 1].decode()
        start = at + (110 + fields[11] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], raw[start : start + fields[6]])
        at = start + (fields[6] + 3) // 4 * 4


def test_an_archive_holds_what_was_put_in() -> None:
    found = entries(initramfs.archive({"init": b"#!/bin/sh\n", "odd": b"12345"}, ["bin"]))
    assert found == {"bin": (0o40755, b""), "init": (0o100755, b"#!/bin/sh\n"), "odd": (0o100755, b"12345")}


def module(folder: Path, name: str, depends: str) -> Path:
    """A file with the part of a module that says what it needs."""
    raw = b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0name=" + name.encode() + b"\0"
    file = folder / f"{name}.ko.xz"
    file.write_bytes(lzma.compress(raw))
    return file


def test_modules_come_after_those_that_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {"9p": "9pnet,netfs,built_in", "9pnet": "", "netfs": "fscache", "fscache": "", "9pnet_virtio": "9pnet"}
    modules = {name: module(tmp_path, name, depends) for name, depends in needs.items()}
    assert [name for name, _raw in initramfs.in_order(modules)] == ["9pnet", "9pnet_virtio", "fscache", "netfs", "9p"]
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"busybox")
    monkeypatch.setattr(initramfs, "BUSYBOX", busybox)
    found = entries(gzip.decompress(initramfs.image(modules)))
    assert {name for name in found if "/" in name} == {
        "bin/busybox", "modules/00-9pnet.ko", "modules/01-9pnet_virtio.ko", "modules/02-fscache.ko",
        "modules/03-netfs.ko", "modules/04-9p.ko",
    }  # fmt: skip


def test_the_newest_release_counts_by_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "linux-image-6.1.0-9-amd64 linux-image-6.1.0-56-amd64 linux-image-6.1.0-56-cloud-amd64 linux-image-6.1-amd64 "
        "linux-image-6.1.0-60-amd64-unsigned linux-image-6.1.0-56-rt-amd64 linux-image-6.1.0-56-amd64-dbg"
    )

    class Told:
        stdout = names

    monkeypatch.setattr(packages, "_apt", lambda *_words: Told)
    assert packages._listed("6.1", "") == ["6.1.0-56-amd64", "6.1.0-9-amd64"]
    assert packages._listed("6.1", "cloud") == ["6.1.0-56-cloud-amd64"]
    assert packages._listed("6.1", "rt") == ["6.1.0-56-rt-amd64"]


@pytest.mark.parametrize("name", ["6", "6.1-tiny", "newest", "6.1.3"])
def test_what_is_no_kernel_is_said(name: str) -> None:
    with pytest.raises(UnavailableError):
        assert Kernel(name).release


def test_each_alternative_of_each_tool_is_forced() -> None:
    for tool in registry.tools():
        several = [slot for slot in tool.slots if len(slot.alternatives) > 1]
        functions = [function for function, _probes in ways(tool)]
        assert len(set(functions)) == len(functions) == sum(len(slot.alternatives) for slot in several)
    assert set(EXPECTED) == {tool.name for tool in registry.tools()}


def test_the_table_has_a_column_for_each_kernel(tmp_path: Path) -> None:
    file = tmp_path / "results"
    done = [Result("opensnoop", "as it is", "tracepoint", 1), Result("runqlat", "tests", "", 3, 1, 2, "because")]
    for result in done:
        results.append(file, result)
    of_kernels = {"6.1": results.read(file), "6.12": [Result("opensnoop", "as it is", "", failed=1, detail="lost 5")]}
    assert of_kernels["6.1"] == done
    assert [line.split() for line in results.table(of_kernels)] == [
        ["TOOL", "TRIED", "PROBE", "USED", "6.1", "6.12"],
        ["opensnoop", "as", "it", "is", "tracepoint", "ok", "-"],
        ["runqlat", "tests", "3", "ok,", "1", "FAILED,", "2", "skipped", "-"],
        ["opensnoop", "as", "it", "is", "-", "FAILED"],
    ]
    assert results.totals(of_kernels) == (4, 2, 2)
    assert results.reasons(of_kernels)[-1] == "FAILED on 6.12: opensnoop as it is: lost 5"
