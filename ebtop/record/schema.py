"""The tables of a recording.

Events lie in batches: a row of TOOL_batch holds up to thousands of them as JSON, an array of numbers for each. Of each
field the row has two columns: FIELD, a number, and "FIELD at", the place in each event's array of what is to be added
to it (`$[3]`), NULL where all events of the row have the same. Strings are numbers of `text`, each stored once. Times
and ids take few digits that way, a field that does not vary takes none, and the sum is all that SQL has to do; a view
named like the tool does it. 64-bit numbers are signed: those from 2**63 on appear negative.

Names of our own columns in those tables have a blank in them, as no field of a record can.
"""

from __future__ import annotations

VERSION = 1
"""Of the schema, in PRAGMA user_version. A reader refuses newer ones."""

APPLICATION_ID = 0x65627470
"""In PRAGMA application_id: "ebtp"."""

TABLES = {
    "meta": ("key", "value"),
    "text": ("id", "value"),
    "tick": ("id", "tool", "start", "end", "events", "events_before", "amount", "size", "run_ns", "run_count",
             "text_from"),
    "lost": ("tick", "tool", "reason", "count"),
    "gauge": ("tick", "name", "value"),
    "name": ("tool", "domain", "id", "tick", "value"),
    "histogram": ("tick", "number", "group", "key", "label", "buckets", "counts"),
    "bucket": ("tool", "number", "unit", "low", "high"),
    "stack": ("tick", "number", "count", "pid", "tid", "comm", "frames"),
    "message": ("id", "tick", "time", "kind", "subject", "body"),
}  # fmt: skip
"""Those that every recording has, and their columns."""

CREATE = """
CREATE TABLE meta (  -- whose machine, by which ebtop, under which focus; closed: 0 while it is recorded
  key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE text (  -- strings: TEXT, or BLOB where they are no UTF-8 or have a NUL in them
  id INTEGER PRIMARY KEY, value);
CREATE TABLE tick (  -- what a tool produced in one interval; times are Unix ns. It refers to no text before text_from
  id INTEGER PRIMARY KEY, tool TEXT, start INTEGER, "end" INTEGER, events INTEGER, events_before INTEGER,
  amount INTEGER, size INTEGER, run_ns INTEGER, run_count INTEGER, text_from INTEGER);
CREATE INDEX tick_of_tool ON tick (tool, "end", amount, size);
CREATE INDEX tick_in_time ON tick ("end", tool);
CREATE TABLE lost (
  tick INTEGER, tool TEXT, reason TEXT, count INTEGER, PRIMARY KEY (tick, reason)) WITHOUT ROWID;
CREATE TABLE gauge (
  tick INTEGER, name TEXT, value, PRIMARY KEY (tick, name)) WITHOUT ROWID;
CREATE TABLE name (  -- what ids stand for, from a tick on
  tool TEXT, domain TEXT, id INTEGER, tick INTEGER, value, PRIMARY KEY (tool, domain, id, tick)) WITHOUT ROWID;
CREATE INDEX name_of_tick ON name (tick);
CREATE TABLE histogram (  -- counts: [[bucket, count], ...] of those that are not 0
  tick INTEGER, number INTEGER, "group" TEXT, key INTEGER, label INTEGER REFERENCES text, buckets INTEGER,
  counts TEXT, PRIMARY KEY (tick, number)) WITHOUT ROWID;
CREATE TABLE bucket (
  tool TEXT, number INTEGER, unit TEXT, low INTEGER, high INTEGER, PRIMARY KEY (tool, number)) WITHOUT ROWID;
CREATE TABLE stack (  -- frames: the number of the text [[function, module, in the kernel], ...], root first
  tick INTEGER, number INTEGER, count INTEGER, pid INTEGER, tid INTEGER, comm INTEGER REFERENCES text,
  frames INTEGER REFERENCES text, PRIMARY KEY (tick, number)) WITHOUT ROWID;
CREATE TABLE message (  -- what was said after a tick: states, plans, the machine and its cost, processes, notices
  id INTEGER PRIMARY KEY, tick INTEGER, time INTEGER, kind TEXT, subject TEXT, body TEXT);
CREATE INDEX message_of_kind ON message (kind, subject, time);
CREATE INDEX message_of_tick ON message (tick);
CREATE INDEX message_in_time ON message (time)
"""

OWN = ("tick id", "part no", "batch no", "event count", "record layout", "event values")
"""The columns of a table of batches before those of the fields: the tick, the part of it that the row is, which of the
tick's batches it belongs to, how many events it has, the number of their layout's text, and the events."""

RECORDED = ("Plan", "ToolState", "Vitals", "ProcessDetails", "Notice")
"""The kinds of `message`."""


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def batch_table(tool: str, role: str) -> str:
    """Where a tool's "events" or "rows" lie."""
    return f"{tool}_batch" if role == "events" else f"{tool}_rows"


def late_table(tool: str) -> str:
    """Where the values of late columns lie, by the id of their event."""
    return f"{tool}_late"


def create_batches(table: str) -> str:
    """SQL for a table of batches without any fields yet."""
    kinds = ("INTEGER", "INTEGER", "INTEGER", "INTEGER", "INTEGER REFERENCES text", "TEXT")
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in zip(OWN, kinds, strict=True))
    key = ", ".join(map(quoted, OWN[:2]))
    return f"CREATE TABLE {quoted(table)} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID"


def at(field: str) -> str:
    """The column that says at which place of an event's array a field is."""
    return f"{field} at"


def shown(column: str) -> str:
    """The column of what a tool's column shows, where that is not the record's field."""
    return f"{column} shown"
