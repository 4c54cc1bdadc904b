"""Perf maps of real processes, and those that must not be believed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebtop.resolve.perfmap import PerfMap, PerfMapError
from tests.namespaces import need_mounts

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files to another user")


@pytest.fixture
def process() -> Iterator[int]:
    child = subprocess.Popen(["sleep", "60"])
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()
        path_of(child.pid).unlink(missing_ok=True)


def path_of(pid: int) -> Path:
    return Path(f"/tmp/perf-{pid}.map")


def read(pid: int) -> PerfMap:
    found = PerfMap(pid)
    found.refresh()
    return found


def test_names_and_bounds(process: int) -> None:
    path_of(process).write_text(
        "1000 10 LazyCompile:*step app.js:3\n0x2000 0x20 Main::run(int)\n3000 8 \udcff\x1b[2J\n",
        errors="surrogateescape",
    )
    found = read(process)
    assert found.lookup(0x1000) == found.lookup(0x100F) == "LazyCompile:*step app.js:3"
    assert found.lookup(0x1010) is found.lookup(0xFFF) is found.lookup(-1) is found.lookup(1 << 65) is None
    assert found.lookup(0x2005) == "Main::run(int)"
    assert found.lookup(0x3001) == "\udcff\x1b[2J"
    assert len(found) == 3


def test_what_is_appended_is_read_and_recompiled_code_has_its_new_name(process: int) -> None:
    path_of(process).write_text("1000 100 old\n5000 10 unfini")
    found = read(process)
    assert found.lookup(0x1001) == "old"
    assert found.lookup(0x5001) is None
    with path_of(process).open("a") as file:
        file.write("shed\n1000 100 new\n1080 8 inner\n")
    found.refresh()
    assert found.lookup(0x1001) == "new"
    assert found.lookup(0x1081) == "inner"
    assert found.lookup(0x1090) == "new"
    assert found.lookup(0x5001) == "unfinished"


def test_a_file_that_was_written_anew_is_read_anew(process: int) -> None:
    path_of(process).write_text("1000 100 old\n2000 100 gone\n")
    found = read(process)
    time.sleep(0.01)
    path_of(process).write_text("1000 100 new\n")
    found.refresh()
    assert (found.lookup(0x1001), found.lookup(0x2001)) == ("new", None)


def test_lines_that_are_none(process: int) -> None:
    path_of(process).write_bytes(
        b"\n\nzz 10 a\n1000\n1000 10\n-1 5 b\n" + b"f" * 17 + b" 10 c\n4000 10 good\nffffffffffffffff ff top\n"
        b"6000 10 " + b"x" * 100_000 + b"\n7000 0 empty\n" + bytes(1000) + b"\n"
    )
    found = read(process)
    assert found.lookup(0x4001) == "good"
    assert found.lookup(0x6001) == "x" * 4096
    assert found.lookup(0x7000) is None
    assert len(found) == 4


def test_no_map(process: int) -> None:
    with pytest.raises(PerfMapError):
        read(process)
    with pytest.raises(PerfMapError):
        read(0x7FFFFFF0)


def test_symlinks_fifos_and_folders_are_not_followed(process: int, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("1000 10 secret\n")
    path_of(process).symlink_to(tmp_path / "other")
    with pytest.raises(PerfMapError):
        read(process)
    path_of(process).unlink()
    os.mkfifo(path_of(process))
    with pytest.raises(PerfMapError):
        read(process)
    path_of(process).unlink()
    path_of(process).mkdir()
    with pytest.raises(PerfMapError):
        read(process)
    path_of(process).rmdir()


@needs_root
def test_maps_of_another_user_are_refused(process: int) -> None:
    path_of(process).write_text("1000 10 fake\n")
    os.chown(path_of(process), 12345, 12345)
    with pytest.raises(PerfMapError, match="someone else"):
        read(process)
    os.chown(path_of(process), 0, 0)
    path_of(process).chmod(0o666)
    with pytest.raises(PerfMapError, match="someone else"):
        read(process)


@needs_root
def test_a_process_in_a_pid_namespace_names_its_map_by_its_own_pid(tmp_path: Path) -> None:
    """With a root of its own, as in a container."""
    need_mounts()
    script = (
        "mount -t tmpfs none /tmp && printf '1000 10 inside\\n' > /tmp/perf-1.map && touch /tmp/ready && exec sleep 60"
    )
    child = subprocess.Popen(
        ["unshare", "--fork", "--pid", "--mount", "--kill-child", "sh", "-c", script], stderr=subprocess.PIPE
    )
    try:
        inner = wait_for_child(child)
        assert read(inner).lookup(0x1001) == "inside"
    finally:
        child.kill()
        child.communicate()


@needs_root
@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_a_folder_that_leads_out_of_a_root_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "wait.c").write_text('int main() { write(1, "!", 1); pause(); }')
    subprocess.run(["gcc", "-w", "-static", "-o", tmp_path / "wait", tmp_path / "wait.c"], check=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "tmp").symlink_to(tmp_path / "outside")
    child = subprocess.Popen(["chroot", str(tmp_path), "/wait"], stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.read(1)
    try:
        (tmp_path / "outside" / f"perf-{child.pid}.map").write_text("1000 10 outside\n")
        with pytest.raises(PerfMapError):
            read(child.pid)
        (tmp_path / "tmp").unlink()
        (tmp_path / "outside").rename(tmp_path / "tmp")
        assert read(child.pid).lookup(0x1001) == "outside"
    finally:
        child.kill()
        child.communicate()


def wait_for_child(child: subprocess.Popen[bytes]) -> int:
    for _ in range(100):
        if child.poll() is not None:
            pytest.skip(f"no namespaces here: {child.communicate()[1].decode()}")
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/root/tmp/ready").exists():
            return int(children[0])
        time.sleep(0.05)
    pytest.fail("the namespace did not come up")


def test_a_large_map_is_bounded(process: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebtop.resolve.perfmap._MAX_HELD", 1 << 17)
    path_of(process).write_text("".join(f"{i * 16 + 4096:x} 10 f{i}\n" for i in range(5000)))
    assert 1 << 17 <= read(process).nbytes < (1 << 17) + 200
    monkeypatch.setattr("ebtop.resolve.perfmap._MAX_FILE", 100)
    assert len(read(process)) < 10


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python writes perf maps from 3.12 on")
def test_python_writes_one_that_is_read() -> None:
    code = "import sys; sys.activate_stack_trampoline('perf')\ndef busy(): print('ready', flush=True); input()\nbusy()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    try:
        assert any("busy" in name.decode() for name in read(child.pid)._names)
    finally:
        child.communicate(b"\n")
        path_of(child.pid).unlink(missing_ok=True)
