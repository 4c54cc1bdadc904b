"""The fuzzer's own parts that need no fuzzer: what it damages, and what it keeps."""

from __future__ import annotations

import random
from pathlib import Path

from tests.fuzz.damage import damaged, parts
from tests.fuzz.findings import Findings
from tests.hostile.test_elf import made


def test_the_parts_that_are_read_are_found_and_damaged() -> None:
    data = made([(1, 0x400000, 16, 0x12)], b"\0main\0")
    found = parts(data)
    assert (0, 64) in found
    assert data.index(b"\0main\0") in {begin for begin, _size in found}
    others = {damaged(lambda whole, _largest: whole, data, 1 << 18, seed) for seed in range(200)}
    assert len(others) > 100
    assert parts(b"") == [] and parts(b"\x7fELF\x02" + bytes(70))[0] == (0, 64)


def test_damaged_files_are_damaged_again_without_an_error() -> None:
    chance, data = random.Random(7), made([(1, 0x400000, 16, 0x12)], b"\0main\0")
    for _ in range(2000):
        data = damaged(lambda whole, _largest: whole, data, 1 << 18, chance.getrandbits(32)) or data


def test_each_place_is_kept_once(tmp_path: Path) -> None:
    findings = Findings(tmp_path)
    for text in ("one", "two"):
        try:
            int(text)
        except ValueError as error:
            findings.add(text.encode(), error)
    (line,) = findings.told()
    assert line.endswith("ValueError: invalid literal for int() with base 10: 'one'")
    assert [path.read_bytes() for path in (tmp_path / "found").iterdir() if not path.suffix] == [b"one"]
    for _ in range(250):
        findings.count()
    assert findings.tried() == 200
