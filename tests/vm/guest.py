"""What runs inside: every tool in every way that it can attach, and the kernel tests that do not ask for speed.

python -m tests.vm.guest OUT; OUT/plan.json says what, OUT/results is written line by line.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from ebtop import registry
from ebtop.capture import tracefs
from ebtop.probe import TYPED
from ebtop.tool import Tool
from tests.kernel.ebtop import run, trace
from tests.vm.expectations import EXPECTED, must
from tests.vm.results import Result, append
from tests.vm.upsets import UPSETS, upset

BTF = Path("/sys/kernel/btf")
EMULATED = "kernel and not native"


@dataclass(frozen=True)
class Plan:
    """`parts` are names of PARTS; `headers` says where the kernel's headers belong, and where they are."""

    parts: list[str]
    headers: list[tuple[str, str]]
    tests: str = ""  # pytest's -k
    number: int = 0  # of this kernel, of so many that share the alternatives
    kernels: int = 1

    @classmethod
    def read(cls, out: Path) -> Plan:
        """What the host wrote."""
        return cls(**json.loads((out / "plan.json").read_text()))


def ways(tool: Tool) -> Iterator[tuple[str, set[str]]]:
    """(function that asks for it, probes that it must have): each alternative of each slot that has several."""
    for slot in tool.slots:
        for probes in slot.alternatives if len(slot.alternatives) > 1 else ():
            others = {p.function for other in slot.alternatives if other is not probes for p in other}
            function = next(p.function for p in probes if p.function not in others)
            yield function, {str(p) for p in probes if not p.optional}


def kinds(probes: list[str], of: set[str]) -> str:
    """The kinds of the probes that attached, of those given."""
    return " + ".join(sorted({probe.split(":")[0] for probe in probes if not of or probe in of}))


def counted(tool: Tool, how: str, *options: str, probes: set[str] | None = None, note: str = "") -> Result:
    """Trace the tool's load and compare; `note` is what must have been said meanwhile, and nothing else."""
    expected = EXPECTED[tool.name]
    with tempfile.TemporaryDirectory(prefix="vm") as name:
        folder = Path(name)
        found = trace(folder, tool.name, expected.command(folder), *expected.options, *options)
        attached = found.summary["probes"]
        told = [line for line in found.said.splitlines() if line.startswith("ebtop:")]
        must(len(told) == bool(note) and note in "".join(told), told)
        must(found.summary["lost"] == 0, f"lost {found.summary['lost']}")
        must(not probes or probes <= set(attached), attached)
        return Result(tool.name, how, kinds(attached, probes or set()), 1, detail=expected.check(found, folder))


def _is_lacking(probe: str) -> bool:
    """A tracepoint that this kernel does not have."""
    kind, _, target = probe.partition(":")
    name = target.rpartition(":")[2]
    return kind in {"tracepoint", "raw_tracepoint"} and name not in {"sys_enter", "sys_exit"} and not _events(name)


def _events(name: str) -> list[Path]:
    place = tracefs.found()
    return list((place / "events").glob(f"*/{name}")) if place else [Path()]


def _left_out(tool: Tool, how: str, lacking: list[str]) -> Result:
    return Result(tool.name, how, "", skipped=1, detail=f"this kernel has no {', '.join(lacking)}")


Check = tuple[str, str, Callable[[], Result]]
"""Tool, how it is tried, and what does it."""


def alternatives(plan: Plan) -> Iterator[Check]:
    """Every alternative of every tool that this kernel has, each the only one of its slot; or this kernel's share."""
    tracefs.ensure()
    yield from islice(_alternatives(), plan.number, None, plan.kernels)


def _alternatives() -> Iterator[Check]:
    for tool in registry.tools():
        forced = list(ways(tool))
        for function, probes in forced:
            how = f"--attach={function}"
            if lacking := sorted(filter(_is_lacking, probes)):
                yield tool.name, how, partial(_left_out, tool, how, lacking)
            else:
                yield tool.name, how, partial(counted, tool, how, how, probes=probes)
        if not forced:
            yield tool.name, "as it is", partial(counted, tool, "as it is")


def perf_buffer(_plan: Plan) -> Iterator[Check]:
    """Every tool that has a stream, without the ring buffer."""
    for tool in registry.tools():
        if tool.rings:
            yield tool.name, "--perf-buffer", partial(counted, tool, "--perf-buffer", "--perf-buffer")


def refused(tool: Tool) -> Result:
    """Without BTF and headers: exit 4, and one line that says what was tried and what to do."""
    done = run("run", tool.name, "--duration", "0.1", *EXPECTED[tool.name].options)
    must((done.returncode, done.stderr.count("\n")) == (4, 1), (done.returncode, done.stderr))
    for words in (f"{tool.name} cannot run", "/sys/kernel/btf/vmlinux", f"/lib/modules/{platform.release()}/build"):
        must(words in done.stderr, done.stderr)
    return Result(tool.name, "no BTF, no headers", "none: exit 4", 1)


