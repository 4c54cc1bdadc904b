"""Rows of processes that hold anything: every order, the tree, every cell and the machine's lines cope."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from ebtop.model.filter import parse
from ebtop.model.machine import MachineReader
from ebtop.model.processes import ProcessQuery, Sought
from ebtop.model.snapshot import ToolSnapshot
from ebtop.processrow import KEYFRAME, ROW
from ebtop.tick import Phase, Tick, ToolState
from ebtop.ui.cells import padded
from ebtop.ui.processhead import drawn, groups
from ebtop.ui.processmodel import ProcessModel
from tests.unit.processticks import TOOL

ODD = (
    "\x1b[2J\x1b]0;owned\x07", "a\0\u202eb\0", "/", "データ" * 3, "\udcff\udc9b31m", "", "x" * 200_000, "ab\nc/ d\0",
)  # fmt: skip


def rows(chance: random.Random, count: int) -> np.ndarray:
    """Anything at all; some of it with few pids, so that there are families, and circles in them."""
    found = np.frombuffer(chance.randbytes(ROW.itemsize * count), ROW).copy()
    if chance.random() < 0.7:
        for name in ("pid", "ppid"):
            found[name] %= 12
        found["state"] = [chance.choice([b"S", b"X", b"", b"\x1b"]) for _ in range(count)]
    if chance.random() < 0.3:
        found["id"] %= 7
    return found


def snapshot(chance: random.Random) -> ToolSnapshot:
    ticks, names = [], {}
    for _ in range(chance.randint(1, 14)):
        batch = rows(chance, chance.choice([0, 1, 30])) if chance.random() < 0.9 else None
        for key in batch["id"].tolist() if batch is not None else ():
            names[key] = chance.choice(ODD)
        gauges = {
            "cpu0": chance.choice([1e308, -5.0, 0.5]),
            "memory_total": -1e300,
            "memory_used": 1e308,
            "psi_cpu": 1e9,
        }
        gauges |= {KEYFRAME: 1.0} if chance.random() < 0.2 else {}
        start = chance.randrange(1 << 63)
        end = start + 1_000_000_000 if chance.random() < 0.7 else chance.randrange(1 << 63)
        ticks.append(Tick(TOOL.name, start, end, rows=batch, gauges=gauges))
    known = {"argv": names, "cgroup": {1: ODD[0]}}
    return ToolSnapshot(TOOL, ToolState(TOOL.name, Phase.RUNNING), tuple(ticks), known)


def acting(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs"}}


@pytest.mark.parametrize("seed", range(40))
def test_any_rows(seed: int) -> None:
    chance = random.Random(seed)
    asked, reader = ProcessQuery(TOOL), MachineReader()
    for _ in range(3):
        given = snapshot(chance)
        closed = frozenset(chance.choice([0, 1, 5, (1 << 64) - 3]) for _ in range(3))
        sought = Sought(
            sort=chance.choice([c.key for c in TOOL.columns]), descending=chance.random() < 0.5, closed=closed,
            tree=chance.random() < 0.6, turned=frozenset(c.key for c in TOOL.columns if c.hidden),
            filter=parse(TOOL, chance.choice(["opens>5 a", "comm~x", "cpu>1ms"])) if chance.random() < 0.4 else None,
        )  # fmt: skip
        found = asked.run(given, sought)
        model = ProcessModel(TOOL, found, sought, 10)
        keys = [heading.key for heading in model.headings]
        for row in range(len(model)):
            for cell in model.cells(row, keys):
                assert not acting(cell.text)
                assert cell_len(padded(cell.text, 20, right=False)) == 20
            assert found.find(found.key(row)) is not None
        assert not any(acting(cell.text) for cell in model.totals(keys))
        machine = reader.read(given.ticks)
        assert machine is not None
        for width in (20, 78, 118, 300):
            for line in groups(machine, width):
                assert drawn(line, width, {}).cell_len <= width


def test_a_chain_of_thousands_is_drawn() -> None:
    count = 3000
    deep = np.zeros(count, ROW)
    deep["pid"] = np.arange(1, count + 1)
    deep["ppid"] = np.arange(count)
    deep["id"] = deep["pid"]
    given = snapshot(random.Random(1))
    found = ProcessQuery(TOOL).run(
        replace(given, ticks=(Tick(TOOL.name, 1, 2, rows=deep, gauges={KEYFRAME: 1.0}),)), Sought(tree=True)
    )
    model = ProcessModel(TOOL, found, Sought(tree=True), 10)
    assert len(model) == count
    (cell,) = model.cells(count - 1, ["argv"])
    assert len(cell.text) < 60
