"""What capture makes of C sources, strings and names, without a kernel."""

from __future__ import annotations

import argparse
import re
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ebtop import registry
from ebtop.arguments import way_to_attach
from ebtop.capture import tracer
from ebtop.capture.finish import distinct
from ebtop.capture.headers import offsets_header, used_members
from ebtop.capture.program import Program, all_sources, bpf_folder
from ebtop.capture.records import layouts
from ebtop.capture.streams import stride, wake_every
from ebtop.capture.ticks import directory_names, terminate
from ebtop.tool import Kind, log_buckets
from tests.unit.planned import PLAN

TOOLS = [pytest.param(tool, id=tool.name) for tool in registry.as_planned([PLAN])]


def test_no_tool_is_broken() -> None:
    assert registry.broken() == ()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_program_has_what_its_declaration_names(tool: registry.Tool) -> None:
    program = Program(tool.name, tool)
    functions = {probe.function for slot in tool.slots for alternative in slot.alternatives for probe in alternative}
    # What BCC names after its target is known by the #ifdef around it.
    trampolines = re.findall(r"#ifdef WITH_(\w+)\nK(?:RET)?FUNC_PROBE\(", program.text)
    assert functions <= set(re.findall(r"^int (\w+)\(", program.text, re.MULTILINE)) | set(trampolines)
    assert set(re.findall(r"#ifdef WITH_(\w+)", program.text)) <= functions
    for ring in tool.rings:
        fields = set(program.records[ring.struct].names or ())
        if ring.role == "events":
            raw = {c.key for c in tool.columns if c.derive is None}
            assert raw <= fields
            assert "ts" in fields
    assert tool.kind is not Kind.HISTOGRAM or tool.buckets is not None


def guarded(text: str) -> set[str]:
    """The functions that stand in `#ifdef WITH_...`."""
    found, conditions = set(), list[str]()
    for line in text.splitlines():
        if line.startswith(("#if", "#endif")):
            conditions.append(line) if line.startswith("#if") else conditions.pop()
        elif any(condition.startswith("#ifdef WITH_") for condition in conditions):
            found |= set(re.findall(r"^int (\w+)\(", line))
    return found


@pytest.mark.parametrize("tool", TOOLS)
def test_alternatives_that_are_not_tried_are_not_compiled(tool: registry.Tool) -> None:
    program = Program(tool.name, tool)
    chosen = [slot.alternatives for slot in tool.slots if len(slot.alternatives) > 1]
    functions = {probe.function for alternatives in chosen for probes in alternatives for probe in probes}
    assert functions & set(re.findall(r"^int (\w+)\(", program.text, re.MULTILINE)) <= guarded(program.text)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_perf_buffer_scratch_fits_the_kernel_s_limit(tool: registry.Tool) -> None:
    program = Program(tool.name, tool, perf_buffer=True)
    assert all(program.records[ring.struct].itemsize <= 32768 for ring in tool.rings)


def test_members_are_found_in_nested_reads() -> None:
    source = "KREAD(KADDR(KREAD(t, task_struct, fs), fs_struct, pwd), path, dentry); KHAS(task_struct, __state)"
    assert used_members([source]) == {
        ("task_struct", "fs"), ("fs_struct", "pwd"), ("path", "dentry"), ("task_struct", "__state"),
    }  # fmt: skip


def test_missing_members_are_said_to_be_missing() -> None:
    class Kernel:
        def member(self, _struct: str, _name: str) -> None:
            return None

    text = offsets_header(Kernel(), ["KHAS(task_struct, state)"])  # type: ignore[arg-type]
    assert "#define KHAS_task_struct__state 0" in text
    assert "KOFF_" not in text


def test_layouts_are_those_of_c() -> None:
    source = (
        "#define N 3\nstruct a { u8 x; u32 y; u64 z; char s[N]; };\nstruct b { u16 k; struct a in[2]; u8 raw[16]; };"
    )
    found = layouts(source)
    assert found["a"].itemsize == 24
    assert (found["a"].fields or {})["y"][1] == 4
    assert found["b"].itemsize == 8 + 48 + 16
    assert found["b"]["in"].shape == (2,)


def test_strings_end_at_their_nul() -> None:
    dtype = np.dtype([("ts", "<u8"), ("args_len", "<u4"), ("comm", "S8"), ("args", "S8")])
    batch = np.zeros(3, dtype)
    batch["comm"] = [b"a\0secret", b"12345678", b"\0x"]
    batch["args"] = [b"a\0b\0rest", b"\0\0\0\0\0", b"12345678"]
    batch["args_len"] = [4, 2, 8]
    terminate(batch)
    assert batch["comm"].tolist() == [b"a", b"12345678", b""]
    assert [bytes(raw) for raw in batch["args"]] == [b"a\0b", b"", b"12345678"]


def test_directories_are_turned_round() -> None:
    dtype = np.dtype([("id", "<u8"), ("names_len", "<u4"), ("complete", "<u4"), ("names", "S32")])
    batch = np.zeros(4, dtype)
    batch["id"] = [1, 2, 3, 4]
    batch["names"] = [b"deep\0a b\0tmp\0", b"", b"leaf\0up\0", b"\xff\xfe\0"]
    batch["names_len"] = [13, 0, 8, 3]
    batch["complete"] = [1, 1, 0, 1]
    assert directory_names([batch]) == {1: "/tmp/a b/deep", 2: "/", 3: ".../up/leaf", 4: "/\udcff\udcfe"}


