"""Strings of user memory: those that are there, those that are nowhere, and those that are not in memory yet."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kernel.ebtop import run, trace

pytestmark = pytest.mark.native

SOURCE = """
#include <fcntl.h>
#include <sys/mman.h>
__attribute__((noinline)) int says(const char *text) { __asm__ volatile("" : "+r"(text) : : "memory"); return 1; }
int main(int argc, char **argv) {
    char full[] = "full", empty[] = "", mark[] = "?";
    char *absent = mmap(0, 4096, PROT_READ, MAP_PRIVATE, open(argv[argc - 1], O_RDONLY), 0);
    return says(full) + says(empty) + says(0) + says(absent) + says(mark) - 5;
}
"""
SAID = [("full", ""), ("", ""), (None, ""), (None, "text"), ("?", "")]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "says.c").write_text(SOURCE)
    subprocess.run(["gcc", "-g", "-O1", "-o", str(tmp_path / "says"), str(tmp_path / "says.c")], check=True)
    return tmp_path / "says"


@pytest.mark.parametrize("mode", [[], ["--slower-than", "1ns"]], ids=["entry", "call"])
def test_what_is_no_string_is_not_an_empty_one(tmp_path: Path, program: Path, mode: list[str]) -> None:
    found = trace(tmp_path, "probe", [program], "-p", f"uprobe:{program}:says", *mode)
    assert [(e["text"], e["unread"]) for e in found.events] == SAID
    assert {o["reason"]: o["lost"] for o in found.of("lost")} == {"memory unreadable": 1}


def test_people_see_the_difference(program: Path) -> None:
    done = run("run", "probe", "-p", f"uprobe:{program}:says", "--", str(program))
    assert done.returncode == 0, done.stderr
    rows = [line.partition(":says")[2].strip() for line in done.stdout.splitlines() if ":says" in line]
    assert rows == ["full", "", "NULL", "?", "?"]


def test_a_recording_keeps_the_difference(tmp_path: Path, program: Path) -> None:
    file, out = str(tmp_path / "x.db"), str(tmp_path / "x.csv")
    assert run("record", "probe", "-p", f"uprobe:{program}:says", "-o", file, "--", str(program)).returncode == 0
    assert run("export", file, "--format", "csv", "-o", out).returncode == 0
    head, *rows = (line.split(",") for line in Path(out).read_text().splitlines())
    told = [(row[head.index("text")], row[head.index("unread")]) for row in rows if row[head.index("type")] == "event"]
    assert told == [(text or "", unread) for text, unread in SAID]
