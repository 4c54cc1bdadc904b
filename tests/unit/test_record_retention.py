"""What is kept of a recording that goes on."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from ebtop.record.reader import Recording
from ebtop.record.retention import Keep
from ebtop.record.writer import RecordingWriter
from ebtop.tick import Tick
from tests.ui import synthetic
from tests.ui.synthetic import SECOND
from tests.unit.recordings import EXECS, OPENS, TOOLS, assert_same, read, record, ticks


def own_paths(tick: Tick, number: int) -> Tick:
    """The tick with paths that no other has."""
    batch = tick.events[0].copy()
    batch["path"] = [b"/%d/%d" % (number, n) for n in range(len(batch))]
    return replace(tick, events=(batch,), names=tick.names if number == 0 else {})


def count(path: Path, table: str) -> int:
    database = sqlite3.connect(path)
    (found,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    database.close()
    return int(found)


def test_the_oldest_go_by_age_and_their_strings_with_them(tmp_path: Path) -> None:
    said = [own_paths(synthetic.tick(OPENS, n, 200), n) for n in range(60)]
    path = record(tmp_path / "r", said, keep=Keep(age=10 * SECOND))
    kept = read(path)
    assert [t.end for t in kept] == [t.end for t in said[-11:]]
    for one, other in zip(said[-11:], kept, strict=True):
        assert_same(one, other)
    assert count(path, "text") < 16 * 200  # of 60 * 200: an eighth of what is kept may stay too long
    rows = count(path, f'"{OPENS.name}"')
    assert rows == 11 * 200


def test_names_learnt_by_what_has_gone_are_still_known(tmp_path: Path) -> None:
    said = [own_paths(synthetic.tick(OPENS, n, 20), n) for n in range(30)]
    path = record(tmp_path / "r", said, keep=Keep(age=5 * SECOND))
    with Recording(path) as recording:
        assert recording.names(OPENS.name, 1 << 62, 100) == {"cgroup": synthetic.CGROUPS, "dir": synthetic.DIRS}
        assert recording.totals(OPENS.name, said[-3].end)[0] == 27 * 20  # of all, not only of what is kept
    database = sqlite3.connect(path)
    assert database.execute(f"SELECT count(*) FROM {OPENS.name} WHERE cgroup IS NULL").fetchone() == (0,)
    database.close()


def test_late_values_and_messages_go_too(tmp_path: Path) -> None:
    said = [m for tick in ticks(40, 400, [EXECS]) for m in (tick, synthetic.vitals())]
    path = record(tmp_path / "r", [synthetic.running(EXECS), *said], keep=Keep(age=4 * SECOND))
    assert count(path, f"{EXECS.name}_late") == 5 * 10
    assert count(path, "message") == 1 + 5


def test_the_file_stays_below_its_size(tmp_path: Path) -> None:
    limit = 2 << 20
    writer = RecordingWriter(tmp_path / "r", tools=TOOLS, keep=Keep(size=limit))
    sizes, logs = [], []
    for n in range(150):
        writer.add(own_paths(synthetic.tick(OPENS, n, 1500), n))
        writer.commit()
        sizes.append((tmp_path / "r").stat().st_size)
        logs.append((tmp_path / "r-wal").stat().st_size)
    writer.close()
    size = (tmp_path / "r").stat().st_size
    assert limit // 2 < size <= limit * 1.05
    assert max(sizes) <= limit * 1.05
    assert max(logs) <= 1 << 20  # which is gone in the end
    kept = read(tmp_path / "r")
    assert len(kept) > 5
    assert_same(kept[-1], own_paths(synthetic.tick(OPENS, 149, 1500), 149))


def test_the_newest_stays_though_it_alone_is_too_much(tmp_path: Path) -> None:
    said = [own_paths(synthetic.tick(OPENS, n, 60_000), n) for n in range(3)]
    kept = read(record(tmp_path / "r", said, keep=Keep(size=1 << 20)))
    assert_same(kept[-1], said[-1])
    assert len(kept) == 1


def test_names_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebtop.record.retention.NAMES_KEPT", 100)
    said = [
        replace(synthetic.tick(OPENS, n, 5), names={"dir": {n * 10 + i: f"/{n}" for i in range(10)}})
        for n in range(200)
    ]
    path = record(tmp_path / "r", said, keep=Keep(age=3 * SECOND))
    assert 100 <= count(path, "name") < 100 + 64 * 10 + 50