def test_distinct_ids() -> None:
    ids = np.array([5, 5, 7, 5, 9] * 100 + list(range(1000, 1200)), np.uint64)
    assert distinct(ids) == {5, 7, 9, *range(1000, 1200)}


def test_wake_ups_leave_room_for_every_cpu() -> None:
    record = np.dtype("S128")
    for tool in registry.tools():
        for ring in tool.rings:
            for cpus in (1, 2, 64, 512):
                every = wake_every(ring, record, cpus)
                assert every & (every - 1) == 0
                assert every == 1 or every * stride(record) * cpus <= ring.size // 4


def test_buckets_of_c_and_of_python_are_the_same(tmp_path: Path) -> None:
    """The C function, compiled as C, against the edges."""
    edges = log_buckets("ns", 36)
    values = sorted({v for low in edges.low.tolist() for v in (low - 1, low, low + 1) if 0 <= v < 1 << 36})
    header = (bpf_folder() / "include" / "histogram.h").read_text().replace("#pragma once", "")
    program = (
        "#include <stdint.h>\n#include <stdio.h>\ntypedef uint32_t u32; typedef uint64_t u64;\n"
        f"{header}\n"
        'int main(void) { u64 v; while (scanf("%lu", &v) == 1)'
        f' printf("%u\\n", bucket_of(v, {edges.count})); }}\n'
    )
    binary = tmp_path / "bucket_of"
    subprocess.run(["gcc", "-xc", "-o", str(binary), "-"], input=program, text=True, check=True)
    told = subprocess.run([binary], input="\n".join(map(str, values)), capture_output=True, text=True, check=True)
    expected = np.searchsorted(edges.low, np.array(values, np.uint64), side="right") - 1
    assert list(map(int, told.stdout.split())) == expected.tolist()


def test_messages_of_the_compiler_name_our_files() -> None:
    program = Program("opensnoop", registry.find("opensnoop"))
    line = next(n for n, text in enumerate(program.text.split("\n"), 1) if "focus_comm(struct" in text)
    told = program.locate(f"/virtual/main.c:{line}:5: error: no")
    assert re.fullmatch(r"focus\.h:\d+:5: error: no", told)
    number = int(told.split(":")[1])
    assert "focus_comm(struct" in (bpf_folder() / "include" / "focus.h").read_text().split("\n")[number - 1]


def test_sources_compile_without_unknown_members() -> None:
    pairs = used_members(all_sources())
    assert ("task_struct", "real_parent") in pairs
    assert ("sock_common", "skc_daddr") in pairs


def test_counters_are_in_the_order_of_c() -> None:
    text = (bpf_folder() / "include" / "counters.h").read_text()
    assert layouts(text)["counters"].itemsize == 8 * (tracer.MOST_STREAMS + len(tracer.LOST))
    assert max(len(tool.rings) for tool in registry.tools()) <= tracer.MOST_STREAMS
    fields = re.findall(r"u64 (\w+)[;[]", text)
    assert fields[0] == "submitted"
    assert len(fields) == len(tracer.LOST) + 1
    assert fields[1:] == ["lost_ring", "lost_map", "lost_stack", "lost_collision", "lost_read"]
    assert [name.split()[0] for name in tracer.LOST] == ["ring", "map", "stack", "slot", "memory"]


def test_the_focus_rule_is_laid_out_as_in_c() -> None:
    from ebtop.capture import focusmaps

    text = (bpf_folder() / "include" / "focus.h").read_text()
    assert "u32 self[4];" in text
    assert struct.calcsize(focusmaps._RULE) == 4 + 4 + 8 + 4 + 4 + 16 + 64
    record = layouts(text.replace("u64 comms[FOCUS_COMMS][2]", "u64 comms[8]"))["focus_rule"]
    assert record.itemsize == struct.calcsize(focusmaps._RULE)


@pytest.mark.parametrize("word", ["", "raw_tracepoint", "kprobe", "exit_raw_copy"])
def test_a_way_to_attach_is_a_kind_or_a_function(word: str) -> None:
    assert way_to_attach(word) == word
    with pytest.raises(argparse.ArgumentTypeError, match="did you mean"):
        way_to_attach(f"{word or 'fentry'}x")


def test_who_stands_in_for_another_is_in_its_alternative_at_its_place() -> None:
    pairs = 0
    for alternative in (a for tool in registry.tools() for slot in tool.slots for a in slot.alternatives):
        places = {probe.function: str(probe) for probe in alternative}
        standing_in = [probe for probe in alternative if probe.stands_in_for]
        assert all(places[probe.stands_in_for] == str(probe) for probe in standing_in)
        pairs += len(standing_in)
    assert pairs


@pytest.mark.parametrize(
    ("missed", "lost"),
    [
        ({"one": 126, "again": 0, "other": 0}, 0),
        ({"one": 126, "again": 4, "other": 0}, 4),
        ({"one": 0, "again": 4, "other": 3}, 3),
        ({"one": 126, "other": 3}, 129),
        ({"again": 5}, 5),
        ({}, 0),
    ],
)
def test_what_a_stand_in_has_not_missed_is_not_lost(missed: dict[str, int], lost: int) -> None:
    assert tracer.lost_of_missed(missed, {"again": "one"}) == lost
