"""Filters and config files: whatever they hold, they are understood or refused in one line, at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ebtop import config, registry
from ebtop.config import ConfigError
from ebtop.model.filter import FilterError, _unquoted, parse, quote
from ebtop.model.pattern import PatternError, searcher
from ebtop.sanitise import sanitise
from ebtop.ui.app import Dashboard
from tests import pace
from tests.hostile import examples
from tests.hostile.emulator import acting
from tests.hostile.machine import Machine
from tests.hostile.words import ATTACKS, text
from tests.ui.screen import STREAMS
from tests.ui.synthetic import Scripted

BATCHES = {tool.name: Machine(ATTACKS).tick(tool).events[0] for tool in STREAMS}
KEYS = sorted({column.key for tool in STREAMS for column in tool.columns} | {"err", "lat", "nokey", "_", "p"})
OPERATORS = ["=", "!=", ">", "<", ">=", "<=", "~", "!~", "==", "=~", "!", ""]
NUMBERS = ["5ms", "-1", "1e9", "9" * 400, "0x" + "f" * 200, ".5", "5.", "--5", "+", "²", "٣", "14:02", "99:99",
"ENOENT", "E",
           "errorcode", "root", "4294967295", "18446744073709551616", "5 ms", "nan", "inf", "1_000", "3parsec",
           "µs"]  # fmt: skip
PATTERNS = ["(", "(a+)+$", "(a|aa)+$", "[[a]", "[z-a]", "a{9999999999}", "((a{99}){99}){99}", "(?P<x>a)(?P<x>b)",
"(?R)", "\\",
            "(?<=a)", "\\1", "(?#", "*", "\\N{DASH}", "\\p{Greek}", "\\C", "(?i", "." * 99, "(a|" * 99, ".*.*.*.*=$",
            "\x1b",
            "\\x1b", "^" * 50, "\\Q", "[[:nonsense:]]", "\\x{110000}"]  # fmt: skip


def token() -> st.SearchStrategy[str]:
    """A part of a filter, right or wrong."""
    key, operator = st.sampled_from(KEYS), st.sampled_from(OPERATORS)
    value = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(PATTERNS), text(), text().map(quote), st.just('"'))
    term = st.tuples(key, operator, value).map("".join)
    return st.one_of(term, value, key, operator, st.sampled_from(['"', "\\", " ", "\t", "\0", "and", "(", ")"]))


def understood(words: str) -> None:
    """A filter that can be used on any tool's events, or an error of one line; soon."""
    for tool in STREAMS:
        with pace.at_most(200):
            try:
                found = parse(tool, words)
            except FilterError as error:
                assert not acting(sanitise(str(error)))
            else:
                batch = BATCHES[tool.name]
                assert len(found.mask(batch, {})) == len(batch)
                assert len(found.mask(batch[:0], {})) == 0


@examples(400)
@given(words=st.lists(token(), max_size=6), between=st.sampled_from(["", " ", "  "]))
@example(words=["path~", "(a+)+$"], between="")
@example(words=["pid=", "9" * 5000], between="")
@example(words=["lat>", "9" * 400], between="")
@example(words=["lat>0x", "f" * 400], between="")
@example(words=["user=\0"], between="")
@example(words=["user=\ud800"], between="")
@example(words=["path~[[a]"], between="")
def test_filters(words: list[str], between: str) -> None:
    understood(between.join(words))


@pytest.mark.parametrize("words", ["a " * 50_000, "(" * 60_000, '"' * 60_000, "path~" + "(" * 30_000,
"path~" + "a|" * 30_000,
                                   "path=" + "\\" * 60_000, "a=" * 30_000, "pid>1 " * 10_000, "x" * 1_000_000],
                                   ids=range(9))  # fmt: skip
def test_long_filters(words: str) -> None:
    understood(words)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(a|a)*b", ".*.*.*.*.*=", "(.*a){20}", "(x+x+)+y", "(a?){99}a{99}"]
)
def test_no_text_keeps_a_pattern_busy(pattern: str) -> None:
    """Python's own engine would search these until the sun is cold."""
    found = searcher(pattern, ignore_case=True)
    for bait in ("a" * 4000 + "!", "x" * 4000, "=" * 4000, "aab" * 1000):
        with pace.at_most(100):
            found(bait)


@examples(300)
@given(pattern=st.one_of(st.text(st.sampled_from("()[]{}|*+?\\^$.ab1-,:<>=!PQE"), max_size=30), text()), name=text())
def test_any_pattern(pattern: str, name: str) -> None:
    try:
        assert searcher(pattern, ignore_case=True)(name) in {True, False}
    except PatternError as error:
        assert len(str(error)) < 100


