"""sockops on a server that nobody here wrote: nginx, from its first call, beside strace of the same start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kernel import strace
from tests.kernel.ebtop import Output, trace
from tests.kernel.nginx import Nginx


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Nginx:
    return Nginx(tmp_path_factory.mktemp("nginx"))


@pytest.fixture(scope="module")
def found(nginx: Nginx, tmp_path_factory: pytest.TempPathFactory) -> tuple[Output, list[tuple[str, int]]]:
    """What was seen of nginx and its clients, and who the clients were."""
    seen = trace(tmp_path_factory.mktemp("out"), "sockops", nginx.command, "--stacks")
    return seen, [tuple(client) for client in json.loads(nginx.told.read_text())]


def of_nginx(seen: Output, **wanted: object) -> list[dict[str, Any]]:
    return seen.where(comm="nginx", **wanted)


def test_how_it_begins_to_listen(found: tuple[Output, list[tuple[str, int]]], nginx: Nginx) -> None:
    seen, _clients = found
    for family, host, port in (("ipv4", "127.0.0.1", nginx.v4), ("ipv6", "::1", nginx.v6)):
        (bound,) = of_nginx(seen, op="bind", family=family)
        assert (bound["addr"], bound["port"], bound["ret"]) == (host, port, 0)
        life = [e for e in of_nginx(seen) if e["socket"] == bound["socket"]]
        assert [e["op"] for e in life if e["op"] != "setsockopt"][:3] == ["socket", "bind", "listen"]
        reused = [e for e in life if e["optname"] == "SO_REUSEADDR"]
        assert [(e["level"], e["optval"], e["ret"]) for e in reused] == [("SOL_SOCKET", "1", 0)]
        assert life.index(reused[0]) < life.index(bound)
        assert life[-1]["op"] == "close"


def test_whom_it_accepts(found: tuple[Output, list[tuple[str, int]]]) -> None:
    seen, clients = found
    accepted = [e for e in of_nginx(seen, op="accept4") if e["ret"] >= 0]
    assert [(e["addr"], e["port"]) for e in accepted] == clients
    assert [e["family"] for e in accepted] == ["ipv4", "ipv6"]
    for one in accepted:
        life = [e for e in of_nginx(seen) if one["socket"][1] in (e["socket"] or ())]
        assert [(e["op"], e["optname"]) for e in life] == [
            ("accept4", None), ("setsockopt", "TCP_NODELAY"), ("close", None),
        ]  # fmt: skip
        assert {e["fd"] for e in life[1:]} == {one["ret"]}


def test_each_call_has_the_code_path_that_made_it(found: tuple[Output, list[tuple[str, int]]]) -> None:
    """Debian strips nginx, but for the functions that its modules may call: those have names."""
    seen, _clients = found
    ways = {
        ("socket", None): "ngx_open_listening_sockets",
        ("setsockopt", "SO_REUSEADDR"): "ngx_open_listening_sockets",
        ("bind", None): "ngx_open_listening_sockets",
        ("accept4", None): "ngx_event_accept",
        ("setsockopt", "TCP_NODELAY"): "ngx_tcp_nodelay",
    }
    for (op, option), function in ways.items():
        told = [e for e in of_nginx(seen, op=op, optname=option) if e["ret"] >= 0 and e["family"] != "unix"]
        assert len(told) == 2
        for event in told:
            assert event["stack"][0] == "_start"
            assert "main" in event["stack"]
            assert [event["stack"][-2], event["stack"][-1].removeprefix("__")] == [function, op]


def test_the_same_as_strace(found: tuple[Output, list[tuple[str, int]]], nginx: Nginx, tmp_path: Path) -> None:
    seen, _clients = found
    theirs = [call for call in strace.calls(tmp_path, nginx.command) if call.comm == "nginx"]
    clients = [tuple(client) for client in json.loads(nginx.told.read_text())]
    accepted = [(c.addr, c.port) for c in theirs if c.op == "accept4" and c.ret >= 0]
    assert accepted == clients
    assert by_process((e["pid"], ours(e)) for e in of_nginx(seen) if not_busy(e["ret"])) == by_process(
        (c.pid, (c.op, c.fd, *c.option, c.addr, 0 if c.op == "accept4" else c.port, c.ret))
        for c in theirs
        if not_busy(c.ret)
    )


def ours(event: dict[str, Any]) -> tuple[Any, ...]:
    """An event as strace's calls are; who connects has another port each time."""
    option = tuple(event[key] or "" for key in ("level", "optname", "optval"))
    port = 0 if event["op"] == "accept4" else event["port"] or 0
    return event["op"], event["fd"], *option, event["addr"] or "", port, event["ret"]


def not_busy(ret: int) -> bool:
    """How often a socket that does not block is asked in vain is not the same each time."""
    return ret != -11


def by_process(calls: Any) -> list[list[tuple[Any, ...]]]:
    """The calls of each process, in order, by the order in which processes began."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for pid, call in calls:
        found.setdefault(pid, []).append(call)
    return list(found.values())
