"""Samples become stacks: each counted once, unwound as far as a tick has time for."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ebtop.capture import stacks
from ebtop.capture.program import Program
from ebtop.capture.stacks import StackNamer
from ebtop.capture.userstacks import CUT, UserRecord
from ebtop.registry import tools
from ebtop.resolve.mappings import read_mappings
from ebtop.resolve.symbols import Symbolizer, UserFrame
from ebtop.tick import Frame, Stack
from ebtop.tool import Batch, Kind
from tests import loads

TOOL = next(tool for tool in tools() if tool.kind is Kind.STACKS)
LAYOUT = Program(TOOL.name, TOOL, 2, False).records["stack_sample"]
SP, GONE = 0x7FFF00000000, 0x7FFFFFF0


class Names(Symbolizer):
    """Names addresses after their numbers."""

    def kernel(self, addresses: list[int]) -> list[Frame]:  # type: ignore[override]
        return [Frame(f"k{address}", "kernel", True) for address in addresses]

    def user(self, pid: int, frames: list[UserFrame]) -> list[Frame]:  # type: ignore[override]
        assert pid == GONE
        return [Frame(f"u{frame.value:x}", "x", False) for frame in frames]


def samples(count: int, copied: bool = True, frames: tuple[int, ...] = (0x10, 0x20)) -> Batch:
    """Of a thread in 0x10, called by 0x20, called by 0x30, as the stack has it; frame pointers lead to `frames`."""
    batch = np.zeros(count, LAYOUT)
    words = struct.pack("<6Q", SP + 16, 0x20, SP + 32, 0x30, 0, 0)
    for row in batch:
        row["pid"], row["tid"], row["comm"] = GONE, GONE, b"shop"
        row["kernel_size"], row["kernel"][:2] = 16, (1, 2)
        row["user_size"] = 32 * len(frames)
        row["user"]["status"][: len(frames)] = 2
        row["user"]["value"][: len(frames)] = frames
        row["ip"], row["sp"], row["bp"] = 0x10, SP, SP
        row["copied"] = len(words) if copied else 0
        row["stack"][: len(words)] = np.frombuffer(words, np.uint8)
    return batch


def named(batch: Batch) -> list[tuple[list[str], int]]:
    found: tuple[Stack, ...] = StackNamer(Names()).stacks([batch])
    return [([frame.name for frame in stack.frames], stack.count) for stack in found]


def test_the_stack_itself_says_more_than_frame_pointers() -> None:
    assert named(samples(3)) == [(["u30", "u20", "u10", "k2", "k1"], 3)]


def test_without_a_piece_of_stack_frame_pointers_are_all_there_is() -> None:
    assert named(samples(3, copied=False)) == [(["u20", "u10", "k2", "k1"], 3)]


def test_a_stack_that_no_frame_pointers_lead_through_to_its_end_is_cut() -> None:
    deep = samples(2, copied=False, frames=tuple(range(1, 128)))
    ((frames, count),) = named(deep)
    assert (frames[0], len(frames), count) == (CUT, 1 + 127 + 2, 2)


def test_what_a_tick_has_no_time_for_is_followed_by_frame_pointers_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "MOST_UNWINDING_S", -1.0)
    assert named(samples(7)) == [([CUT, "u20", "u10", "k2", "k1"], 7)]
    assert named(samples(7, copied=False)) == [(["u20", "u10", "k2", "k1"], 7)]


def test_a_process_that_goes_while_others_are_unwound_has_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *arguments = loads.command("burn", 60)
    own = Path(shutil.copy(program, tmp_path))
    with subprocess.Popen([own, *arguments]) as child:
        try:
            there = _at_its_start(child.pid, own)
            own.unlink()  # what leads to it now is the process
            namer = StackNamer(Symbolizer())
            unwind = namer.unwinder.frames

            def frames(record: UserRecord) -> tuple[list[UserFrame], bool]:
                if record.pid == GONE:
                    child.kill()
                    child.wait()
                return unwind(record)

            monkeypatch.setattr(namer.unwinder, "frames", frames)
            found = {stack.pid: stack.frames[-1] for stack in namer.stacks([there, samples(1)])}
        finally:
            child.kill()
    assert found[child.pid] == Frame("_start", "burn", False)


def test_a_process_that_goes_between_two_of_its_samples_has_its_names(tmp_path: Path) -> None:
    """Nothing leads to its program any more, and the kernel named none of it."""
    program, *arguments = loads.command("burn", 60)
    own = Path(shutil.copy(program, tmp_path))
    symbols = Symbolizer()
    namer = StackNamer(symbols)
    with subprocess.Popen([own, *arguments]) as child:
        try:
            start = _at_its_start(child.pid, own)
            first = start.copy()
            first["ip"] = first["user"]["value"][:, 0] = 1  # not in the program
            own.unlink()
            symbols.learn_exec(child.pid, str(own))
            namer.unwinder.look_at(child.pid)
            symbols.tick()
            namer.stacks([first])
        finally:
            child.kill()
    ((frames, count),) = ((stack.frames, stack.count) for stack in namer.stacks([start]))
    assert (frames[-1], count) == (Frame("_start", "burn", False), 1)


def _at_its_start(pid: int, program: Path) -> Batch:
    """A sample of a process in the first instruction of its program."""
    header = program.read_bytes()[:64]
    entry = int.from_bytes(header[24:32], sys.byteorder)  # e_entry of Elf64_Ehdr
    until = time.monotonic() + 10
    while not (mapped := [m for m in read_mappings(pid) if m.path == str(program)]):
        assert time.monotonic() < until
    at = mapped[0].start - mapped[0].offset + entry
    batch = samples(1, frames=(at,))
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    batch["pid"] = batch["tid"] = pid
    batch["kernel_size"], batch["ip"] = 0, at
    batch["code_start"], batch["code_end"] = int(fields[23]), int(fields[24])
    return batch
