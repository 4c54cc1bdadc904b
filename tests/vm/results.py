"""What happened in a guest, one JSON object a line, and the one table of all guests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """Of one tool, tried in one way: how many checks passed, failed and were skipped; `detail` says why."""

    tool: str
    how: str
    probe: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    detail: str = ""
    seconds: float = 0.0

    @property
    def cell(self) -> str:
        """For the table: a word, or counts where there is more than one."""
        counts = {"ok": self.passed, "FAILED": self.failed, "skipped": self.skipped}
        several = sum(counts.values()) > 1
        words = [f"{number} {word}" if several else word for word, number in counts.items() if number]
        return ", ".join(words) or "nothing ran"


def append(file: Path, result: Result) -> None:
    """Write one down at once, as the guest may die."""
    with file.open("a") as lines:
        lines.write(json.dumps(asdict(result)) + "\n")


def read(file: Path) -> list[Result]:
    """What was written down."""
    if not file.exists():
        return []
    return [Result(**json.loads(line)) for line in file.read_text().splitlines()]


def table(of_kernels: Mapping[str, Sequence[Result]]) -> list[str]:
    """Lines: a row for each tool, way and probe, a column for each kernel."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for kernel, results in of_kernels.items():
        for result in results:
            rows.setdefault((result.tool, result.how, result.probe), {})[kernel] = result.cell
    cells = [("TOOL", "TRIED", "PROBE USED", *of_kernels)]
    cells += [(*row, *(seen.get(kernel, "-") for kernel in of_kernels)) for row, seen in rows.items()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def reasons(of_kernels: Mapping[str, Sequence[Result]]) -> list[str]:
    """Why something failed or was left out."""
    return [
        f"{'FAILED' if result.failed else 'skipped'} on {kernel}: {result.tool} {result.how}: {result.detail}"
        for kernel, results in of_kernels.items()
        for result in results
        if result.failed or result.skipped
    ]


def totals(of_kernels: Mapping[str, Sequence[Result]]) -> tuple[int, int, int]:
    """(passed, failed, skipped) of all."""
    everything = [result for results in of_kernels.values() for result in results]
    return (
        sum(result.passed for result in everything),
        sum(result.failed for result in everything),
        sum(result.skipped for result in everything),
    )
