"""Values as people read them: at most three significant figures, units that fit, nothing that acts on a terminal."""

from __future__ import annotations

import errno
import math
import pwd
import re
import time
from collections.abc import Callable
from functools import lru_cache

from ebtop.sanitise import sanitise
from ebtop.tool import Column, Type, Value

NOTHING = "-"
"""What stands for a value that is not known (yet)."""

RIGHT_ALIGNED = frozenset({Type.INT, Type.COUNT, Type.DURATION, Type.BYTES})
"""Types of columns whose cells line up at their right edge."""

_DURATIONS = (
    ("ns", 1, 1_000),
    ("us", 1_000, 1_000),
    ("ms", 1_000_000, 1_000),
    ("s", 1_000_000_000, 120),
    ("m", 60_000_000_000, 120),
    ("h", 3_600_000_000_000, 48),
    ("d", 86_400_000_000_000, math.inf),
)
"""Units of time: name, its length in ns, and from how many of them on the next one is used."""

_THOUSANDS = ("", "k", "M", "G", "T", "P", "E")
_ERRNO = {
    **errno.errorcode,
    # Numbers with two names: the one that manual pages use.
    errno.EAGAIN: "EAGAIN", errno.EDEADLK: "EDEADLK", errno.EOPNOTSUPP: "EOPNOTSUPP",
    # Kept from user space by include/linux/errno.h, but seen by whoever looks where a system call returns.
    512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 515: "ENOIOCTLCMD",
    516: "ERESTART_RESTARTBLOCK", 517: "EPROBE_DEFER", 524: "ENOTSUPP",
}  # fmt: skip
_NEEDS_NO_QUOTES = re.compile(r"[\w@%+=:,./-]+")


def _short(number: float, decimal_below: int = 10) -> str:
    """The number, with one decimal when it rounds to less than `decimal_below`."""
    return f"{number:.1f}" if round(number, 1) < decimal_below else f"{number:.0f}"


def duration(ns: float) -> str:
    """Nanoseconds in the unit that fits: `850 ns`, `2.1 us`, `4.1 ms`, `12 s`, `3.0 m`, `41 d`."""
    if not math.isfinite(ns):
        return NOTHING
    if ns < 0:
        return "-" + duration(-ns)
    for unit, length, limit in _DURATIONS:
        amount = ns / length
        # 999.7 us would read "1000 us": what rounds up to the limit belongs to the next unit.
        if round(amount) < limit:
            return f"{amount:.0f} ns" if length == 1 else f"{_short(amount)} {unit}"
    raise AssertionError("the last unit has no limit")


def count(n: float) -> str:
    """A number of things: `1,234`, `12.4 k`, `3.4 M`; a fraction keeps one decimal below 100."""
    if not math.isfinite(n):
        return NOTHING
    if n < 0:
        return "-" + count(-n)
    if round(n) < 10_000:
        whole = isinstance(n, int) or n.is_integer() or round(n, 1) >= 100
        return f"{n:,.0f}" if whole else f"{n:.1f}"
    return " ".join(_scaled(n, decimal_below=100))


def nbytes(n: float) -> str:
    """A size in decimal units: `512 B`, `3.4 MB`, `12 GB`."""
    if not math.isfinite(n):
        return NOTHING
    if n < 0:
        return "-" + nbytes(-n)
    if round(n) < 1_000:
        return f"{n:.0f} B"
    amount, unit = _scaled(n, decimal_below=10)
    return f"{amount} {unit}B"


def _scaled(n: float, decimal_below: int) -> tuple[str, str]:
    """A number >= 0 as its amount and the prefix of its unit."""
    last = len(_THOUSANDS) - 1
    for power, prefix in enumerate(_THOUSANDS):
        amount = n / 1000**power
        if round(amount) < 1_000 or power == last:
            return _short(amount, decimal_below), prefix
    raise AssertionError("the last prefix takes all")


def rate(n: float, seconds: float) -> str:
    """How many a second: `12.4 k/s`; nothing is known of an interval without length."""
    return f"{count(n / seconds)}/s" if seconds > 0 else NOTHING


def percent(share: float) -> str:
    """A share of one core: `0.4 %`, `12 %`."""
    return f"{share * 100:.1f} %" if share < 0.0995 else f"{share * 100:.0f} %"


def rated(column: Column, value: Value, seconds: float) -> str:
    """A cell of a column that is a rate, of an interval of that length: a duration is a share of it, bytes and counts
    are a second; other columns are written as they are."""
    if not column.rate or not isinstance(value, (int, float)) or not math.isfinite(value):
        return cell(column, value)
    each = value / seconds
    if not value:
        return "0"
    if column.type is Type.DURATION:
        return percent(each / 1e9)
    if column.type is Type.BYTES:
        return nbytes(each)
    return counted(each)


