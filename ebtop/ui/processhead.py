"""The lines above the processes: what the whole machine does, and what of it is unusual."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical

from ebtop.model.format import NOTHING, counted, duration, nbytes
from ebtop.model.machine import PRESSURE, Machine, cpus
from ebtop.ui.line import Line
from ebtop.ui.sparkline import sparkline
from ebtop.ui.still import Still

MARK = "▲"
_GAP = 3
_WIDE = 112
"""From this width on there is room for more than what matters most."""

_BARS = "▁▂▃▄▅▆▇█"
_MOST_CPUS = 32


class Piece(NamedTuple):
    """A safe text and its tone."""

    text: str
    tone: str = ""


class Group(NamedTuple):
    """Pieces that belong together; where there is no room the group of the highest rank goes first."""

    rank: int
    pieces: tuple[Piece, ...]

    @property
    def width(self) -> int:
        """In cells."""
        return sum(cell_len(piece.text) for piece in self.pieces)

    @property
    def weight(self) -> int:
        """The rank; what is unusual stays before what is not."""
        return self.rank - 3 if any(MARK in piece.text for piece in self.pieces) else self.rank


def _marked(machine: Machine, *names: str) -> Piece:
    """The mark, or the room for it: what stands behind it does not move."""
    return Piece(f" {MARK}", "warn") if machine.unusual & set(names) else Piece("  ")


def _figure(text: str, width: int) -> Piece:
    return Piece(text.rjust(width), "dim" if text in {"0", NOTHING} else "strong")


def _time(ns: float) -> str:
    return duration(ns) if math.isfinite(ns) else NOTHING


def cpu(machine: Machine, width: int) -> Group:
    """How busy, lately and now."""
    many = len(cpus(machine.gauges))
    share = machine.now.cpu
    now = f"{share * 100:.0f} %" if math.isfinite(share) else NOTHING
    return Group(0, (
        Piece("cpu ", "dim"), Piece(sparkline(machine.line("cpu", width), width, most=1.0), "trend"), _figure(now, 6),
        Piece(f" of {many}" if many else "", "dim"), _marked(machine, "cpu"),
    ))  # fmt: skip


def each_cpu(machine: Machine) -> Group:
    """A bar for each CPU."""
    shares = [min(max(share, 0.0), 1.0) for share in cpus(machine.gauges)]
    bars = "".join(_BARS[round(share * (len(_BARS) - 1))] for share in shares)
    return Group(9, (Piece("cpus ", "dim"), Piece(bars, "trend")) if 1 < len(shares) <= _MOST_CPUS else ())


def queue(machine: Machine, short: bool) -> Group:
    """How long who wants a CPU waits for it."""
    half = () if short else (Piece(" p50", "dim"), _figure(_time(machine.now.wait_p50), 7), Piece(" "))
    late = (Piece(" p99", "dim"), _figure(_time(machine.now.wait_p99), 7), _marked(machine, "wait_p99"))
    return Group(1, (Piece("run queue", "dim"), *half, *late))


def pressure(machine: Machine, short: bool) -> Group:
    """What share of the time somebody waited for CPU, devices, memory; the highest of the three where room is short."""
    found = [(machine.gauges.get(f"psi_{name}"), name[:3].rstrip("_")) for name in ("cpu", "io", "memory")]
    known = [(value, name) for value, name in found if value is not None]
    if not known:
        return Group(3, ())
    pieces = [Piece("pressure", "dim")]
    for value, name in [max(known, key=lambda one: one[0])] if short else known:
        figure = _figure(f"{value:.0f}", 3)
        pieces += [Piece(f" {name}", "dim"), Piece(figure.text, "warn") if value > PRESSURE else figure]
    return Group(3, (*pieces, _marked(machine, "pressure")))


def memory(machine: Machine) -> Group:
    """Used and there."""
    used, total = machine.gauges.get("memory_used"), machine.gauges.get("memory_total")
    if used is None or total is None:
        return Group(2, ())
    here, there = nbytes(used), nbytes(total)
    if here.rpartition(" ")[2] == there.rpartition(" ")[2]:
        here = here.rpartition(" ")[0]
    return Group(2, (
        Piece("mem ", "dim"), Piece(here, "strong"), Piece(f" / {there}", "dim"), _marked(machine, "memory"),
    ))  # fmt: skip


def swap(machine: Machine) -> Group:
    """Only where it is used."""
    used = machine.gauges.get("swap_used", 0.0)
    return Group(8, (Piece("swap ", "dim"), Piece(nbytes(used), "strong")) if used > 0 else ())


def load(machine: Machine) -> Group:
    """The load averages."""
    found = [machine.gauges.get(f"load{minutes}") for minutes in (1, 5, 15)]
    said = " ".join(f"{value:.1f}" for value in found if value is not None)
    return Group(7, (Piece("load ", "dim"), Piece(said)) if said else ())


def execs(machine: Machine, width: int) -> Group:
    """Programs started."""
    return Group(0, (
        Piece("exec/s ", "dim"), Piece(sparkline(machine.line("execs", width), width), "trend"),
        _figure(counted(machine.now.execs), 6), _marked(machine, "execs"),
    ))  # fmt: skip


def opens(machine: Machine) -> Group:
    """Files opened, and how many of them were not."""
    return Group(0, (
        Piece("open/s ", "dim"), _figure(counted(machine.now.opens), 6), _marked(machine, "opens"),
        Piece(" failed ", "dim"), _figure(counted(machine.now.failed_opens), 6), _marked(machine, "failed_opens"),
    ))  # fmt: skip


def connects(machine: Machine) -> Group:
    """Connections begun, and how many were refused."""
    return Group(1, (
        Piece("connect/s ", "dim"), _figure(counted(machine.now.connects), 5), _marked(machine, "connects"),
        Piece(" refused ", "dim"), _figure(counted(machine.now.refused), 3), _marked(machine, "refused"),
    ))  # fmt: skip


def disk(machine: Machine) -> Group:
    """Bytes, and the mean time of an operation."""
    return Group(2, (
        Piece("disk ", "dim"), _figure(f"{nbytes(machine.now.disk)}/s", 8), _marked(machine, "disk"),
        _figure(_time(machine.now.io_latency), 7), _marked(machine, "io_latency"),
    ))  # fmt: skip


def running(machine: Machine) -> Group:
    """How many threads run or want to."""
    found = machine.gauges.get("tasks_running")
    return Group(8, (Piece("running ", "dim"), _figure(f"{found:.0f}", 3)) if found is not None else ())


def ends(machine: Machine) -> Group:
    """Processes that ended as they should not have."""
    return Group(4, (
        Piece("bad exits ", "dim"), _figure(counted(machine.now.failed_exits), 4), _marked(machine, "failed_exits"),
    ))  # fmt: skip


def _beside(one: Group, other: Group) -> Group:
    """Two as one."""
    gap = (Piece(" " * _GAP),) if one.pieces and other.pieces else ()
    return Group(one.rank, (*one.pieces, *gap, *other.pieces))


def _filled(line: Sequence[Group], widths: Sequence[int]) -> list[Group]:
    """What stands below each other begins below each other."""
    filled = [g._replace(pieces=(*g.pieces, Piece(" " * (w - g.width)))) for g, w in zip(line, widths, strict=False)]
    return [*filled, *line[len(widths) :]]


def groups(machine: Machine, width: int) -> list[list[Group]]:
    """The lines, for a screen of that width."""
    if width < _WIDE:
        return [
            [cpu(machine, 10), queue(machine, True), memory(machine)],
            [execs(machine, 8), opens(machine), ends(machine)],
            [connects(machine), disk(machine), pressure(machine, True)],
        ]
    spark = 10 + min((width - _WIDE) // 8, 20)
    lines = [
        [cpu(machine, spark), queue(machine, False), pressure(machine, False), memory(machine)],
        [execs(machine, spark), opens(machine), connects(machine), ends(machine)],
        [disk(machine), _beside(load(machine), running(machine)), each_cpu(machine), swap(machine)],
    ]
    columns = [max(group.width for group in column) for column in zip(*lines, strict=True)][:-1]
    return [_filled(line, columns) for line in lines]


def _texts(line: Sequence[Group]) -> list[str]:
    return [piece.text for group in line for piece in (*group.pieces, Piece(" " * _GAP))]


def drawn(line: Sequence[Group], width: int, styles: Mapping[str, Style]) -> Text:
    """Groups beside each other, as many as fit."""
    left = [group for group in line if group.width]
    while len(left) > 1 and len("".join(_texts(left)).rstrip()) > width:
        left.remove(max(left, key=lambda group: group.weight))
    text = Text(no_wrap=True, end="")
    for at, group in enumerate(left):
        text.append(" " * _GAP if at else "")
        for piece in group.pieces:
            text.append(piece.text, styles.get(piece.tone, Style()))
    text.truncate(width, overflow="ellipsis")
    return text


class HeadLine(Line):
    """One of the lines."""

    def __init__(self, number: int, lines: Callable[[int], Sequence[Sequence[Group]]]) -> None:
        super().__init__()
        self._number, self._lines = number, lines

    def text(self, width: int) -> Text:
        """The line."""
        lines = self._lines(width)
        return drawn(lines[self._number], width, self.styles_by_tone) if lines else Text()


class Head(Still, Vertical):
    """All of them."""

    DEFAULT_CSS = """
    Head { height: 3; width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._machine: Machine | None = None
        self._groups: tuple[int, list[list[Group]]] | None = None
        self._lines = [HeadLine(number, self._at) for number in range(3)]

    def compose(self) -> ComposeResult:
        """The lines."""
        yield from self._lines

    def show(self, machine: Machine | None) -> None:
        """Say what is so now."""
        self._machine, self._groups = machine, None
        for line in self._lines:
            line.changed()

    def _at(self, width: int) -> Sequence[Sequence[Group]]:
        """What all of them say, which depends on each other: what stands below each other begins there."""
        if self._machine is None:
            return ()
        if self._groups is None or self._groups[0] != width:
            self._groups = width, groups(self._machine, width)
        return self._groups[1]
