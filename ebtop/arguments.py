"""Words on the command line: parsers whose errors are one line, the focus, and the command after `--`."""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ebtop.namespaces import NESTED, nested_pids
from ebtop.near import near

if TYPE_CHECKING:
    from ebtop.probing.plan import Probing
    from ebtop.tick import Focus
    from ebtop.tool import Tool

_ID_DIGITS = 10
_OF_FILES = frozenset({"uprobe", "u", "uretprobe", "ur", "usdt", "U"})
USAGE, NOT_PERMITTED, CANNOT_RUN, BAD_FILE, WRITE_FAILED = 2, 3, 4, 5, 1


class UsageError(Exception):
    """Wrong usage, in one line."""


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line and names what is near."""

    def error(self, message: str) -> NoReturn:
        """One line, exit code 2."""
        fail(f"{message} (ebtop --help tells what there is)", USAGE)


def fail(message: str, code: int) -> NoReturn:
    """Say why on stderr in one line and exit."""
    from ebtop.sanitise import sanitise

    sys.stderr.write(f"ebtop: {sanitise(message)}\n")
    sys.exit(code)


def need_host_pids(what: str) -> None:
    """Exit where processes cannot be told to the kernel by their number."""
    if nested_pids():
        fail(f"{what} cannot work here: {NESTED}; --comm, --uid and --cgroup can, or ebtop on the host", CANNOT_RUN)


def split_command(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Our arguments, and the command after the first `--` (None without one)."""
    if "--" not in argv:
        return list(argv), None
    at = list(argv).index("--")
    return list(argv[:at]), list(argv[at + 1 :])


def add_focus(parser: argparse.ArgumentParser) -> None:
    """The FOCUS options of the contract."""
    group = parser.add_argument_group("focus: which processes count (applied in the kernel)")
    group.add_argument("--pid", action="append", type=int, default=[], metavar="PID", help="this process; repeatable")
    group.add_argument("--follow", action="store_true", help="its descendants too")
    group.add_argument("--comm", action="append", default=[], metavar="NAME", help="threads of this name; repeatable")
    group.add_argument("--uid", metavar="USER", help="processes of this user, by name or number")
    group.add_argument("--cgroup", default="", metavar="PATH", help="processes in this control group and below it")


def add_capture(parser: argparse.ArgumentParser) -> None:
    """Options that choose how capture works."""
    group = parser.add_argument_group("capture")
    group.add_argument("--perf-buffer", action="store_true", help="use the perf buffer though there is a ring buffer")
    group.add_argument(
        "--attach", default="", metavar="KIND", type=way_to_attach,
        help="use this kind of probe (tracepoint, raw_tracepoint, tp_btf, fentry, kprobe), or this function of the "
             "tool's C program, where a tool has alternatives",
    )  # fmt: skip
    group.add_argument("--frequency", type=int, metavar="HZ", help="samples a second and CPU, for tools that sample; "
                       "99 by default, as 100 would beat with timers")  # fmt: skip


def add_probing(parser: argparse.ArgumentParser) -> None:
    """What is asked of a tool that has no attach points of its own."""
    from ebtop.probing.plan import Mode

    group = parser.add_argument_group("attach points of your choice (ebtop probes lists them)")
    group.add_argument("-p", "--point", action="append", default=[], metavar="KIND:NAME", help="attach there; with "
                       "wildcards to all that match; repeatable")  # fmt: skip
    group.add_argument("--mode", choices=[mode.value for mode in Mode], help="an event for each hit (trace), how "
                       "often each is hit, latencies of calls, the distribution of an argument, stacks")  # fmt: skip
    group.add_argument("--filter", default="", metavar="EXPR", help="only what it holds for: 'count > 0x1000 && comm "
                       "!= \"sh\"'; names are arguments, pid, tid, uid, comm; 'flags & 0x40' holds if one "
                       "of the bits is set, 'flags & 3 == 3' if both are (& goes before ==, unlike in C)")  # fmt: skip
    group.add_argument("--value", default="", metavar="ARG", help="dist: of which argument; retval is what is returned")
    group.add_argument("--string", action="append", default=[], metavar="ARG", help="this argument is the address of a "
                       "string, though nothing says so; repeatable")  # fmt: skip
    group.add_argument("--hot", action="store_true", help="attach however often the points are hit")
    group.add_argument("--slower-than", type=span, default=0, metavar="TIME", help="latency: an event for each call "
                       "that takes longer (10ms)")  # fmt: skip


