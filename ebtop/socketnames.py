"""Names of what system calls on sockets are given: families, protocols, levels, options; values as people read them.

Numbers: include/uapi/linux/{in,in6,tcp,udp,netlink,if_packet,vm_sockets,tls,mptcp}.h and asm-generic/socket.h of Linux
6.18, which x86-64 and arm64 share. Where a number has several names, it is the one that manual pages use.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from types import MappingProxyType

MOST_HEX = 32
"""Bytes of a value of unknown form that are written out."""


def _numbered(prefix: str, names: str, first: int = 0) -> dict[int, str]:
    """`"A B 9:C"` as {0: A, 1: B, 9: C}: names in order, with a number where it does not follow; "-" is skipped."""
    found, number = {}, first
    for word in names.split():
        given, _, name = word.rpartition(":")
        number = int(given) if given else number
        if name != "-":
            found[number] = prefix + name
        number += 1
    return found


FAMILIES: Mapping[int, str] = MappingProxyType({
    1: "unix", 2: "ipv4", 10: "ipv6",
    **_numbered("", "ax25 ipx appletalk netrom bridge atmpvc x25", 3),
    **_numbered("", "rose decnet netbeui security key netlink packet ash econet atmsvc rds sna irda pppox wanpipe llc "
                    "ib mpls can tipc bluetooth iucv rxrpc isdn phonet ieee802154 caif alg nfc vsock kcm qipcrtr smc "
                    "xdp mctp", 11),
    0: "unspec",
})  # fmt: skip
"""Of addresses and sockets, without AF_."""

INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})

PROTOCOLS: Mapping[int, str] = MappingProxyType({
    1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "icmpv6", 132: "sctp", 136: "udplite", 255: "raw",
    256: "smc", 262: "mptcp",
})  # fmt: skip
"""Of the internet's families."""

TYPES: Mapping[int, str] = MappingProxyType(_numbered("", "STREAM DGRAM RAW RDM SEQPACKET DCCP 10:PACKET", 1))
"""Of sockets, without SOCK_."""

LEVELS: Mapping[int, str] = MappingProxyType({
    0: "SOL_IP", 1: "SOL_SOCKET", 6: "SOL_TCP", 17: "SOL_UDP", 41: "SOL_IPV6", 58: "SOL_ICMPV6", 132: "SOL_SCTP",
    136: "SOL_UDPLITE", 255: "SOL_RAW", 256: "SOL_IPX", 257: "SOL_AX25", 258: "SOL_ATALK", 259: "SOL_NETROM",
    260: "SOL_ROSE",
    **_numbered("SOL_", "DECNET X25 PACKET ATM AAL IRDA NETBEUI LLC DCCP NETLINK TIPC RXRPC PPPOL2TP BLUETOOTH PNPIPE "
                        "RDS IUCV CAIF ALG NFC KCM TLS XDP MPTCP MCTP SMC VSOCK", 261),
})  # fmt: skip

