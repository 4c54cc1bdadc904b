"""The pane's own line: what it measures, with which probes, what that costs, how much there is, what was lost."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.text import Text

from ebtop.model.activity import amount
from ebtop.model.format import count, duration
from ebtop.model.snapshot import ToolSnapshot
from ebtop.model.window import SECOND_NS, newest
from ebtop.sanitise import sanitise
from ebtop.tick import Phase, Tick
from ebtop.tool import Kind
from ebtop.ui.fit import Part, line
from ebtop.ui.line import Line

_KINDS = {"raw_tracepoint": "raw tracepoint", "perf_event": "perf event"}
_RECENT_NS = 3 * SECOND_NS
"""Rates and costs are those of the last three seconds."""


def probe_names(probes: Sequence[str], short: bool = False) -> str:
    """`raw_tracepoint:sys_enter` and its like, put together by kind: `raw tracepoint sys_enter, sys_exit`."""
    kinds: dict[str, list[str]] = {}
    for probe in probes:
        kind, _, target = probe.partition(":")
        kinds.setdefault(_KINDS.get(kind, kind), []).append(target.rpartition(":")[2])
    if short:
        return sanitise(", ".join(f"{len(targets)} {kind}{'s'[: len(targets) > 1]}" for kind, targets in kinds.items()))
    return sanitise("; ".join(f"{kind} {', '.join(targets)}" for kind, targets in kinds.items()))


def parts(snapshot: ToolSnapshot, key: str, gone: str | None) -> list[list[Part]]:
    """The line in several lengths, the longest first. `gone` says why capture has ended, None while it runs."""
    tool, state, recent = snapshot.tool, snapshot.state, newest(snapshot.ticks, _RECENT_NS)
    head = Part(f"{key} {tool.name}", "strong")
    if gone:
        why = Part(f"▲ {sanitise(gone)}", "warn")
        return [[head, why, Part("what was seen stays; R starts it again", rank=5)], [head, why]]
    end = _measured(recent, tool.kind) if state.phase is not Phase.FAILED and gone is None else []
    end += [Part("stacks on", "accent")] if state.stacks else []
    lost = sum(snapshot.lost.values())
    end.append(Part(f"lost {count(lost)} ▲" if lost else "lost 0", "warn" if lost else "dim"))
    long, short = probe_names(state.probes), probe_names(state.probes, short=True)
    brief = re.split("[:,] ", tool.title)[0]
    return [
        [head, Part(title, rank=title_rank), Part(probes, "dim", 9), *end]
        for title, probes, title_rank in (
            (tool.title, long, 0),
            (brief, long, 0),
            (tool.title, short, 0),
            (brief, short, 4),
        )
    ]


def _measured(recent: Sequence[Tick], kind: Kind) -> list[Part]:
    if not recent:
        return []
    runs = sum(t.cost.run_count for t in recent)
    seconds = (recent[-1].end - recent[0].start) / 1e9
    each = f"{duration(sum(t.cost.run_ns for t in recent) / runs)} each" if runs else ""
    counted = seconds > 0 and kind is not Kind.PROCESSES  # whose amount is the time on CPUs
    rate = f"{count(sum(map(amount, recent)) / seconds)}/s" if counted else ""
    return [Part(each, "dim", 2), Part(rate, "", 1)]


class PaneLine(Line):
    """Draws the longest form that fits."""

    def __init__(self) -> None:
        super().__init__(id="paneline")
        self._forms: list[list[Part]] = []

    def show(self, snapshot: ToolSnapshot, key: str, gone: str | None) -> None:
        """Say what is so of this tool now."""
        self._forms = parts(snapshot, key, gone)
        self.changed()

    def text(self, width: int) -> Text:
        """The line."""
        for form in self._forms:
            if sum(len(p.text) + 3 for p in form if p.text) <= width + 3:
                return line(form, [], width + 3, self.styles_by_tone)
        return line(self._forms[-1], [], width, self.styles_by_tone) if self._forms else Text()
