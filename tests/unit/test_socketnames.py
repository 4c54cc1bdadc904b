"""Names and values of what is done to sockets."""

from __future__ import annotations

import re
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebtop.socketnames import FAMILIES, LEVELS, OPTIONS, address, level_name, option_name, option_value

HEADERS = {
    1: ("asm-generic/socket.h", r"SO_\w+"), 6: ("linux/tcp.h", r"TCP_\w+"), 0: ("linux/in.h", r"(?:IP|MCAST)_\w+"),
    41: ("linux/in6.h", r"IPV6_\w+"), 17: ("linux/udp.h", r"UDP_\w+"), 270: ("linux/netlink.h", r"NETLINK_\w+"),
    263: ("linux/if_packet.h", r"PACKET_\w+"),
}  # fmt: skip
ALIASES = {
    "SO_GET_FILTER", "SO_DETACH_BPF", "IP_RECVRETOPTS", "IP_ORIGDSTADDR", "TCP_CM_INQ", "IPV6_ORIGDSTADDR",
    "SO_RCVTIMEO_OLD", "SO_SNDTIMEO_OLD", "SO_TIMESTAMP_OLD", "SO_TIMESTAMPNS_OLD", "SO_TIMESTAMPING_OLD",
}  # fmt: skip


@pytest.mark.parametrize("level", HEADERS)
def test_every_option_of_the_headers_has_its_name(level: int) -> None:
    """Where a header has other numbers under the same beginning, as of values, ours must at least be among them."""
    name, pattern = HEADERS[level]
    header = Path("/usr/include", name)
    if not header.exists():
        pytest.skip(f"{header} is not installed (linux-libc-dev)")
    defined = re.findall(rf"^#define\s+({pattern})\s+(\d+)\b", header.read_text(), re.MULTILINE)
    known = {option: int(number) for option, number in defined if option not in ALIASES}
    ours = {option: number for number, option in OPTIONS[level].items()}
    assert {option: known[option] for option in ours if option in known} == {
        o: n for o, n in ours.items() if o in known
    }
    assert len(set(ours) & set(known)) >= min(len(ours), 5)
    if level in {0, 1}:
        values = {o for o in known if o.startswith(("IP_PMTUDISC", "MCAST_EXCLUDE", "MCAST_INCLUDE", "IP_DEFAULT"))}
        assert set(known) - values - set(ours) == set()


_NO_OPTIONS = re.compile(r"DEFAULT|PMTUDISC|VM_SOCKETS|J1939|RTHDR_TYPE_0|MAX_MEMBERSHIPS")
_OTHER_NAMES = {
    "IP_RECVRETOPTS": "IP_RETOPTS", "IPV6_JOIN_GROUP": "IPV6_ADD_MEMBERSHIP",
    "IPV6_LEAVE_GROUP": "IPV6_DROP_MEMBERSHIP",
}  # fmt: skip


@pytest.mark.parametrize(("prefix", "level"), [("SO_", 1), ("TCP_", 6), ("IPV6_", 41), ("IP_", 0)])
def test_every_constant_of_pythons_socket_module(prefix: str, level: int) -> None:
    """A second list, made by others, of this machine's C library."""
    names = [name for name in dir(socket) if name.startswith(prefix) and not _NO_OPTIONS.search(name)]
    told = {name: option_name(2, level, getattr(socket, name)) for name in names}
    assert told == {name: _OTHER_NAMES.get(name, name) for name in names}
    assert len(names) > 8


def test_families_and_levels() -> None:
    for name in ("UNIX", "NETLINK", "PACKET", "CAN", "VSOCK", "TIPC", "BLUETOOTH", "ALG", "QIPCRTR"):
        assert FAMILIES[getattr(socket, f"AF_{name}")] == name.lower()
    assert (FAMILIES[socket.AF_INET], FAMILIES[socket.AF_INET6]) == ("ipv4", "ipv6")
    assert [level_name(2, number) for number in (0, 1, 6, 17, 41, 263, 270, 282, 284, 287)] == [
        "SOL_IP", "SOL_SOCKET", "SOL_TCP", "SOL_UDP", "SOL_IPV6", "SOL_PACKET", "SOL_NETLINK", "SOL_TLS", "SOL_MPTCP",
        "SOL_VSOCK",
    ]  # fmt: skip
    assert 12345 not in LEVELS
    assert (level_name(2, 12345), option_name(2, 12345, 7)) == ("12345", "7")
    assert (level_name(40, 40), option_name(40, 40, 6)) == ("AF_VSOCK", "SO_VM_SOCKETS_CONNECT_TIMEOUT")


