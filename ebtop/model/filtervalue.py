"""Numbers as people type them into a filter: `5ms`, `12k`, `ENOENT`, `root`, `14:02`."""

from __future__ import annotations

import errno
import pwd
import re

from ebtop.near import near
from ebtop.tool import Column, Type


class FilterError(ValueError):
    """A filter that means nothing; the message is one line for the user."""


_LONGEST = 64
"""More digits than a float holds cannot be compared with one, and Python refuses to read very many."""

_NUMBER = re.compile(r"(?P<amount>[+-]?(?:\d+\.?\d*|\.\d+))\s*(?P<unit>[a-zA-Z]*|%)")
_TIME = {"": 1, "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_SIZE = {
    "": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30,
}  # fmt: skip
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,9})?)?")
_WORDS = {"yes": 1, "true": 1, "on": 1, "no": 0, "false": 0, "off": 0}


def number(column: Column, as_errno: bool, value: str) -> float:
    """The number that `value` stands for in this column (an int where it is whole). Raises FilterError."""
    if column.type is Type.RET:
        return _errno(column, as_errno, value)
    if column.type is Type.USER and not value.lstrip("-").isdigit():
        return _uid(value)
    if column.type is Type.BOOL and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if column.type is Type.TIME and ":" in value:
        return _clock(value)
    return _scaled(column, value)


def _scaled(column: Column, value: str) -> float:
    if len(value) > _LONGEST:
        raise FilterError(f"{column.key}: a number of {len(value):,} characters is too long")
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", value):
        return int(value, 16)
    match = _NUMBER.fullmatch(value)
    if match is None:
        raise FilterError(f"{column.key}: {value!r} is no number")
    units = _TIME if column.type in {Type.DURATION, Type.TIME} else _SIZE
    if column.rate and column.type is Type.DURATION:
        units = units | {"%": 10**7}  # of a second, which is about what such figures are of
    factor = units.get(match["unit"].lower())
    if factor is None:
        raise FilterError(f"{column.key}: no unit {match['unit']!r}; there are {', '.join(u for u in units if u)}")
    if match["amount"].lstrip("+-").isdigit():
        return int(match["amount"]) * factor
    scaled = float(match["amount"]) * factor
    return int(scaled) if scaled.is_integer() else scaled


def _errno(column: Column, as_errno: bool, value: str) -> float:
    name = value.upper()
    if name[:1] == "E" and name.isalnum():
        code = getattr(errno, name, None)
        if code is None:
            raise FilterError(f"no error {value!r}{near(name, sorted(errno.errorcode.values()))}")
        return int(code) if as_errno else -int(code)
    return _scaled(column, value)


def _uid(value: str) -> float:
    try:
        return pwd.getpwnam(value).pw_uid
    except (KeyError, ValueError):  # a NUL or half a character is in no name
        raise FilterError(f"no user {value!r}{near(value, [p.pw_name for p in pwd.getpwall()])}") from None


def _clock(value: str) -> float:
    match = _CLOCK.fullmatch(value)
    if match is None:
        raise FilterError(f"{value!r} is no time of day; write 14:02 or 14:02:11.204")
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
    fraction = int((match[4] or ".0")[1:].ljust(9, "0"))
    return (hours * 3600 + minutes * 60 + seconds) * 10**9 + fraction
