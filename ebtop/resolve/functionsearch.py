"""Finds functions of a file by what people write: a name with or without parameters, namespaces, and wildcards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from ebtop.resolve.functionindex import Block, Function, FunctionIndex, OutOfTimeError
from ebtop.resolve.functionname import PIECES, base_of, inner_names
from ebtop.resolve.sieve import sieve_of
from ebtop.tool import text

WHOLE, BASE, INNER, SYMBOL = "name", "without parameters", "in a namespace", "symbol"
_LONGEST_PATTERN: Final = 4096
_MOST_MEMORY = 8 << 20
_PATIENCE = 64
_ANY, _ONE = r"[^\x00]*", r"[^\x00]"
_REST = rf"(?:[(\[. ]{_ANY})?\x00"

Hit = tuple[int, str]
"""A row of the index and the name by which it matched."""


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
    index: FunctionIndex, pattern: str, *, limit: int = 1000, ignore_case: bool = False, seconds: float = 30.0
) -> Found:
    """The functions that a pattern names; `*` stands for any characters, `?` for one.

    What is tried, until something is found: the whole name (`ns::f(int)`, which a wildcard may cover the parameters
    of), the name without parameters (`ns::f`), the name further inside (`f`, `T::f`). A pattern that begins with `_Z`
    or `_R` is a mangled name. Pieces of functions (`.cold`, `.part`) are found only by a pattern that has these words.
    `seconds` are of CPU time.
    Raises ValueError for an empty or absurdly long pattern, nothing else.
    """
    if not pattern.strip() or len(pattern) > _LONGEST_PATTERN or "\0" in pattern:
        raise ValueError("name a function in at most 4,096 characters; * stands for any characters, ? for one")
    looking = _Search(index, pattern, ignore_case, time.thread_time() + seconds)
    complete = True
    try:
        looking.go()
    except OutOfTimeError:
        complete = False
    way = next((way for way, hits in looking.found.items() if hits), looking.ways[-1])
    return _collected(index, looking.found[way], way, limit, complete)


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
        self._sieve = b"" if ignore_case else _bytes(_literal(pattern)) if self._mangled else sieve_of(pattern)
        expressions = {SYMBOL: rf"\x00{self._wanted}\x00"} if self._mangled else {
            WHOLE: rf"\x00{self._wanted}\x00",
            BASE: rf"\x00{self._wanted}{_REST}",
            INNER: rf"\x00{_ANY}(?:::|[./ *&]){self._wanted}{_REST}",
        }  # fmt: skip
        self._finders: dict[str, Callable[[bytes], Any]] = {
            way: self._compiled(expression).finditer for way, expression in expressions.items()
        }
        self.ways = list(expressions)
        self.found: dict[str, dict[int, str]] = {way: {} for way in expressions}

    def _compiled(self, expression: str) -> Any:
        import re2  # only who searches waits for it

        options = re2.Options()
        options.case_sensitive = not self._ignore_case
        options.encoding = re2.Options.Encoding.LATIN1
        options.max_mem = _MOST_MEMORY
        options.log_errors = False
        return re2.compile(_bytes(expression), options)

    def go(self) -> None:
        """Look through all names once; what is found in one way makes the following ways needless."""
        ways = self.ways
        for block in self._index.blocks(self._mangled, self._deadline, self._sieve):
            for number, way in enumerate(ways):
                self.found[way].update(self._hits(way, block))
                if self.found[way]:
                    ways = ways[: number + 1]
                    break

    def _hits(self, way: str, block: Block) -> Iterator[Hit]:
        for number, match in enumerate(self._finders[way](block.text)):
            start, end = match.span()
            name = text(block.text[start + 1 : end - 1])
            if self._is_meant(way, name):
                yield block.row_at(start), name
            if number % _PATIENCE == 0 and time.thread_time() > self._deadline:
                raise OutOfTimeError

    def _is_meant(self, way: str, name: str) -> bool:
        """Whether a candidate of an expression is wanted: its base, or one of the names in it, has to be covered."""
        if not self._pieces and not PIECES.isdisjoint(self._index.clones(name)):
            return False
        if way in {WHOLE, SYMBOL}:
            return True
        base = base_of(name, self._index.dotted)
        return any(self._covers(_bytes(part)) for part in ([base] if way == BASE else inner_names(base)))


def _literal(pattern: str) -> str:
    """The longest part of a pattern without wildcards."""
    return max(re.split(r"[*?]", pattern), key=len)


def _expression(pattern: str) -> str:
    """The regular expression of a pattern with wildcards."""
    parts = re.split(r"(\*+|\?)", pattern)
    return "".join(_ANY if part[:1] == "*" else _ONE if part == "?" else re.escape(part) for part in parts)


def _bytes(name: str) -> bytes:
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")
