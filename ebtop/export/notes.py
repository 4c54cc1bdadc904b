"""What the tables for people and for spreadsheets have no column for: losses and the summary, for stderr."""

from __future__ import annotations

from typing import TextIO

from ebtop.export.exporter import Summary
from ebtop.model.format import count, duration
from ebtop.sanitise import sanitise
from ebtop.tick import Tick


def note_losses(tick: Tick, stream: TextIO) -> None:
    """One line if the tick lost anything, with the reasons."""
    reasons = [f"{n:,} ({sanitise(reason)})" for reason, n in tick.lost.items() if n]
    if reasons:
        print(f"{tick.tool}: lost {', '.join(reasons)}", file=stream, flush=True)


def note_summary(summary: Summary, stream: TextIO) -> None:
    """The summary in one line."""
    parts = [f"{summary.events:,} events"] if summary.events else []
    parts += [duration(summary.duration_s * 1e9), f"lost {summary.lost:,}"]
    parts += [f"{count(summary.truncated)} truncated"] if summary.truncated else []
    parts += [f"command exited with {summary.exit_code}"] if summary.exit_code is not None else []
    probes = sanitise(", ".join(summary.probes)) or "no probes"
    print(f"{summary.tool}: {', '.join(parts)}; {probes}", file=stream, flush=True)
