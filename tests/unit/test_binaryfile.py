"""Which file a name leads to: in other mount namespaces, behind symlinks, and when it was deleted or replaced."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import BinaryError, open_binary, open_executable, open_in_process
from ebtop.resolve.binaryname import open_named, path_of
from ebtop.resolve.regularfile import open_beneath
from tests.namespaces import need_mounts
from tests.unit.elfprograms import built
from tests.unit.test_codesegments import running

ROOT = os.geteuid() == 0
SAYS = """
#include <stdio.h>
int %s(void) { return getchar(); }
int main(void) { puts("up"); fflush(stdout); return %s() > 0; }
"""


def program(folder: Path, name: str) -> str:
    return built(folder, name, "-static", "-O0", source=SAYS.replace("%s", f"{name}_waits"), compiler="gcc")


def functions(pid: int, path: str = "") -> list[str]:
    with open_in_process(pid, path) if path else open_executable(pid) as file:
        return [f.name for f in Binary(file, Binaries()).find("*_waits").functions]


def test_a_program_that_was_deleted(tmp_path: Path) -> None:
    path = program(tmp_path, "old")
    with running(path) as process:
        os.unlink(path)
        with open_executable(process.pid) as file:
            assert (file.path, file.deleted, file.seen_here) == (path, True, "")
        assert functions(process.pid) == ["old_waits"]


def test_a_program_that_was_replaced(tmp_path: Path) -> None:
    """What runs is what is probed, not what has its name now."""
    path = program(tmp_path, "old")
    with running(path) as process:
        os.rename(program(tmp_path, "new"), path)
        assert functions(process.pid) == ["old_waits"]
        with open_binary(path) as file:
            assert [f.name for f in Binary(file, Binaries()).find("*_waits").functions] == ["new_waits"]
        if ROOT:  # by map_files
            assert functions(process.pid, path) == ["old_waits"]
            with open_in_process(process.pid, path) as file:
                assert file.deleted
        else:
            with pytest.raises(BinaryError, match="gone, or another file"):
                open_in_process(process.pid, path)


def test_the_path_to_attach_to_leads_to_what_was_opened(tmp_path: Path) -> None:
    path = program(tmp_path, "old")
    with open_binary(path) as file:
        os.rename(program(tmp_path, "new"), path)
        status = os.stat(file.attach_path)
        assert (status.st_dev, status.st_ino) == (file.identity.device, file.identity.inode)
        assert status.st_ino != os.stat(path).st_ino


@pytest.mark.skipif(not ROOT or not shutil.which("unshare"), reason="needs root and unshare")
def test_another_mount_namespace(tmp_path: Path) -> None:
    """The same path is one file here and another there."""
    need_mounts()
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    inner = program(there, "inner")
    os.rename(inner, there / "server")
    os.rename(program(here, "outer"), here / "server")
    script = f"mount --bind {there} {here} && exec {here}/server"
    with running("/usr/bin/unshare", "-m", "sh", "-c", script) as process:
        assert functions(process.pid, f"{here}/server") == ["inner_waits"]
        assert functions(process.pid) == ["inner_waits"]
        with open_in_process(process.pid, f"{here}/server") as file:
            assert file.seen_here == f"/proc/{process.pid}/root{here}/server"


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_absolute_symlinks_are_those_of_the_other_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc" / "alternatives").mkdir(parents=True)
    (root / "bin").mkdir()
    path = program(tmp_path, "inner")
    os.rename(path, root / "bin" / "real")
    os.symlink("/bin/real", root / "etc" / "alternatives" / "tool")
    os.symlink("/etc/alternatives/tool", root / "bin" / "tool")
    os.symlink("../../../../../../../etc/passwd", root / "bin" / "out")
    os.symlink("/proc/self/exe", root / "bin" / "magic")
    os.symlink("loop", root / "bin" / "loop")
    os.mkfifo(root / "bin" / "pipe")
    with running("/usr/sbin/chroot", str(root), "/bin/tool") as process:
        assert functions(process.pid, "/bin/tool") == ["inner_waits"]
        for name, reason in {
            "out": "no such file",
            "magic": "no such file",
            "loop": "too many",
            "pipe": "not a regular",
        }.items():
            with pytest.raises(BinaryError, match=f"/bin/{name} of process {process.pid}: {reason}"):
                open_in_process(process.pid, f"/bin/{name}")


def test_nothing_outside_a_root_is_opened(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("x")
    os.symlink("../secret", tmp_path / "root" / "link")
    os.symlink(f"/proc/self/fd/{os.open(tmp_path, os.O_PATH)}", tmp_path / "root" / "magic")
    root = os.open(tmp_path / "root", os.O_PATH)
    for path in ("../secret", "link", "/link", str(tmp_path / "secret"), "magic/secret"):
        with pytest.raises(OSError, match=r"No such file|Too many|Not a dir"):
            open_beneath(root, path)
    os.close(root)


def test_a_mapped_library_by_its_short_name() -> None:
    with open_in_process(os.getpid(), "libc") as file:
        assert Path(file.path).name.startswith("libc.so")
        assert Binary(file, Binaries()).find("getpid").functions
        assert not file.deleted


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "not an ELF"), (b"#!/bin/sh\n", "is a script: probe what runs it, /bin/sh"), (b"#!", "is a script"),
     (b"\x7fELF", "truncated"), (b"\x7fELF" + b"\2\1\1" + bytes(300), "neither an executable")],
)  # fmt: skip
def test_files_that_are_no_programs(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(BinaryError, match=reason), open_binary(str(path)) as file:
        Binary(file, Binaries())


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    for opened, reason in (
        (lambda: open_binary("/nonexistent/x"), "no such file or directory"),
        (lambda: open_binary("/dev/null"), "not a regular file"),
        (lambda: open_binary(str(tmp_path)), "not a regular file"),
        (lambda: open_binary("a\0b"), "null"),
        (lambda: open_executable(gone.pid), "no such process"),
        (lambda: open_in_process(gone.pid, "/bin/sh"), "no such process"),
        (lambda: open_in_process(os.getpid(), "/nonexistent/x"), "no such file or directory"),
        (lambda: open_executable(2), "no such file|permission"),  # a kernel thread
    ):
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(BinaryError, match=reason):
            opened()
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process in a mount namespace of its own, that runs a program and has a library which are there only."""
    if os.geteuid():
        pytest.skip("needs root, for a mount namespace")
    need_mounts()
    shell = f"""mount -t tmpfs none {tmp_path} && cd {tmp_path} && cp /bin/sh napper && cp {path_of("libm")} libown.so.7
    ln -s {tmp_path}/napper link && LD_PRELOAD={tmp_path}/libown.so.7 exec ./napper -c 'echo up; read x'
    """
    command = ["unshare", "-m", "sh", "-c", shell]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"up\n"
        yield process, tmp_path
        process.kill()


