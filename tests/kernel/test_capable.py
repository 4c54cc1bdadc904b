"""capable: every question counted, in agreement with bpftrace; refusals, needs, and what is made of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ebtop.capability import EVERY
from tests import loads
from tests.kernel.bpftrace import Counting
from tests.kernel.ebtop import EBTOP, Background, Output, run, trace

GRANTED, REFUSED, CHROOTS = 5, 7, 13
WAYS = ["", "--perf-buffer", "--attach=raw_tracepoint", "--attach=fexit", "--attach=kprobe"]
_PRIVILEGED_PORTS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

pytestmark = pytest.mark.skipif(
    int(_PRIVILEGED_PORTS.read_text()) < 1000, reason="net.ipv4.ip_unprivileged_port_start: everyone may take any port"
)


def load() -> list[str]:
    return loads.command("checks", GRANTED, REFUSED, CHROOTS)


def checked(tmp_path: Path, *options: str) -> Output:
    """What was asked of the load; where this kernel has no such probe the test is left out, with what ebtop says."""
    file = tmp_path / "out.json"
    argv = [*EBTOP, "run", "capable", "--format", "json", "-o", str(file), *filter(None, options), "--", *load()]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode == 4 and any(option.startswith("--attach") for option in options):
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    with file.open(encoding="utf-8") as lines:
        return Output(lines, done.stderr)


def of_load(found: Output) -> list[dict[str, Any]]:
    """What it was asked for by what it does; where its files lie, the file system may ask for more."""
    caps = {"CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_CHROOT"}
    return [e for e in found.where(comm="checks") if e["cap"] in caps]


@pytest.mark.parametrize("way", WAYS)
def test_every_question(tmp_path: Path, way: str) -> None:
    found = checked(tmp_path, way)
    told = Counter((e["cap"], e["ret"], e["ns"]) for e in of_load(found) if e["audit"])
    assert told == {
        ("CAP_NET_BIND_SERVICE", 0, "init"): GRANTED,
        ("CAP_SETGID", 0, "init"): 1,
        ("CAP_SETUID", 0, "init"): 1,
        ("CAP_NET_BIND_SERVICE", -1, "init"): REFUSED,
        ("CAP_SYS_CHROOT", -1, "init"): CHROOTS,
    }
    assert found.summary["lost"] == 0
    mere = [e for e in found.where(comm="checks") if e["audit"] == 0]
    # Memory, mapped as the program begins; on 6.1 the compiler has put the function itself where that is asked.
    traced = any("tracepoint:" in probe and "cap_capable" in probe for probe in found.summary["probes"])
    assert {e["cap"] for e in mere} == ({"CAP_SYS_ADMIN"} if traced else set())
    assert {e["need"] for e in mere} == {None}


def test_what_was_needed(tmp_path: Path) -> None:
    found = checked(tmp_path)
    assert Counter(e["need"] for e in of_load(found) if e["need"]) == {
        "checks CAP_NET_BIND_SERVICE": GRANTED,
        "checks CAP_SETGID": 1,
        "checks CAP_SETUID": 1,
    }


@pytest.mark.native
def test_the_same_numbers_as_bpftrace(tmp_path: Path) -> None:
    """Those without audit, too."""
    peer = Counting(
        'tracepoint:capability:cap_capable /comm == "checks"/ '
        "{ @n[pid * 1000 + args->cap * 10 + (args->ret == 0)] = count(); }"
    )
    tracing = Background(tmp_path / "ours.json", "capable", "--comm", "checks")
    tracing.wait_until_it_sees(*loads.command("checks", 1, 1, 1))
    report = loads.run("checks", 503, 211, 1009)
    time.sleep(0.3)
    ours, theirs = tracing.stop(), peer.stop()
    mine = Counter((EVERY.index(e["cap"][4:]), e["ret"] == 0) for e in ours.where(pid=report["pid"]))
    counted = {key % 1000: count for key, count in theirs.items() if key // 1000 == report["pid"]}
    assert {cap * 10 + ok: count for (cap, ok), count in mine.items()} == counted
    assert (mine[10, True], mine[10, False], mine[18, False]) == (503, 211, 1009)


def test_the_code_that_needs_it(tmp_path: Path) -> None:
    found = checked(tmp_path, "--stacks")
    bound = [e for e in found.where(cap="CAP_NET_BIND_SERVICE") if e["comm"] == "checks"]
    assert {tuple(e["stack"][-2:]) for e in bound} == {("bind_below", "bind")}
    assert {e["stack"][0] for e in bound} == {"_start"}
    assert all("ns_capable" in e["kstack"] and "do_syscall_64" in " ".join(e["kstack"]) for e in bound)
    assert all(e["kstack"][-1] == "cap_capable" for e in bound)


def test_a_namespace_of_ones_own(tmp_path: Path) -> None:
    """Its maker has everything there; that is a need of nobody outside."""
    command = ["unshare", "--user", "--map-root-user", "--uts", "hostname", "elsewhere"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a user namespace with a host name of its own cannot be made here (unshare, hostname)")
    found = trace(tmp_path, "capable", command)
    (named,) = [e for e in found.where(comm="hostname", cap="CAP_SYS_ADMIN") if e["audit"]]
    assert (named["ret"], named["ns"]) == (0, "own")
    assert named["need"] == "hostname CAP_SYS_ADMIN (user namespace)"


OWNER = """
import os, sys
ready, go = os.pipe(), os.pipe()
child = os.fork()
if not child:
    os.unshare(os.CLONE_NEWUSER)
    os.write(ready[1], b"x"); os.read(go[0], 1); os._exit(0)
