"""What is said of a word that nobody knows."""

from __future__ import annotations

from ebtop.near import near


def test_the_nearest_are_asked_for() -> None:
    assert near("opensnop", ["opensnoop", "runqlat"]) == "; did you mean opensnoop?"


def test_without_a_near_one_some_are_told() -> None:
    assert near("zzz", ["alpha", "beta"]) == "; there are alpha, beta"


def test_where_there_are_none_that_is_said() -> None:
    assert near("zzz", []) == "; there are none"
