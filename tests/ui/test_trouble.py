"""What stands where there is nothing to show yet."""

from __future__ import annotations

import pytest

from ebtop import registry
from ebtop.model.snapshot import ToolSnapshot
from ebtop.tick import Phase, ToolState
from ebtop.ui.trouble import explained

SAID = {
    Phase.IDLE: "waiting for its turn",
    Phase.PLANNING: "looking for the attach points",
    Phase.TRYING: "trying for a second",
    Phase.LOADING: "compiling",
    Phase.RUNNING: "the first second is being collected",
    Phase.FAILED: "cannot run here",
}


@pytest.mark.parametrize("phase", Phase)
def test_each_phase_is_said(phase: Phase) -> None:
    tool = registry.tools()[0]
    text = explained(ToolSnapshot(tool, ToolState(tool.name, phase)))
    assert text is not None
    assert SAID[phase] in text.plain
