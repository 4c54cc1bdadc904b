"""Which view shows which kind of data."""

from __future__ import annotations

from ebtop.tool import Kind, Tool
from ebtop.ui.stream import StreamView
from ebtop.ui.view import ToolView


def view_class(kind: Kind) -> type[ToolView]:
    """The view of a kind; imported when it is first needed, as the first screen should not wait for all of them."""
    if kind is Kind.HISTOGRAM:
        from ebtop.ui.histogram import HistogramView

        return HistogramView
    if kind is Kind.STACKS:
        from ebtop.ui.flame import FlameView

        return FlameView
    if kind is Kind.PROCESSES:
        from ebtop.ui.processes import ProcessesView

        return ProcessesView
    if kind is Kind.COUNTS:
        from ebtop.ui.counts import CountsView

        return CountsView
    return StreamView


def make(tool: Tool) -> ToolView:
    """The view for a tool."""
    return view_class(tool.kind)(tool)
