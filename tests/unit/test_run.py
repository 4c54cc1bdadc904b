"""`ebtop run` without a kernel: what it writes of the ticks it is given."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebtop import registry
from ebtop.commands.run import MOST_INTERVAL_S, WATCHED_S, Run, tick_s
from ebtop.tick import Command, Message, Phase, ToolState
from ebtop.tool import Kind
from tests.unit.processticks import TOOL, gone, process, tick

HISTOGRAM = next(tool for tool in registry.tools() if tool.kind is Kind.HISTOGRAM)


def told(interval: float | None = None, output: str | None = None) -> argparse.Namespace:
    return argparse.Namespace(interval=interval, output=output, duration=None, format="json", by="all", stacks=False)


@pytest.mark.parametrize(("interval", "seconds"), [(None, 1.0), (5.0, 5.0), (0.001, 0.1), (1e7, MOST_INTERVAL_S)])
def test_processes_are_told_of_each_interval_that_was_asked_for(interval: float | None, seconds: float) -> None:
    assert tick_s(TOOL, told(interval)) == seconds


def test_others_are_read_as_often_as_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebtop.commands.run.interval_s", lambda _output: WATCHED_S)
    assert tick_s(HISTOGRAM, told(5.0)) == WATCHED_S


class Said:
    """A source that says what it is given."""

    def __init__(self, *messages: Message) -> None:
        self._messages = messages

    def messages(self) -> Iterator[Message]:
        yield from self._messages

    def send(self, command: Command) -> None:
        """Nobody listens."""

    def close(self) -> None:
        """Nothing to end."""


def test_rows_of_processes_are_written_tick_by_tick(tmp_path: Path) -> None:
    ticks = (tick(0, process(5, opens=3), process(6)), tick(1, process(5, opens=4), gone(9, 5, b"sh", 2)))
    source = Said(ToolState(TOOL.name, Phase.RUNNING), *ticks)
    with (tmp_path / "out").open("w+b") as stream:
        run = Run(TOOL, told(), source, stream, None)  # type: ignore[arg-type]
        run._read()
        run._end()
        stream.seek(0)
        lines = [json.loads(line) for line in stream]
    assert [(line["type"], line.get("pid"), line.get("opens")) for line in lines] == [
        ("row", 5, 3), ("row", 6, 0), ("row", 5, 4), ("row", 9, 0), ("summary", None, None)
    ]  # fmt: skip
    assert len({line["ts"] for line in lines[:4]}) == 2