_IP = (
    "TOS TTL HDRINCL OPTIONS ROUTER_ALERT RECVOPTS RETOPTS PKTINFO PKTOPTIONS MTU_DISCOVER RECVERR RECVTTL RECVTOS MTU "
    "FREEBIND IPSEC_POLICY XFRM_POLICY PASSSEC TRANSPARENT RECVORIGDSTADDR MINTTL NODEFRAG CHECKSUM "
    "BIND_ADDRESS_NO_PORT RECVFRAGSIZE RECVERR_RFC4884 32:MULTICAST_IF MULTICAST_TTL MULTICAST_LOOP ADD_MEMBERSHIP "
    "DROP_MEMBERSHIP UNBLOCK_SOURCE BLOCK_SOURCE ADD_SOURCE_MEMBERSHIP DROP_SOURCE_MEMBERSHIP MSFILTER "
    "49:MULTICAST_ALL UNICAST_IF LOCAL_PORT_RANGE PROTOCOL"
)
_GROUPS = "JOIN_GROUP BLOCK_SOURCE UNBLOCK_SOURCE LEAVE_GROUP JOIN_SOURCE_GROUP LEAVE_SOURCE_GROUP MSFILTER"
_SOCKET = (
    "DEBUG REUSEADDR TYPE ERROR DONTROUTE BROADCAST SNDBUF RCVBUF KEEPALIVE OOBINLINE NO_CHECK PRIORITY LINGER "
    "BSDCOMPAT REUSEPORT PASSCRED PEERCRED RCVLOWAT SNDLOWAT RCVTIMEO SNDTIMEO SECURITY_AUTHENTICATION "
    "SECURITY_ENCRYPTION_TRANSPORT SECURITY_ENCRYPTION_NETWORK BINDTODEVICE ATTACH_FILTER DETACH_FILTER PEERNAME "
    "TIMESTAMP ACCEPTCONN PEERSEC SNDBUFFORCE RCVBUFFORCE PASSSEC TIMESTAMPNS MARK TIMESTAMPING PROTOCOL DOMAIN "
    "RXQ_OVFL WIFI_STATUS PEEK_OFF NOFCS LOCK_FILTER SELECT_ERR_QUEUE BUSY_POLL MAX_PACING_RATE BPF_EXTENSIONS "
    "INCOMING_CPU ATTACH_BPF ATTACH_REUSEPORT_CBPF ATTACH_REUSEPORT_EBPF CNX_ADVICE - MEMINFO INCOMING_NAPI_ID COOKIE "
    "- PEERGROUPS ZEROCOPY TXTIME BINDTOIFINDEX TIMESTAMP_NEW TIMESTAMPNS_NEW TIMESTAMPING_NEW RCVTIMEO_NEW "
    "SNDTIMEO_NEW DETACH_REUSEPORT_BPF PREFER_BUSY_POLL BUSY_POLL_BUDGET NETNS_COOKIE BUF_LOCK RESERVE_MEM TXREHASH "
    "RCVMARK PASSPIDFD PEERPIDFD DEVMEM_LINEAR DEVMEM_DMABUF DEVMEM_DONTNEED - RCVPRIORITY PASSRIGHTS INQ"
)
_TCP = (
    "NODELAY MAXSEG CORK KEEPIDLE KEEPINTVL KEEPCNT SYNCNT LINGER2 DEFER_ACCEPT WINDOW_CLAMP INFO QUICKACK CONGESTION "
    "MD5SIG - THIN_LINEAR_TIMEOUTS THIN_DUPACK USER_TIMEOUT REPAIR REPAIR_QUEUE QUEUE_SEQ REPAIR_OPTIONS FASTOPEN "
    "TIMESTAMP NOTSENT_LOWAT CC_INFO SAVE_SYN SAVED_SYN REPAIR_WINDOW FASTOPEN_CONNECT ULP MD5SIG_EXT FASTOPEN_KEY "
    "FASTOPEN_NO_COOKIE ZEROCOPY_RECEIVE INQ TX_DELAY AO_ADD_KEY AO_DEL_KEY AO_INFO AO_GET_KEYS AO_REPAIR IS_MPTCP "
    "RTO_MAX_MS RTO_MIN_US DELACK_MAX_US"
)
_IPV6 = (
    "ADDRFORM 2292PKTINFO 2292HOPOPTS 2292DSTOPTS 2292RTHDR 2292PKTOPTIONS CHECKSUM 2292HOPLIMIT NEXTHOP AUTHHDR "
    "FLOWINFO 16:UNICAST_HOPS MULTICAST_IF MULTICAST_HOPS MULTICAST_LOOP ADD_MEMBERSHIP DROP_MEMBERSHIP ROUTER_ALERT "
    "MTU_DISCOVER MTU RECVERR V6ONLY JOIN_ANYCAST LEAVE_ANYCAST MULTICAST_ALL ROUTER_ALERT_ISOLATE RECVERR_RFC4884 "
    "FLOWLABEL_MGR FLOWINFO_SEND IPSEC_POLICY XFRM_POLICY HDRINCL 49:RECVPKTINFO PKTINFO RECVHOPLIMIT HOPLIMIT "
    "RECVHOPOPTS HOPOPTS RTHDRDSTOPTS RECVRTHDR RTHDR RECVDSTOPTS DSTOPTS RECVPATHMTU PATHMTU DONTFRAG USE_MIN_MTU "
    "66:RECVTCLASS TCLASS 70:AUTOFLOWLABEL 72:ADDR_PREFERENCES MINHOPCOUNT RECVORIGDSTADDR TRANSPARENT UNICAST_IF "
    "RECVFRAGSIZE FREEBIND"
)
_PACKET = (
    "ADD_MEMBERSHIP DROP_MEMBERSHIP RECV_OUTPUT - RX_RING STATISTICS COPY_THRESH AUXDATA ORIGDEV VERSION HDRLEN "
    "RESERVE TX_RING LOSS VNET_HDR TX_TIMESTAMP TIMESTAMP FANOUT TX_HAS_OFF QDISC_BYPASS ROLLOVER_STATS FANOUT_DATA "
    "IGNORE_OUTGOING VNET_HDR_SZ"
)
_NETLINK = (
    "ADD_MEMBERSHIP DROP_MEMBERSHIP PKTINFO BROADCAST_ERROR NO_ENOBUFS RX_RING TX_RING LISTEN_ALL_NSID "
    "LIST_MEMBERSHIPS CAP_ACK EXT_ACK GET_STRICT_CHK"
)
_VSOCK = (
    "BUFFER_SIZE BUFFER_MIN_SIZE BUFFER_MAX_SIZE PEER_HOST_VM_ID - TRUSTED CONNECT_TIMEOUT NONBLOCK_TXRX "
    "CONNECT_TIMEOUT_NEW"
)
_UDP = _numbered("UDP_", "1:CORK 100:ENCAP NO_CHECK6_TX NO_CHECK6_RX SEGMENT GRO")
_GROUP = _numbered("MCAST_", _GROUPS, 42)