def without_btf(_plan: Plan) -> Iterator[Check]:
    """Every tool on a kernel that tells nothing of its structs."""
    subprocess.run(["mount", "-t", "tmpfs", "nothing", str(BTF)], check=True)
    for tool in registry.tools():
        yield tool.name, "no BTF, no headers", partial(refused, tool)
    subprocess.run(["umount", str(BTF)], check=True)


def needs_btf(tool: Tool) -> bool:
    """Has any of its slots only alternatives that the verifier must know types for?"""
    return any(all(any(p.kind in TYPED for p in probes) for probes in slot.alternatives) for slot in tool.slots)


def untyped(tool: Tool) -> Result:
    """What needs the kernel's own BTF says so, whatever headers there are."""
    options = EXPECTED[tool.name].options
    done = run(
        "run", tool.name, "--duration", "0.1", *options, timeout=400
    )  # the headers are compiled, on an emulated CPU
    must((done.returncode, f"{tool.name} cannot run" in done.stderr) == (4, True), (done.returncode, done.stderr))
    must("BTF has no" in done.stderr, done.stderr)
    return Result(tool.name, "no BTF, but headers", "none: exit 4", 1)


def headers(plan: Plan) -> Iterator[Check]:
    """Every tool without BTF: it must say that the distribution's headers are used, and count the same."""
    modules = Path("/lib/modules", platform.release())
    modules.mkdir(parents=True, exist_ok=True)
    for link, (place, unpacked) in zip(("build", "source"), plan.headers, strict=True):
        os.symlink(unpacked, place)
        (modules / link).symlink_to(place)
    subprocess.run(["mount", "-t", "tmpfs", "nothing", str(BTF)], check=True)
    for tool in registry.tools():
        how = "no BTF, but headers"
        note = f"the headers in {modules}/build"
        yield tool.name, how, partial(untyped, tool) if needs_btf(tool) else partial(counted, tool, how, note=note)
    subprocess.run(["umount", str(BTF)], check=True)


def upsets(_plan: Plan) -> Iterator[Check]:
    """What happens to a machine."""
    for how, (tool, _do) in UPSETS.items():
        yield tool, how, partial(upset, how)


def kernel_tests(plan: Plan, out: Path) -> Iterator[Result]:
    """tests/kernel without those marked `native`: a result for each file."""
    report = Path(tempfile.mkdtemp()) / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/kernel",
        "-m",
        EMULATED,
        "-p",
        "no:cacheprovider",
        "--durations=0",
    ]
    with (out / "pytest").open("w") as said:
        subprocess.run([*command, f"--junitxml={report}", "-k", plan.tests], check=False, stdout=said, stderr=said)
    of_files: dict[str, Result] = {}
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314  pytest wrote it
        file = case.get("classname", "").rpartition(".")[2]
        so_far = of_files.get(file, Result(file.removeprefix("test_"), f"tests/kernel/{file}.py", ""))
        of_files[file] = _with(so_far, case)
    yield from of_files.values()


def _with(result: Result, case: ET.Element) -> Result:
    bad = next((part for part in case if part.tag in {"failure", "error"}), None)
    left_out = next((part for part in case if part.tag == "skipped"), None)
    seconds = result.seconds + float(case.get("time", 0))
    part = bad if bad is not None else left_out
    if part is None:
        return replace(result, passed=result.passed + 1, seconds=seconds)
    why = f"{case.get('name')}: {part.get('message', '').splitlines()[0][:300]}"
    return replace(
        result,
        failed=result.failed + (bad is not None),
        skipped=result.skipped + (bad is None),
        detail="; ".join(filter(None, [result.detail, why])),
        seconds=seconds,
    )


PARTS: dict[str, Callable[[Plan], Iterator[Check]]] = {
    "alternatives": alternatives,
    "perf-buffer": perf_buffer,
    "no-btf": without_btf,
    "headers": headers,
    "upsets": upsets,
}


def attempt(check: Check) -> Result:
    """Its result; what was raised becomes one that failed."""
    tool, how, do = check
    begun = time.monotonic()
    try:
        result = do()
    except Exception as error:  # noqa: BLE001  the other checks must go on, and the reason is in the result
        traceback.print_exc()
        result = Result(tool, how, "", failed=1, detail=f"{type(error).__name__}: {error}"[:600])
    return replace(result, seconds=time.monotonic() - begun)


def main(out: Path) -> None:
    """Everything that is planned."""
    plan = Plan.read(out)
    for name, part in PARTS.items():
        for check in part(plan) if name in plan.parts else ():
            append(out / "results", attempt(check))
    if "tests" in plan.parts:
        for result in kernel_tests(plan, out):
            append(out / "results", result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
