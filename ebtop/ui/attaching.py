"""Attach points that the user chooses: browsed, asked for, corrected where capture refuses, and let go of again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from ebtop.model.snapshot import Snapshot, ToolSnapshot
from ebtop.probing.plan import Probing
from ebtop.sanitise import sanitise
from ebtop.tick import FindPoints, FoundPoints, Phase, ToolState
from ebtop.tool import Tool
from ebtop.ui.drilldown import DrillDown

if TYPE_CHECKING:
    from ebtop.attachpoint import Point
    from ebtop.ui.pointbrowser import PointBrowser
    from ebtop.ui.probingform import Described, ProbingForm

_RECORDED = "nothing can be attached in a recording: run ebtop on the machine itself"
_GONE = "capture has ended: nothing can be attached"
_DOING = {
    "planning": "looking for the attach points …",
    "trying": "trying for a second how often the attach points are hit …",
}
"""By phase, what is being done before a program is loaded."""


class Attaching(DrillDown):
    """The keys that attach and detach what the user chooses. One tool is made by what is asked for; which one, its
    declaration says."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "attach", "Attach", id="attach.choose",
                tooltip="Choose attach points (functions, tracepoints, USDT probes, of the kernel and of any program) "
                        "and see their hits"),
        Binding("x", "detach", "Detach", id="attach.end",
                tooltip="Take the probes of these attach points away again; what was seen stays"),
    ]  # fmt: skip

    current: str
    _tools: tuple[Tool, ...]
    _browser: PointBrowser | None = None
    _form: ProbingForm | None = None
    _before: ToolSnapshot | None = None  # how the tool stood when it was asked for, until there is an answer
    _could_detach = False

    def show_pane(self, name: str) -> None:
        """Show a tool's pane."""
        raise NotImplementedError

    def look_again(self) -> None:
        """Have what is shown prepared anew."""
        raise NotImplementedError

    @property
    def chosen_tool(self) -> Tool | None:
        """The tool that is made by what is asked for."""
        return next((tool for tool in self._tools if tool.make is not None), None)

    @property
    def is_chosen_tool(self) -> bool:
        """Is that tool's pane shown, of a machine and not of a recording?"""
        tool = self.chosen_tool
        return tool is not None and tool.name == self.current and not self.reader.is_recorded

    @property
    def can_detach(self) -> bool:
        """Is there anything to take away in the pane that is shown?"""
        if not self.is_chosen_tool or self._snapshot is None:
            return False
        return self._snapshot.tools[self.current].state.phase not in {Phase.IDLE, Phase.FAILED}

    def action_attach(self) -> None:
        """Choose points, or change what is asked for now."""
        tool = self.chosen_tool
        if self.reader.is_recorded or tool is None:
            self.notify(_RECORDED, severity="warning", markup=False)
        elif self._snapshot is not None and self._snapshot.gone is not None:
            self.notify(_GONE, severity="warning", markup=False)
        elif (asked := self.reader.asked.get(tool.name)) is not None:
            self._ask_how(tool, asked)
        else:
            self._browse(lambda described: self._ask_how(tool, Probing(described[0])))

    def action_detach(self) -> None:
        """Take the probes away."""
        if self.can_detach:
            self._before = None
            self.reader.unload(self.current)

    def _browse(self, then: Callable[[Described], None], present: Sequence[str] = ()) -> None:
        """Have points chosen, beside or in place of those that are."""
        from ebtop.ui.pointbrowser import PointBrowser  # the first screen need not wait for it

        browser = self._browser = PointBrowser(lambda pattern: self.reader.send(FindPoints(pattern)), present=present)

        def chosen(points: tuple[str, ...] | None) -> None:
            self._browser = None
            if points:
                self.reader.described |= browser.described
                then((points, self._described(points)))

        self.app.push_screen(browser, chosen)

    def _described(self, points: Sequence[str]) -> tuple[Point, ...]:
        return tuple(point for text in points for point in self.reader.described.get(text, ()))

    def _ask_how(self, tool: Tool, asked: Probing, refusal: str = "") -> None:
        """The mode and the rest, then ask for it."""
        from ebtop.ui.probingform import ProbingForm

        form = self._form = ProbingForm(asked, self._described(asked.points), self._browse, refusal)

        def filled_in(probing: Probing | None) -> None:
            self._form = None
            if probing:
                self._ask_for(tool, probing)

        self.app.push_screen(form, filled_in)
        self._look_up(asked.points)

    def _look_up(self, points: Sequence[str]) -> None:
        """Ask for what the first of them hands over that is not known: what the command line named, nobody has yet."""
        unknown = next((text for text in points if text not in self.reader.described), None)
        if unknown is not None:
            self.reader.send(FindPoints(unknown))

    def _found(self, found: FoundPoints) -> None:
        """Points go to who looks for them, or wants to know more of them."""
        if self._browser is not None and self._browser.is_mounted:
            self._browser.refreshed(found)
        asked = self._form.chosen if self._form is not None and self._form.is_mounted else ()
        if self._form is not None and found.pattern in asked and found.pattern not in self.reader.described:
            self.reader.described[found.pattern] = found.points
            self._form.describe(self._described(asked))
            self._look_up(asked)

    def _ask_for(self, tool: Tool, probing: Probing) -> None:
        self._before = self._snapshot.tools[tool.name] if self._snapshot is not None else None
        self.reader.probe(tool.name, probing)
        self.show_pane(tool.name)
        self.look_again()

    def answered(self, snapshot: Snapshot) -> None:
        """What was found goes to who looks for it; a refusal goes back to who asked, to be corrected."""
        if snapshot.points is not None:
            self._found(snapshot.points)
        if self.can_detach is not self._could_detach:
            self._could_detach = self.can_detach
            self.refresh_bindings()
        tool = self.chosen_tool
        if tool is None or self._before is None:
            return
        state = snapshot.tools[tool.name].state
        if state is self._before.state or state.phase not in {Phase.RUNNING, Phase.FAILED}:
            return
        self._before = None
        if state.phase is Phase.FAILED and self.app.screen is self and self.current == tool.name:
            self._ask_how(tool, self.reader.asked[tool.name], state.reason)

    def instead(self, snapshot: ToolSnapshot) -> Text | None:
        """What the pane of chosen points says in place of what others say, or above what is left from before."""
        if not self.is_chosen_tool:
            return None
        state, keys = snapshot.state, self.hint(("attach.choose", ""))
        if state.phase.value in _DOING:
            return Text(_DOING[state.phase.value])
        if self._before is not None and self._before.tool is snapshot.tool and state.phase is not Phase.LOADING:
            return Text("looking for the attach points, then trying for a second how often they are hit …")
        if state.phase is Phase.FAILED:
            return _refused(state, keys)
        if state.phase is Phase.IDLE and snapshot.ticks:
            return Text(f"detached, what was seen stays; {keys}attaches again")
        return _invitation(keys) if state.phase is Phase.IDLE else None


def _invitation(key: str) -> Text:
    text = Text(f"nothing is attached yet; {key}chooses attach points")
    return text.append(
        "\n\nfunctions, tracepoints and events of the kernel, functions and USDT probes of any program\n"
        "each hit with its arguments, or counts, latencies, the distribution of an argument, stacks",
        "dim",
    )


def _refused(state: ToolState, key: str) -> Text:
    text = Text(f"× not attached\n\n{sanitise(state.reason) or 'capture gave no reason'}")
    if state.remedy:
        text.append("\n\nwhat to do: ", "dim").append(sanitise(state.remedy))
    for attempt in (each for each in state.tried if each.error not in state.reason):
        text.append(f"\n  {sanitise(attempt.probe)}: {sanitise(attempt.error)}", "dim")
    return text.append(f"\n\n{key}corrects what was asked for, or chooses other points", "dim")
