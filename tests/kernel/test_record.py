"""ebtop record: everything is in the file, whatever ends the recorder."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ebtop.record.reader import Recording
from ebtop.tick import Tick
from ebtop.tool import Kind
from tests import loads
from tests.kernel.ebtop import EBTOP, run, started
from tests.kernel.rights import for_others
from tests.unit.recordings import OPENS, TOOLS

STREAM = OPENS.name
RATE = 100_000


def count(path: Path, where: str, *values: object) -> int:
    """Events in the recording, as plain SQL counts them."""
    database = sqlite3.connect(path)
    (found,) = database.execute(f"SELECT count(*) FROM {STREAM} WHERE {where}", values).fetchone()
    database.close()
    return int(found)


def ticks(path: Path, tool: str) -> list[Tick]:
    """A tool's ticks."""
    with Recording(path) as recording:
        return list(recording.ticks({tool}))


def recorded(file: Path, *options: str, tools: Sequence[str] = (), command: Sequence[str] = ()) -> str:
    """`ebtop record TOOLS -o FILE OPTIONS -- COMMAND`: what it said."""
    done = run("record", *tools, "-o", str(file), *options, *(["--", *command] if command else []))
    assert done.returncode == 0, done.stderr
    return done.stderr


def when_recording(file: Path, *options: str, **more: object) -> subprocess.Popen[str]:
    """A recorder whose probes are attached."""
    process = started([*EBTOP, "record", STREAM, "-o", file, *options], stderr=subprocess.PIPE, text=True, **more)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert "recording" in said, said
    return process


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.touch()
    return path


@pytest.mark.native
@pytest.mark.parametrize("number", [10007, 200003])
def test_every_open_is_in_it(tmp_path: Path, target: Path, number: int) -> None:
    file = tmp_path / "r.ebtop"
    said = recorded(file, tools=[STREAM], command=loads.command("opens", target, number)).splitlines()
    assert count(file, "path = ?", str(target)) == number
    assert len(said) == 2
    assert " 0 lost" in said[1]
    found = ticks(file, STREAM)
    assert sum(int((batch["path"] == os.fsencode(target)).sum()) for tick in found for batch in tick.events) == number
    assert f"{sum(tick.event_count for tick in found):,} events" in said[1]
    usual = "path = ? AND comm = 'opens' AND flags LIKE '[\"RDONLY\"%' AND ret >= 0 AND latency_ns > 0"
    assert count(file, usual, str(target)) == number
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.ebtop", "target"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_all_tools_that_can_are_recorded(tmp_path: Path) -> None:
    file = tmp_path / "r"
    recorded(file, "--duration", "3", "-p", "tracepoint:sched:sched_process_exit")
    with Recording(file) as recording:
        running = [name for name, state in recording.states.items() if state.phase == "running"]
        assert recording.meta.closed
        assert recording.latest("Vitals", 1 << 62) is not None
        seen = {tick.tool for tick in recording.ticks()}
    assert len(running) >= 5
    assert "probe" in running
    assert seen == set(running)
    waits = [t.name for t in TOOLS if t.kind is Kind.HISTOGRAM and t.name in running]
    assert all(tick.histograms for name in waits for tick in ticks(file, name)[1:2])


@pytest.mark.native
def test_a_killed_recorder_loses_its_last_interval_at_most(tmp_path: Path, target: Path) -> None:
    file = tmp_path / "r"
    recorder = when_recording(file)
    load = started(loads.command("opens", target, "60s", 1, RATE), stdout=subprocess.DEVNULL)
    time.sleep(4.3)
    killed = time.time_ns()
    recorder.send_signal(signal.SIGKILL)
    recorder.wait(10)
    load.kill()
    load.wait(10)
    with Recording(file) as recording:
        assert not recording.meta.closed
        assert killed - recording.meta.end < 2.2e9  # an interval, and the commit after the one before
        found = list(recording.ticks())
    lost = sum(tick.lost_count for tick in found)
    events = sum(int((b["path"] == os.fsencode(target)).sum()) for tick in found for b in tick.events)
    assert events > RATE
    times = [int(b["ts"][b["path"] == os.fsencode(target)].max()) for tick in found for b in tick.events
             if (b["path"] == os.fsencode(target)).any()]  # fmt: skip
    first = min(int(b["ts"][b["path"] == os.fsencode(target)].min()) for tick in found for b in tick.events
                if (b["path"] == os.fsencode(target)).any())  # fmt: skip
    assert events + lost >= 0.9 * RATE * (max(times) - first) / 1e9  # no hole in the middle
    assert count(file, "path = ?", str(target)) == events
    database = sqlite3.connect(file)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(tmp_path: Path, number: int) -> None:
    recorder = when_recording(tmp_path / "r")
    time.sleep(1.5)
    recorder.send_signal(number)
    _out, said = recorder.communicate(timeout=60)
    assert (recorder.returncode, len(said.splitlines())) == (0, 1)
    with Recording(tmp_path / "r") as recording:
        assert recording.meta.closed
        assert list(recording.ticks())


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=False)


@pytest.mark.native
def test_a_full_disk_ends_it_with_one_message(small: Path, target: Path) -> None:
    file = small / "r"
    recorder = when_recording(file)
    load = started(loads.command("opens", target, "60s", 1, RATE), stdout=subprocess.DEVNULL)
    _out, said = recorder.communicate(timeout=60)
    load.kill()
    load.wait(10)
    assert recorder.returncode == 1
    assert len(said.splitlines()) == 1
    assert "full" in said
    with Recording(file) as recording:
        assert not recording.meta.closed
        assert sum(tick.event_count for tick in recording.ticks()) > 1000


def test_it_belongs_to_who_called_sudo(tmp_path: Path) -> None:
    nobody = for_others()
    tmp_path.chmod(0o1777)
    for parent in tmp_path.parents:
        if parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    environment = os.environ | {"SUDO_UID": str(nobody.pw_uid), "SUDO_GID": str(nobody.pw_gid), "SUDO_USER": "nobody"}
    done = run("record", STREAM, "-o", str(tmp_path / "r"), "--duration", "1", env=environment)
    assert done.returncode == 0, done.stderr
    found = (tmp_path / "r").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (nobody.pw_uid, 0o600)


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "r"
    file.write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("r", "link"):
        done = run("record", STREAM, "-o", str(tmp_path / name), "--duration", "1")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert file.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()
    assert run("record", STREAM, "-o", str(tmp_path / "link"), "--force", "--duration", "1").returncode == 2
    recorded(file, "--force", "--duration", "1", tools=[STREAM])
    assert ticks(file, STREAM)


def test_a_focus_is_recorded(tmp_path: Path, target: Path) -> None:
    file = tmp_path / "r"
    recorded(file, tools=[STREAM], command=loads.command("opens", target, 101))
    with Recording(file) as recording:
        assert recording.meta.focus.startswith("pid ")
    assert count(file, "comm NOT IN ('opens', 'ebtop', 'python', 'python3')") == 0
