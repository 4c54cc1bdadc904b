"""Command lines to paste: a real shell reads back exactly the arguments, and never anything else."""

from __future__ import annotations

import os
import subprocess
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ebtop.model.shell import command_line, word
from tests.hostile.words import ATTACKS

TELL = "printf '%s\\0' "
arguments = st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\0", b"")), min_size=1, max_size=4).filter(
    lambda words: not words[0].startswith(b"%")
)


def text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def read_back(line: str, shell: Sequence[str] = ("bash", "--norc", "-c")) -> list[bytes]:
    """What a shell makes of the line's words."""
    done = subprocess.run([*shell, f'tell() {{ {TELL}"$@"; }}; tell {line}'], capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout.removesuffix(b"\0").split(b"\0")


def harmless(line: str) -> None:
    """Nothing in it is done by a terminal or an editor of lines before a shell sees it."""
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in line), line
    assert "\n" not in line
    assert "!" not in line


@given(arguments)
@example(
    [b"", b"a b", b"'", b"\\", b"!!", b"$HOME", b"`id`", b"$(id)", b";", b"\n", b"\r", b"\t", b"\x1b7", b"\xff\xe9"]
)
@example([b"\x01" + b"7", b"\x1b" + b"99", b"\xffabc", "é".encode(), b"~", b"*", b"{a,b}", b"#", b"-n", b"a=b", b"=ls"])
def test_a_shell_reads_back_the_same_bytes(words: list[bytes]) -> None:
    line = command_line(list(map(text, words)))
    harmless(line)
    assert read_back(line) == words


def test_known_attacks_come_back_as_they_are() -> None:
    words = [attack.replace(b"\0", b"") for attack in ATTACKS]
    line = command_line(list(map(text, words)))
    harmless(line)
    assert read_back(line) == words


@pytest.mark.parametrize("first", ["if", "for", "A=b", "~", "{", "!", "[[", "function", "coproc"])
def test_the_first_word_is_a_command_and_nothing_else(first: str) -> None:
    """Reserved words, assignments and jobs would begin something else: a shell finds no such command."""
    line = command_line([first, "x"])
    done = subprocess.run(["bash", "--norc", "-c", line], capture_output=True, check=False)
    assert done.returncode == 127, line
    assert b"command not found" in done.stderr


def typed(line: str) -> list[bytes]:
    """What an interactive bash makes of a line's words, with something in its history."""
    script = f"history -s 'echo expanded'\ntell() {{ {TELL}\"$@\"; }}\ntell {line}\nexit\n"
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-i", "-H"], input=script.encode(), capture_output=True, check=False,
        env={"PATH": os.environ["PATH"], "PS1": "", "HISTFILE": "/dev/null"}, start_new_session=True,
    )  # fmt: skip
    return done.stdout.removesuffix(b"\0").split(b"\0")


def test_history_is_not_expanded_where_someone_types() -> None:
    """An interactive shell replaces `!` before it looks at some quotes."""
    words = ["a!b", "!!", "it's!x", "\n!!\n", "\\!'!"]
    assert typed('"!!"')[0] != b"!!"
    assert typed(command_line(words)) == [w.encode() for w in words]


def test_it_is_run_where_it_ran(tmp_path) -> None:
    place = tmp_path / "it's\n -odd \x1b[0m"
    place.mkdir()
    line = command_line(["pwd"], str(place))
    harmless(line)
    done = subprocess.run(["bash", "--norc", "-c", f"{line}; pwd"], capture_output=True, check=True, cwd="/")
    assert done.stdout.decode() == f"{place}\n/\n"  # and the shell stays where it is
    place.rmdir()
    done = subprocess.run(["bash", "--norc", "-c", line], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_what_no_shell_can_be_told() -> None:
    with pytest.raises(ValueError, match="NUL"):
        word("a\0b")
    with pytest.raises(ValueError, match="no arguments"):
        command_line([])
    with pytest.raises(ValueError, match="jobs"):
        command_line(["%1"])
    assert command_line(["time", "%1"]) == "'time' '%1'"


def test_plain_words_stay_plain() -> None:
    assert command_line(["/usr/bin/sed", "-n", "1p", "a b", "50%", "größe"]) == "/usr/bin/sed -n 1p 'a b' 50% 'größe'"
