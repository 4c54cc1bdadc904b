"""Nothing that acts on a terminal gets through, nothing harmless is changed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebtop.sanitise import sanitise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain text /x", "plain text /x"),
        ("café 日本 🎉 e\u0301", "café 日本 🎉 e\u0301"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),  # CSI as one C1 character
        ("\x90\x9d\x9c", "\\x90\\x9d\\x9c"),  # DCS, OSC, ST
        ("a\tb\nc\rd", "a\\tb\\nc\\rd"),
        ("\0\x08\x7f", "\\x00\\x08\\x7f"),
        ("\u202etxt.exe\u2066\u200f", "\\u202etxt.exe\\u2066\\u200f"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\U000e0041", "\\U000e0041"),  # a tag: invisible
        ("\udc80\udcff", "\\x80\\xff"),  # bytes that were no UTF-8
        ("\ud800", "\\ud800"),
        ("\ue000", "\\ue000"),
    ],
)
def test_sanitise(text: str, expected: str) -> None:
    assert sanitise(text) == expected


@given(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))))
def test_nothing_acts_on_a_terminal(text: str) -> None:
    clean = sanitise(text)
    assert not {unicodedata.category(c) for c in clean} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    clean.encode("utf-8")  # no lone surrogates
    assert sanitise(clean) == clean


@given(st.binary())
def test_no_byte_of_the_output_is_a_control(raw: bytes) -> None:
    written = sanitise(raw.decode("utf-8", "surrogateescape")).encode()
    assert not any(byte < 0x20 or byte == 0x7F for byte in written)
