"""Opening a recording that anyone may have made: nothing in it is run, and what it claims costs no memory."""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ebtop.record.schema import APPLICATION_ID, TABLES, VERSION, quoted

_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_IDS = struct.Struct(">60xI4xI")
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 256 << 20, sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 20, sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0, sqlite3.SQLITE_LIMIT_COLUMN: 2000, sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
}  # fmt: skip


class RecordingError(ValueError):
    """One line: what is wrong with the file, safe to print after sanitise."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Raises RecordingError."""
    _check_header(path)
    try:
        return _connected(path, "")
    except sqlite3.OperationalError:
        # A closed one that says it has a log needs to write beside it, unless SQLite is told that it has none.
        if path.with_name(path.name + "-wal").exists():
            raise
        return _connected(path, "&immutable=1")


def _connected(path: Path, more: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro{more}"
    database = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2.0, check_same_thread=False)
    with ExitStack() as unless_all_is_well:
        unless_all_is_well.callback(database.close)
        for limit, value in _LIMITS.items():
            database.setlimit(limit, value)
        database.text_factory = _text
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON", "mmap_size = 0"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        unless_all_is_well.pop_all()
    return database


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _check_header(path: Path) -> None:
    """Look at the file before SQLite does. Raises RecordingError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise RecordingError("this is a folder")
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise RecordingError("this is no regular file")
            header = os.read(fd, _HEADER)
        finally:
            os.close(fd)
    except OSError as error:
        raise RecordingError((error.strerror or str(error)).lower()) from None
    except ValueError as error:  # a NUL in the path
        raise RecordingError(str(error)) from None
    if not header:
        raise RecordingError("the file is empty")
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise RecordingError("this is no recording of ebtop, nor any SQLite file")
    version, application = _IDS.unpack(header[: _IDS.size])
    if application != APPLICATION_ID:
        raise RecordingError("this SQLite file is no recording of ebtop")
    if version > VERSION:
        raise RecordingError(f"a newer ebtop made it: schema {version}, this one reads up to {VERSION}; install that")


def check_tables(database: sqlite3.Connection) -> set[str]:
    """The names of all plain tables. Raises RecordingError where one is missing, or is something else: a view or a
    virtual table would run what the file says."""
    rows = database.execute("SELECT name, type, rootpage FROM sqlite_master").fetchall()
    plain = {name for name, kind, page in rows if kind == "table" and type(page) is int and page > 0}
    for table, columns in TABLES.items():
        if table not in plain or not set(columns) <= set(columns_of(database, table)):
            raise RecordingError(f"it lacks the table {table}")
    return plain


def columns_of(database: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table. Raises RecordingError for one whose values would be worked out on reading."""
    found = database.execute(f"PRAGMA table_xinfo({quoted(table)})").fetchall()
    if any(hidden for *_rest, hidden in found):
        raise RecordingError(f"the table {table} has columns that are not stored")
    return [name for _number, name, *_rest in found]


def whole(value: Any) -> int:
    """A whole number from the file. Raises RecordingError."""
    if type(value) is not int:
        raise RecordingError("a number is none")
    return value


def string(value: Any) -> str:
    """Text from the file; odd bytes are lone surrogates. Raises RecordingError."""
    if type(value) is bytes:
        return _text(value)
    if type(value) is not str:
        raise RecordingError("a text is none")
    return value