os.read(ready[0], 1)
os.readlink(f"/proc/{child}/ns/user")
open(f"/proc/{child}/uid_map", "w").write("0 0 1")
os.setpriority(os.PRIO_PROCESS, child, -3)
os.write(go[1], b"x"); os.waitpid(child, 0)
"""


def test_who_made_a_namespace_needs_nothing_for_it(tmp_path: Path) -> None:
    """Root asks for what is in a namespace below: granted as its owner, not for what root holds."""
    script = "import os; os.unshare = getattr(os, 'unshare', None) or __import__('ctypes').CDLL(None).unshare\n"
    script = script.replace("import os;", "import os; os.CLONE_NEWUSER = 0x10000000;") + OWNER
    argv = [sys.executable, "-I", "-S", "-c", script]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("a user namespace cannot be made here")
    found = trace(tmp_path, "capable", argv)
    others = [e for e in found.events if e["ns"] == "other" and e["ret"] == 0]
    assert others
    assert {e["need"] for e in others} == {None}


def exported(file: Path, format_: str) -> str:
    done = run("export", str(file), "--format", format_)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_made_of_a_recording(tmp_path: Path) -> None:
    file = tmp_path / "checks.ebtop"
    argv = [*EBTOP, "record", "capable", "-o", str(file), "--comm", "checks", "--", *load()]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    assert "\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETGID CAP_SETUID\n" in exported(file, "systemd")
    assert f"# checks: NET_BIND_SERVICE {GRANTED}, SETGID 1, SETUID 1\n" in exported(file, "systemd")
    assert "--cap-drop=ALL --cap-add=NET_BIND_SERVICE --cap-add=SETGID --cap-add=SETUID\n" in exported(file, "docker")
    assert 'add: ["NET_BIND_SERVICE", "SETGID", "SETUID"]\n' in exported(file, "kubernetes")
    rows = [json.loads(line) for line in exported(file, "json").splitlines()]
    seen: list[dict[str, Any]] = [row for row in rows if row["type"] == "event"]
    assert Counter(e["cap"] for e in seen if e["ret"] < 0 and e["audit"]) == {
        "CAP_NET_BIND_SERVICE": REFUSED, "CAP_SYS_CHROOT": CHROOTS,
    }  # fmt: skip


def test_the_list_is_enough(tmp_path: Path) -> None:
    """The load does with the exported set alone what it did as root, and without it does not."""
    file = tmp_path / "checks.ebtop"
    argv = [*EBTOP, "record", "capable", "-o", str(file), "--comm", "checks", "--", *load()]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    line = next(line for line in exported(file, "systemd").splitlines() if line.startswith("CapabilityBoundingSet="))
    needed = [name.removeprefix("CAP_").lower() for name in line.partition("=")[2].split()]
    outcomes = []
    for kept in (needed, [name for name in needed if name != "net_bind_service"]):
        bound = ",".join(["-all", *(f"+{name}" for name in kept)])
        done = subprocess.run(["setpriv", f"--bounding-set={bound}", *load()], capture_output=True, check=False)
        outcomes.append(json.loads(done.stdout)["wrong"] if done.returncode == 0 else done.stderr)
    assert outcomes == [0, GRANTED]
