"""Moments as people type them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from ebtop.arguments import UsageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(text: str, start: int, end: int) -> int:
    """The Unix ns of a time of day within (`start`, `end`), or of a day and time; without a zone they are local.

    Raises UsageError.
    """
    try:
        try:
            found = _on(_day(start), text)
            if _ns(found) < start and _ns(found + timedelta(days=1)) <= end:  # it goes on beyond midnight
                found += timedelta(days=1)
        except ValueError:
            found = datetime.fromisoformat(text).astimezone()
        return _ns(found)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{text!r} is no time such as 14:02, 14:02:11.5 or 2026-11-21T14:02:11Z") from None


def _day(unix_ns: int) -> date:
    return datetime.fromtimestamp(unix_ns // 1_000_000_000).date()


def _on(day: date, text: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(text)).astimezone()


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
