"""Filters over arguments: what is a filter, what is not and why, and that C and Python agree on what one means."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ebtop.probing.condition import Variable, check, condition
from ebtop.probing.filter import (
    DEEPEST,
    LONGEST,
    LONGEST_TEXT,
    MOST,
    All,
    Any,
    Comparison,
    FilterError,
    Literal,
    Masked,
    Name,
    Not,
    Operand,
    Tree,
    holds,
    names,
    parse,
)

SIGNED, UNSIGNED, TEXTS = ("s", "t"), ("u", "v"), ("text", "comm")
ROOM = {"text": 136, "comm": 16}
KNOWN = (
    {name: Variable(f"v->{name}", signed=True) for name in SIGNED}
    | {name: Variable(f"v->{name}") for name in UNSIGNED}
    | {name: Variable(f"v->{name}", text=ROOM[name]) for name in TEXTS}
)

GOOD: Mapping[str, Mapping[str, int | bytes]] = {
    "s == 3": {"s": 3},
    "s==-1": {"s": -1},
    "u >= 0x10 && u < 0X20": {"u": 31},
    "3 < s": {"s": 4},
    "s == t": {"s": 5, "t": 5},
    "s < 18446744073709551615": {"s": -1},
    "!(s > 3) || text != 'x'": {"s": 9, "text": b"y"},
    "!s == 4": {"s": 3},
    r'text == "a\"\\\n\x41\xff"': {"text": b'a"\\\nA\xff'},
    "text == 'grün'": {"text": "grün".encode()},
    "text == comm": {"text": b"sh", "comm": b"sh"},
    "s == 1 || s == 2 && u == 3": {"s": 1, "u": 0},
    "\t( s == 1 )  ": {"s": 1},
    "u & 0x40 == 0x40": {"u": 0x1C0},
    "u & 3": {"u": 2},
    "!u & 3": {"u": 4},
    "!(u & 3)": {"u": 4},
    "u & 3 && s & 4": {"u": 1, "s": -1},
    "(u & 3) == 2 && 2 == (u & 3)": {"u": 6},
    "((u & 7) & 6 == 4)": {"u": 13},
    "3 & u != 3": {"u": 5},
    "s & t & 0x0f < u & 15": {"s": -1, "t": 6, "u": 7},
    "s & t < 0": {"s": -1, "t": -2},
    "s & 18446744073709551615 > 9223372036854775807": {"s": -1},
}


@pytest.mark.parametrize("text", GOOD)
def test_a_filter_holds(text: str) -> None:
    tree = parse(text)
    check(tree, KNOWN)
    assert holds(tree, GOOD[text])


def test_nothing_is_no_filter() -> None:
    assert parse("") is None
    assert parse(" \t") is None
    assert holds(None, {})


BAD = {
    "s": (2, "one of == != < <= > >= & was expected, not the end"),
    "(s) == 3": (3, "one of == != < <= > >= & was expected, not ')'"),
    "3 == (s)": (8, "'&' was expected, not ')'"),
    "s & ": (4, "a name, a number or a string was expected, not the end"),
    "s & 'x'": (5, "& is for numbers, and this is a string"),
    "3 & 1": (1, "a comparison needs the name of an argument"),
    "3 & 1 == 1": (7, "a comparison needs the name of an argument"),
    "s & 1 == 1 == 1": (12, "&& or || was expected, not '=='"),
    "s & (u == 1)": (8, "'&' was expected, not '=='"),
    "(s == 1) & 1": (10, "&& or || was expected, not '&'"),
    "s & u & !1": (9, "a name, a number or a string was expected, not '!'"),
    "s == 3 | u == 1": (8, "'|' is no operator here: '||'?"),
    "s" + " & 1" * (MOST + 1): (MOST * 4 + 5, "more than 32 comparisons and &"),
    "s == " + "(" * (DEEPEST + 1) + "s & 1": (6 + DEEPEST, "more than 20 levels of parentheses"),
    "s =! 3": (3, "'=' is no operator here: '=='?"),
    "s == 3 & u == 1": (12, "&& or || was expected, not '=='"),
    "s == 3 u == 1": (8, "&& or || was expected, not 'u'"),
    "(s == 3": (8, "')' was expected, not the end"),
    "s == ": (5, "a name, a number or a string was expected, not the end"),
    "s == 08x": (6, "'08x' is no whole number such as 4096, -1 or 0x1000"),
    "s == 1.5": (6, "'1.5' is no whole number such as 4096, -1 or 0x1000"),
    "s == 0x10000000000000000": (6, "the number does not fit 64 bits"),
    "s == -9223372036854775809": (6, "the number does not fit 64 bits"),
    "text == 'x": (9, "the string that begins here has no closing '"),
    r"text == '\q'": (9, r"\q means nothing in a string; \\ is one backslash"),
    r"text == 'a\x00b'": (9, r"a string ends at its first \x00: none can have one in it"),
    "text == '" + "x" * (LONGEST_TEXT + 1) + "'": (9, "the string is longer than the 128 bytes that are read"),
    "text < 'x'": (6, "strings are compared with == and != only, not with <"),
    "3 == 3": (3, "a comparison needs the name of an argument"),
    "s == 3 # x": (8, "'#' has no place in a filter"),
    "s == 3\n": (7, "'\\n' has no place in a filter"),
    "grün == 3": (3, "'ü' has no place in a filter"),
    "(" * (DEEPEST + 1) + "s == 1" + ")" * (DEEPEST + 1): (DEEPEST + 1, "more than 20 levels of parentheses"),
    " || ".join(["s == 1"] * (MOST + 1)): (MOST * 10 + 1, "more than 32 comparisons and &"),
    "s == " + " " * LONGEST: (0, f"a filter may have {LONGEST} characters, this has {LONGEST + 5}"),
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_filter_is_said_with_its_column(text: str) -> None:
    with pytest.raises(FilterError) as wrong:
        parse(text)
    column, why = BAD[text]
    assert (wrong.value.column, str(wrong.value)) == (column, f"column {column}: {why}" if column else why)


MEANT = {
    "speed == 3": (1, "no argument 'speed'; there are"),
    "s == 1 && txt == 'x'": (11, "no argument 'txt'; did you mean text or t?"),
    "text == 3": (1, "text is a string, 3 a number"),
    "s == 'x'": (1, "'x' is a string, s a number"),
    "s & text == 1": (5, "& is for numbers, and text is a string"),
    "u & 1 == comm": (1, "comm is a string, u & 1 a number"),
    "s & 1 && speed & 1": (10, "no argument 'speed'; there are"),
    "text == s": (1, "text is a string, s a number"),
    "text < comm": (1, "strings are compared with == and != only, not with <"),
}


@pytest.mark.parametrize("text", MEANT)
def test_what_does_not_fit_the_arguments_is_said(text: str) -> None:
    column, why = MEANT[text]
    with pytest.raises(FilterError) as wrong:
        check(parse(text), KNOWN)
    assert str(wrong.value).startswith(f"column {column}: {why}")


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=80), st.text("s=!<>&|()\"'\\x0123 -abut\t", max_size=60)))
def test_no_text_gives_anything_but_a_tree_or_one_line(text: str) -> None:
    try:
        tree = parse(text)
    except FilterError as error:
        assert "\n" not in str(error)
        assert 0 <= error.column <= len(text) + 1
    else:
        assert tree is None or list(names(tree))


# C and Python

numbers = st.one_of(
    st.integers(-(1 << 63), (1 << 64) - 1), st.integers(-3, 3),
    st.sampled_from([(1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 63), 1 << 31, -(1 << 31)]),
)  # fmt: skip
words = st.one_of(
    st.sampled_from([b"", b"a", b"ab", b"1234567", b"12345678", b"123456789", b"x" * 15, b"x" * 16, b"y" * 128]),
    st.binary(max_size=20).filter(lambda raw: 0 not in raw),
)
orders = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
named = st.builds(Name, st.sampled_from([*SIGNED, *UNSIGNED]))
plain = st.one_of(st.builds(Literal, numbers), named)
masked = st.builds(Masked, st.tuples(named, plain) | st.tuples(plain, named) | st.tuples(named, plain, plain))
of_numbers = st.builds(Comparison, orders, named | masked, plain | masked)
of_texts = st.builds(
    Comparison, st.sampled_from(["==", "!="]), st.builds(Name, st.sampled_from(TEXTS)),
    st.one_of(st.builds(Literal, words), st.builds(Name, st.sampled_from(TEXTS))),
)  # fmt: skip
turned = st.one_of(of_numbers, of_texts).flatmap(
    lambda one: st.sampled_from([one, Comparison(one.op, one.right, one.left)])
)
trees: st.SearchStrategy[Tree] = st.recursive(
    turned,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Any, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
signed = numbers.map(lambda n: (n + (1 << 63)) % (1 << 64) - (1 << 63))
rows = st.fixed_dictionaries(
    dict.fromkeys(SIGNED, signed)
    | {name: numbers.map(lambda n: n % (1 << 64)) for name in UNSIGNED}
    | {name: words.map(lambda raw, room=ROOM[name]: raw[: room - 1]) for name in TEXTS}  # type: ignore[misc]
)


def written(tree: Tree) -> str:
    """As somebody would write it, with parentheses where they are needed only."""
    match tree:
        case Not(inner=inner):
            return f"!({written(inner)})"
        case All(parts=parts):
            return " && ".join(f"({written(part)})" if isinstance(part, All | Any) else written(part) for part in parts)
        case Any(parts=parts):
            return " || ".join(f"({written(part)})" if isinstance(part, Any) else written(part) for part in parts)
    return f"{side(tree.left)} {tree.op} {side(tree.right)}"


def side(operand: Operand) -> str:
    match operand:
        case Name(name=name):
            return name
        case Masked(parts=parts):
            return " & ".join(map(side, parts))
        case Literal(value=bytes(raw)):
            return "'" + "".join(f"\\x{byte:02x}" for byte in raw) + "'"
    return str(operand.value)


@settings(max_examples=300, deadline=None)
@given(trees, rows)
def test_what_is_written_is_what_is_meant(tree: Tree, row: dict[str, int | bytes]) -> None:
    text = written(tree)
    assume(len(text) <= LONGEST)
    assert holds(parse(text), row) == holds(tree, row)


PROGRAM = """
#include <stdio.h>
typedef long long s64; typedef unsigned long long u64;
struct values {{ s64 s, t; u64 u, v; char text[136], comm[16]; }};
static struct values all[] = {{ {values} }};
{functions}
int main(void) {{
    int (*each[])(struct values *) = {{ {names} }};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        putchar('0' + each[i](&all[i]));
    return 0;
}}
"""


def c_values(row: Mapping[str, int | bytes]) -> str:
    whole = [f"(s64){int(row[n]) % (1 << 64)}ULL" for n in SIGNED] + [f"{row[n]}ULL" for n in UNSIGNED]  # type: ignore[call-overload]
    texts = ["{" + ",".join(map(str, [b - 256 * (b > 127) for b in bytes(row[n])] or [0])) + "}" for n in TEXTS]  # type: ignore[arg-type]
    return "{" + ", ".join([*whole, *texts]) + "}"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(trees, rows), min_size=10, max_size=40))
def test_c_and_python_agree(
    tmp_path_factory: pytest.TempPathFactory, cases: list[tuple[Tree, dict[str, int | bytes]]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("c")
    functions = [
        f"static int f{n}(struct values *v) {{ return {condition(tree, KNOWN)} ? 1 : 0; }}"
        for n, (tree, _row) in enumerate(cases)
    ]
    values, every = ",\n".join(c_values(row) for _tree, row in cases), ", ".join(f"f{n}" for n in range(len(cases)))
    (folder / "x.c").write_text(PROGRAM.format(values=values, functions="\n".join(functions), names=every))
    command = ["gcc", "-w", "-O0", "-fno-strict-aliasing", "-o", str(folder / "x"), str(folder / "x.c")]
    subprocess.run(command, check=True, capture_output=True)
    said = subprocess.run([str(folder / "x")], check=True, capture_output=True, text=True).stdout
    assert said == "".join(str(int(holds(tree, row))) for tree, row in cases)
