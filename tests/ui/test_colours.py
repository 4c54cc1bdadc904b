"""Without colour on a terminal that has few of them: what is drawn can be read."""

from __future__ import annotations

import pytest
from rich.color import Color

from tests.ui.screen import OPENS, dashboard, filled, started
from tests.ui.synthetic import Scripted


@pytest.mark.parametrize("term", ["linux", "xterm-256color"])
async def test_without_colour_nothing_is_drawn_in_its_background(monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    """Greys become the nearest of the colours that a terminal has, and where that has eight, all of them black."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("COLORTERM", raising=False)
    app = dashboard(Scripted(started(3)), first=OPENS.name)
    async with app.run_test(size=(80, 24)) as pilot:
        await filled(pilot)
        styles = [
            segment.style
            for strip in app.screen._compositor.render_strips()
            for segment in strip.apply_filter(app.get_line_filters()[-1], app.screen.background_colors[1])
            if segment.text.strip() and segment.style
        ]
    assert styles
    assert not [style for style in styles if style.color == style.bgcolor != Color.default() and style.color]
    if term == "linux":
        assert {style.color for style in styles} <= {None, Color.default()}