OPTIONS: Mapping[int, Mapping[int, str]] = MappingProxyType({
    0: _numbered("IP_", _IP, 1) | _GROUP,
    1: _numbered("SO_", _SOCKET, 1),
    6: _numbered("TCP_", _TCP, 1),
    17: _UDP,
    41: _numbered("IPV6_", _IPV6, 1) | _GROUP,
    58: {1: "ICMPV6_FILTER"},
    136: _UDP | {10: "UDPLITE_SEND_CSCOV", 11: "UDPLITE_RECV_CSCOV"},
    255: {1: "ICMP_FILTER"},
    263: _numbered("PACKET_", _PACKET, 1),
    270: _numbered("NETLINK_", _NETLINK, 1),
    282: _numbered("TLS_", "TX RX TX_ZEROCOPY_RO RX_EXPECT_NO_PAD", 1),
    284: _numbered("MPTCP_", "INFO TCPINFO SUBFLOW_ADDRS FULL_INFO", 1),
})  # fmt: skip
"""By level and number."""

_VSOCK_FAMILY = 40
_VSOCK_OPTIONS = _numbered("SO_VM_SOCKETS_", _VSOCK)

_TEXTS = frozenset({"SO_BINDTODEVICE", "TCP_CONGESTION", "TCP_ULP"})
_TIMES = frozenset({"SO_RCVTIMEO", "SO_SNDTIMEO", "SO_RCVTIMEO_NEW", "SO_SNDTIMEO_NEW"})
_POINTERS = frozenset({"SO_ATTACH_FILTER", "SO_ATTACH_REUSEPORT_CBPF"})
_ADDRESSES = frozenset({"IP_MULTICAST_IF"})
_NOTHING_SAID = frozenset({"SO_DETACH_FILTER", "SO_DETACH_REUSEPORT_BPF"})
_SIZES = {1: "<b", 2: "<h", 4: "<i", 8: "<q"}


