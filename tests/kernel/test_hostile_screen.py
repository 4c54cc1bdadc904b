"""A real capture process, and a screen's side that was taken over: it may ask for tools, a focus and details.

Whatever it sends, capture obeys or ends with a reason; it does not crash, grow, or open what it was not made to open.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ebtop.source.live import Keeper, LiveSource
from ebtop.source.settings import Settings
from ebtop.source.wire import KINDS, Writer
from ebtop.tick import Focus, Gone, Load, Notice, Phase, ProcessDetails, Resolve, SetFocus, ToolState
from tests.kernel.ebtop import started
from tests.kernel.screen import Screen, has_ended

pytestmark = pytest.mark.native  # it asks nothing of the kernel, and starts capture fifty times

HELLO = 32
REASON = "capture was told what it does not understand: "


def frame(kind: int, header: object) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<IB3sI", 8 + len(text), kind, bytes(3), len(text)) + text


def focus(**changes: object) -> bytes:
    plain: dict[str, object] = {"pids": [], "follow": False, "comms": [], "uid": None, "cgroup": ""}
    return frame(KINDS[SetFocus], {"focus": plain | changes})


REFUSED = {
    "a message's kind": frame(1, {}),
    "no kind": frame(99, {}),
    "a gigabyte": struct.pack("<IB3sI", 1 << 30, KINDS[Load], bytes(3), 8),
    "more than a command": struct.pack("<IB3sI", (1 << 20) + 1, KINDS[Load], bytes(3), 8),
    "a header beyond its frame": struct.pack("<IB3sI", 16, KINDS[Load], bytes(3), 1 << 31),
    "no json": frame(KINDS[Load], b"{{{{"),
    "deep json": frame(KINDS[Load], b"[" * 500_000),
    "a long number": frame(KINDS[Resolve], b'{"pid":' + b"9" * 5000 + b"}"),
    "a pid of text": frame(KINDS[Resolve], {"pid": "1"}),
    "a negative pid": frame(KINDS[Resolve], {"pid": -1}),
    "a huge pid": frame(KINDS[Resolve], {"pid": 1 << 40}),
    "another field": frame(KINDS[Resolve], {"pid": 1, "path": "/etc/shadow"}),
    "a path for a pid": frame(KINDS[Resolve], {"pid": "1/../../etc/shadow"}),
    "options that are no numbers": frame(KINDS[Load], {"tool": "profile", "options": {"frequency": "1;id"}}),
    "many options": frame(KINDS[Load], {"tool": "profile", "options": {str(n): n for n in range(99)}}),
    "a long name of a tool": frame(KINDS[Load], {"tool": "x" * 900_000, "options": {}}),
    "a uid below 0": focus(uid=-1),
    "a uid above all": focus(uid=1 << 32),
    "a focus on a negative pid": focus(pids=[-5]),
    "a focus on a huge pid": focus(pids=[1 << 63]),
    "a hundred thousand pids": focus(pids=list(range(1, 100_000))),
    "a name with a NUL": focus(comms=["a\0b"]),
    "a name of a lone surrogate": focus(comms=["\ud800"]),
    "a cgroup outside": focus(cgroup="../../etc"),
    "a cgroup outside, absolute": focus(cgroup="/../../etc"),
    "a cgroup with a NUL": focus(cgroup="/a\0b"),
    "a cgroup without end": focus(cgroup="/a" * 300_000),
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
def test_nonsense_ends_it_with_a_reason(screen: Screen, sent: bytes) -> None:
    pid = screen.capture.pid
    os.write(screen.raw, sent)
    reason = screen.ended()
    assert reason.startswith(REASON)
    assert reason.isprintable()
    assert len(reason) < 300
    assert has_ended(pid)


def test_what_is_not_there_is_told_and_it_goes_on(screen: Screen) -> None:
    names = ["../../etc/passwd", "os", "__init__", "focus", "", "opensnoop\0", "\x1b[2J"]
    for name in names:
        screen.source.send(Load(name))
    for cgroup in ("/etc", "/no/such", "etc/passwd", "/proc", "//", "/a/./b"):
        screen.source.send(SetFocus(Focus(cgroup=cgroup)))
    screen.source.send(SetFocus(Focus(pids=(4_000_000,))))
    screen.source.send(SetFocus(Focus(comms=("a", "b", "c", "d", "e"))))
    told = screen.until(Notice, len(names) + 5)
    assert all(notice.error for notice in told)
    for value in (0, -1, 10_000, 1 << 60):
        screen.source.send(Load("profile", {"frequency": value}))
    failed = screen.until(ToolState, 4)
    assert {state.phase for state in failed} == {Phase.FAILED}
    assert "between 1 and 9999" in failed[0].reason
    screen.source.send(Resolve(os.getpid()))
    assert screen.until(ProcessDetails)[0].alive
    screen.stop()


def test_a_flood_of_commands_is_slowed_and_takes_no_memory(screen: Screen) -> None:
    screen.source.send(Load("opensnoop"))
    screen.until(ToolState, 2)
    before = screen.capture.memory_info().rss
    flood = frame(KINDS[Resolve], {"pid": 1}) * 500
    end = time.monotonic() + 4
    sent = 0
    while time.monotonic() < end:
        os.write(screen.raw, flood)
        sent += 500
    assert screen.capture.memory_info().rss - before < 48 << 20
    assert sent > 2000
    ticks = [m for m in screen.messages if type(m).__name__ == "Tick"]
    assert len(ticks) > 10  # it still traces
    screen.stop()


def mutated(chance: random.Random, valid: bytes) -> bytes:
    data = bytearray(valid)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                data[at : at + 1] = chance.choice([b"", b"99999999", b"-", b"\0", b'"', b"[", b"\\ud800"])
            case 2:
                del data[at : at + chance.randint(1, 8)]
            case 3:
                data[at:at] = chance.randbytes(chance.randint(1, 16))
    return bytes(data)


@pytest.mark.parametrize("seed", range(24))
def test_mutated_commands(screen: Screen, seed: int) -> None:
    chance = random.Random(seed)
    valid = [
        frame(KINDS[Load], {"tool": "runqlat", "options": {"frequency": 99}}),
        frame(KINDS[Resolve], {"pid": 1}),
        focus(pids=[1], uid=0, comms=["sh"], cgroup="/a"),
        frame(33, {"tool": "runqlat"}),
    ]
    for _ in range(40):
        try:
            os.write(screen.raw, mutated(chance, chance.choice(valid)))
        except BrokenPipeError:
            break
    screen.source.close()  # what waits for the rest of a frame ends here
    screen._thread.join(30)
    assert not screen._thread.is_alive()
    last = screen.messages[-1]
    assert isinstance(last, Gone)
    assert last.reason == "" or last.reason.startswith(REASON), last.reason


def test_nothing_is_opened_or_started_for_it(screen: Screen, tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    screen.source.send(Load("opensnoop"))
    screen.until(ToolState, 2)
    log = tmp_path / "calls"
    calls = "trace=open,openat,openat2,creat,execve,connect,unlink,unlinkat,rename,mkdir,mkdirat,symlink,ptrace,kill"
    tracer = started(["strace", "-f", "-q", "-s", "300", "-e", calls, "-o", log, "-p", screen.capture.pid],
                     stderr=subprocess.DEVNULL)  # fmt: skip
    for _ in range(100):
        if "TracerPid:\t0" not in Path(f"/proc/{screen.capture.pid}/status").read_text():
            break
        time.sleep(0.05)
    others = [int(name) for name in os.listdir("/proc") if name.isdecimal()][:40]
    for pid in (*others, 0, 4_000_000):
        screen.source.send(Resolve(pid))
    for cgroup in ("/etc", "//etc/passwd", "/no/such", "/proc/self/root"):
        screen.source.send(SetFocus(Focus(cgroup=cgroup)))
    for name in ("../../etc/passwd", "/etc/passwd", "os"):
        screen.source.send(Load(name))
    screen.until(ProcessDetails, len(others) + 2)
    screen.until(Notice, 7)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    lines = [line for line in log.read_text().splitlines() if "(" in line]
    assert len(lines) > 200
    opened = [re.search(r'\((?:[\w]+, )?"([^"]*)"', line) for line in lines]
    allowed = re.compile(
        r"/proc/\d+/(stat|status|cmdline|cgroup|comm|ns|task|task/\d+/children)$|/proc/sys/kernel/cap_last_cap$|"
        r"/proc/self/|/sys/fs/cgroup(/|$)|/sys/devices/system/cpu/|"
        r"/etc/(passwd|group|nsswitch.conf|ld.so.cache)$|/(usr/)?lib/"  # names of users
    )
    assert [m[1] for m in opened if m and not allowed.match(m[1])] == []
    assert [line for line in lines if not re.search(r" open(at)?\(", line)] == []
    assert [line for line in lines if re.search(r"O_(WRONLY|RDWR|CREAT)", line)] == []
    screen.stop()


KEEPER_NONSENSE = [
    b"", b"{", b"[]", b"null", b'{"start": 1}', b'{"start": {}}', b'{"run": "id"}', b'{"why": "/etc/shadow"}',
    b"[" * 60_000, b"\xff\xfe", b'{"start": {"interval_s": 0}}',
]  # fmt: skip


@pytest.mark.parametrize("message", [m for m in KEEPER_NONSENSE if m])
def test_the_keeper_takes_two_requests_only(message: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    keeper = Keeper()
    keeper._socket.send(message)
    keeper._socket.settimeout(20)
    answer, fds, _flags, _address = socket.recv_fds(keeper._socket, 1 << 16, 4)
    if fds:  # settings that are none: a capture that ends at once and says why
        source = LiveSource(keeper, *fds)
        reason = [m.reason for m in source.messages() if isinstance(m, Gone)]
        source.close()
        assert "settings of this version" in reason[0]
    else:
        assert answer == b""
    keeper.close()
    assert "Traceback" not in capfd.readouterr().err


BAD = [{"interval_s": 0}, {"interval_s": 1e99}, {"interval_s": True}, {"backlog": -1}, {"backlog": 1 << 60},
       {"attach": "sh;id"}, {"attach": ["x"]}, {"measure": 1}, {"perf_buffer": "yes"}, {"screen_pid": -1},
       {"screen_pid": "1"}]  # fmt: skip


@pytest.mark.parametrize("changes", BAD, ids=str)
def test_settings_that_make_no_sense(changes: dict[str, Any]) -> None:
    settings = json.loads(Settings().encode()) | changes
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        Settings.decode(json.dumps(settings))


def test_it_is_told_only_the_memory_of_the_screen_itself() -> None:
    """`screen_pid` of another process: its memory is nobody's business."""
    keeper = Keeper()
    keeper.request(Settings(interval_s=0.1, screen_pid=1, measure=True))
    source = keeper.source()
    vitals = next(m for m in source.messages() if type(m).__name__ == "Vitals")
    mine = psutil.Process().memory_full_info().pss
    source.close()
    keeper.close()
    assert 0.5 * mine < vitals.screen_pss < 2 * mine  # type: ignore[union-attr]


def test_a_writer_that_says_hello_twice(screen: Screen) -> None:
    Writer(screen.raw)
    assert screen.ended().startswith(REASON)
