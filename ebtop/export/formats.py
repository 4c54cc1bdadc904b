"""The headless outputs by the names that `--format` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ebtop.export.csv import CsvExporter
from ebtop.export.exporter import ByteStream, Exporter
from ebtop.export.json import JsonExporter
from ebtop.export.table import TableExporter

FORMATS: Mapping[str, Callable[[ByteStream], Exporter]] = {
    "table": TableExporter,
    "json": JsonExporter,
    "csv": CsvExporter,
}
