"""What an attacker would call a process, a file, a function: strings made to act on terminals, tables and parsers."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

from ebtop.sanitise import joins, sanitise

ATTACKS: tuple[bytes, ...] = (
    b"\x1b[2J\x1b[H", b"\x1b[31;1m", b"\x1b[?1049l\x1b[?25l", b"\x1b[?1000l\x1b[?2004l", b"\x1b[3;4r", b"\x1bc",
    b"\x1b7",
    b"\x1b(0", b"\x1b)0\x0e", b"\x0f", b"\x1bH\x1b[3g", b"\x1b#8", b"\x1bM\x1bD\x1bE", b"\x1b[999;999H",
    b"\x1b[6n\x1b[c",
    b"\x1b[4h", b"\x1b[20l", b"\x1b[8;1;1t", b"\x1b>", b"\x1b=", b"\x1b%@", b"\x1b%G",
    b"\x1b]0;owned\x07", b"\x1b]0;owned\x1b\\", b"\x1b]8;;http://evil/\x1b\\click\x1b]8;;\x1b\\",
    b"\x1b]52;c;ZXZpbA==\x07",
    b"\x1b]4;1;red\x07", b"\x1bP$q\"p\x1b\\", b"\x1bPq#0;2;0;0;0#0~~@@\x1b\\", b"\x1b_Ga=T;AAAA\x1b\\",
    b"\x1b^pm\x1b\\",
    b"\x9b31m", b"\x9d0;owned\x9c", b"\x90q\x9c", b"\x84\x85\x88\x8d\x9a", "\u009b31m".encode(),
    "\u009d0;x\u009c".encode(),
    "\u0085\u0084".encode(), b"\x07\x07", b"abc\x08\x08\x08xyz", b"a\rb", b"a\tb", b"a\nb\r\nc", b"a\x0bb\x0cc",
    b"\x7f",
    "\u202egnp.exe".encode(), "\u2066a\u2069\u2067b\u2068c".encode(), "\u200e\u200f\u061c".encode(),
    "a\u200d\u200cb\u200b\ufeff".encode(), "👩\u200d💻".encode(), "🇩🇪🇦".encode(), "🏻👍🏿".encode(),
    "❤\ufe0f☎\ufe0f".encode(),
    ("e" + "\u0301" * 50).encode(), ("\u0338" * 9).encode(), ("a" + "\u20dd" * 20).encode(), "\u0489\u0489x".encode(),
    "データ文字列".encode(),
    "한글".encode(), "\u1112\u1161\u11ab".encode(), "\u1161\u1161".encode(), "ｗｉｄｅ".encode(),
    "\u3164\u115f\u2800\u034f".encode(), "\u2028\u2029".encode(), "\ue000\U000f0000".encode(), "\U000e0041".encode(),
    "\u0378\U0003fffe".encode(), b"\xed\xa0\x80", b"\xed\xb2\x80", b"\xff\xfe\x80", b"\xc0\xaf\xf8\x88", b"\xe2\x82",
    b"\xf0\x9f",
    b"[bold]x[/bold]", b"[@click=app.quit]x[/]", b"[link=file:///]x[/link]", b"[/]", b"[red", b"\\[bold]", b"$accent",
    b"[$x 5%]",
    b"{x}%s%(a)s%n", b"=cmd|'/C calc'!A0", b"+1", b"-1+1", b"@SUM(1)", b'a,"b",\'c', b'"', b"''", b"\\x1b", b"\\",
    b"%1b", b"&#27;",
    b"_ZN" + b"4aaaa" * 30 + b"E", b"_RNvC" + b"B_" * 30, b"_ZN3foo17h0123456789abcdefE", b"_ZN9$u{1b}$E",
    b"_Z" + b"St" * 50,
    b"f" + b"<" * 100 + b">" * 100, b"operator()(" * 20, b"x" * 3000, "文".encode() * 1000, b"\xff" * 500, b" ",
    b"  lead and trail  ",
)  # fmt: skip
"""What is known to have worked somewhere, each of them alone."""

_NASTY = (
    "\x1b\x9b\x9d\x90\x07\x08\x0e\x0f\r\n\t\v\f\x00\x7f\x85\u202e\u2066\u200d\ufe0f\u0301\u20dd\u1161文🇩🏿\ue000\udc9b\ud83d[]"
    "()<>{}=;m?0H\\\"'$@#ab/:, "
)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def raw() -> st.SearchStrategy[bytes]:
    """Bytes as the kernel would hand them out: without NUL, never empty."""
    mixed = st.lists(st.sampled_from(ATTACKS), min_size=1, max_size=3).map(b"".join)
    nasty = st.text(st.sampled_from(_NASTY), min_size=1, max_size=30).map(_bytes)
    anything = st.text(min_size=1, max_size=20).map(_bytes)
    made = st.one_of(st.sampled_from(ATTACKS), mixed, nasty, anything, st.binary(min_size=1, max_size=30))
    return made.map(lambda found: found.replace(b"\0", b"") or b"\x1b")


def text() -> st.SearchStrategy[str]:
    """The same as ebtop's text: bytes that are no UTF-8 are lone surrogates."""
    return raw().map(lambda found: found.decode("utf-8", "surrogateescape"))


def pool(size: int = 12) -> st.SearchStrategy[list[bytes]]:
    """Words enough for all that is drawn at once."""
    return st.lists(raw(), min_size=size, max_size=size)


def harmless(word: bytes) -> bytes:
    """A word of letters that takes the same cells when it is shown."""
    shown = sanitise(word.decode("utf-8", "surrogateescape"))
    letters = ["" if joins(c) else "文" if unicodedata.east_asian_width(c) in "WF" else "x" for c in shown]
    return "".join(letters).encode()
