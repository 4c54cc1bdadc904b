"""sockops: what programs do with their sockets, from socket() to close()."""

from __future__ import annotations

from collections.abc import Sequence

from ebtop import eventstack
from ebtop.socketnames import TYPES, address, family_name, level_name, option_name, option_value, protocol_name
from ebtop.tool import Attach, Batch, Column, Derive, Kind, Names, Probe, Ring, Slot, Tool, Type, Value, named

UNKNOWN = (1 << 64) - 1
"""latency_ns of a call whose entry was not seen."""

OPS = ("", "socket", "setsockopt", "bind", "listen", "connect", "accept", "accept4", "shutdown", "close")
"""By the numbers of the C program."""
_SOCKET, _SETSOCKOPT, _BIND, _LISTEN, _CONNECT, _ACCEPT, _ACCEPT4, _SHUTDOWN = range(1, 9)
_WITH_ADDRESS = frozenset({_BIND, _CONNECT, _ACCEPT, _ACCEPT4})

_ENDS = ("RD", "WR", "RDWR")
_NONBLOCK, _CLOEXEC = 0o4000, 0o2000000


def op(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `op` column."""
    return [OPS[number] if number < len(OPS) else str(number) for number in batch["op"].tolist()]


def family(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `family` column."""
    return [family_name(number) for number in batch["family"].tolist()]


def protocol(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `protocol` column."""
    rows = zip(batch["family"].tolist(), batch["protocol"].tolist(), strict=True)
    return [protocol_name(family_, number) for family_, number in rows]


def fd(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `fd` column: None of a socket that did not come to be."""
    rows = zip(batch["op"].tolist(), batch["fd"].tolist(), strict=True)
    return [None if number == _SOCKET and given < 0 else given for number, given in rows]


def sockets(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `socket` column: the one that the call was made on, and the one that accept gave."""
    rows = zip(batch["socket"].tolist(), batch["accepted"].tolist(), strict=True)
    return [[str(inode) for inode in both if inode] or None for both in rows]


def option(part: str) -> Derive:
    """The columns `level` and `optname`."""

    def derive(batch: Batch, _names: Names) -> Sequence[Value]:
        rows = zip(*(batch[key].tolist() for key in ("op", "family", "level", "optname")), strict=True)
        name = {"level": lambda f, level, _number: level_name(f, level), "optname": option_name}[part]
        return [name(f, level, number) if op_ == _SETSOCKOPT else None for op_, f, level, number in rows]

    return derive


def optval(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `optval` column."""
    rows = zip(
        *(batch[key].tolist() for key in ("op", "family", "level", "optname", "size")), batch["data"], strict=True
    )
    return [
        option_value(option_name(f, level, number), data.tobytes()[:size], size) if op_ == _SETSOCKOPT else None
        for op_, f, level, number, size, data in rows
    ]


def end(which: int) -> Derive:
    """The columns `addr` (0) and `port` (1): where to, and of accept where from."""

    def derive(batch: Batch, _names: Names) -> Sequence[Value]:
        rows = zip(batch["op"].tolist(), batch["size"].tolist(), batch["data"], strict=True)
        return [
            address(data.tobytes()[:size])[which] if number in _WITH_ADDRESS else None for number, size, data in rows
        ]

    return derive


def flag_names(number: int, argument: int) -> list[str] | None:
    """What a call was asked for beside its address: a socket's type, how to open it, what to shut down."""
    if number == _SHUTDOWN:
        return [_ENDS[argument] if argument < len(_ENDS) else str(argument)]
    if number not in {_SOCKET, _ACCEPT4}:
        return None
    kind, rest = argument & 0xF, argument & ~0xF & ~_NONBLOCK & ~_CLOEXEC
    names = [TYPES.get(kind, str(kind))] if number == _SOCKET else [str(kind)] if kind else []
    names += [name for bit, name in ((_NONBLOCK, "NONBLOCK"), (_CLOEXEC, "CLOEXEC")) if argument & bit]
    return names + ([hex(rest)] if rest else [])


def flags(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `flags` column."""
    return [flag_names(*row) for row in zip(batch["op"].tolist(), batch["argument"].tolist(), strict=True)]


def backlog(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `backlog` column: the number as the kernel takes it, -1 for the most there is."""
    rows = zip(batch["op"].tolist(), batch["argument"].astype("i4").tolist(), strict=True)
    return [given if number == _LISTEN else None for number, given in rows]


def latency(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `latency_ns` column: None where the entry of the call was not seen."""
    return [None if ns == UNKNOWN else ns for ns in batch["latency_ns"].tolist()]


_CALLS = OPS[1:]


TOOL = Tool(
    name="sockops",
    key="7",
    kind=Kind.EVENTS,
    group="network",
    title="the life of sockets: socket, setsockopt, bind, listen, connect, accept, shutdown, close",
    help=(
        "Every such call with what it was asked for and what came of it; of accept, ADDR and PORT are the peer's. "
        "OPTVAL is a number as it was given, or the bytes where ebtop knows no better. `socket` in the details is the "
        "number that /proc/PID/fd has for it, the same for all descriptors of a socket in all processes: l lists all "
        "that is held of it, from its first call to close. EAGAIN and EINPROGRESS are what sockets that do not block "
        "say. Not seen: sockets made by socketpair, or got from another process, before something is done with them; "
        "descriptors that dup2, close_range or the end of the process close; what goes through io_uring; calls of "
        "32-bit programs on a 64-bit kernel."
    ),
    slots=(
        Slot(
            "calls",
            (
                tuple(
                    Probe(Attach.TRACEPOINT, f"syscalls:sys_{side}_{call}", f"{side}_tracepoint")
                    for call in _CALLS
                    for side in ("enter", "exit")
                ),
                (
                    Probe(Attach.RAW_TRACEPOINT, "sys_enter", "enter_raw"),
                    Probe(Attach.RAW_TRACEPOINT, "sys_exit", "exit_raw"),
                ),
            ),
        ),
        eventstack.SLOT,
    ),
    rings=(Ring("events", "socket_event", 8 << 20, cleared=True), *eventstack.RINGS),
    group_by="op",
    life="socket",
    columns=(
        Column("ts", "TIME", Type.TIME, "when the call returned", 12, rank=3),
        Column("pid", "PID", Type.INT, "process", 7, rank=1),
        Column("tid", "TID", Type.INT, "thread", 7, hidden=True),
        Column("uid", "USER", Type.USER, "user", 8, hidden=True),
        Column("comm", "COMM", Type.TEXT, "name of the thread", 15, rank=4),
        Column("op", "OP", Type.TEXT, "the call", 10, rank=1, derive=op),
        Column("fd", "FD", Type.INT, "descriptor that it was made on; of socket the new one", 5, rank=1, derive=fd),
        Column("family", "FAMILY", Type.TEXT, "ipv4, ipv6, unix and so on", 7, rank=6, derive=family),
        Column("protocol", "PROTOCOL", Type.TEXT, "of an internet socket: tcp, udp and so on", 8, hidden=True,
               derive=protocol),
        Column("ret", "RET", Type.RET, "0 or the new descriptor, or why it failed", 11, rank=2),
        Column("latency_ns", "LATENCY", Type.DURATION, "time inside the call", 8, rank=7, derive=latency),
        Column("flags", "FLAGS", Type.FLAGS, "type of the socket, how it is opened, what is shut down", 18, rank=9,
               derive=flags),
        Column("level", "LEVEL", Type.TEXT, "whose option it is", 10, rank=8, derive=option("level")),
        Column("optname", "OPTION", Type.TEXT, "the option that was set", 12, rank=2, derive=option("optname")),
        Column("optval", "OPTVAL", Type.TEXT, "what it was set to", 6, rank=2, derive=optval),
        Column("port", "PORT", Type.INT, "port", 5, rank=1, derive=end(1)),
        Column("addr", "ADDR", Type.PATH, "address, or path of a unix socket; of accept the peer's", 15, rank=1,
               derive=end(0)),
        Column("backlog", "BACKLOG", Type.INT, "connections that listen lets wait", 7, hidden=True, derive=backlog),
        Column("socket", "SOCKET", Type.FLAGS, "number of the socket; of accept also the new one's", 12, hidden=True,
               derive=sockets),
        Column("truncated", "TRUNCATED", Type.BOOL, "the option's value was longer", 9, hidden=True),
        Column("cgroup", "CGROUP", Type.TEXT, "control group", 24, hidden=True, derive=named("cgroup", "cgroup")),
        *eventstack.COLUMNS,
    ),
    stacks=True,
)  # fmt: skip
