"""tcpconnect: active TCP connects, established or failed."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from ebtop import eventstack
from ebtop.tool import Attach, Batch, Column, Derive, Kind, Names, Probe, Ring, Slot, Tool, Type, Value, named


def address(key: str) -> Derive:
    """A column of addresses from 16 bytes and the row's family."""

    def derive(batch: Batch, _names: Names) -> Sequence[Value]:
        rows = zip(batch["family"].tolist(), batch[key], strict=True)
        return [address_text(family, raw.tobytes()) for family, raw in rows]

    return derive


def address_text(family: int, raw: bytes) -> str:
    """An address as people write it; `raw` holds 16 bytes, of which IPv4 uses the first 4."""
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[:4])
    return socket.inet_ntop(socket.AF_INET6, raw)


def family(batch: Batch, _names: Names) -> Sequence[Value]:
    """The `family` column."""
    return ["ipv4" if number == socket.AF_INET else "ipv6" for number in batch["family"].tolist()]


TOOL = Tool(
    name="tcpconnect",
    key="4",
    kind=Kind.EVENTS,
    group="network",
    title="outgoing TCP connections, IPv4 and IPv6",
    help=(
        "Every connection that a program here opens, shown when it is established or has failed; LATENCY is the time "
        "in between: a round trip, or the wait until it was given up. ECONNREFUSED: nobody listens there. ETIMEDOUT: "
        "nobody answers. ECANCELED: the program closed the socket before there was an answer."
    ),
    slots=(
        Slot(
            "state",
            (
                (
                    Probe(Attach.RAW_TRACEPOINT, "inet_sock_set_state", "state_raw"),
                    Probe(Attach.RAW_TRACEPOINT, "inet_sock_set_state", "state_raw_again", stands_in_for="state_raw"),
                ),
                (Probe(Attach.TRACEPOINT, "sock:inet_sock_set_state", "state_tracepoint"),),
                (Probe(Attach.FENTRY, "tcp_set_state", "state_fentry"),),
                (Probe(Attach.KPROBE, "tcp_set_state", "state_kprobe"),),
            ),
        ),
        Slot(
            "refused at once",
            (
                (Probe(Attach.TRACEPOINT, "syscalls:sys_exit_connect", "connect_exit"),),
                (Probe(Attach.RAW_TRACEPOINT, "sys_exit", "connect_exit_raw"),),
            ),
        ),
        eventstack.SLOT,
    ),
    rings=(Ring("events", "connect_event", 1 << 20, cleared=True), *eventstack.RINGS),
    group_by="daddr",
    columns=(
        Column("ts", "TIME", Type.TIME, "when it was established or failed", 12, rank=2),
        Column("pid", "PID", Type.INT, "process", 7, rank=1),
        Column("tid", "TID", Type.INT, "thread", 7, hidden=True),
        Column("uid", "USER", Type.USER, "user", 8, rank=6),
        Column("comm", "COMM", Type.TEXT, "name of the thread", 16, rank=2),
        Column("ret", "RET", Type.RET, "0, or why it failed", 12, rank=2),
        Column("latency_ns", "LATENCY", Type.DURATION, "from the call to the answer", 8, rank=3),
        Column("family", "IP", Type.TEXT, "ipv4 or ipv6", 4, rank=7, derive=family),
        Column("saddr", "SADDR", Type.TEXT, "our address", 15, rank=5, derive=address("saddr")),
        Column("sport", "SPORT", Type.INT, "our port", 5, rank=5),
        Column("daddr", "DADDR", Type.TEXT, "their address", 24, rank=1, derive=address("daddr")),
        Column("dport", "DPORT", Type.INT, "their port", 5, rank=1),
        Column("cgroup", "CGROUP", Type.TEXT, "control group", 24, hidden=True, derive=named("cgroup", "cgroup")),
        *eventstack.COLUMNS,
    ),
    stacks=True,
)  # fmt: skip