def counted(n: float) -> str:
    """A count divided by a time: whole from 10 on, else with a decimal that is not 0."""
    if not math.isfinite(n):
        return NOTHING
    return count(round(n)) if abs(n) >= 10 or round(n, 1).is_integer() else f"{n:.1f}"


def ret_text(ret: int) -> str:
    """A system call's return value: the number, or the name of the error (`ENOENT`) when negative."""
    return str(ret) if ret >= 0 else _ERRNO.get(-ret, str(ret))


def clock(unix_ns: int) -> str:
    """Unix time in ns as local `HH:MM:SS.mmm`."""
    seconds, fraction = divmod(int(unix_ns), 1_000_000_000)
    try:
        local = time.localtime(seconds)
    except (OverflowError, OSError, ValueError):
        return NOTHING
    return f"{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02}.{fraction // 1_000_000:03}"


def full_time(unix_ns: int) -> str:
    """Unix time in ns as local date and time, to the nanosecond, and how far that is from UTC."""
    seconds, fraction = divmod(int(unix_ns), 1_000_000_000)
    try:
        local = time.localtime(seconds)
    except (OverflowError, OSError, ValueError):
        return NOTHING
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{fraction:09} {time.strftime('%z', local)}"


@lru_cache(maxsize=4096)
def user(uid: int) -> str:
    """The name of a user, or the number as text when nobody has it."""
    try:
        return sanitise(pwd.getpwuid(uid).pw_name)
    except (KeyError, OverflowError):
        return str(uid)


def quoted(argument: str) -> str:
    """An argument as a shell would need it written; what could act on a terminal in bash's `$'...'` form."""
    if _NEEDS_NO_QUOTES.fullmatch(argument) and sanitise(argument) == argument:
        return argument
    if sanitise(argument) == argument:
        return "'" + argument.replace("'", "'\"'\"'") + "'"
    return "$'" + sanitise(argument.replace("\\", "\\\\").replace("'", "\\'")) + "'"


def _words(value: Value) -> str:
    return " ".join(sanitise(str(word)) for word in value) if isinstance(value, list) else sanitise(str(value))


def _arguments(value: Value) -> str:
    return " ".join(quoted(str(word)) for word in value) if isinstance(value, list) else sanitise(str(value))


def _frames(value: Value) -> str:
    if not isinstance(value, list):
        return sanitise(str(value))
    return " › ".join(sanitise(str(frame)) for frame in value) or NOTHING


def _number(write: Callable[[int], str] | Callable[[float], str]) -> Callable[[Value], str]:
    """A formatter of numbers, for any value: a recording may hold something else in its place."""

    def formatter(value: Value) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            return NOTHING
        return write(value) if isinstance(value, (int, float)) else _words(value)  # type: ignore[arg-type]

    return formatter


_FORMATTERS: dict[Type, Callable[[Value], str]] = {
    Type.INT: _number(str),
    Type.COUNT: _number(count),
    Type.TIME: _number(clock),
    Type.DURATION: _number(duration),
    Type.BYTES: _number(nbytes),
    Type.RET: _number(ret_text),
    Type.TEXT: _words,
    Type.PATH: _words,
    Type.FLAGS: _words,
    Type.ARGV: _arguments,
    Type.STACK: _frames,
    Type.USER: _number(lambda uid: user(int(uid))),
    Type.BOOL: lambda value: "yes" if value else "",
}


def cell(column: Column, value: Value) -> str:
    """A value as the column's type is written for people, safe for a terminal; `-` when it is not known."""
    return NOTHING if value is None else _FORMATTERS[column.type](value)


def cut(text: str, most: int) -> str:
    """At most so many characters, without the middle: beginning and end tell most of a name."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def brief(column: Column, value: Value) -> str:
    """As `cell`, in fewer words where the column has such."""
    return cell(column, column.brief(value) if column.brief is not None and isinstance(value, str) else value)


def full(column: Column, value: Value) -> str:
    """As `cell`, with the exact value behind where that is another: `2.1 us (2,103 ns)`, `ENOENT (-2)`."""
    if column.type is Type.TIME and isinstance(value, int):
        return full_time(value)
    text = cell(column, value)
    if column.type not in _UNITS or not isinstance(value, int):
        return text
    exact = f"{value:,}{_UNITS[column.type]}" if column.type in RIGHT_ALIGNED else str(value)
    return text if exact == text else f"{text} ({exact})"


_UNITS = {Type.DURATION: " ns", Type.BYTES: " B", Type.COUNT: "", Type.RET: "", Type.USER: ""}