def span(text: str) -> int:
    """A time in ns. Raises ArgumentTypeError."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(ns|us|ms|s)", text.strip())
    found = round(float(match[1]) * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[match[2]]) if match else 0
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 10ms, 250us or 1.5s")
    return found


def probing_from(tool: Tool, args: argparse.Namespace) -> Probing | None:
    """What is asked for; None for a tool that has attach points of its own. Raises UsageError."""
    given = {"-p": args.point, "--mode": args.mode, "--filter": args.filter, "--value": args.value,
             "--slower-than": args.slower_than, "--string": args.string, "--hot": args.hot}  # fmt: skip
    if tool.make is None:
        if wrong := [name for name, value in given.items() if value]:
            raise UsageError(f"{wrong[0]}: {tool.name} has attach points of its own")
        return None
    if not args.point:
        raise UsageError(f"{tool.name} needs attach points: -p KIND:NAME (ebtop probes lists them)")
    from ebtop.probing.filter import FilterError, parse
    from ebtop.probing.plan import Mode, Probing

    try:
        parse(args.filter)
    except FilterError as error:
        raise UsageError(f"--filter: {error}") from error
    mode = Mode(args.mode or ("latency" if args.slower_than else "trace"))
    points = tuple(map(_from_here, args.point))
    return Probing(points, mode, args.filter, args.value, args.slower_than, tuple(args.string), args.hot)


def probing_for(tools: Sequence[Tool], args: argparse.Namespace) -> Probing | None:
    """What is asked for of the one among several tools that it is for. Raises UsageError."""
    made = next((tool for tool in tools if tool.make is not None), None)
    if made is None and tools:
        return probing_from(tools[0], args)  # which says what was given in vain
    return probing_from(made, args) if made else None


def _from_here(point: str) -> str:
    """A relative path in it begins here, wherever capture is."""
    kind, colon, rest = point.partition(":")
    path, more, name = rest.partition(":")
    return f"{kind}{colon}{Path.cwd() / path}{more}{name}" if more and "/" in path and kind in _OF_FILES else point


def way_to_attach(word: str) -> str:
    """A kind of probe, or a function that attaches for some tool. Raises ArgumentTypeError with near names."""
    if not word:
        return ""
    from ebtop import registry
    from ebtop.tool import Attach

    probes = [p for tool in registry.tools() for slot in tool.slots for way in slot.alternatives for p in way]
    known = {kind.value for kind in Attach} | {probe.function for probe in probes}
    if word not in known:
        raise argparse.ArgumentTypeError(f"no kind of probe or function {word!r}{near(word, sorted(known))}")
    return word


def focus_from(args: argparse.Namespace) -> Focus:
    """The focus that the options describe. Raises UsageError for what is not there."""
    from ebtop.tick import Focus

    if args.pid:
        need_host_pids("--pid")
    for pid in args.pid:
        if pid <= 0 or not Path(f"/proc/{pid}").is_dir():
            raise UsageError(f"no process {pid}")
    if args.follow and not args.pid:
        raise UsageError("--follow needs --pid: whose descendants?")
    for name in args.comm:
        if not name or len(os.fsencode(name)) > 15:
            raise UsageError(f"--comm {name!r}: the kernel keeps names of 1 to 15 bytes")
    if len(args.comm) > 4:
        raise UsageError("at most 4 --comm can be given")
    return Focus(tuple(args.pid), args.follow, tuple(args.comm), uid_of(args.uid), cgroup_of(args.cgroup))


def uid_of(user: str | None) -> int | None:
    """The number of a user. Raises UsageError with near names."""
    if user is None:
        return None
    try:
        return pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        if user.isdecimal() and len(user) <= _ID_DIGITS and int(user) < 1 << 32:
            return int(user)
        raise UsageError(f"no user {user!r}{near(user, [u.pw_name for u in pwd.getpwall()])}") from None


def cgroup_of(path: str) -> str:
    """A control group as a path below the cgroup2 mount. Raises UsageError with near names."""
    if not path:
        return ""
    from ebtop.resolve.cgroup import find_mount

    mount = find_mount()
    if not mount:
        raise UsageError("--cgroup needs the cgroup2 file system, which is not mounted here")
    inside = path.removeprefix(mount).strip("/")
    place = Path(mount, inside)
    if os.path.isdir(place) and ".." not in inside.split("/"):  # noqa: PTH112  it never raises: a path may be too long
        return f"/{inside}"
    known = []
    with contextlib.suppress(OSError, ValueError):
        known = [entry.name for entry in place.parent.iterdir() if entry.is_dir()]
    raise UsageError(f"no control group {path!r} below {mount}{near(place.name, known)}")


def one_tool(name: str) -> Any:
    """The tool of that name. Raises UsageError with near names."""
    from ebtop import registry

    try:
        return registry.find(name)
    except LookupError as error:
        raise UsageError(str(error)) from error
