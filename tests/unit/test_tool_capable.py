"""What capable makes of the records of its program: who needs what, and what other programs are told of that."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest

from ebtop import capability
from ebtop.export import shown
from ebtop.export.digests import ValueCounter, digest_of
from ebtop.model.filter import parse
from ebtop.model.query import Query, StreamQuery
from ebtop.model.rows import Rows
from ebtop.model.snapshot import ToolSnapshot
from ebtop.tool import Batch, values
from ebtop.tools.capable import TOOL, cap_name, docker, kubernetes, systemd
from tests.ui import synthetic
from tests.ui.calls import CAPABILITY_FIELDS

LAYOUT = np.dtype([*synthetic.COMMON, *CAPABILITY_FIELDS])
NO, YES, UNKNOWN = 0, 1, 2
INIT, OWN, OTHER = 0, 1, 2


def asked(*rows: tuple[bytes, int, int, int, int, int]) -> Batch:
    """Rows of comm, cap, ret, audit, ns, held."""
    batch = np.zeros(len(rows), LAYOUT)
    for row, told in zip(batch, rows, strict=True):
        for key, value in zip(("comm", "cap", "ret", "audit", "ns", "held"), told, strict=True):
            row[key] = value
    return batch


def column(key: str, rows: Batch) -> list[object]:
    found = TOOL.column(key)
    assert found is not None
    return list(values(found, rows, {}))


def test_every_capability_has_the_name_of_the_header() -> None:
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip(f"{header} is not installed (linux-libc-dev)")
    defined = re.findall(r"^#define\s+(CAP_\w+)\s+(\d+)$", header.read_text(), re.MULTILINE)
    assert len(defined) >= 41
    assert [cap_name(int(number)) for _, number in defined] == [name for name, _ in defined]
    assert (cap_name(len(capability.EVERY)), cap_name(-1)) == (f"CAP_{len(capability.EVERY)}", "CAP_-1")


@pytest.mark.parametrize(
    ("ret", "audit", "ns", "held", "need"),
    [
        (0, YES, INIT, 1, "a b CAP_SETUID"),
        (0, UNKNOWN, INIT, 1, "a b CAP_SETUID"),
        (0, YES, OWN, 1, "a b CAP_SETUID (user namespace)"),
        (0, YES, OTHER, 1, "a b CAP_SETUID (user namespace)"),
        (0, NO, INIT, 1, None),
        (-1, YES, INIT, 0, None),
        (0, YES, OTHER, 0, None),
        (0, YES, INIT, 0, None),
    ],
)
def test_a_need(ret: int, audit: int, ns: int, held: int, need: str | None) -> None:
    rows = asked((b"a b", 7, ret, audit, ns, held))
    assert column("need", rows) == [need]


def test_columns() -> None:
    rows = asked((b"x", 0, 0, NO, INIT, 1), (b"x", 40, -1, YES, OWN, 0), (b"x", 63, 0, UNKNOWN, OTHER, 1))
    assert column("cap", rows) == ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE", "CAP_63"]
    assert column("audit", rows) == [0, 1, None]
    assert column("ns", rows) == ["init", "own", "other"]
    assert parse(TOOL, "audit=1 err=EPERM").mask(rows, {}).tolist() == [False, True, False]


NEEDS = {
    "nginx CAP_SETUID": 3, "nginx CAP_NET_BIND_SERVICE": 1, "a b CAP_SETUID": 2, None: 77,
    "runc CAP_SYS_ADMIN (user namespace)": 5,
}  # fmt: skip


def test_systemd() -> None:
    assert systemd(NEEDS).splitlines() == [
        "[Service]",
        "# a b: SETUID 2",
        "# nginx: NET_BIND_SERVICE 1, SETUID 3",
        "# Needed while it was watched: what was not done then is not among them.",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID",
    ]


def test_docker_and_kubernetes() -> None:
    assert docker(NEEDS).splitlines()[-1] == (
        "--cap-drop=ALL --cap-add=NET_BIND_SERVICE --cap-add=SETUID --cap-add=SYS_ADMIN"
    )
    assert kubernetes(NEEDS).splitlines()[-4:] == [
        "securityContext:",
        "  capabilities:",
        '    drop: ["ALL"]',
        '    add: ["NET_BIND_SERVICE", "SETUID", "SYS_ADMIN"]',
    ]


@pytest.mark.parametrize("write", [systemd, docker, kubernetes])
def test_who_needs_nothing_gets_nothing(write) -> None:
    lines = [line for line in write({None: 5}).splitlines() if not line.startswith("#")]
    assert lines in (["[Service]", "CapabilityBoundingSet="], ["--cap-drop=ALL"], [
        "securityContext:", "  capabilities:", '    drop: ["ALL"]', "    add: []"])  # fmt: skip


@pytest.mark.parametrize("write", [systemd, docker, kubernetes])
@pytest.mark.parametrize("name", ["x\nUser=root", "\x1b[2J", "\udcff\r\u2028y", "CAP_KILL CAP_CHOWN"])
def test_no_name_gets_out_of_its_comment(write, name: str) -> None:
    """Who may choose the name of a thread must not write what others will run."""
    text = write({f"{name} CAP_KILL": 1})
    plain = write({"x CAP_KILL": 1})
    assert text.isprintable() or set(text) - {"\n"} == {c for c in text if c.isprintable()}
    rest = [line for line in text.splitlines() if not line.startswith("#")]
    assert rest == [line for line in plain.splitlines() if not line.startswith("#")]
    assert len(text.splitlines()) == len(plain.splitlines())


def test_what_is_listed_can_be_written_so() -> None:
    ticks = tuple(synthetic.tick(TOOL, number, 300) for number in range(3))
    snapshot = ToolSnapshot(TOOL, synthetic.running(TOOL), ticks, ticks[0].names)
    rows = StreamQuery(TOOL).run(snapshot, Query(filter=parse(TOOL, "comm=nginx cap=CAP_SETUID")))
    assert isinstance(rows, Rows)
    exports = shown.rows(snapshot, rows)
    assert set(exports) == {"json", "csv", "systemd", "docker", "kubernetes"}
    stream = io.BytesIO()
    assert exports["systemd"].write(stream) == len(rows)
    assert b"\nCapabilityBoundingSet=CAP_SETUID\n" in stream.getvalue()


def test_counts_add_up_over_batches() -> None:
    digest = digest_of(TOOL, "docker")
    assert digest is not None
    assert digest_of(TOOL, "json") is None
    counter = ValueCounter(TOOL, digest)
    for _ in range(3):
        counter.add(asked((b"x", 7, 0, YES, INIT, 1), (b"x", 7, 0, NO, INIT, 1), (b"y", 0, 0, YES, INIT, 1)), {})
    assert counter.events == 9
    assert counter.text().decode().splitlines()[:2] == ["# x: SETUID 3", "# y: CHOWN 3"]
