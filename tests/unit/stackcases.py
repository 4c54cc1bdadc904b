"""Stacks for the tests of the formats that hold them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from ebtop.export.formats import STACK_FORMATS
from ebtop.export.stackcounts import StackCounter, StackCounts
from ebtop.tick import Frame, Phase, Stack, Tick, ToolState
from ebtop.tool import Attach, Kind, Probe, Slot, Tool

SECOND = 1_000_000_000
START = 1_795_000_000 * SECOND
SAMPLES = Tool("samples", "6", Kind.STACKS, "", "", (Slot("s", ((Probe(Attach.PERF_EVENT, "cpu-clock", "sample"),),)),))
STATE = ToolState(SAMPLES.name, Phase.RUNNING, ("perf_event:cpu-clock",), options={"frequency": 99})
PERIOD = 10_101_010

HOSTILE = (
    "a;b", "line\nbreak", "cr\rlf\n", " before", "after ", "tab\t", "quote\"'`$(id)", "\x1b]0;owned\x07", "nul\0",
    "back\\slash", "\\x3b", "no utf-8 \udcff\udc80", "\u2028\u2029\x85\x9b31m", "\u202egnp.exe", "", " ", "12", "x 12",
    "_[k]", "fake_[k]", "データ", "std::vector<int, std::allocator<int> >::push_back(int const&)", "x" * 70_000, "-",
    "[unknown]", "{\"a\":1}", "<b>&amp;</b>", "%s%n", "all",
)  # fmt: skip

names = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cs"]) | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=12
)
frames = st.builds(Frame, names, names, st.booleans())
stacks = st.builds(
    Stack, st.lists(frames, max_size=6).map(tuple), st.integers(0, 1 << 40), st.integers(0, 1 << 22),
    st.integers(0, 1 << 22), names,
)  # fmt: skip


def counted(*found: Stack, period: int = 0) -> StackCounts:
    """What a tick with these stacks comes to."""
    counter = StackCounter(SAMPLES, period)
    counter.add(Tick(SAMPLES.name, START, START + 5 * SECOND, stacks=found), {})
    return counter.counts()


def hostile() -> list[Stack]:
    """A stack for each hostile name: as a process, a function, a module, and one of the kernel."""
    return [
        Stack(
            (Frame("main", name, False), Frame(name, "/bin/x", False), Frame(name, "kernel", True)), 3 + i, 7, 7, name
        )
        for i, name in enumerate(HOSTILE)
    ]


def write(counts: StackCounts, name: str, path: Path) -> Path:
    """A file in a format."""
    with path.open("wb") as stream:
        STACK_FORMATS[name](counts, stream)
    return path