def test_names_in_another_mount_namespace(elsewhere: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, folder = elsewhere
    seen = Path(f"/proc/{process.pid}/root{folder}")
    program, library = (os.stat(seen / name) for name in ("napper", "libown.so.7"))
    assert not list(folder.iterdir())
    for name, pid, path, wanted in (
        (f"/proc/{process.pid}/exe", 0, f"/proc/{process.pid}/exe", program),
        (f"{seen}/napper", 0, f"{seen}/napper", program),
        (f"{seen}/link", 0, f"{seen}/link", program),  # an absolute link, which from here leads nowhere
        (f"{folder}/napper", process.pid, f"{folder}/napper", program),
        ("napper", process.pid, f"{folder}/napper", program),
        ("libown", process.pid, f"{folder}/libown.so.7", library),
        ("sh", process.pid, shutil.which("sh"), os.stat("/bin/sh")),
    ):
        found, file = open_named(name, pid)
        with file:
            assert (found, file.identity.device, file.identity.inode) == (path, wanted.st_dev, wanted.st_ino), name
    for name, pid in ((f"{folder}/napper", 0), ("napper", 0)):
        with pytest.raises(BinaryError):
            open_named(name, pid)
    with pytest.raises(BinaryError, match="no library has that name"):
        open_named("libown", process.pid, mapped=False)


def test_names_as_a_process_here_sees_them(tmp_path: Path) -> None:
    path = program(tmp_path, "old")
    with running(path) as process:
        shutil.copy("/bin/true", tmp_path / "other")
        os.replace(tmp_path / "other", path)
        for name in (path, "old"):
            found, file = open_named(name, process.pid)
            with file:
                assert (found, file.identity.inode, file.deleted) == (
                    path,
                    os.stat(f"/proc/{process.pid}/exe").st_ino,
                    True,
                )
        found, file = open_named("sh", process.pid)
        with file:
            assert (found, file.pid) == (shutil.which("sh"), 0)
        found, file = open_named(path, process.pid, mapped=False)
        with file:
            assert file.identity.inode == os.stat(path).st_ino
    found, file = open_named("sh", process.pid)  # it has gone
    file.close()
    assert found == shutil.which("sh")


def test_short_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert path_of("/any/path") == "/any/path"
    assert path_of("sh") == shutil.which("sh")
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    known = re.findall(r"^\t(\S+) \((?:libc6,x86-64|libc6,AArch64)[^)]*\) => (\S+)$", listed, re.MULTILINE)
    assert known
    for library, path in known:
        assert path_of(library) in {p for name, p in known if name == library}, path
    for name in ("c", "libc", "libc.so.6"):
        assert Path(path_of(name)).name == "libc.so.6"
    for name in ("", "nosuch-program", "libnosuch"):
        with pytest.raises(BinaryError, match="no library has that name"):
            path_of(name)
    for junk in (b"", b"glibc-ld.so.cache1.1", b"glibc-ld.so.cache1.1" + b"\xff" * 200, os.urandom(300)):
        (tmp_path / "cache").write_bytes(junk)
        with pytest.raises(BinaryError, match="no library has that name"):
            path_of("libc", str(tmp_path / "cache"))
