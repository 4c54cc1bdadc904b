"""The line on top: whose machine, is it live, what counts, was anything lost, what does it cost."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from ebtop.model.format import clock, count, duration, nbytes, percent
from ebtop.model.snapshot import Playback, Snapshot, ToolSnapshot
from ebtop.model.window import Window, spanned, within
from ebtop.sanitise import sanitise
from ebtop.ui.fit import Part, line
from ebtop.ui.line import Line


def bpf_share(tool: ToolSnapshot) -> float:
    """CPU that a tool's programs took of late, as a share of one core; it is spent in the traced programs."""
    recent = within(Window.LAST, tool.ticks)
    return sum(tick.cost.run_ns for tick in recent) / max(spanned(recent) * 1e9, 1)


def total_cost(snapshot: Snapshot) -> float:
    """All that ebtop costs, as a share of one core: capture, screen, and the programs in the kernel."""
    programs = sum(bpf_share(tool) for tool in snapshot.tools.values()) if snapshot.gone is None else 0.0
    capture = snapshot.vitals.capture_cpu if snapshot.vitals and snapshot.gone is None else 0.0
    return programs + capture + snapshot.screen_cpu


def losses(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    """What was lost, by tool and reason."""
    return {name: {r: n for r, n in t.lost.items() if n} for name, t in snapshot.tools.items() if any(t.lost.values())}


def left_parts(snapshot: Snapshot, notes: Sequence[str]) -> list[Part]:
    """The machine, and what the user should know of this session."""
    vitals = snapshot.vitals
    parts = [Part("ebtop", "accent", 3)]
    if vitals is not None:
        parts.append(Part(sanitise(vitals.host), "strong", 5))
        parts.append(Part(f"Linux {sanitise(vitals.kernel)}", "dim", 7))
        parts.append(Part(f"up {duration(vitals.uptime_s * 1e9)}", "dim", 9))
    return parts + [Part(sanitise(note), "warn", 4) for note in notes]


def right_parts(snapshot: Snapshot, paused: int | None, interval_s: float) -> list[Part]:
    """State, focus, loss and cost."""
    vitals = snapshot.vitals
    if snapshot.playback is not None:
        state = replayed(snapshot.playback, snapshot.gone)
    elif snapshot.gone is not None:
        state = Part("■ CAPTURE ENDED", "warn")
    elif paused is not None:
        state = Part(f"║ PAUSED at {clock(paused)[:8]}", "accent")
    elif vitals is None and not any(t.ticks for t in snapshot.tools.values()):
        state = Part("○ STARTING", "dim")
    else:
        state = Part(f"● LIVE {interval_s:g} s", "good")
    focus = sanitise(vitals.focus) if vitals else "all"
    if vitals and vitals.focus_pids > 1:
        focus += f" ({vitals.focus_pids})"
    lost = sum(sum(t.lost.values()) for t in snapshot.tools.values())
    return [
        state,
        Part(f"focus {focus}", "" if focus == "all" else "accent", 1 if focus == "all" else 0),
        Part(f"lost {count(lost)} ▲" if lost else "lost 0", "warn" if lost else "dim"),
        Part(f"cost {percent(total_cost(snapshot))}", "dim", 2),
        Part(nbytes(snapshot.screen_pss + (vitals.capture_pss if vitals else 0)), "dim", 8),
    ]


def replayed(playback: Playback, gone: str | None) -> Part:
    """Where a recording is: playing or standing, which time, how fast, and whether it is all there."""
    if gone is not None:
        return Part("■ REPLAY ENDED", "warn")
    speed = f" {playback.speed:g}x" if playback.speed != 1 else ""
    at_end = " end" if playback.time >= playback.end else ""
    mark, tone = ("║", "accent") if playback.standing else ("▶", "good")
    whole = "" if playback.complete else " not closed"
    return Part(f"{mark} REPLAY {clock(playback.time)[:8]}{speed}{at_end}{whole}", tone)


class Header(Line):
    """Draws the parts, the unimportant ones only where there is room."""

    DEFAULT_CSS = """
    Header { background: $panel; }
    """

    def __init__(self, notes: Sequence[str], interval_s: float) -> None:
        super().__init__(id="header")
        self._notes = tuple(notes)
        self._interval_s = interval_s
        self._snapshot: Snapshot | None = None
        self._paused: int | None = None

    def show(self, snapshot: Snapshot, paused: int | None) -> None:
        """Say what is so now; the tooltip names what was lost and what the cost is made of."""
        self._snapshot, self._paused = snapshot, paused
        self.changed()
        if self.mouse_hover:
            self.on_enter()

    def on_enter(self) -> None:
        """The mouse is over it: a tooltip that nobody looks at would be made every second."""
        if self._snapshot is not None:
            self.tooltip = explanation(self._snapshot)

    def text(self, width: int) -> Text:
        """The line."""
        if self._snapshot is None:
            return line([Part("ebtop", "accent"), Part("starting", "dim")], [], width, self.styles_by_tone)
        left = left_parts(self._snapshot, self._notes)
        right = right_parts(self._snapshot, self._paused, self._interval_s)
        return line(left, right, width, self.styles_by_tone)


def explanation(snapshot: Snapshot) -> Text:
    """What was lost, by tool and reason, and of what the cost consists."""
    lines = [f"capture ended: {sanitise(snapshot.gone) or 'as asked'}"] if snapshot.gone is not None else []
    for tool, reasons in losses(snapshot).items():
        lines += [f"{tool} lost {n:,}: {sanitise(reason)}" for reason, n in reasons.items()]
    vitals = snapshot.vitals
    if vitals is not None:
        programs = sum(bpf_share(t) for t in snapshot.tools.values())
        lines.append(
            f"of one core: capture {percent(vitals.capture_cpu)}, screen {percent(snapshot.screen_cpu)}, "
            f"programs in the kernel {percent(programs)}"
        )
        lines.append(f"memory: capture {nbytes(vitals.capture_pss)}, screen {nbytes(snapshot.screen_pss)}")
    return Text("\n".join(lines) or "nothing was lost")
