"""The parts of the program that depend on the plan, as C: what a record holds, and a function for each point.

Made of numbers, of names that are given here, and of words chosen from what is written here: of what the user or a
file says nothing gets into them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ebtop.probing import filter as filters
from ebtop.probing import slots
from ebtop.probing.function import Functions
from ebtop.probing.plan import Plan
from ebtop.probing.slots import TEXT_ROOM


def headers(plan: Plan) -> Mapping[str, str]:
    """The files by their names. Raises FilterError for a filter that does not fit the plan."""
    tree = filters.parse(plan.filter)
    functions = [line for number in range(len(plan.points)) for line in Functions(plan, number, tree).lines()]
    return {"probed.h": _records(plan), "probes.h": "\n".join(["#pragma once", *functions, ""])}


def _records(plan: Plan) -> str:
    numbers, texts = slots.most(plan)
    fields = [f"u64 n{i}" for i in range(numbers)] + [f"char s{i}[{TEXT_ROOM}]" for i in range(texts)]
    common = ["u64 ts", "u64 cgroup", "u64 stack_id", "u64 latency_ns", "u32 pid", "u32 tid", "u32 uid", "u32 probe",
              "u32 unread", "u32 truncated", "char comm[16]"]  # fmt: skip
    call = ["u64 ts", "u32 unread", "u32 truncated", *(f"u64 p{i}" for i in range(texts)), *fields]
    structs = [_struct("hit", [*common, *fields]), _struct("call", call)]
    clears = [f"CLEAR((hit)->s{i});" for i in range(texts)] + [f"(hit)->n{i} = 0;" for i in range(numbers)]
    return "\n".join(["#pragma once", f"#define SLOWER_THAN {plan.slower_than_ns}ULL", *structs,
                      f"#define CLEAR_FIELDS(hit) do {{ {' '.join(clears)} }} while (0)", ""])  # fmt: skip


def _struct(name: str, fields: Iterable[str]) -> str:
    return f"struct {name} {{\n" + "".join(f"    {field};\n" for field in fields) + "};"
