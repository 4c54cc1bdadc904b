"""Finds functions of a file by what people write: a name with or without parameters, namespaces, and wildcards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from ebtop.resolve.functionindex import Function, FunctionIndex, OutOfTimeError
from ebtop.resolve.functionname import PIECES, base_of, inner_names
from ebtop.tool import text

WHOLE, BASE, INNER, SYMBOL = "name", "without parameters", "in a namespace", "symbol"
_LONGEST_PATTERN: Final = 4096
_MOST_MEMORY = 8 << 20
_ANY, _ONE = r"[^\x00]*", r"[^\x00]"
_REST = rf"(?:[(\[. ]{_ANY})?\x00"

Hit = tuple[int, str]
"""A row of the index and the name by which it matched."""
Way = tuple[str, Callable[[], Iterator[Hit]]]


class Found(NamedTuple):
    """What a search found. `total` counts the matches, of which `functions` holds the first `limit`.

    `way` says what the pattern was taken for: WHOLE, BASE, INNER or SYMBOL. `complete` is False when time ran out.
    """

    functions: list[Function]
    total: int
    way: str
    complete: bool

    @property
    def addresses(self) -> list[int]:
        """The virtual addresses, each once: aliases share theirs."""
        return list(dict.fromkeys(function.address for function in self.functions))


def search(
    index: FunctionIndex, pattern: str, *, limit: int = 1000, ignore_case: bool = False, seconds: float = 20.0
) -> Found:
    """The functions that a pattern names; `*` stands for any characters, `?` for one.

    What is tried, until something is found: the whole name (`ns::f(int)`, which a wildcard may cover the parameters
    of), the name without parameters (`ns::f`), the name further inside (`f`, `T::f`). A pattern that begins with `_Z`
    or `_R` is a mangled name. Pieces of functions (`.cold`, `.part`) are found only by a pattern that has these words.
    Raises ValueError for an empty or absurdly long pattern, nothing else.
    """
    if not pattern.strip() or len(pattern) > _LONGEST_PATTERN or "\0" in pattern:
        raise ValueError("name a function in at most 4,096 characters; * stands for any characters, ? for one")
    hits: dict[int, str] = {}
    way, complete = WHOLE, True
    try:
        for meant, tried in _Search(index, pattern, ignore_case, time.monotonic() + seconds).ways():
            way = meant
            hits.update(tried())
            if hits:
                break
    except OutOfTimeError:
        complete = False
    return _collected(index, hits, way, limit, complete)


def _collected(index: FunctionIndex, hits: dict[int, str], way: str, limit: int, complete: bool) -> Found:
    rows: dict[tuple[str, int], int] = {}
    for row, name in hits.items():
        if not index.is_mark(row):
            rows.setdefault((name, index.address(row)), row)
    functions = [index.function(rows[key]) for key in sorted(rows)[:limit]]
    return Found(functions, len(rows), way, complete)


class _Search:
    """One pattern on one index."""

    def __init__(self, index: FunctionIndex, pattern: str, ignore_case: bool, deadline: float) -> None:
        self._index, self._deadline, self._ignore_case = index, deadline, ignore_case
        self._mangled = pattern.startswith(("_Z", "_R"))
        self._wanted = _expression(pattern)
        self._pieces = self._mangled or "[clone" in pattern or any(f".{word}" in pattern for word in PIECES)
        self._covers: Callable[[bytes], Any] = self._compiled(self._wanted).fullmatch

    def _compiled(self, expression: str) -> Any:
        import re2  # only who searches waits for it

        options = re2.Options()
        options.case_sensitive = not self._ignore_case
        options.encoding = re2.Options.Encoding.LATIN1
        options.max_mem = _MOST_MEMORY
        options.log_errors = False
        return re2.compile(_bytes(expression), options)

    def ways(self) -> list[Way]:
        """What the pattern can be taken for, in the order of trying."""
        if self._mangled:
            return [(SYMBOL, self._exactly)]
        return [(WHOLE, self._exactly), (BASE, self._by_base), (INNER, self._inside)]

    def _exactly(self) -> Iterator[Hit]:
        return self._hits(rf"\x00{self._wanted}\x00")

    def _by_base(self) -> Iterator[Hit]:
        return self._by(rf"\x00{self._wanted}{_REST}", lambda base: [base])

    def _inside(self) -> Iterator[Hit]:
        return self._by(rf"\x00{_ANY}(?:::|[./ *&]){self._wanted}{_REST}", inner_names)

    def _by(self, expression: str, names: Callable[[str], list[str]]) -> Iterator[Hit]:
        """The candidates of an expression whose base, or one of the names in it, is what is wanted."""
        for row, name in self._hits(expression):
            if any(self._covers(_bytes(part)) for part in names(base_of(name, self._index.dotted))):
                yield row, name

    def _hits(self, expression: str) -> Iterator[Hit]:
        find: Callable[[bytes], Any] = self._compiled(expression).finditer
        for block in self._index.blocks(self._mangled, self._deadline):
            for match in find(block.text):
                start, end = match.span()
                name = text(block.text[start + 1 : end - 1])
                if self._pieces or PIECES.isdisjoint(self._index.clones(name)):
                    yield block.row_at(start), name
                if time.monotonic() > self._deadline:
                    raise OutOfTimeError


def _expression(pattern: str) -> str:
    """The regular expression of a pattern with wildcards."""
    parts = re.split(r"(\*+|\?)", pattern)
    return "".join(_ANY if part[:1] == "*" else _ONE if part == "?" else re.escape(part) for part in parts)


def _bytes(name: str) -> bytes:
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")
