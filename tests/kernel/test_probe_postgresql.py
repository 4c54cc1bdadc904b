"""USDT probes of a program that nobody here built: PostgreSQL's queries, each once, with its text."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel import postgresql
from tests.kernel.bpftrace import Peer
from tests.kernel.ebtop import trace

pytestmark = pytest.mark.native
COUNT = 101
ASKED = [f"SELECT {number} AS question" for number in range(COUNT)]
LONG = "SELECT '" + "ü" * 100 + "'"
ODD = "SELECT 1, '" + "ü" * 100 + "'"
"""One byte more: half a letter is left where it is cut."""


@pytest.fixture(scope="module")
def server() -> Iterator[postgresql.Server]:
    """One for all."""
    with postgresql.server() as running:
        yield running


def points(server: postgresql.Server) -> list[str]:
    notes = subprocess.run(["readelf", "-n", server.program], capture_output=True, text=True, check=False).stdout
    if "query__start" not in notes:
        pytest.skip("this PostgreSQL is built without USDT probes")
    return [f"usdt:{server.program}:postgresql:query__{name}" for name in ("start", "done")]


def test_each_query_is_an_event_with_its_text(tmp_path: Path, server: postgresql.Server) -> None:
    start, done = points(server)
    options = ["-p", start, "-p", done, "--string", "arg0", f"--pid={server.pid}", "--follow"]
    found = trace(tmp_path, "probe", server.session([*ASKED, LONG, ODD]), *options)
    wanted = [f"{query};" for query in ASKED]
    for probe in (start, done):
        texts = [event["arg0"] for event in found.where(probe=probe)]
        assert texts[:COUNT] == wanted
        assert texts[COUNT:] == [LONG.encode()[:128].decode() + "…", ODD.encode()[:127].decode() + "\udcc3…"]
    assert [event["probe"] for event in found.events] == [start, done] * (COUNT + 2)  # one after the other
    assert {event["comm"] for event in found.events} == {"postgres"}
    assert (found.summary["lost"], found.summary["truncated"]) == (0, 4)
    assert {start, done} <= set(found.summary["probes"])


def test_the_same_queries_as_bpftrace(tmp_path: Path, server: postgresql.Server) -> None:
    start, done = points(server)
    theirs = Peer(f"{start} {{ @asked[str(arg0)] = count(); }} {done} {{ @done = count(); }}", length=200)
    found = trace(tmp_path, "probe", server.session(ASKED), "-p", start, "-p", done, "--string", "arg0",
                  f"--pid={server.pid}", "--follow")  # fmt: skip
    said = theirs.said()
    texts = {text: int(count) for text, count in re.findall(r"^@asked\[(.*)\]: (\d+)$", said, re.MULTILINE)}
    assert texts == Counter(event["arg0"] for event in found.where(probe=start))
    assert texts == {f"{query};": 1 for query in ASKED}
    assert f"@done: {COUNT}" in said
    assert len(found.where(probe=done)) == COUNT
