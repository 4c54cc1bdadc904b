"""sockops: every call of every kind counted, in agreement with strace and bpftrace; values, addresses and lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import loads
from tests.kernel import strace
from tests.kernel.bpftrace import Counting
from tests.kernel.ebtop import EBTOP, WAYS, Background, Output, run, trace

V4, V6, LOCAL = 23, 17, 11
COUNTS = {"ipv4": V4, "ipv6": V6, "unix": LOCAL}


def expected(count: int) -> dict[str, int]:
    """What the load does with sockets of one family."""
    return {
        "socket": 1 + count, "setsockopt": 1 + 2 * count, "bind": 1, "listen": 1, "connect": count,
        "accept4": 1 + count, "shutdown": count, "close": 1 + 2 * count,
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_call(tmp_path: Path, way: str) -> None:
    found = trace(tmp_path, "sockops", loads.command("sockets", V4, V6, LOCAL), way)
    for family, count in COUNTS.items():
        assert Counter(e["op"] for e in found.where(family=family)) == expected(count), family
    assert len(found.events) == sum(sum(expected(count).values()) for count in COUNTS.values())
    assert found.summary["lost"] == 0
    assert all(e["latency_ns"] > 0 and e["comm"] == "sockets" for e in found.events)
    assert {e["protocol"] for e in found.events if e["family"] != "unix"} == {"tcp"}
    if way.startswith("--attach"):
        probes = [probe for probe in found.summary["probes"] if "sys_" in probe]
        assert probes
        assert all(probe.startswith(way.removeprefix("--attach=")) for probe in probes)


def load_with_report(tmp_path: Path, *options: str) -> tuple[Output, dict[str, Any]]:
    """What was seen of the load, and what it says itself."""
    said, command = tmp_path / "said", " ".join(loads.command("sockets", V4, V6, LOCAL))
    return trace(tmp_path, "sockops", ["sh", "-c", f"exec {command} > '{said}'"], *options), json.loads(
        said.read_text()
    )


def test_values_and_addresses(tmp_path: Path) -> None:
    found, report = load_with_report(tmp_path)
    options = Counter((e["family"], e["level"], e["optname"], e["optval"]) for e in found.where(op="setsockopt"))
    assert options == {
        **{(family, "SOL_SOCKET", "SO_REUSEADDR", "1"): 1 for family in COUNTS},
        **{(family, "SOL_SOCKET", "SO_LINGER", "on 5 s"): count for family, count in COUNTS.items()},
        ("ipv4", "SOL_TCP", "TCP_NODELAY", "1"): V4,
        ("ipv6", "SOL_TCP", "TCP_NODELAY", "1"): V6,
        ("unix", "SOL_SOCKET", "SO_SNDTIMEO", "2.5 s"): LOCAL,
    }
    name = f"@ebtop-{report['pid']}"
    assert [(e["addr"], e["port"]) for e in found.where(op="bind")] == [("127.0.0.1", 0), ("::1", 0), (name, None)]
    assert [e["backlog"] for e in found.where(op="listen")] == [511] * 3
    assert {tuple(e["flags"]) for e in found.where(op="shutdown")} == {("WR",)}
    accepted = [e for e in found.where(op="accept4") if e["ret"] >= 0]
    peers = [(e["addr"], e["port"]) for e in accepted]
    hosts = ["127.0.0.1"] * V4 + ["::1"] * V6
    assert peers == [*zip(hosts, report["ports"], strict=True), *[(None, None)] * LOCAL]
    assert {tuple(e["flags"]) for e in accepted} == {("CLOEXEC",)}
    assert [e["ret"] for e in found.where(op="accept4") if e["ret"] < 0] == [-11] * 3
    assert {e["addr"] for e in found.where(op="connect", family="unix")} == {name}


def test_the_life_of_each_socket(tmp_path: Path) -> None:
    """A socket is one thing from the call that made it to close, however often its descriptor is used again."""
    found, _report = load_with_report(tmp_path)
    lives: dict[str, list[dict[str, Any]]] = {}
    for event in found.events:
        for number in event["socket"] or ():
            lives.setdefault(number, []).append(event)
    told = Counter(tuple(event["op"] for event in life) for life in lives.values())
    listeners = [("socket", "setsockopt", "bind", "listen", *["accept4"] * (1 + n), "close") for n in COUNTS.values()]
    connecting = ("socket", "setsockopt", "setsockopt", "connect", "close")
    assert told == {
        **dict.fromkeys(listeners, 1),
        connecting: sum(COUNTS.values()),
        ("accept4", "shutdown", "close"): sum(COUNTS.values()),
    }


def test_the_same_as_strace(tmp_path: Path) -> None:
    """Each call of the load, with its descriptor, option, address and result, in the same order."""
    found = trace(tmp_path, "sockops", loads.command("sockets", 5, 3, 2))
    theirs = strace.calls(tmp_path, loads.command("sockets", 5, 3, 2))
    assert [comparable(e) for e in found.events] == [
        (c.op, c.fd, *renamed(c.option), c.ret, *place(c.op, c.ret, c.addr, c.port)) for c in theirs
    ]


def comparable(event: dict[str, Any]) -> tuple[Any, ...]:
    """What two runs have in common: not which ports the kernel chose."""
    option = tuple(event[key] or "" for key in ("level", "optname", "optval"))
    addr, port = event["addr"] or "", event["port"] or 0
    return event["op"], event["fd"], *renamed(option), event["ret"], *place(event["op"], event["ret"], addr, port)


def renamed(option: tuple[str, str, str]) -> tuple[str, str, str]:
    """strace tells the two layouts of times apart, and has no form for them."""
    level, name, value = option
    return level, name.removesuffix("_OLD"), "" if "TIMEO" in name else value


def place(op: str, ret: int, addr: str, port: int) -> tuple[str, int]:
    """An address; ports that the kernel chose and names with a pid in them are other ones each time. Of accept strace
    tells what was asked for, which here is nothing."""
    if op == "accept4":
        return "", 0
    return addr.split("-")[0], 0 if op == "connect" else port


@pytest.mark.native
def test_the_same_numbers_as_bpftrace(tmp_path: Path) -> None:
    calls = ("socket", "setsockopt", "bind", "listen", "connect", "accept4", "shutdown")
    probes = " ".join(
        f'tracepoint:syscalls:sys_exit_{call} /comm == "sockets"/ {{ @n[pid * 10 + {number}] = count(); }}'
        for number, call in enumerate(calls)
    )
    peer = Counting(probes)
    tracing = Background(tmp_path / "ours.json", "sockops", "--comm", "sockets")
    tracing.wait_until_it_sees(*loads.command("sockets", 1, 0, 0))
    report = loads.run("sockets", 1009, 503, 211)
    time.sleep(0.3)
    ours, theirs = tracing.stop(), peer.stop()
    mine = Counter(e["op"] for e in ours.where(pid=report["pid"]))
    assert {call: mine[call] for call in calls} == {
        call: theirs[report["pid"] * 10 + number] for number, call in enumerate(calls)
    }
    assert mine["connect"] == 1009 + 503 + 211
    assert ours.summary["lost"] == 0


def test_the_code_that_asked_for_each_option(tmp_path: Path) -> None:
    found = trace(tmp_path, "sockops", loads.command("sockets", 5, 3, 2), "--stacks")
    callers = Counter((e["op"], e["optname"] or "", e["stack"][-2]) for e in found.events if e["op"] != "close")
    first, each = "begin_to_listen", "connect_and_accept"
    assert callers == {
        ("socket", "", first): 3, ("setsockopt", "SO_REUSEADDR", first): 3, ("bind", "", first): 3,
        ("listen", "", first): 3, ("accept4", "", first): 3, ("socket", "", each): 10, ("connect", "", each): 10,
        ("setsockopt", "TCP_NODELAY", each): 8, ("setsockopt", "SO_SNDTIMEO", each): 2,
        ("setsockopt", "SO_LINGER", each): 10, ("accept4", "", each): 10, ("shutdown", "", each): 10,
    }  # fmt: skip
    assert {e["stack"][0] for e in found.events} == {"_start"}


ODD = r"""
import os, socket, struct, sys
os.chdir(sys.argv[1])
def tried(call, *args):
    try: call(*args)
    except OSError: pass
