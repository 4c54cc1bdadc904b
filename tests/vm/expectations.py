"""What each tool must see of a load whose outcome is known: the counts are prime, and must be exact."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests import loads
from tests.kernel.ebtop import Output

# No route leads there from a machine that has the loopback interface only: these connects end before they begin.
_UNREACHABLE = "import socket\nfor i in range(7): socket.socket().connect_ex(('198.51.100.1', 81))"


@dataclass(frozen=True)
class Expectation:
    """`command`, given a folder for its files, makes a load; `check` says what was seen of it, or raises."""

    command: Callable[[Path], list[str]]
    check: Callable[[Output, Path], str]
    options: tuple[str, ...] = ()


def must(true: bool, seen: object) -> None:
    """An assertion that says what was seen also where pytest does not explain it."""
    if not true:
        raise AssertionError(str(seen))


def _shell(*commands: list[str]) -> list[str]:
    return ["sh", "-c", "; ".join(" ".join(f"'{word}'" for word in words) for words in commands)]


def _execs(folder: Path) -> list[str]:
    missing = str(folder / "missing")
    return _shell(loads.command("execs", 101, "/bin/true", "x"), loads.command("execs", 53, missing, "y"))


def _execs_seen(found: Output, folder: Path) -> str:
    done = found.where(path="/bin/true", ret=0)
    failed = found.where(path=str(folder / "missing"), ret=-2)
    ended = {row["exec_id"] for row in found.of("row") if row["exit_code"] == 0}
    counts = (len(done), len(failed), len({e["exec_id"] for e in done} & ended))
    must(counts == (101, 53, 101), f"execs, failed ones, ends: {counts}")
    must({e["comm"] for e in done} == {"true"}, {e["comm"] for e in done})
    must(all(e["argv"] == ["/bin/true", "x"] for e in done), [e["argv"] for e in done[:3]])
    must(all(e["argv"] == [str(folder / "missing"), "y"] for e in failed), [e["argv"] for e in failed[:3]])
    return "101 + 53"


def _opens(folder: Path) -> list[str]:
    (folder / "target").touch()
    return ["sh", "-c", f"cd '{folder}' && '{loads.build('opens')}' target 10007"]


def _opens_seen(found: Output, folder: Path) -> str:
    mine = found.where(path="target")
    must(len(mine) == 10007, len(mine))
    places = {(e["comm"], e["abspath"]) for e in mine}
    must(places == {("opens", str(folder / "target"))}, places)
    must(all(e["ret"] >= 0 and e["latency_ns"] and e["flags"] == ["RDONLY", "CLOEXEC"] for e in mine), mine[0])
    return "10007"


def _connects(_folder: Path) -> list[str]:
    return _shell(loads.command("connects", 23, 17, 5), [sys.executable, "-S", "-c", _UNREACHABLE.replace("'", '"')])


def _connects_seen(found: Output, _folder: Path) -> str:
    seen = Counter((e["family"], e["daddr"], e["ret"]) for e in found.events)
    expected = {
        ("ipv4", "127.0.0.1", 0): 23,
        ("ipv6", "::1", 0): 17,
        ("ipv4", "127.0.0.1", -111): 5,
        ("ipv4", "198.51.100.1", -101): 7,
    }
    must(seen == expected, seen)
    names = {e["comm"] for e in found.events if e["ret"] != -101}
    must(names == {"connects"}, names)
    return "23 + 17 + 5 + 7"


def _switches(_folder: Path) -> list[str]:
    return loads.command("switches", "pipes", 2003)


def _switches_seen(found: Output, _folder: Path) -> str:
    """2,004 switches between two threads on one CPU: one wait each, two where who wakes is pushed off its CPU (rt)."""
    total = sum(histogram["total"] for histogram in found.of("histogram"))
    must(2000 <= total <= 4500, total)
    return str(total)


def _burn(_folder: Path) -> list[str]:
    return loads.command("burn", 3)


def _burn_seen(found: Output, _folder: Path) -> str:
    """297 samples; an emulated CPU misses those that are due while the host runs something else."""
    counted: Counter[str] = Counter()
    for stack in found.of("stack"):
        counted[stack["frames"][-1] if stack["frames"] else ""] += stack["count"]
    name, most = counted.most_common(1)[0]
    must(name == "burn_here", counted.most_common(3))
    must(150 <= counted.total() <= 342 and most > 0.8 * counted.total(), (counted.total(), counted.most_common(3)))
    return f"{counted.total()} samples"


def _brief(_folder: Path) -> list[str]:
    return loads.command("brief", 101, 500)


def _brief_seen(found: Output, _folder: Path) -> str:
    mine = [row for row in found.of("row") if row["comm"] == "brief"]
    counts = {key: sum(row[key] for row in mine) for key in ("exits", "failed_exits", "forks")}
    ended = {row["id"] for row in mine if row["state"] == "X"}
    zombies = {row["id"] for row in mine if row["state"] == "Z"}
    counts["exits"] += len(zombies - ended)  # their parent, if nobody has waited for it yet
    must(counts == {"exits": 102, "failed_exits": 15, "forks": 101}, counts)
    used = sum(row["cpu_ns"] for row in mine)
    must(used >= 101 * 500_000, used)
    return "101"


def _sockets(_folder: Path) -> list[str]:
    return loads.command("sockets", 11, 7, 5)


def _sockets_seen(found: Output, _folder: Path) -> str:
    mine = found.where(comm="sockets")
    counts = Counter(e["op"] for e in mine)
    expected = {
        "socket": 26, "setsockopt": 49, "bind": 3, "listen": 3, "connect": 23, "accept4": 26, "shutdown": 23,
        "close": 49,
    }  # fmt: skip
    must(counts == expected, counts)
    peers = Counter((e["family"], e["addr"]) for e in mine if e["op"] == "accept4" and e["ret"] >= 0)
    must(peers == {("ipv4", "127.0.0.1"): 11, ("ipv6", "::1"): 7, ("unix", None): 5}, peers)
    values = {(e["optname"], e["optval"]) for e in mine if e["op"] == "setsockopt"}
    told = {("SO_REUSEADDR", "1"), ("TCP_NODELAY", "1"), ("SO_LINGER", "on 5 s"), ("SO_SNDTIMEO", "2.5 s")}
    must(values == told, values)
    return "202"


def _checks(_folder: Path) -> list[str]:
    return loads.command("checks", 5, 7, 13)


def _checks_seen(found: Output, _folder: Path) -> str:
    caps = {"CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_CHROOT"}  # an overlay asks for others, too
    mine = [e for e in found.where(comm="checks") if e["audit"] and e["cap"] in caps]
    counts = Counter((e["cap"], e["ret"]) for e in mine)
    expected = {
        ("CAP_NET_BIND_SERVICE", 0): 5, ("CAP_NET_BIND_SERVICE", -1): 7, ("CAP_SYS_CHROOT", -1): 13,
        ("CAP_SETUID", 0): 1, ("CAP_SETGID", 0): 1,
    }  # fmt: skip
    must(counts == expected, counts)
    needs = Counter(e["need"] for e in mine if e["need"])
    must(needs == {f"checks {cap}": count for (cap, ret), count in expected.items() if not ret}, needs)
    return "5 + 7 + 13"


_HITS = ("tracepoint:syscalls:sys_enter_openat", "kprobe:do_sys_openat2")


def _hits_seen(found: Output, _folder: Path) -> str:
    counted = {row["probe"]: row["count"] for row in found.of("row")}
    must(counted == dict.fromkeys(_HITS, 10007), counted)
    return "2 x 10007"


EXPECTED = {
    "overview": Expectation(_brief, _brief_seen),
    "execsnoop": Expectation(_execs, _execs_seen),
    "opensnoop": Expectation(_opens, _opens_seen),
    "tcpconnect": Expectation(_connects, _connects_seen),
    "runqlat": Expectation(_switches, _switches_seen),
    "profile": Expectation(_burn, _burn_seen),
    "sockops": Expectation(_sockets, _sockets_seen),
    "capable": Expectation(_checks, _checks_seen),
    "probe": Expectation(
        _opens, _hits_seen, (*(f"-p{name}" for name in _HITS), "--mode=count", "--comm=opens", "--filter=tid != pid")
    ),
}
