"""Functions of Go programs, also of those that were stripped, with Go's own nm as the second opinion."""

from __future__ import annotations

import os
import re
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from ebtop.capture.userplanning import UserPlans, View
from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import BinaryError, open_binary
from ebtop.resolve.elflayout import ElfError, ElfImage
from ebtop.resolve.gofunctions import read_go_functions
from tests.unit.elfprograms import output
from tests.unit.goprograms import go_program
from tests.unit.unwindfiles import opened


def listed(path: str) -> dict[str, set[int]]:
    """The addresses of functions by name, as Go lists them; some have one for each of two ways to be called."""
    found: dict[str, set[int]] = {}
    for line in output("go", "tool", "nm", path).splitlines():
        match = re.match(r" *([0-9a-f]+) [Tt] (\S+)", line)
        if match:
            found.setdefault(match[2].removesuffix(".abi0"), set()).add(int(match[1], 16))
    return found


def test_names(tmp_path: Path) -> None:
    path = go_program(tmp_path)
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        assert binary.go
        for pattern in ("main.(*Cart).Add", "(*Cart).Add", "main.(*Cart)*"):
            assert [f.name for f in binary.find(pattern).functions] == ["main.(*Cart).Add"]
        (cold,) = binary.find("main.cold").functions
        assert (cold.clones, cold.whole, {cold.address}) == ((), True, listed(path)["main.cold"])  # a dot is no clone


def test_stripped_programs_keep_their_names(tmp_path: Path) -> None:
    whole = listed(go_program(tmp_path))
    with open_binary(go_program(tmp_path, "-ldflags=-s -w")) as file:
        binary = Binary(file, Binaries())
        index = binary.functions
        assert (index.stripped, index.origins) == (True, (".gopclntab",))
        found = {f.name: f.address for f in binary.find("*", limit=100_000).functions}
        assert {"main.main", "main.cold", "main.(*Cart).Add"} <= set(found)
        assert "stripped, but its .gopclntab names" in binary.offer().text
        assert len(set(found) & set(whole)) > 1000
        assert {name for name in found if name in whole and found[name] not in whole[name]} == set()
        add = binary.find("(*Cart).Add").functions[0]
        with open_binary(go_program(tmp_path)) as unstripped:
            other = Binary(unstripped, Binaries()).find("(*Cart).Add").functions[0]
            code = os.pread(unstripped.fd, other.size, Binary(unstripped, Binaries()).offset_of(other.address))
        assert os.pread(file.fd, other.size, binary.offset_of(add.address)) == code
        assert add.size >= other.size  # up to the next function


def test_where_code_begins_is_not_guessed(tmp_path: Path) -> None:
    """Position-independent programs learn it from a relocation: addresses are right, or there are none."""
    whole = listed(go_program(tmp_path, "-buildmode=pie"))
    with open_binary(go_program(tmp_path, "-buildmode=pie", "-ldflags=-s -w")) as file:
        found = {f.name: f.address for f in Binary(file, Binaries()).find("main.*").functions}
        assert {name for name in found if name in whole and found[name] not in whole[name]} == set()


@pytest.mark.parametrize("word", range(8))
def test_damaged_tables(tmp_path: Path, word: int) -> None:
    data = bytearray(Path(go_program(tmp_path, "-ldflags=-s -w")).read_bytes())
    with opened(bytes(data)) as fd:
        section = ElfImage(fd).section(".gopclntab")
        assert section is not None
    for value in (0, 1, 0xFFFF, 1 << 31, 1 << 40, (1 << 64) - 1):
        struct.pack_into("<Q", data, section.offset + 8 + 8 * word, value)
        with opened(bytes(data)) as fd, suppress(ElfError):
            for part in read_go_functions(ElfImage(fd), fd, strings := []):
                assert len(part.address) == len(part.name) <= 1 << 20
                strings[0].at(int(part.name[0]))


def test_a_name_for_the_end_of_the_code_is_left_out_and_the_others_are_not(tmp_path: Path) -> None:
    path = go_program(tmp_path)
    found = UserPlans().functions(f"{path}:runtime.e*", View(), described=False)
    planned = {point.target: (point, why) for point, why in found}
    point, why = planned.pop(f"{path}:runtime.etext")
    assert "in no executable segment" in why and not point.sites
    assert len(planned) > 10 and {why for _point, why in planned.values()} == {""}
    with pytest.raises(BinaryError, match="in no executable segment"):
        list(UserPlans().functions(f"{path}:runtime.etext", View()))
