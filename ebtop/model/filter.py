"""The filter that a user types: `comm~nginx err!=0 lat>5ms path~^/etc`; every term must hold.

A term is KEY OP VALUE: OP one of = != > < >= <= ~ !~ (`~` searches a regular expression of RE2; case counts when it
has a capital letter). A bare word is looked for in every column of text. Values with blanks go into quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ebtop.model.columns import NUMERIC, as_text, coded, needs, numbers, raw
from ebtop.model.filtervalue import FilterError, number
from ebtop.model.pattern import PatternError, searcher
from ebtop.near import near
from ebtop.sanitise import acting
from ebtop.tool import Batch, Column, Names, Tool, Type, Value

__all__ = ["Filter", "FilterError", "parse", "quote"]

Mask = npt.NDArray[np.bool_]

_TERM = re.compile(r"""\s*(?P<key>[A-Za-z_]\w*)\s*(?P<op>!=|!~|>=|<=|==|[=<>~])\s*(?P<value>"(?:\\.|[^"\\])*"?|\S*)""")
_WORD = re.compile(r"""\s*(?P<word>"(?:\\.|[^"\\])*"?|\S+)""")
_ESCAPE = re.compile(r'\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(["\\ntr]))')
_PLAIN = {"n": "\n", "t": "\t", "r": "\r"}
_COMPARE: dict[str, Callable[[Any, Any], Mask]] = {
    "=": np.equal, "!=": np.not_equal, ">": np.greater, "<": np.less, ">=": np.greater_equal, "<=": np.less_equal,
}  # fmt: skip
_SEARCHED = frozenset({Type.TEXT, Type.PATH, Type.ARGV, Type.FLAGS, Type.STACK})
_LONGEST, _MOST_TERMS = 1 << 16, 64  # a value that was chosen from a top may be long
_FEW = 4  # rows are copied out for the next term when less than 1 in so many is left


def quote(value: str) -> str:
    """A value as the filter's words have it, in quotes where it needs them; nothing in it acts on a terminal."""
    if value and re.fullmatch(r"[\w@%+:,./-]+", value, re.ASCII):
        return value
    return '"' + "".join(_escaped(char) if act else _plain(char) for char, act in acting(value)) + '"'


def _plain(char: str) -> str:
    return "\\" + char if char in '"\\' else char


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    if len(value) < 2 or not value.endswith('"'):
        raise FilterError(f"{value}: the closing quote is missing")

    def plain(match: re.Match[str]) -> str:
        hexadecimal = match[1] or match[2] or match[3]
        if hexadecimal:
            code = int(hexadecimal, 16)
            return chr(code) if code < 0x110000 else match[0]
        return _PLAIN.get(match[4], match[4])

    return _ESCAPE.sub(plain, value[1:-1])


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A comparison with a number. Unknown values hold for nothing. `errno` compares the error of a negative result."""

    column: Column
    op: str
    value: float
    errno: bool

    def mask(self, batch: Batch, names: Names) -> Mask:
        data = numbers(self.column, batch, names)
        if self.errno:
            data = np.where(data < 0, -data, 0)
        elif self.column.type is Type.TIME:
            data = _since_midnight(data)
        result: Mask = _COMPARE[self.op](data, self.value)
        if self.op == "!=" and data.dtype.kind == "f":
            result &= ~np.isnan(data)
        return result

    def cost(self, batch: Batch) -> int:
        return 0 if raw(self.column, batch) is not None else 2


@dataclass(frozen=True, slots=True)
class _Texts:
    """A test of text: of one column, or of any of several. Unknown values are tested as the empty text."""

    columns: tuple[Column, ...]
    test: Callable[[Column, Value], bool]
    negated: bool

    def mask(self, batch: Batch, names: Names) -> Mask:
        result: Mask = np.zeros(len(batch), dtype=np.bool_)
        for column in self.columns:
            found = coded(column, batch, names)
            good = np.array([self.test(column, value) for value in found.values], dtype=np.bool_)
            if len(good):
                result |= good[found.codes]
        return ~result if self.negated else result

    def cost(self, batch: Batch) -> int:
        return sum(1 if raw(column, batch) is not None else 3 for column in self.columns)


_Term = _Numbers | _Texts


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter. `columns` are those that it looks at."""

    text: str
    terms: tuple[_Term, ...]
    columns: tuple[Column, ...]

    def mask(self, batch: Batch, names: Names) -> Mask:
        """Which rows hold, as booleans. Cheap terms come first, dear ones see only the rows that are left."""
        result: Mask = np.ones(len(batch), dtype=np.bool_)
        for term in sorted(self.terms, key=lambda t: t.cost(batch)):
            left = np.flatnonzero(result)
            if len(left) == 0:
                break
            if len(left) * _FEW < len(batch):
                result[left] = term.mask(batch[left], names)
            else:
                result &= term.mask(batch, names)
        return result

    @property
    def late(self) -> bool:
        """Whether rows long gone by may yet come to hold, as what they are tested for is told later."""
        return any(column.late for column in self.columns)

    def uses_names(self, batch: Batch) -> bool:
        """Whether the answer may change as names are learnt."""
        return any(needs(column, batch).names for column in self.columns)


