"""python -m tests.vm [KERNEL...]: ebtop on other kernels, two at a time, each booted once under QEMU.

KERNEL is 6.1, 6.12, 6.1-rt, ...: the newest that apt has of it. The table says what each tool did in every way that it
can attach; the exit code is 0 when nothing failed and at least one kernel ran.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from tests import loads
from tests.vm import results
from tests.vm.guest import PARTS, Plan
from tests.vm.machine import boot
from tests.vm.packages import Kernel, UnavailableError
from tests.vm.results import Result

ROOT = Path(__file__).parents[2]
KERNELS = ("6.1", "6.12")
AT_ONCE = 2
ONCE = {"perf-buffer": 0, "no-btf": 0, "upsets": 0, "headers": 1}
"""Parts that one kernel is enough for, and which: the number in the list."""
TESTS = ("not rights", "rights")
"""Tests of the first kernel and the second: each tool is tried on both, in all the ways that it attaches."""
LIMIT_S = 1500.0


def script() -> str:
    """What the guest's shell does."""
    # The loads are built here: a compiler is the slowest thing to emulate.
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "EBTOP_LOADS": str(loads.build_all()),
    }
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    return f"{exports}cd {shlex.quote(str(ROOT))} && exec {shlex.quote(sys.executable)} -m tests.vm.guest /out\n"


def planned(arguments: argparse.Namespace) -> list[Plan]:
    """What each kernel does: all that was asked for, or, if nothing was, what has to be seen once is shared out."""
    count = len(dict.fromkeys(arguments.kernels))
    wanted = arguments.parts or [*PARTS, "tests"]
    if arguments.parts and not arguments.share:
        return [Plan(wanted, [], arguments.tests)] * count
    parts = [[part for part in wanted if ONCE.get(part, n) % count == n % count] for n in range(count)]
    if arguments.share:
        return [Plan(each, [], arguments.tests, n, count) for n, each in enumerate(parts)]
    return [Plan(each, [], TESTS[n % 2] if count > 1 else "") for n, each in enumerate(parts)]


def run(kernel: Kernel, plan: Plan, limit_s: float) -> list[Result]:
    """Boot it once and do what is planned in there; what cannot be had is skipped, with the reason."""
    out = Path(tempfile.mkdtemp(prefix="ebtop-vm-"))
    try:
        found = [(place, str(path)) for place, path in kernel.headers] if "headers" in plan.parts else []
        (out / "plan.json").write_text(json.dumps(asdict(replace(plan, headers=found))))
        ended = boot(kernel, out, script(), limit_s)
    except UnavailableError as why:
        shutil.rmtree(out)
        return [Result("all", "to boot it", "", skipped=1, detail=str(why))]
    done = results.read(out / "results")
    if ended.code != 0:
        how = "died" if ended.code is None else f"ended with {ended.code}"
        where = f"{how} after {ended.seconds:.0f} s ({out} has more)\n{ended.said}"
        return [*done, Result("all", "to the end", "", failed=1, detail=where)]
    if not any(result.failed for result in done):
        shutil.rmtree(out)
    sys.stderr.write(f"{kernel.release}: {ended.seconds:.0f} s\n")
    return done


def parsed(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.vm", description=__doc__)
    parser.add_argument("kernels", nargs="*", default=KERNELS, metavar="KERNEL")
    parts = [*PARTS, "tests"]
    parser.add_argument("--part", dest="parts", action="append", choices=parts, help="only this, on each kernel; "
                        "repeatable")  # fmt: skip
    parser.add_argument("--share", action="store_true", help="each on one of the kernels only")  # fmt: skip
    parser.add_argument("-k", dest="tests", default="", metavar="WORDS", help="pytest's -k, for the part `tests`")
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="S", help="seconds that a kernel may take")
    return parser.parse_args(words)


def label(kernel: Kernel) -> str:
    """Above its column."""
    try:
        return kernel.release
    except UnavailableError:
        return kernel.name


def main(words: list[str]) -> int:
    """Run, and print one table."""
    arguments = parsed(words)
    kernels = [Kernel(name) for name in dict.fromkeys(arguments.kernels)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda kernel, plan: run(kernel, plan, arguments.limit), kernels, planned(arguments)))
    of_kernels = {label(kernel): done for kernel, done in zip(kernels, found, strict=True)}
    lines = [*results.table(of_kernels), "", *results.reasons(of_kernels)]
    passed, failed, skipped = results.totals(of_kernels)
    sys.stdout.write("\n".join([*lines, f"{passed} passed, {failed} failed, {skipped} skipped", ""]))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
