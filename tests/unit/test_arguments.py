"""Arguments come back as they were passed, whatever is lost of the zeros at a block's end."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from ebtop.tools.execsnoop import split_args


@given(st.lists(st.binary(max_size=5).map(lambda raw: raw.replace(b"\0", b"x")), max_size=6))
def test_arguments_are_split_where_they_were(passed: list[bytes]) -> None:
    block = b"".join(argument + b"\0" for argument in passed)
    found = split_args(block.rstrip(b"\0"), len(block), len(passed))
    assert list(map(os.fsencode, found)) == passed


def test_no_more_are_made_up_than_the_block_holds() -> None:
    assert split_args(b"a\0b", 3, 1000) == ["a", "b"]
    assert split_args(b"a", 3, 1000) == ["a", "", ""]
