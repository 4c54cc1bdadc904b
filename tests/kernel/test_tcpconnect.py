"""tcpconnect: both families, blocking and not, established, refused, unreachable, given up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests import loads
from tests.kernel.ebtop import WAYS, trace


@pytest.mark.native
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", [[], ["nonblocking"]])
def test_every_connect(tmp_path: Path, way: str, mode: list[str]) -> None:
    found = trace(tmp_path, "tcpconnect", loads.command("connects", 23, 17, 1, *mode), way)
    assert Counter((e["family"], e["ret"]) for e in found.events) == {
        ("ipv4", 0): 23,
        ("ipv6", 0): 17,
        ("ipv4", -111): 1,
    }
    assert found.lost_in(way) == 0
    assert all(e["latency_ns"] > 0 and 0 < e["sport"] < 65536 for e in found.events)
    assert {e["daddr"] for e in found.where(family="ipv4")} == {"127.0.0.1"}
    assert {(e["saddr"], e["daddr"]) for e in found.where(family="ipv6")} == {("::1", "::1")}


PORTS = """
import json, socket, sys
made = []
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    listener = socket.create_server((address, 0), family=family)
    for _ in range(3):
        client = socket.create_connection(listener.getsockname()[:2])
        made.append([client.getsockname()[1], listener.getsockname()[1]])
print(json.dumps(made), file=open(sys.argv[1], "w"))
"""


def test_ports(tmp_path: Path) -> None:
    told = tmp_path / "ports"
    found = trace(tmp_path, "tcpconnect", [sys.executable, "-c", PORTS, str(told)])
    assert [[e["sport"], e["dport"]] for e in found.events] == json.loads(told.read_text())


UNREACHABLE = """
import socket
s = socket.socket(); s.connect_ex(("198.51.100.1", 81))           # no route
s = socket.socket(); s.setblocking(False); s.connect_ex(("10.9.8.7", 82)); s.close()   # given up
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect_ex(("10.9.8.7", 83))   # not TCP
s = socket.socket(socket.AF_UNIX); s.connect_ex("/nowhere")
"""


def test_unreachable_and_given_up(tmp_path: Path) -> None:
    interface = (
        "ip link set lo up && ip link add d0 type veth peer name d1 && ip link set d1 up && "
        "ip addr add 10.9.8.1/24 dev d0 && ip link set d0 up && "
        "ip neigh add 10.9.8.7 lladdr 02:00:00:00:00:01 dev d0"
    )
    if subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1"], check=False
    ).returncode:
        pytest.skip("a veth pair in a network namespace cannot be made here (iproute2, CONFIG_VETH)")
    script = tmp_path / "unreachable.py"
    script.write_text(UNREACHABLE)
    inside = f"{interface} && exec {sys.executable} {script}"
    found = trace(tmp_path, "tcpconnect", ["unshare", "--net", "sh", "-c", inside])
    assert [(e["daddr"], e["dport"], e["ret"]) for e in found.events] == [
        ("198.51.100.1", 81, -101),
        ("10.9.8.7", 82, -125),
    ]
