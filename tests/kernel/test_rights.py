"""What each process may do beyond its user, and ebtop without root."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ebtop import capability, registry
from tests.kernel.ebtop import EBTOP, Output, run, started
from tests.kernel.rights import for_others, granted, status

FEWEST = "bpf,perfmon"
ALL_USEFUL = "bpf,perfmon,dac_read_search,sys_ptrace,syslog,checkpoint_restore"
PERF_EVENTS = "sys_admin" if capability.paranoid() > capability.PARANOID else "perfmon"
"""What profile takes besides."""
TOOLS = [tool.name for tool in registry.tools()]
ASKED = {"probe": ["-p", "raw_tracepoint:sched_process_exec", "-p", "uprobe:libc:getpid", "--mode", "count"]}
"""What is asked of tools that have no attach points of their own; tracefs is not for everyone to read."""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone may write to. Not in pytest's, which each further pytest that starts closes to others."""
    with tempfile.TemporaryDirectory(prefix="ebtop-test-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def bits(names: tuple[str, ...]) -> int:
    return capability.to_keep(names, capability.mask("CapPrm"), capability.newest(), capability.paranoid())


def processes(pid: int) -> tuple[int, int, int]:
    """The keeper, capture and a loader below ebtop, once all three are there and have given up what they do not use."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        family = [child.pid for child in psutil.Process(pid).children(recursive=True)]
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):  # another loader may end meanwhile
            if len(family) == 3 and "ebtop.capture.loader" in psutil.Process(family[2]).cmdline():
                keeper, capture, loader = family
                if status(loader)["CapEff"] != status(capture)["CapEff"] != status(keeper)["CapEff"]:
                    return keeper, capture, loader
        time.sleep(0.01)
    raise AssertionError(family)


def test_each_process_holds_only_what_it_uses(tmp_path: Path) -> None:
    tracing = started([*EBTOP, "run", "profile", "--format", "json", "-o", str(tmp_path / "out")])
    keeper, capture, loader = (status(pid) for pid in processes(tracing.pid))
    assert keeper["CapEff"] == keeper["CapPrm"] == keeper["CapBnd"] == bits(capability.KEEPER)
    assert capture["CapEff"] == capture["CapPrm"] == capture["CapBnd"] == bits(capability.CAPTURE)
    assert loader["CapEff"] == loader["CapPrm"] == bits(capability.LOADER)
    assert [p["NoNewPrivs"] for p in (keeper, capture, loader)] == [1, 1, 1]
    assert [p["CapAmb"] for p in (keeper, capture, loader)] == [0, 0, 0]
    if capability.newest() >= capability.NUMBERS[capability.BPF] and capability.paranoid() <= 2:
        assert not capture["CapEff"] >> capability.NUMBERS[capability.SYS_ADMIN] & 1


@pytest.mark.parametrize("rights", [FEWEST, pytest.param(ALL_USEFUL, marks=pytest.mark.native)])
@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_without_root(open_folder: Path, tool: str, rights: str) -> None:
    if tool == "profile":
        rights += f",{PERF_EVENTS}"
    file = open_folder / "out.json"
    command = ["--", "sh", "-c", "for i in 1 2 3; do cat /etc/hostname; sleep 0.1; done"]
    argv = granted(rights, "run", tool, "--format", "json", "-o", str(file), *ASKED.get(tool, []), *command)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    seen = Output(file.read_text().splitlines())
    assert seen.summary["lost"] == 0
    assert seen.summary["exit_code"] == 0
    if tool == "opensnoop":
        assert len(seen.where(path="/etc/hostname", comm="cat")) == 3
    if tool == "probe":
        assert len(seen.summary["probes"]) == 2
    assert file.stat().st_uid == for_others().pw_uid


def test_names_of_kernel_functions_take_a_capability() -> None:
    busy = started(["dd", "if=/dev/zero", "of=/dev/null", "bs=64k"], stderr=subprocess.DEVNULL)
    named = {}
    for rights in (FEWEST, ALL_USEFUL):
        both = f"{rights},{PERF_EVENTS}"
        argv = granted(both, "run", "profile", "--format", "json", "--duration", "2", "--pid", str(busy.pid))
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
        stacks = [o for o in map(json.loads, done.stdout.splitlines()) if o["type"] == "stack" and o["kernel_frames"]]
        named[rights] = {frame for stack in stacks for frame in stack["frames"][-stack["kernel_frames"] :]}
    assert named[FEWEST] == {"[unknown]"}
    assert len(named[ALL_USEFUL] - {"[unknown]"}) > 2


@pytest.mark.skipif(PERF_EVENTS == "perfmon", reason="kernel.perf_event_paranoid is 2 at most")
def test_profile_says_what_perf_events_take() -> None:
    done = subprocess.run(granted(FEWEST, "run", "profile"), capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "perf events take CAP_SYS_ADMIN (kernel.perf_event_paranoid is " in done.stderr


@pytest.mark.native
def test_a_granted_capability_stays_with_capture(tmp_path: Path) -> None:
    """What is started with `--`, and the process that writes files, have none of it."""
    shell = "grep -E 'Cap(Eff|Prm|Amb)' /proc/self/status; grep CapEff /proc/$PPID/status"
    argv = granted(FEWEST, "run", "execsnoop", "--format", "json", "-o", "/dev/null", "--", "sh", "-c", shell)
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["0" * 16] * 4


@pytest.mark.parametrize(
    ("rights", "lacking"),
    [("bpf", "CAP_PERFMON"), ("perfmon,sys_ptrace", "CAP_BPF"), ("sys_ptrace", "CAP_BPF and CAP_PERFMON")],
)
def test_it_says_which_capability_is_missing(rights: str, lacking: str) -> None:
    done = subprocess.run(granted(rights, "run", "opensnoop"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert f"tracing needs {lacking}, which you do not have" in done.stderr


def test_sys_admin_alone_is_enough() -> None:
    """As in a container that was started before the newer ones were known."""
    argv = granted("sys_admin", "run", "opensnoop", "--duration", "0.3", "-o", "/dev/null")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def doctor(rights: str) -> dict[str, tuple[bool, str]]:
    done = subprocess.run(granted(rights, "doctor", "--json"), capture_output=True, text=True, check=True, timeout=120)
    told = json.loads(done.stdout)
    assert bool(told["tools"]) == ("bpf" in rights and "perfmon" in rights)
    refused = {tool["tool"] for tool in told["tools"] if tool["reason"]}
    assert refused == ({"profile"} if told["tools"] and PERF_EVENTS not in rights else set())
    return {check["name"]: (check["ok"], check["remedy"]) for check in told["checks"]}


def test_doctor_says_what_a_missing_capability_costs() -> None:
    few = doctor(FEWEST)
    assert few["CAP_BPF"] == few["CAP_PERFMON"] == (True, "")
    assert not few["CAP_SYS_PTRACE"][0]
    assert "no names of functions in other users' programs" in few["CAP_SYS_PTRACE"][1]
    assert few["CAP_SYSLOG"] == (False, "without it: no names of kernel functions")
    assert few["tracefs"][0] is False
    assert doctor(ALL_USEFUL)["tracefs"][0]
    assert doctor("bpf")["CAP_PERFMON"] == (False, "without it: nothing can be traced")


@pytest.mark.native
def test_root_without_capabilities_is_refused_too() -> None:
    argv = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *EBTOP, "run", "opensnoop"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert run("run", "opensnoop", "--duration", "0.1").returncode == 0


@pytest.mark.native
def test_the_folder_that_passes_is_gone_afterwards() -> None:
    before = set(os.listdir("/tmp"))
    argv = granted(FEWEST, "run", "opensnoop", "--duration", "0.2", "-o", "/dev/null")
    assert subprocess.run(argv, check=False, timeout=60).returncode == 0
    mine = [n for n in set(os.listdir("/tmp")) - before if n.startswith("ebtop-") and os.path.exists(f"/tmp/{n}")]
    assert [n for n in mine if os.stat(f"/tmp/{n}").st_uid == for_others().pw_uid] == []


def test_a_limit_on_files_is_for_what_the_user_writes() -> None:
    """Memory that is shared counts as files, too."""
    argv = ["prlimit", "--fsize=102400:", *EBTOP, "run", "opensnoop", "--format", "json", "--", "true"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Output(done.stdout.splitlines()).events
