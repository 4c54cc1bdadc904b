"""A third opinion: strace tells what a program did with its sockets."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

_LINE = re.compile(r"^(?P<pid>\d+)<(?P<comm>[^>]*)> +(?P<rest>.*)$")
_CALL = re.compile(
    r"^(?P<op>\w+)\((?P<args>.*)\) += (?P<ret>-?\d+)(?:<(?P<made>[^ ]*)>)?(?: (?P<error>E\w+))?(?: \(.*\))?$"
)
_UNFINISHED, _RESUMED = " <unfinished ...>", re.compile(r"^<\.\.\. \w+ resumed>(.*)$")
_FD = re.compile(r"^(\d+)<(.*?>?)>(?:, |$)")
_SOCKETS = ("TCP", "UDP", "UNIX", "socket", "NETLINK", "RAW")
_OPS = frozenset({"socket", "setsockopt", "bind", "listen", "connect", "accept", "accept4", "shutdown", "close"})


class Call(NamedTuple):
    """A call as the tool tells it; of an address what strace has of it, "" where there is none."""

    pid: int
    comm: str
    op: str
    fd: int
    option: tuple[str, str, str]
    addr: str
    port: int
    ret: int


def calls(folder: Path, command: Sequence[object]) -> list[Call]:
    """Run a command under strace: all calls of its processes on sockets, in order."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: there is no second opinion")
    file = folder / "strace.out"
    options = ["-f", "-Y", "-yy", "-s", "256", "-e", "trace=network,close", "-o", str(file)]
    done = subprocess.run(["strace", *options, *map(str, command)], check=False, capture_output=True, timeout=120)
    if b"ptrace" in done.stderr:
        pytest.skip(f"strace cannot run here: {done.stderr.decode().splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    return list(_parsed(file.read_text().splitlines()))


def _parsed(lines: Sequence[str]) -> Iterator[Call]:
    begun: dict[str, str] = {}
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        pid, comm, rest = match.groups()
        if rest.endswith(_UNFINISHED):
            begun[pid] = rest.removesuffix(_UNFINISHED)
            continue
        if resumed := _RESUMED.match(rest):
            rest = begun.pop(pid) + resumed[1]
        found = _CALL.match(rest)
        if found and found["op"] in _OPS and (call := _call(int(pid), comm, found)):
            yield call


def _call(pid: int, comm: str, found: re.Match[str]) -> Call | None:
    op, args, ret = found["op"], found["args"], int(found["ret"])
    ret = -getattr(errno, found["error"]) if found["error"] else ret
    fd, option = ret if op == "socket" else -1, ("", "", "")
    if given := _FD.match(args):
        fd, args = int(given[1]), args[given.end() :]
        if not given[2].startswith(_SOCKETS):
            return None
    if op == "setsockopt":
        level, name, value = args.split(", ", 2)
        option = (level, name, _value(value))
    addr, port = _address(args)
    return Call(pid, comm, op, fd, option, addr, port, ret)


def _value(text: str) -> str:
    """`[1], 4` as 1, `{l_onoff=1, l_linger=5}, 8` as the tool writes it; else as strace does."""
    if match := re.match(r"\[(-?\d+)\], \d+$", text):
        return match[1]
    if match := re.match(r"\{l_onoff=(\d), l_linger=(\d+)\}", text):
        return f"{'on' if int(match[1]) else 'off'} {match[2]} s"
    return text


def _address(args: str) -> tuple[str, int]:
    port = re.search(r"sin6?_port=htons\((\d+)\)", args)
    if found := re.search(r'inet_addr\("(.*?)"\)|inet_pton\(AF_INET6, "(.*?)"|sun_path=(@?"[^"]*")', args):
        return (found[1] or found[2] or found[3].replace('"', "")), int(port[1]) if port else 0
    return "", 0
