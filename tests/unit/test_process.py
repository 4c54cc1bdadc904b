"""Real processes, vanished ones, and container paths of the runtimes."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ebtop import capability
from ebtop.resolve import process
from ebtop.resolve.container import container_of
from ebtop.resolve.credentials import capability_names, credentials

ID = "0123456789abcdef" * 4
NO_PID = 0x7FFFFFF0


@pytest.fixture
def tree() -> Iterator[subprocess.Popen[bytes]]:
    """A shell with two children, one of which has a child."""
    script = "sleep 61 & sh -c 'sleep 62 & echo ready; wait' & wait"
    child = subprocess.Popen(
        ["sh", "-c", script, "an argument", "", "\udcff\x1b]0;x\x07"], stdout=subprocess.PIPE, cwd="/"
    )
    assert child.stdout
    child.stdout.readline()
    while psutil.Process(child.pid).status() != psutil.STATUS_SLEEPING:  # the grandchild's word came first
        time.sleep(0.001)
    try:
        yield child
    finally:
        for pid in (*process.descendants(child.pid), child.pid):
            with contextlib.suppress(ProcessLookupError):  # a shell ends with what it waits for
                os.kill(pid, 9)
        child.communicate()


def test_details_agree_with_psutil(tree: subprocess.Popen[bytes]) -> None:
    found, expected = process.details(tree.pid), psutil.Process(tree.pid)
    assert (found.pid, found.alive, found.comm, found.cwd) == (tree.pid, True, "sh", "/")
    assert found.exe == expected.exe()
    assert found.user == expected.username() == pwd.getpwuid(os.geteuid()).pw_name
    assert found.argv[1:] == ("-c", tree.args[2], "an argument", "", "\udcff\x1b]0;x\x07")  # type: ignore[index]
    assert found.threads == 1
    assert found.rss == pytest.approx(expected.memory_info().rss, rel=0.5)
    assert found.age_s == pytest.approx(time.time() - expected.create_time(), abs=1.0)
    assert found.cgroup == next(
        (line[3:] for line in Path(f"/proc/{tree.pid}/cgroup").read_text().splitlines() if line.startswith("0::")), ""
    )


def test_ancestors_go_up_to_the_first_process(tree: subprocess.Popen[bytes]) -> None:
    ancestors = process.details(tree.pid).ancestors
    assert [a.pid for a in ancestors] == [parent.pid for parent in psutil.Process(tree.pid).parents()]
    assert ancestors[0].pid == os.getpid()
    assert ancestors[0].argv[0] == psutil.Process().cmdline()[0]


def test_children_and_ids_agree_with_psutil(tree: subprocess.Popen[bytes]) -> None:
    found, expected = process.details(tree.pid), psutil.Process(tree.pid)
    children = sorted(expected.children(), key=lambda child: child.pid)
    assert [(c.pid, c.comm, list(c.argv)) for c in found.children] == [(c.pid, c.name(), c.cmdline()) for c in children]
    assert len(children) == 2
    assert (found.uid, found.gid) == (expected.uids().effective, expected.gids().effective)
    assert list(found.groups) == os.getgroups()
    assert found.state == "S"
    assert found.start / 1e9 == pytest.approx(expected.create_time(), abs=1.0)
    assert process.details(tree.pid).start == found.start  # looked at again, it must not waver


def test_children_are_found_without_the_kernel_telling(tree: subprocess.Popen[bytes], monkeypatch) -> None:
    told = process.details(tree.pid).children
    monkeypatch.setattr(process, "_children_told", lambda _pid: None)
    assert process.details(tree.pid).children == told
    monkeypatch.undo()
    monkeypatch.setattr(process, "_MAX_THREADS", 0)
    assert process.details(tree.pid).children == told


def test_children_of_every_thread_and_no_more_than_are_told(monkeypatch) -> None:
    code = (
        "import subprocess, threading\n"
        "def start(): subprocess.Popen(['sleep', '63']); done.release(); threading.Event().wait()\n"
        "done = threading.Semaphore(0)\n"
        "for _ in range(3): threading.Thread(target=start, daemon=True).start(); done.acquire()\n"
        "print(flush=True); input()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    while psutil.Process(child.pid).status() != psutil.STATUS_SLEEPING:  # the grandchild's word came first
        time.sleep(0.001)
    try:
        expected = sorted(c.pid for c in psutil.Process(child.pid).children())
        assert [c.pid for c in process.details(child.pid).children] == expected
        assert len(expected) == 3
        monkeypatch.setattr(process, "CHILDREN_TOLD", 2)
        assert [c.pid for c in process.details(child.pid).children] == expected[:2]
    finally:
        for pid in process.descendants(child.pid):
            os.kill(pid, 9)
        child.communicate(b"\n")


def test_descendants(tree: subprocess.Popen[bytes]) -> None:
    expected = {child.pid for child in psutil.Process(tree.pid).children(recursive=True)}
    assert process.descendants(tree.pid) == expected
    assert len(expected) == 3
    assert process.descendants(NO_PID) == set()


def test_names_outlive_processes() -> None:
    child = subprocess.Popen(["sleep", "60"])
    while process.comm(child.pid) != "sleep":  # until it has become sleep
        time.sleep(0.01)
    before = process.details(child.pid)
    child.kill()
    while child.poll() is None:
        zombie = process.details(child.pid)  # between death and reaping there is no memory, no exe, no cwd
        assert zombie.pid == child.pid
    assert process.comm(child.pid) == "sleep"
    after = process.details(child.pid)
    assert (before.alive, after.alive) == (True, False)
    assert (after.comm, after.argv, after.start) == ("sleep", ("sleep", "60"), before.start)
    assert (after.uid, after.capabilities) == (os.geteuid(), before.capabilities)


def test_a_process_that_never_was() -> None:
    found = process.details(NO_PID)
    assert (found.pid, found.alive, found.comm, found.ancestors) == (NO_PID, False, "", ())
    assert process.comm(NO_PID) == process.comm(-1) == ""


def test_a_zombie_is_described() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = process.details(child.pid)
    assert (found.alive, found.comm, found.exe, found.argv) == (True, "true", "", ())
    assert (found.state, found.children) == ("Z", ())
    child.wait()


def test_kernel_threads_have_neither_program_nor_arguments() -> None:
    found = process.details(2)
    if found.comm != "kthreadd":
        pytest.skip("no kernel threads are seen from here")
    assert (found.exe, found.argv, found.rss) == ("", (), 0)


def test_a_name_with_brackets_and_newlines() -> None:
    """comm ends at the last bracket, whatever it holds."""
    code = "import ctypes,sys; ctypes.CDLL(None).prctl(15, b') R 1 (\\n(x', 0, 0, 0); print(1, flush=True); input()"
    child = subprocess.Popen(["python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    while psutil.Process(child.pid).status() != psutil.STATUS_SLEEPING:  # the grandchild's word came first
        time.sleep(0.001)
    try:
        found = process.details(child.pid)
        assert found.comm == ") R 1 (\n(x"
        assert found.ancestors[0].pid == os.getpid()
        assert process.comm(child.pid) == found.comm
        assert child.pid in process.descendants(os.getpid())
    finally:
        child.communicate(b"\n")


def test_argv_is_bounded() -> None:
    child = subprocess.Popen(["sleep", "60", *["x" * 100_000] * 10])
    try:
        while process.comm(child.pid) != "sleep":
            time.sleep(0.01)
        assert sum(map(len, process.details(child.pid).argv)) <= 128 << 10
        assert sum(map(len, process._argv(child.pid, 4096))) <= 4096
    finally:
        child.kill()
        child.wait()


def held_capabilities() -> set[int]:
    """Ours, as /proc says in hexadecimal."""
    mask = int(re.search(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)[1], 16)  # type: ignore[index]
    return {n for n in range(64) if mask >> n & 1}


def waiting(command: list[str]) -> subprocess.Popen[bytes]:
    """A command whose last program says that it runs, and waits for its input to end."""
    child = subprocess.Popen([*command, "sh", "-c", "echo ready; read line"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    assert child.stdout
    if not child.stdout.readline():
        pytest.skip(f"{command[0]} is not allowed here")
    return child


def test_capabilities_by_name() -> None:
    found = process.details(os.getpid())
    assert {f"CAP_{capability.EVERY[n]}" for n in held_capabilities()} == set(found.capabilities)
    assert found.all_capabilities is (len(found.capabilities) == capability.newest() + 1)
    assert len(capability.EVERY) == 41
    for named in capability.TABLE:
        assert f"CAP_{capability.EVERY[named.number]}" == named.name
    assert capability_names(1 << 63 | 1) == ("CAP_CHOWN", "CAP_63")
    assert credentials(b"CapEff:\tffffffffffffffff\n").all_capabilities


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="takes root and setpriv")
def test_dropped_capabilities_and_another_user() -> None:
    child = waiting(["setpriv", "--bounding-set=-all,+net_raw,+kill", "--inh-caps=-all"])
    found = process.details(child.pid)
    child.communicate(b"\n")
    assert (found.capabilities, found.all_capabilities) == (("CAP_KILL", "CAP_NET_RAW"), False)
    child = waiting(["setpriv", "--reuid=54321", "--regid=54322", "--groups=7,54323", "--inh-caps=-all"])
    found = process.details(child.pid)
    child.communicate(b"\n")
    assert (found.uid, found.gid, found.groups, found.user) == (54321, 54322, (7, 54323), "54321")
    assert (found.capabilities, found.all_capabilities) == ((), False)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="takes root and unshare")
def test_namespaces_that_are_not_those_of_the_first_process() -> None:
    child = waiting(["unshare", "--uts", "--net", "--"])
    found = {n.name: n for n in process.details(child.pid).namespaces}
    inodes = {name: os.stat(f"/proc/{child.pid}/ns/{name}").st_ino for name in ("uts", "net", "mnt", "user")}
    child.communicate(b"\n")
    assert {name: found[name].inode for name in inodes} == inodes
    readable = os.access("/proc/1/ns/uts", os.R_OK)  # root without some capability that pid 1 has may not look
    first = {name: os.stat(f"/proc/{1 if readable else 'self'}/ns/{name}").st_ino for name in inodes}
    assert {name: found[name].shared for name in inodes} == {name: first[name] == inodes[name] for name in inodes}
    assert not found["uts"].shared
    assert not any(name.endswith("_for_children") for name in found)


@pytest.mark.parametrize(
    "status", [b"", b"Uid:\t", b"CapEff:\txyz\nUid:\t1\nGid:\t1 \xff 3\nGroups:\t\xb2 -4 9\n", b":\t:\t"]
)
def test_a_status_that_makes_no_sense(status: bytes) -> None:
    found = credentials(status)
    assert (found.uid, found.capabilities, found.all_capabilities) == (None, (), False)
    assert found.groups in {(), (9,)}


def test_users_without_a_name() -> None:
    assert process.user_name(4_000_000_000) == "4000000000"
    assert process.user_name(0) == "root"


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        (f"/system.slice/docker-{ID}.scope", ID[:12]),
        (f"/docker/{ID}", ID[:12]),
        (f"/docker/{ID}/init.scope", ID[:12]),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container", ID[:12]),
        (f"/libpod_parent/libpod-{ID}", ID[:12]),
        (
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab12.slice/cri-containerd-{ID}.scope",
            ID[:12],
        ),
        (f"/kubepods/besteffort/pod1234-5678/{ID}", ID[:12]),
        (f"/kubepods.slice/kubepods-pod12.slice/crio-{ID}.scope", ID[:12]),
        (f"/system.slice/kubepods-pod12.slice:cri-containerd:{ID}", ID[:12]),
        (f"/default/{ID}", ID[:12]),
        (f"/docker/{'f' * 64}/docker/{ID}", ID[:12]),  # the innermost
        (f"/docker/{'f' * 64}/{ID}", ID[:12]),
        ("/lxc/web", "web"),
        ("/lxc.payload/web/system.slice", "web"),
        ("/lxc.payload.web-1/init.scope", "web-1"),
        ("/lxc.monitor.web", ""),
        ("/machine.slice/machine-fedora\\x2d39.scope/payload", "fedora-39"),
        ("/machine.slice/systemd-nspawn@debian.service/payload", "debian"),
        ("/system.slice/nginx.service", ""),
        (f"/system.slice/{ID[:63]}.scope", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_containers(cgroup: str, expected: str) -> None:
    assert container_of(cgroup) == expected
