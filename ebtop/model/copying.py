"""What can be copied of an event or a process, the most useful first. All texts are safe to paste: no control
characters, no line ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ebtop.model.format import cell, full_time
from ebtop.model.shell import command_line, word
from ebtop.sanitise import sanitise
from ebtop.tick import ProcessDetails
from ebtop.tool import Column, Tool, Type, Value

LONGEST = 64 << 10
"""Bytes that are copied at most: terminals refuse or cut what is much longer."""

_ARGV_READ = 128 << 10  # of longer arguments than /proc is read for, the end is not known
_COMMAND = "command"
_RAW = frozenset({Type.INT, Type.COUNT, Type.BYTES, Type.DURATION})
_ENDS = (("daddr", "dport"), ("saddr", "sport"))


class Copy(NamedTuple):
    """`whole`: part of it would mean something else, so it is copied whole or not at all."""

    name: str
    text: str
    whole: bool = False

    @property
    def bounded(self) -> str:
        """As much as may be copied; "" where that would not be the whole of what has to be."""
        data = self.text.encode("utf-8", "backslashreplace")
        if len(data) <= LONGEST:
            return self.text
        return "" if self.whole else data[:LONGEST].decode("utf-8", "ignore")


def event_copies(tool: Tool, row: Mapping[str, Value], directory: str = "") -> list[Copy]:
    """Of an event: its command, its paths, its addresses, all of it as one line, then each field. `row` is by key;
    `directory` is where its process works, if that is known."""
    found = [] if row.get("truncated") else list(_commands(row.get("argv"), directory))
    columns = [c for c in tool.columns if row.get(c.key) is not None and field(c, row[c.key])]
    for column in columns:
        if column.type is Type.PATH:
            found += _path(column.key, str(row[column.key]))
    found += [Copy(f"{a}:{p}", address(str(row[a]), row[p])) for a, p in _ENDS if row.get(a) and row.get(p) is not None]
    found.append(Copy("row", "\t".join(field(c, row.get(c.key)) for c in tool.columns)))
    told = {Type.PATH} | ({Type.ARGV} if found[0].name == _COMMAND else set())
    return found + [Copy(c.key, field(c, row[c.key])) for c in columns if c.type not in told]


def process_copies(process: ProcessDetails) -> list[Copy]:
    """Of a process: its command, its directory and program, its pid, where it is."""
    whole = sum(len(argument.encode("utf-8", "surrogatepass")) + 1 for argument in process.argv) < _ARGV_READ
    found = list(_commands(list(process.argv), process.cwd)) if whole else []
    found += [*_path("exe", process.exe), *_path("cwd", process.cwd), Copy("pid", str(process.pid))]
    places = (("cgroup", process.cgroup), ("container", process.container), ("user", process.user))
    return found + [Copy(name, sanitise(text)) for name, text in places if text]


def _commands(argv: Value, directory: str) -> Iterator[Copy]:
    if not isinstance(argv, list) or not argv:
        return
    try:
        yield Copy(_COMMAND, command_line(argv), whole=True)
        if directory and directory.startswith("/") and not directory.endswith(" (deleted)"):
            yield Copy("command, there", command_line(argv, directory), whole=True)
    except ValueError:  # no shell can be told that
        return


def _path(name: str, path: str) -> Iterator[Copy]:
    if not path:
        return
    yield Copy(name, sanitise(path))
    if "\0" not in path and (quoted := word(path)) != path:
        yield Copy(f"{name}, quoted", quoted, whole=True)


def address(host: str, port: Value) -> str:
    """An address with its port as people write it, IPv6 in brackets."""
    return f"[{sanitise(host)}]:{port}" if ":" in host else f"{sanitise(host)}:{port}"


def field(column: Column, value: Value) -> str:
    """A value to copy: numbers exactly, times with their date, texts safe."""
    if column.type is Type.TIME and isinstance(value, int):
        return full_time(value)
    return str(value) if column.type in _RAW and isinstance(value, (int, float)) else cell(column, value)


def fields_line(fields: Sequence[tuple[str, str]]) -> Copy:
    """All of what is shown, as one line."""
    return Copy("row", "\t".join(text for _, text in fields))
