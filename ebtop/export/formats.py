"""The headless outputs by the names that `--format` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ebtop.export import folded, pprof, speedscope
from ebtop.export.csv import CsvExporter
from ebtop.export.exporter import ByteStream, Exporter
from ebtop.export.json import JsonExporter
from ebtop.export.stackcounts import StackCounts
from ebtop.export.table import TableExporter

FORMATS: Mapping[str, Callable[[ByteStream], Exporter]] = {
    "table": TableExporter,
    "json": JsonExporter,
    "csv": CsvExporter,
}

STACK_FORMATS: Mapping[str, Callable[[StackCounts, ByteStream], None]] = {
    "folded": folded.write,
    "speedscope": speedscope.write,
    "pprof": pprof.write,
}
"""Of stacks alone: each file is written whole, once they are added up."""

BINARY = frozenset({"pprof"})
"""Formats that are nothing to be looked at."""

SUFFIXES: Mapping[str, str] = {
    "json": ".jsonl",
    "csv": ".csv",
    "folded": ".folded",
    "speedscope": ".speedscope.json",
    "pprof": ".pb.gz",
}
"""What files of a format are called by those who read them."""

ABOUT: Mapping[str, str] = {
    "json": "an object a line, as `ebtop run` writes them",
    "csv": "a table",
    "folded": "stacks, a line each, for flamegraph.pl",
    "speedscope": "stacks, for speedscope",
    "pprof": "stacks, for `go tool pprof`",
}