@examples(200)
@given(value=text())
@example(value="❤\ufe0f")
@example(value="e" + "\u0301" * 50)
def test_a_quoted_value_is_safe_to_draw_and_means_itself(value: str) -> None:
    """The filter's input shows it as it is."""
    assert sanitise(quote(value)) == quote(value)
    assert _unquoted(quote(value)) == value


CONFIGS = [
    b"a = " + b"[" * 60_000, b"a = " + b"{x=" * 20_000, b"[" + b"a." * 30_000 + b"b]\n",
    b"keys." + b"a." * 3000 + b"b = 1",
    b"[ui]\nhistory = " + b"9" * 5000, b"[ui]\nhistory = 0x" + b"f" * 5000, b"[ui]\nhistory = '" + b"9" * 5000 + b"'",
    b"[ui]\nhistory = -1", b"[ui]\nhistory = 1e400", b"[ui]\nhistory = nan", b"[ui]\nhistory = 1979-05-27",
    b"[ui]\nhistory = []",
    b"[ui]\ntheme = '\x1b'", b"[ui]\ntheme = \"\\u001b]0;x\\u0007\"", b"[ui]\ntheme = 1", b"[[ui]]\n[[ui]]", b"ui = 3",
    b"[keys]\n[keys]",
    b"[keys]\n\"\\u001b[31m\" = \"q\"", b"[keys]\n\"app.quit\" = \"\\u001b[31m\"", b"[keys]\n\"app.quit\" = \"q\\nx\"",
    b"\xff\xfe\x00",
    b"\0", b"\xef\xbb\xbf[ui]", b"x" * (2 << 20), b"#" * (1 << 20), b"\r", b"\x1b[2J = 1", b"[\"a\nb\"]", b"'\x9b' = 1",
    b"[keys]\n\"app.quit\" = \"" + b"q," * 5000 + b"\"", b"[keys]\n'app.quit' = ','",
    b"[keys]\n'app.quit' = 'tab,space,ctrl+,+,f99'",
    b"[keys]\n'' = 'q'", b"a" * 60_000 + b" = 1", b"[ui]\ntheme = '" + b"x" * 60_000 + b"'",
    b"[ui]\n" + b"x = 1\n" * 10,
]  # fmt: skip


def configured(path: Path) -> None:
    """A config that a dashboard starts with, or one line that names the file."""
    with pace.at_most(400):
        try:
            found = config.load(path)
            Dashboard(Scripted(), registry.tools(), config=found)
        except ConfigError as error:
            assert str(path) in str(error)
            assert not acting(sanitise(str(error)))
            assert "Traceback" not in str(error)


@pytest.mark.parametrize("content", CONFIGS, ids=range(len(CONFIGS)))
def test_config_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    configured(path)


TOML = [b"[ui]\n", b"[keys]\n", b"theme", b"history", b'"app.quit"', b"app", b".", b" = ", b'"', b"'", b"[", b"]",
b"{", b"}", b",",
        b"\n", b"1", b"0x", b"-", b"1979-05-27", b"true", b"\\u001b", b'"""', b"#", b"\xff", b"\x1b", b"nord",
        b"256 MB", b"q"]  # fmt: skip


@examples(150)
@given(parts=st.lists(st.one_of(st.sampled_from(TOML), st.binary(max_size=4)), max_size=25))
def test_any_config_file(tmp_path: Path, parts: list[bytes]) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"".join(parts))
    configured(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "\x1b]0;x\x07\nname").write_bytes(b"[")
    (tmp_path / os.fsdecode(b"\xff\x9b")).write_bytes(b"[")
    for path in [*tmp_path.iterdir(), tmp_path, Path("/proc/self/mem"), Path("/dev/tty"), tmp_path / ("x" * 300)]:
        with pytest.raises(ConfigError):
            config.load(path)
        configured(path)


@pytest.mark.parametrize(
    "keys", [",", "ctrl+,", "f99", "space,space", "\u202e", "é", "ctrl+alt+shift+meta+super+hyper+x", "a,,b"]
)
async def test_odd_keys_do_not_stop_the_dashboard(tmp_path: Path, keys: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[keys]\n"app.pause" = "{keys}"\n')
    try:
        found = config.load(path)
        app = Dashboard(Scripted(Machine([b"x"]).messages()), registry.tools(), config=found)
    except ConfigError:
        return
    async with app.run_test() as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        strips = pilot.app.screen._compositor.render_strips(pilot.app.screen.size)
        assert not acting("".join(segment.text for strip in strips for segment in strip))