def unix(kind=socket.SOCK_STREAM): return socket.socket(socket.AF_UNIX, kind)
for name in (b"\x1b]0;owned\x07", b"\xff\n\xe2\x80\xae.sock", b"p" * 107, b"\0" + b"a\0b\x1b[2J", b"\0" + b"q" * 107):
    unix().bind(name)
tried(unix().connect, b"missing")
client, server = unix(), unix()
server.bind(b"\0server"); server.listen(); client.bind(b"client\x1b"); client.connect(b"\0server"); server.accept()
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, 15, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
tried(s.setsockopt, socket.SOL_SOCKET, 25, b"no\x1bdev\0")
tried(s.setsockopt, socket.SOL_SOCKET, 999, b"\xde\xad\xbe")
tried(s.setsockopt, 77, 5, b"x" * 300)
tried(s.setsockopt, socket.SOL_SOCKET, 50, struct.pack("i", -1))
s.setblocking(False)
tried(s.connect, ("127.0.0.1", 1))
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); udp.connect(("::1", 9)); udp.connect(("::1", 10))
tried(socket.socket, 45, 3)
tried(socket.socket, socket.AF_INET, 99)
one, two = socket.socketpair(); one.shutdown(socket.SHUT_RDWR)
again = os.dup(s.fileno()); s.close(); os.close(again)
n = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); n.bind((0, 5)); n.setsockopt(270, 1, 3)
"""


@pytest.fixture
def odd(tmp_path: Path) -> Output:
    """What sockets are seldom used for."""
    return trace(tmp_path, "sockops", [sys.executable, "-I", "-S", "-c", ODD, tmp_path])


def test_names_of_unix_sockets_as_they_were(odd: Output) -> None:
    bound = [os.fsencode(e["addr"]) for e in odd.where(op="bind", family="unix")]
    assert bound == [
        b"\x1b]0;owned\x07", b"\xff\n\xe2\x80\xae.sock", b"p" * 107, b"@a\0b\x1b[2J", b"@" + b"q" * 107, b"@server",
        b"client\x1b",
    ]  # fmt: skip
    (accepted,) = [e for e in odd.events if e["op"].startswith("accept")]
    assert (accepted["addr"], accepted["family"]) == ("client\x1b", "unix")
    assert [(e["addr"], e["ret"]) for e in odd.where(op="connect", family="unix")] == [("missing", -2), ("@server", 0)]


def test_odd_options(odd: Output) -> None:
    told = [(e["level"], e["optname"], e["optval"], e["ret"]) for e in odd.where(op="setsockopt")]
    long = "78 " * 31 + "78 … 300 bytes"
    assert [row[:3] for row in told] == [
        ("SOL_SOCKET", "SO_REUSEPORT", "1"), ("SOL_TCP", "TCP_CONGESTION", "reno"),
        ("SOL_SOCKET", "SO_BINDTODEVICE", "no\x1bdev"), ("SOL_SOCKET", "999", "de ad be"), ("77", "5", long),
        ("SOL_SOCKET", "SO_ATTACH_BPF", "-1"), ("SOL_NETLINK", "NETLINK_ADD_MEMBERSHIP", "3"),
    ]  # fmt: skip
    assert [row[3] < 0 for row in told] == [False, False, True, True, True, True, False]
    assert [e["optname"] for e in odd.events if e["truncated"]] == ["5"]


def test_odd_sockets(odd: Output) -> None:
    udp = odd.where(op="connect", family="ipv6")
    assert [(e["protocol"], e["addr"], e["port"], e["ret"]) for e in udp] == [
        ("udp", "::1", 9, 0), ("udp", "::1", 10, 0),
    ]  # fmt: skip
    (waiting,) = odd.where(op="connect", family="ipv4")
    assert waiting["ret"] in {-115, -111}
    failed = [(e["family"], e["flags"], e["fd"]) for e in odd.where(op="socket") if e["ret"] < 0]
    assert failed == [("mctp", ["RAW", "CLOEXEC"], None), ("ipv4", ["RAW", "CLOEXEC", "0x60"], None)]
    (both,) = [e for e in odd.where(op="shutdown") if e["family"] == "unix"]
    assert both["flags"] == ["RDWR"]
    ends = [e["fd"] for e in odd.where(op="close", socket=waiting["socket"])]
    assert len(ends) == 2
    (netlink,) = odd.where(op="bind", family="netlink")
    assert (netlink["addr"], netlink["port"]) == ("0x5", 0)


WAITING = """
import os, socket, sys, threading, time
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=server.accept).start()
print(server.getsockname()[1], flush=True)
sys.stdin.readline()
socket.create_connection(server.getsockname()).close()
"""


def test_an_accept_that_waited_before_anybody_looked(tmp_path: Path) -> None:
    """Its entry was not seen: all is told of it but how long it took."""
    argv = [sys.executable, "-I", "-S", "-c", WAITING]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        port = int(server.stdout.readline())
        tracing = Background(tmp_path / "ours.json", "sockops")
        tracing.wait_until_it_sees(*loads.command("sockets", 1, 0, 0))
        server.stdin.write("\n")
        server.stdin.close()
        assert server.wait(30) == 0
        found = tracing.stop().where(pid=server.pid)
    (accepted,) = [e for e in found if e["op"] == "accept4"]
    assert accepted["latency_ns"] is None
    assert (accepted["addr"], accepted["ret"] >= 0) == ("127.0.0.1", True)
    assert [e["port"] for e in found if e["op"] == "connect"] == [port]


def test_what_was_recorded_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "sockets.ebtop"
    argv = [*EBTOP, "record", "sockops", "-o", str(file), "--", *loads.command("sockets", V4, V6, LOCAL)]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    out = run("export", str(file), "--format", "json", "--tool", "sockops").stdout
    found = Output(out.splitlines())
    for family, count in COUNTS.items():
        assert Counter(e["op"] for e in found.where(family=family)) == expected(count), family
    assert all(e["socket"] for e in found.events)
