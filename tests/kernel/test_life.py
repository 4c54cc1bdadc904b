"""Several ebtops at once, killed ones, wrong usage: what is left behind, and what is said."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ebtop.resolve.cgroup import find_mount
from tests import loads
from tests.kernel.ebtop import EBTOP, Background, run, started, trace
from tests.kernel.rights import for_others
from tests.leftovers import family, gone, held_by, on_the_machine
from tests.namespaces import need_mounts


@pytest.mark.native
def test_killed_ones_leave_nothing_and_the_other_goes_on(tmp_path: Path) -> None:
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed: nobody to ask what is left")
    survivor = Background(tmp_path / "survivor.json", "opensnoop", "--comm", "opens")
    target = tmp_path / "target"
    target.touch()
    survivor.wait_until_it_sees(*loads.command("opens", target, 1))
    for victim in (0, 2):  # the reading side; capture
        other = Background(tmp_path / f"victim-{victim}.json", "opensnoop", "--comm", "opens")
        other.wait_until_it_sees(*loads.command("opens", target, 1))
        pids = family(other.process.pid)
        held = held_by(pids)
        assert len(held) > 8
        assert held <= on_the_machine()
        os.kill(pids[victim], signal.SIGKILL)
        other.process.communicate(timeout=20)
        assert gone(pids)
        for _ in range(50):  # the kernel frees them after a grace period, which is longer on a busy machine
            if not held & on_the_machine():
                break
            time.sleep(0.1)
        assert not held & on_the_machine()
    loads.run("opens", target, 1009)
    seen = survivor.stop()
    last = seen.where(path=str(target))[-1]["pid"]  # others may run a program of that name, too
    assert len(seen.where(path=str(target), pid=last)) == 1009
    assert seen.summary["lost"] == 0


@pytest.mark.native
def test_without_its_keeper_it_goes_on(tmp_path: Path) -> None:
    tracing = Background(tmp_path / "out.json", "opensnoop")
    tracing.wait_until_it_sees("cat", "/etc/hostname")
    pids = family(tracing.process.pid)
    os.kill(pids[1], signal.SIGKILL)
    subprocess.run(["cat", "/etc/hosts"], check=True, stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    assert tracing.stop().where(path="/etc/hosts", comm="cat")
    assert gone(pids)


@pytest.mark.native
def test_capture_that_dies_is_told(tmp_path: Path) -> None:
    tracing = Background(tmp_path / "out.json", "opensnoop")
    tracing.wait_until_it_sees("cat", "/etc/hostname")
    os.kill(family(tracing.process.pid)[2], signal.SIGKILL)
    err = tracing.process.communicate(timeout=20)[1]
    assert tracing.process.returncode == 4
    assert err == "ebtop: capture has ended, it was killed by SIGKILL\n"


def test_a_command_has_the_callers_environment(tmp_path: Path) -> None:
    done = run("run", "tcpconnect", "-o", str(tmp_path / "out"), "--", "env", "-0", env=dict(os.environ))
    names = {line.partition("=")[0] for line in done.stdout.split("\0")}
    assert names - {""} == set(os.environ)


def test_statistics_are_off_again() -> None:
    setting = Path("/proc/sys/kernel/bpf_stats_enabled")
    known = setting.read_text()
    assert run("run", "tcpconnect", "--duration", "0.2").returncode == 0
    assert setting.read_text() == known


def test_tracefs_is_mounted_where_it_is_not(tmp_path: Path) -> None:
    need_mounts()
    inside = (
        "mount --make-rprivate / ; umount -l /sys/kernel/tracing; umount -l /sys/kernel/debug; "
        "test ! -e /sys/kernel/tracing/events && "
        f"exec {sys.executable} -m ebtop run tcpconnect --format json --duration 0.3"
    )
    done = subprocess.run(["unshare", "--mount", "sh", "-c", inside], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tracepoint:syscalls:sys_exit_connect" in json.loads(done.stdout.splitlines()[-1])["probes"]


@pytest.mark.native
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "opensnop"], 2, "did you mean opensnoop"),
        (["opensnop"], 2, ""),
        (["run", "opensnoop", "--pid", "99999999"], 2, "no process 99999999"),
        (["run", "opensnoop", "--uid", "roott"], 2, "did you mean root"),
        (["run", "opensnoop", "--cgroup", "/no/such"], 2, "no control group"),
        (["run", "opensnoop", "--follow"], 2, "--follow needs --pid"),
        (["run", "opensnoop", "--duration", "-1"], 2, "--duration"),
        (["run", "opensnoop", "--duration", "1", "-o", "/no/such/place"], 2, "cannot write"),
        (["run", "opensnoop", "--", "no-such-command"], 2, "no command 'no-such-command'"),
        (["run", "opensnoop", "--"], 2, "after --"),
        (["run", "profile", "--frequency", "0"], 2, "between 1 and 9999"),
        (["run"], 2, "TOOL"),
        (["--no-such-option"], 2, "--no-such-option"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], code: int, said: str) -> None:
    if "--cgroup" in arguments and not find_mount():
        said = "cgroup2 file system, which is not mounted"
    done = run(*arguments, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("ebtop: ")
    assert said in done.stderr


@pytest.mark.native
def test_without_rights(tmp_path: Path) -> None:
    for_others()
    nobody = pwd.getpwnam("nobody")
    done = subprocess.run(
        [*EBTOP, "run", "opensnoop"],
        capture_output=True,
        text=True,
        check=False,
        user=nobody.pw_uid,
        group=nobody.pw_gid,
    )
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "CAP_BPF and CAP_PERFMON" in done.stderr


@pytest.mark.native
def test_a_full_disk_and_a_reader_that_goes_away(tmp_path: Path) -> None:
    full = run("run", "opensnoop", "--duration", "2", "--format", "json", "-o", "/dev/full")
    assert (full.returncode, full.stderr) == (1, "ebtop: cannot write the output: No space left on device\n")
    started(["sh", "-c", "while :; do cat /etc/hostname >/dev/null; sleep 0.1; done"])
    command = f"{sys.executable} -m ebtop run opensnoop --format json | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


@pytest.mark.native
def test_the_caller_of_sudo_is_who_runs_the_command(tmp_path: Path) -> None:
    for_others()
    nobody = pwd.getpwnam("nobody")
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    environment = os.environ | {"SUDO_UID": str(nobody.pw_uid), "SUDO_GID": str(nobody.pw_gid), "SUDO_USER": "nobody"}
    file = tmp_path / "out.json"
    shell = ["sh", "-c", "id -u; echo $HOME; grep CapEff /proc/self/status"]
    done = subprocess.run(
        [*EBTOP, "run", "execsnoop", "--format", "json", "-o", str(file), "--", *shell],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(nobody.pw_uid), nobody.pw_dir, "CapEff:", "0000000000000000"]
    assert file.stat().st_uid == nobody.pw_uid
    events = [o for o in map(json.loads, file.read_text().splitlines()) if o["type"] == "event"]
    assert {e["uid"] for e in events} == {nobody.pw_uid}


@pytest.mark.native
def test_hostile_names_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    script = (
        "import os, ctypes\n"
        "ctypes.CDLL(None).prctl(15, b'\\x1b]0;evil\\x07\\x9b', 0, 0, 0)\n"
        "try: os.open(b'/tmp/\\x1b]0;title\\x07\\x1b[2J\\xc2\\x9b31m\\xe2\\x80\\xae', os.O_RDONLY)\n"
        "except OSError: pass\n"
    )
    for tool in ("opensnoop", "execsnoop"):
        done = run("run", tool, "--", sys.executable, "-S", "-c", script)
        assert done.returncode == 0
        assert "\\x1b" in done.stdout or tool == "execsnoop"
        assert not [c for c in done.stdout + done.stderr if c != "\n" and not c.isprintable()]


@pytest.mark.native
def test_follow_and_focus(tmp_path: Path) -> None:
    shell = "sleep 4; cat /etc/hostname; sh -c 'cat /etc/hosts; sh -c \"cat /etc/passwd\"'; sleep 1"
    parent = started(["sh", "-c", shell], stdout=subprocess.DEVNULL)
    with_children = Background(tmp_path / "a.json", "opensnoop", "--pid", str(parent.pid), "--follow")
    parent.wait()
    paths = {e["path"] for e in with_children.stop().events}
    assert {"/etc/hosts", "/etc/passwd"} <= paths


@pytest.mark.native
def test_two_tools_at_once_count_the_same(tmp_path: Path) -> None:
    first = Background(tmp_path / "a.json", "execsnoop")
    first.wait_until_it_sees("true")
    second = trace(tmp_path, "execsnoop", loads.command("execs", 211, "/bin/true", "both"))
    assert len(second.where(path="/bin/true")) == 211
    assert len([e for e in first.stop().events if e["argv"][1:] == ["both"]]) == 211