def parse(tool: Tool, text: str) -> Filter:
    """Compile a filter for a tool's events. FilterError says in one line what is wrong."""
    terms: list[_Term] = []
    columns: list[Column] = []
    rest = text.strip()
    if len(rest) > _LONGEST:
        raise FilterError(f"a filter has at most {_LONGEST:,} characters, not {len(rest):,}")
    while rest:
        if len(terms) == _MOST_TERMS:
            raise FilterError(f"a filter has at most {_MOST_TERMS} terms; what is too much begins at {rest[:20]}")
        match = _TERM.match(rest)
        if match:
            column, errno = _column(tool, match["key"])
            value = match["value"]
            if not value:
                raise FilterError(f"{match['key']}{match['op']} needs a value")
            terms.append(_term(column, errno, match["op"].replace("==", "="), _unquoted(value)))
            columns.append(column)
        else:
            match = _WORD.match(rest)
            assert match is not None  # noqa: S101  rest has no blanks around it and is not empty
            terms.append(_bare(tool, _unquoted(match["word"])))
            columns += terms[-1].columns if isinstance(terms[-1], _Texts) else ()
        rest = rest[match.end() :].strip()
    return Filter(text.strip(), tuple(terms), tuple(columns))


def _column(tool: Tool, word: str) -> tuple[Column, bool]:
    """The column that a word means, and whether it means its error number."""
    name = word.lower()
    exact = tool.column(name)
    if exact is not None:
        return exact, False
    if name in {"err", "errno"}:
        ret = next((c for c in tool.columns if c.type is Type.RET), None)
        if ret is not None:
            return ret, True
    if name == "lat":
        found = tool.column("latency_ns") or next((c for c in tool.columns if c.type is Type.DURATION), None)
        if found is not None:
            return found, False
    titled = [c for c in tool.columns if c.title.lower() == name]
    begun = titled or [c for c in tool.columns if c.key.startswith(name)]
    if len(begun) == 1:
        return begun[0], False
    if begun:
        raise FilterError(f"{word} may mean {', '.join(c.key for c in begun)}")
    raise FilterError(f"no column {word!r}{near(name, [*(c.key for c in tool.columns), 'err', 'lat'])}")


def _term(column: Column, errno: bool, op: str, value: str) -> _Term:
    if op in {"~", "!~"}:
        found = _pattern(value)
        return _Texts((column,), lambda c, v: found(_searched(c, v, errno)), op == "!~")
    if column.type in NUMERIC:
        return _Numbers(column, op, number(column, errno, value), errno)
    if op not in {"=", "!="}:
        raise FilterError(f"{column.key} is text: it can be compared with = != ~ !~ only, not {op}")
    return _Texts((column,), lambda _column, found: _is(found, value), op == "!=")


def _is(found: Value, value: str) -> bool:
    """A list holds what one of its parts, or all of them with blanks between, are."""
    if isinstance(found, list):
        return value in found or value == " ".join(found)
    return value == ("" if found is None else str(found))


def _searched(column: Column, value: Value, errno: bool) -> str:
    text = as_text(column, value)
    return "" if errno and isinstance(value, int) and value >= 0 else text


def _pattern(value: str) -> Callable[[str], bool]:
    try:
        return searcher(value, ignore_case=not any(c.isupper() for c in value))
    except PatternError as error:
        raise FilterError(f"{value}: not a regular expression: {error}") from None


def _bare(tool: Tool, word: str) -> _Term:
    """A word alone: in the columns of text that are shown, and in fields that hold text although they are not."""
    columns = tuple(c for c in tool.columns if c.type in _SEARCHED and not (c.hidden and c.derive))
    if not columns:
        raise FilterError(f"{word!r}: there is no text to look in; say which column, such as {_example(tool)}")
    pattern = re.compile(re.escape(word), 0 if any(c.isupper() for c in word) else re.IGNORECASE)
    return _Texts(columns, lambda c, v: pattern.search(as_text(c, v)) is not None, negated=False)


def _example(tool: Tool) -> str:
    keys: Sequence[str] = [c.key for c in tool.columns if c.type in NUMERIC]
    return f"{keys[0]}=1" if keys else "KEY=VALUE"


def _since_midnight(unix_ns: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Local time of day in ns, by the zone's offset at the first of the rows."""
    if len(unix_ns) == 0:
        return np.zeros(0, dtype=np.int64)
    from datetime import datetime

    offset = datetime.fromtimestamp(int(unix_ns[0]) // 1_000_000_000).astimezone().utcoffset()
    shift = int(offset.total_seconds()) * 1_000_000_000 if offset else 0
    return (unix_ns.astype(np.int64) + shift) % 86_400_000_000_000
