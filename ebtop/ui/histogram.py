"""Histograms on the screen: bars, percentiles, the heat map, and who is behind a cell of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from ebtop.model.format import clock, count
from ebtop.model.groups import By, Group, Waiter, waiters
from ebtop.model.latency import Latency, LatencyReader
from ebtop.model.percentiles import Summary, summary
from ebtop.model.snapshot import ToolSnapshot
from ebtop.model.window import Window, said, spanned, within
from ebtop.sanitise import sanitise
from ebtop.tick import Tick
from ebtop.tool import Tool, log_buckets
from ebtop.ui.cells import padded
from ebtop.ui.choose import Choose
from ebtop.ui.grouptable import SORTS, GroupRows, ordered
from ebtop.ui.heatmap import Chart, Picked, Picture, amount
from ebtop.ui.ranked import RankedTable
from ebtop.ui.table import Table
from ebtop.ui.view import ToolView

if TYPE_CHECKING:
    from ebtop.export.shown import Exports

_BESIDE = 100
"""From this width on the panel is beside the chart, not below it."""

_PANEL = 24
_WAITERS = 8
_BY = {By.ALL: "the whole system", By.PID: "process", By.CGROUP: "control group", By.PART: "attach point"}
_SEVERAL = {By.PID: "processes", By.CGROUP: "control groups", By.PART: "attach points"}
_SORT_HELP = {
    "p99": "the time that one in a hundred is above",
    "count": "how many",
    "p50": "the time that half are above",
    "max": "the upper edge of the highest bar",
    "name": "from a to z",
}


@dataclass(frozen=True, slots=True)
class Sought:
    """What the user wants to see: of which time, of whom, and in which order the groups are."""

    window: Window = Window.MINUTE
    by: By = By.ALL
    chosen: int | None = None
    sort: str = "p99"
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class _Prepared:
    sought: Sought
    found: Latency
    summary: Summary
    rows: GroupRows
    groups: tuple[Group, ...]
    window: tuple[Tick, ...]


class HistogramView(ToolView, can_focus=False):
    """Shows a tool of Kind.HISTOGRAM."""

    DEFAULT_CSS = """
    HistogramView {
        layout: vertical;
        & > .histogram--facts {
            height: 1; padding: 0 1; color: $foreground 65%; text-wrap: nowrap; text-overflow: ellipsis;
        }
        & > .histogram--groups { height: 35%; min-height: 4; margin: 0 0 1 0; display: none; }
        &.-groups > .histogram--groups { display: block; }
        & > .histogram--body { layout: horizontal; height: 1fr; }
        & .histogram--panel { width: 24; height: 1fr; margin: 0 1 0 2; }
        &.-below > .histogram--body { layout: vertical; }
        &.-below .histogram--panel { width: 1fr; height: 3; margin: 0 1; }
        &.-below.-groups > .histogram--groups { margin: 0; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "by", "By", id="histogram.by",
                tooltip="The whole system, by attach point if there are several, by process, or by control group"),
        Binding("w", "window", "Window", id="histogram.window", tooltip="Last second, last minute, or all held"),
        Binding("s", "sort", "Sort", id="histogram.sort", tooltip="Sort the processes or control groups"),
        Binding("r", "reverse", "Reverse", id="histogram.reverse", tooltip="Turn the order round", show=False),
    ]  # fmt: skip
    help_text = (
        "Bars and heat map share the scale at the left, the slowest on top; each row begins at the value beside it. "
        "The bars are those of the window (w: last second, last minute, all held); p50, p90 and p99 stand at the rows "
        "that they lie in. max < is the upper edge of the highest bar: the largest value itself is not known. Where "
        "a power of two has two or four rows, which differ in width, bars allow for that; the numbers do not.\n"
        "The heat map has a column per tick, the newest at the right; the higher and brighter a cell, the more there "
        "were (each step is about a doubling or two). With all held, several ticks share a column, as said below it.\n"
        "Arrows or the mouse choose a cell: which second, which latency, how many, and which processes waited then.\n"
        "b goes from the whole system to attach points, processes and control groups: the table's cursor picks whose "
        "bars and map are shown; Enter moves the keyboard to the map, Esc back."
    )

    def __init__(self, tool: Tool) -> None:
        super().__init__(tool)
        self.wanted: object | None = Sought()
        if len(tool.histogram_parts) > 1:  # what several do, added up, is seldom asked for
            self.wanted = Sought(by=By.PART)
            self.add_class("-groups")
        self._buckets = tool.buckets or log_buckets("", 1, 1)
        self._reader = LatencyReader(self._buckets)
        self._prepared: _Prepared | None = None
        self._chart = Chart(id=f"chart-{tool.name}")
        self._table = RankedTable(id=f"groups-{tool.name}", follows=False)
        self._table.add_class("histogram--groups")

    @property
    def sought(self) -> Sought:
        """What is wanted."""
        return self.wanted if isinstance(self.wanted, Sought) else Sought()

    def compose(self) -> ComposeResult:
        """Facts, the groups, the chart and the panel."""
        yield Static(classes="histogram--facts", markup=False)
        yield self._table
        with Container(classes="histogram--body"):
            yield self._chart
            yield Static(classes="histogram--panel", markup=False)

    def on_resize(self, event: events.Resize) -> None:
        """Side by side where there is room."""
        self.set_class(event.size.width < _BESIDE, "-below")
        self._show_panel()

    def keyboard_target(self) -> Widget:
        """The groups where they are shown, else the chart."""
        return self._chart if self.sought.by is By.ALL else self._table

    # In the reader thread

    def prepare(self, snapshot: ToolSnapshot, wanted: object | None) -> object | None:
        """Add up the window for whom is chosen, and rank the groups."""
        sought = wanted if isinstance(wanted, Sought) else Sought()
        found = self._reader.read(snapshot.ticks, sought.window, sought.by, sought.chosen)
        if sought.by is By.PART and self.tool.brief_part is not None:
            found = _briefly(found, self.tool.brief_part)
        groups = ordered(found.groups, sought.sort, sought.reverse)
        rows = GroupRows(groups, sought.by, self._buckets, sought.sort, sought.reverse)
        window = tuple(within(sought.window, snapshot.ticks))
        return _Prepared(sought, found, summary(self._buckets, found.counts), rows, groups, window)

    # In the UI thread

    def show(self, snapshot: ToolSnapshot, result: object | None) -> None:
        """Take over what was added up."""
        if not isinstance(result, _Prepared) or result.sought.by is not self.sought.by:
            return
        self._prepared = result
        found = result.found
        times = tuple(t.start for t in found.ticks), tuple(t.end for t in found.ticks)
        newest_only = result.sought.window is not Window.HELD
        picture = Picture(self._buckets, found.counts, result.summary, found.by_tick, *times, newest_only)
        self._chart.empty = "nothing yet" if not snapshot.ticks else f"nothing in the {result.sought.window}"
        self._chart.set_picture(picture)
        if self.has_class("-groups"):
            self._table.keep_heading = result.sought.sort
            self._table.set_model(result.rows)
            self._follow_choice(result)
        self._show_facts()
        self._show_panel()

    def _follow_choice(self, result: _Prepared) -> None:
        """The first time the group with most is chosen: the cursor goes to it, and stays."""
        chosen = result.found.chosen
        if self.sought.chosen is None and chosen is not None:
            self.wanted = replace(self.sought, chosen=chosen.key)
            self._table.go_to(chosen.key)

    def _show_facts(self) -> None:
        sought, prepared = self.sought, self._prepared
        parts = [
            f"by {_BY[sought.by]}" if sought.by is not By.ALL else "this process" if self.narrow else _BY[sought.by],
            said(sought.window, spanned(prepared.window) if prepared else 0.0),
        ]
        if prepared is not None and sought.by is not By.ALL:
            groups = len(prepared.rows)
            parts.append(f"{count(groups)} {_SEVERAL[sought.by]}")
            chosen = prepared.found.chosen
            parts.append(f"shown: {_called(sought.by, chosen.key, chosen.label)}" if chosen else "none chosen")
        self.query_one(".histogram--facts", Static).update(Content(" · ".join(parts)), layout=False)

    def _show_panel(self) -> None:
        panel = self.query_one(".histogram--panel", Static)
        if self._prepared is None:
            return
        beside = not self.has_class("-below")
        lines = self._percentiles(self._prepared.summary, beside)
        cell = self._chart.picked()
        lines += [Content("")] if beside else []
        lines += self._cell(cell, beside) if cell else [Content.styled(self._hint(beside), "$foreground 65%")]
        panel.update(Content("\n").join(lines), layout=False)

    def _hint(self, beside: bool) -> str:
        return "arrows or the mouse\nchoose a cell of the map" if beside else "arrows or the mouse choose a cell"

    def _percentiles(self, of: Summary, beside: bool) -> list[Content]:
        values = [("p50", of.p50), ("p90", of.p90), ("p99", of.p99), ("max <", of.below)]
        rows = [(name, amount(self._buckets, value)) for name, value in values] + [("n", count(of.total))]
        if beside:
            return [
                Content.assemble(
                    (padded(name, 8, right=False), "$foreground 65%"), (padded(value, 10, right=True), "bold")
                )
                for name, value in rows
            ]
        return [Content("   ").join(Content.assemble((f"{n} ", "$foreground 65%"), (v, "bold")) for n, v in rows)]

    def _cell(self, cell: Picked, beside: bool) -> list[Content]:
        """The cell's time, latency and count, and who waited then."""
        assert self._prepared is not None  # noqa: S101  cells are of what was prepared
        ticks = self._prepared.found.ticks
        low, high = (amount(self._buckets, float(self._buckets.low[i])) for i in (cell.low, cell.high))
        when = clock(ticks[cell.first].start)[:8]
        if cell.last - cell.first > 1:
            when += f" – {clock(ticks[cell.last - 1].end)[:8]}"
        many = f"{count(cell.count)} of {count(cell.of)}"
        who = self._who(cell)
        if beside:
            rows = [_waiter_line(w, _PANEL - 3) for w in who]
            return [Content.styled(when, "bold"), Content(f"{low} – {high}"), Content(many), Content(""), *rows]
        names = _fitting([f"{_called(By.PID, w.key, w.label)} {count(w.count)}" for w in who], self.size.width - 2)
        return [Content.assemble((when, "bold"), f"  {low} – {high}  {many}"), Content(names)]

    def _who(self, cell: Picked) -> Sequence[Waiter]:
        """The processes of a cell; of a chosen group it is known already."""
        if self._prepared is None or self.sought.by is not By.ALL:
            return ()
        return waiters(self._prepared.found.waiters[cell.first : cell.last], cell.low, cell.high, _WAITERS)

    def selected_pid(self) -> int | None:
        """The process of the table's cursor; without a table the one that is most in the chosen cell."""
        row = self._table.cursor
        if self.sought.by is By.PID and row is not None and isinstance(self._table.model, GroupRows):
            return self._table.model.group(row).key
        cell = self._chart.picked()
        who = self._who(cell) if cell else ()
        return who[0].key if who else None

    def exportable(self, snapshot: ToolSnapshot) -> Exports:
        """The histogram of the window; where processes or control groups are told apart, those of all, as listed."""
        from ebtop.export import shown  # when it is wanted: the first screen does not wait for it

        result = self._prepared
        if result is None:
            return {}
        return shown.histograms(snapshot, result.window, result.sought.by, [group.key for group in result.groups])

    def back(self) -> bool:
        """Leave the cell, then the map, then the groups."""
        if self._chart.picked() is not None:
            self._chart.action_unpick()
            self.keyboard_target().focus()
        elif self.sought.by is not By.ALL and self._chart.has_focus:
            self._table.focus()
        elif self.sought.by is not By.ALL:
            self.by(By.ALL)
        else:
            return False
        return True

    def by(self, by: By) -> None:
        """Tell processes or control groups apart, or nothing."""
        self.set_class(by is not By.ALL, "-groups")
        self.want(replace(self.sought, by=by, chosen=None))
        self._table.forget()
        self._chart.action_unpick()
        self.keyboard_target().focus()
        self._show_facts()

    def action_by(self) -> None:
        """The next way to tell them apart."""
        parts = [By.PART] if len(self.tool.histogram_parts) > 1 and not self.narrow else []
        ways = [By.ALL, *parts, By.PID, By.CGROUP]
        self.by(ways[(ways.index(self.sought.by) + 1) % len(ways)])

    def action_window(self) -> None:
        """Of a longer or a shorter time."""
        self.want(replace(self.sought, window=self.sought.window.next))
        self._show_facts()

    def action_sort(self) -> None:
        """Choose what the groups are sorted by."""
        if self.sought.by is not By.ALL:
            options = [(key, key.upper(), _SORT_HELP[key]) for key in SORTS]
            self.app.push_screen(Choose("sort by", options, self.sought.sort), self.sort_by)

    def sort_by(self, key: str | None) -> None:
        """Sort the groups; by the same again turns the order round."""
        if key in SORTS:
            reverse = not self.sought.reverse if key == self.sought.sort else False
            self.want(replace(self.sought, sort=key, reverse=reverse))

    def action_reverse(self) -> None:
        """The other way round."""
        self.want(replace(self.sought, reverse=not self.sought.reverse))

    @on(Table.HeadingClicked)
    def _heading_clicked(self, event: Table.HeadingClicked) -> None:
        event.stop()
        self.sort_by(event.key)

    @on(Table.Moved)
    def _moved(self, event: Table.Moved) -> None:
        """The cursor picks the group."""
        event.stop()
        row = self._table.cursor
        if row is not None and isinstance(self._table.model, GroupRows):
            self.want(replace(self.sought, chosen=self._table.model.group(row).key))
            self.post_message(self.Selected(self))

    @on(Table.Chosen)
    def _chosen(self, event: Table.Chosen) -> None:
        """On to the map of that group."""
        event.stop()
        self._chart.focus()

    @on(Chart.PickedCell)
    def _picked(self, event: Chart.PickedCell) -> None:
        event.stop()
        self._show_panel()
        self.post_message(self.Selected(self))


def _called(by: By, key: int, label: str) -> str:
    name = sanitise(label)
    return f"{name} {key}" if by is By.PID else name or str(key)


def _briefly(found: Latency, write: Callable[[str], str]) -> Latency:
    """With labels in fewer words."""
    groups = tuple(replace(group, label=write(group.label)) for group in found.groups)
    chosen = found.chosen and replace(found.chosen, label=write(found.chosen.label))
    return replace(found, groups=groups, chosen=chosen)


def _fitting(names: Sequence[str], width: int) -> str:
    """As many names as fit, whole."""
    line = ""
    for name in names:
        longer = f"{line}, {name}" if line else name
        if cell_len(longer) > width - 3:
            return f"{line}, …" if line else padded(name, width, right=False)
        line = longer
    return line


def _waiter_line(waiter: Waiter, width: int) -> Content:
    """Name and pid at the left, how often at the right."""
    number = count(waiter.count)
    room = width - len(number) - len(str(waiter.key)) - 2
    name = sanitise(waiter.label)
    name = padded(name, room, right=False).rstrip() if cell_len(name) > room else name
    return Content(padded(f"{name} {waiter.key}", width - len(number) - 1, right=False) + f" {number}")