def family_name(number: int) -> str:
    """A family's name; `af-99` for one without."""
    return FAMILIES.get(number, f"af-{number}")


def protocol_name(family: int, number: int) -> str | None:
    """The protocol of a socket of that family, None for that family's only one."""
    if family in INTERNET:
        return PROTOCOLS.get(number, str(number)) if number else None
    return str(number) if number else None


def level_name(family: int, level: int) -> str:
    """The level of an option; of sockets of one family alone that family's."""
    if level == _VSOCK_FAMILY and family == _VSOCK_FAMILY:
        return "AF_VSOCK"
    return LEVELS.get(level, str(level))


def option_name(family: int, level: int, number: int) -> str:
    """An option's name, or its number."""
    known = _VSOCK_OPTIONS if level == family == _VSOCK_FAMILY else OPTIONS.get(level, {})
    return known.get(number, str(number))


def hexadecimal(raw: bytes, size: int) -> str:
    """Bytes of unknown meaning, of which there were `size`: the first ones, and that there are more."""
    shown = raw[:MOST_HEX].hex(" ")
    return f"{shown} … {size} bytes" if size > MOST_HEX else shown


def option_value(option: str, raw: bytes, size: int) -> str | None:
    """The value of an option as text, from its first bytes (little endian) of `size`: numbers as numbers, what has a
    form of its own in that, else the bytes. None where there is none."""
    if size == 0 or option in _NOTHING_SAID:
        return None
    if option in _TEXTS:
        return raw.split(b"\0")[0].decode("utf-8", "surrogateescape")
    if option == "SO_LINGER" and size == 8:
        on, seconds = struct.unpack("<ii", raw)
        return f"{'on' if on else 'off'} {seconds} s"
    if option in _TIMES and size == 16:
        seconds, micro = struct.unpack("<qq", raw)
        decimal = f"{seconds}.{micro:06}".rstrip("0").rstrip(".")
        return f"{decimal} s" if 0 <= micro < 1_000_000 else hexadecimal(raw, size)
    if option in _POINTERS and size == 16:
        return f"{int.from_bytes(raw[:2], 'little')} instructions"
    if option in _ADDRESSES and size == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    if size in _SIZES and not option.isdigit():
        return str(struct.unpack(_SIZES[size], raw)[0])
    return hexadecimal(raw, size)


def address(raw: bytes) -> tuple[str | None, int | None]:
    """A sockaddr as address and port: of unix sockets the path (`@name` for an abstract one), of netlink the groups and
    the port id, of vsock the context; None for what there is not. Others come as their bytes."""
    family, rest = int.from_bytes(raw[:2], "little"), raw[2:]
    if len(raw) <= 2 or family == socket.AF_UNSPEC:
        return None, None
    if family == socket.AF_UNIX:
        path = b"@" + rest[1:] if rest[:1] == b"\0" else rest.split(b"\0")[0]
        return path.decode("utf-8", "surrogateescape"), None
    if family == socket.AF_INET and len(raw) >= 8:
        return socket.inet_ntop(socket.AF_INET, raw[4:8]), int.from_bytes(raw[2:4], "big")
    if family == socket.AF_INET6 and len(raw) >= 24:
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), int.from_bytes(raw[2:4], "big")
    if family == socket.AF_NETLINK and len(raw) >= 12:
        groups = int.from_bytes(raw[8:12], "little")
        return hex(groups) if groups else None, int.from_bytes(raw[4:8], "little")
    if family == _VSOCK_FAMILY and len(raw) >= 12:
        return str(int.from_bytes(raw[8:12], "little")), int.from_bytes(raw[4:8], "little")
    return hexadecimal(rest, len(rest)), None