@pytest.mark.parametrize(
    ("option", "raw", "text"),
    [
        ("SO_REUSEADDR", b"\1\0\0\0", "1"),
        ("SO_RCVBUF", struct.pack("<i", -1), "-1"),
        ("IP_MULTICAST_TTL", b"\7", "7"),
        ("SO_MAX_PACING_RATE", struct.pack("<q", 1 << 40), str(1 << 40)),
        ("SO_LINGER", struct.pack("<ii", 1, 5), "on 5 s"),
        ("SO_LINGER", struct.pack("<ii", 0, 0), "off 0 s"),
        ("SO_RCVTIMEO", struct.pack("<qq", 2, 500_000), "2.5 s"),
        ("SO_SNDTIMEO_NEW", struct.pack("<qq", 10, 0), "10 s"),
        ("SO_SNDTIMEO", struct.pack("<qq", 1, -1), "01 00 00 00 00 00 00 00 ff ff ff ff ff ff ff ff"),
        ("SO_BINDTODEVICE", b"eth0\0\xff\xff", "eth0"),
        ("TCP_CONGESTION", b"bbr", "bbr"),
        ("SO_ATTACH_FILTER", struct.pack("<HxxxxxxQ", 9, 0xFFFF888000001000), "9 instructions"),
        ("IP_MULTICAST_IF", bytes([127, 0, 0, 1]), "127.0.0.1"),
        ("999", b"\1\0\0\0", "01 00 00 00"),
        ("SO_PEERCRED", b"\xde\xad\xbe\xef\0", "de ad be ef 00"),
        ("SO_DETACH_FILTER", b"\1\0\0\0", None),
        ("TCP_NODELAY", b"", None),
    ],
)
def test_values(option: str, raw: bytes, text: str | None) -> None:
    assert option_value(option, raw, len(raw)) == text


def test_long_values_are_cut_and_say_so() -> None:
    assert option_value("IP_OPTIONS", bytes(128), 4000) == f"{'00 ' * 31}00 … 4000 bytes"


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (struct.pack("<H2s4s8x", 2, b"\x1f\x90", bytes([10, 0, 3, 7])), ("10.0.3.7", 8080)),
        (struct.pack("<H2s4x16s4x", 10, b"\0\x50", socket.inet_pton(socket.AF_INET6, "::ffff:1.2.3.4")),
         ("::ffff:1.2.3.4", 80)),
        (b"\1\0/run/x.sock\0rest", ("/run/x.sock", None)),
        (b"\1\0/run/\xff\x1b", ("/run/\udcff\x1b", None)),
        (b"\1\0\0abstract\0name", ("@abstract\0name", None)),
        (b"\1\0", (None, None)),
        (b"\0\0rest", (None, None)),
        (b"", (None, None)),
        (struct.pack("<HHII", 16, 0, 77, 5), ("0x5", 77)),
        (struct.pack("<HHII", 40, 0, 1024, 2), ("2", 1024)),
        (b"\2\0\1", ("01", None)),
        (b"\x1d\0\1\2\3\4", ("01 02 03 04", None)),
    ],
)  # fmt: skip
def test_addresses(raw: bytes, told: tuple[str | None, int | None]) -> None:
    assert address(raw) == told


@given(st.binary(max_size=128), st.integers(0, 1 << 32))
def test_whatever_a_program_gives(raw: bytes, more: int) -> None:
    """Any bytes make a text or nothing."""
    addr, port = address(raw)
    assert addr is None or len(addr) < 400
    assert port is None or 0 <= port < 1 << 32
    for level, options in OPTIONS.items():
        for number in options:
            text = option_value(option_name(2, level, number), raw, len(raw) if len(raw) < 128 else 128 + more)
            assert text is None or len(text) < 400
