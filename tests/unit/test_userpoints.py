"""Attach points in programs: how files are named, and what can be attached to in them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from queue import SimpleQueue

import pytest

from ebtop.capture.points import finder
from ebtop.capture.points.finder import found
from ebtop.capture.points.search import Points
from ebtop.capture.points.userpoints import UserPoints
from ebtop.resolve.binaryfile import BinaryError
from ebtop.tick import FindPoints, FoundPoints


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With functions in namespaces."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "a.cc").write_text(
        "namespace ns { __attribute__((noinline)) int twice(int n) { return 2 * n; }\n"
        "__attribute__((noinline)) int twice(long n) { return 2 * n; } }\n"
        "int main(int n, char **) { return ns::twice(n) + ns::twice(long(n)); }\n"
    )
    subprocess.run(["g++", "-O1", "-o", str(folder / "a b"), str(folder / "a.cc")], check=True)
    return folder / "a b"


def names(target: str) -> list[str]:
    return [point.target for point in UserPoints().functions(target)]


def test_functions_by_name_with_their_parameters(program: Path) -> None:
    both = [f"{program}:ns::twice(int)", f"{program}:ns::twice(long)"]
    assert sorted(names(f"{program}:ns::twice")) == both
    assert sorted(names(f"{program}:*twi*")) == both
    assert names(both[1]) == [both[1]]
    assert names(f"{program}:nobody") == []


def test_a_relative_path_is_made_absolute(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(program.parent)
    assert names("./a b:main") == [f"{program}:main"]


def test_a_stripped_program_says_what_is_left(program: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-o", str(stripped), str(program)], check=True)
    with pytest.raises(BinaryError, match="stripped"):
        names(f"{stripped}:ns::twice")


def test_what_cannot_be_read_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    points = Points()
    for target in (tmp_path / "missing", tmp_path, "/dev/zero", "/etc/passwd"):
        answer = found(points, f"uprobe:{target}:*")
        assert (answer.total, answer.points) == (0, ())
        assert str(target) in answer.problem


def test_a_kernel_that_tells_nothing_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    """The file that lists tracepoints is missing where tracefs should be."""
    answer = found(Points(tmp_path), "tracepoint:*")
    assert (answer.total, answer.points) == (0, ())
    assert "available_events" in answer.problem


def test_usdt_of_a_program_without_any(program: Path) -> None:
    assert list(UserPoints().usdt(f"{program}:*")) == []


def test_a_question_that_breaks_what_looks_is_answered_and_so_is_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: SimpleQueue[FoundPoints] = SimpleQueue()
    asking = finder.Finder(answers.put)
    whole = finder.found

    def broken(points: Points, pattern: str) -> FoundPoints:
        if pattern == "bad":
            raise IndexError("beyond the end")
        return whole(points, pattern)

    monkeypatch.setattr(finder, "found", broken)
    asking.ask(FindPoints("bad"))
    assert answers.get(timeout=60).problem == "this could not be looked for: IndexError: beyond the end"
    asking.ask(FindPoints("software:page-faults"))
    assert answers.get(timeout=60).total == 1
