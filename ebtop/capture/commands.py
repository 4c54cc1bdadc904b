"""What the unprivileged side may ask for: commands whose values make no sense end the conversation."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ebtop.probing.plan import MOST_POINTS, Probing
from ebtop.source.wire import WireError
from ebtop.tick import Command, FindPoints, Focus, Load, Resolve, SetFocus, TakeStacks, Unload
from ebtop.tool import Slot, Tool

_MOST_PID = 1 << 22
"""PID_MAX_LIMIT of Linux include/linux/threads.h."""
_MOST_PIDS = 65536
_MOST_NAME = 64
_MOST_PATH = 4096
_MOST_OPTIONS = 16


def check(command: Command) -> None:
    """Hold a command, of the right types already, against what any can mean. Raises WireError.

    Whether there is such a tool, process or control group is for whoever obeys it to say.
    """
    match command:
        case Load(tool=name, options=options, probing=probing):
            _require(len(name) <= _MOST_NAME and len(options) <= _MOST_OPTIONS, "a tool's name or options")
            if probing is not None:
                _check_probing(probing)
        case Unload(tool=name) | TakeStacks(tool=name):
            _require(len(name) <= _MOST_NAME, "a tool's name")
        case Resolve(pid=pid):
            _require(0 <= pid <= _MOST_PID, "a pid")
        case FindPoints(pattern=pattern):
            _require(len(pattern) <= _MOST_PATH, "a pattern")
        case SetFocus(focus=focus):
            _check_focus(focus)


def _check_probing(probing: Probing) -> None:
    _require(0 < len(probing.points) <= MOST_POINTS, "attach points")
    _require(all(0 < len(text) <= _MOST_PATH for text in probing.points), "an attach point")
    _require(len(probing.filter) <= _MOST_PATH and len(probing.value) <= _MOST_NAME, "a filter or value")
    _require(0 <= probing.slower_than_ns < 1 << 62, "a time")
    strings = probing.strings
    _require(len(strings) <= _MOST_OPTIONS and all(len(name) <= _MOST_NAME for name in strings), "strings")


def _check_focus(focus: Focus) -> None:
    _require(len(focus.pids) <= _MOST_PIDS and all(0 <= pid <= _MOST_PID for pid in focus.pids), "a pid")
    _require(focus.uid is None or 0 <= focus.uid < 1 << 32, "a uid")
    _require(all(_is_name(name, 15) for name in focus.comms) and len(focus.comms) <= _MOST_OPTIONS, "a name")
    _require(not focus.cgroup or _is_name(focus.cgroup, _MOST_PATH), "a control group")
    _require(".." not in focus.cgroup.split("/"), "a control group")


def _is_name(value: str, most: int) -> bool:
    """Bytes that the kernel could have as a name."""
    try:
        return 0 < len(os.fsencode(value)) <= most and "\0" not in value
    except UnicodeEncodeError:
        return False


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise WireError(f"a command with {what} that cannot be")


def chosen_options(tool: Tool, given: Mapping[str, int]) -> dict[str, int]:
    """The values of a tool's options; others are left aside. Raises ValueError for one that is out of range."""
    options = {option.name: option.default for option in tool.options}
    for option in tool.options:
        value = given.get(option.name, option.default)
        if not option.minimum <= value <= option.maximum:
            raise ValueError(f"{option.name} must be between {option.minimum} and {option.maximum}, not {value}")
        options[option.name] = value
    return options


def chosen_slots(tool: Tool, wanted: str) -> tuple[Slot, ...]:
    """A tool's slots with only those alternatives that use a kind of probe, or a function, in slots that have some."""
    if not wanted:
        return tool.slots
    return tuple(
        Slot(
            s.name,
            tuple(a for a in s.alternatives if any(wanted in {p.kind, p.function} for p in a)) or s.alternatives,
        )
        for s in tool.slots
    )
