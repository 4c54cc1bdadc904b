"""`ebtop doctor`: what this machine can do, what it lacks, and what to do about it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ebtop import capability, privilege
from ebtop.namespaces import NESTED, nested_pids

if TYPE_CHECKING:
    from ebtop.tick import ToolState

NAME = "doctor"
HELP = "tell what this kernel and this user can trace, and what is missing"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `remedy` says what to do when it is not `ok`."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ebtop doctor`."""
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def main(args: argparse.Namespace, _command: list[str] | None) -> int:
    """Look, try every tool where that is permitted, and print."""
    checks = list(look())
    states = try_tools() if not capability.missing() else []
    if args.json:
        tools = [asdict(state) for state in states]
        sys.stdout.write(json.dumps({"checks": [asdict(c) for c in checks], "tools": tools}) + "\n")
    else:
        print_all(checks, states)
    return 0


def look() -> Iterator[Check]:
    """The checks that need no tracing."""
    yield Check("kernel", True, f"{platform.release()} {platform.machine()}")
    yield _rights()
    yield from _capabilities()
    btf = Path("/sys/kernel/btf/vmlinux")
    yield Check("BTF", btf.exists(), str(btf), "a kernel built with CONFIG_DEBUG_INFO_BTF=y, or its headers and gcc 12")
    yield _bcc()
    yield _tracefs()
    yield perf_events(capability.paranoid())
    yield kernel_symbols()
    yield _lockdown()
    yield _pids()


def _rights() -> Check:
    refusal = privilege.refusal()
    return Check("rights", not refusal, refusal or f"uid {os.geteuid()} may trace", "sudo ebtop")


def _capabilities() -> Iterator[Check]:
    """What each is for, and what is not there without it; those that this kernel has not are part of CAP_SYS_ADMIN."""
    held, newest = capability.mask(), capability.newest()
    whole = held >> capability.NUMBERS[capability.SYS_ADMIN] & 1
    for known in capability.TABLE:
        if known.number > newest:
            continue
        stands_in = " (CAP_SYS_ADMIN stands in)" if whole and known.number >= capability.NUMBERS["CAP_PERFMON"] else ""
        ok = bool(held >> known.number & 1 or stands_in)
        yield Check(known.name, ok, known.purpose, "" if ok else f"without it: {known.without}")


def _bcc() -> Check:
    from ebtop.capture import bcclib

    place = bcclib.installed()
    return Check("bcc", bool(place), place or "not found", bcclib.PACKAGES)


def _tracefs() -> Check:
    from ebtop.capture import tracefs

    place = tracefs.found()
    may_mount = capability.has(capability.SYS_ADMIN)
    unreadable = next((f"{where} may not be read" for where in tracefs.PLACES if tracefs.mounted(where)), "")
    mounts = "; ebtop mounts it when it starts" if may_mount else ""
    detail = str(place) if place else unreadable or f"not mounted{mounts}"
    remedy = "CAP_DAC_READ_SEARCH" if unreadable else "mount -t tracefs tracefs /sys/kernel/tracing"
    return Check("tracefs", bool(place) or may_mount, detail, remedy)


def perf_events(paranoia: int) -> Check:
    """May perf events be opened, for samples and plain tracepoints? `paranoia`: kernel.perf_event_paranoid."""
    refusal = capability.perf_refusal(paranoia)
    detail = f"{refusal}: no samples of stacks, and raw tracepoints only" if refusal else "may be opened"
    return Check(
        "perf events", not refusal, detail, f"sysctl kernel.perf_event_paranoid={capability.PARANOID}, or sudo"
    )


def kernel_symbols(kallsyms: Path = Path("/proc/kallsyms")) -> Check:
    """Are addresses of kernel functions shown, by which stacks are named?"""
    try:
        with kallsyms.open() as file:
            # The first ones may be at 0 in truth: offsets of per-CPU variables (x86-64 before 6.15).
            hidden = all(line.startswith("0000000000000000") for line in file)
    except OSError as error:
        return Check("kernel symbols", False, str(error), "run as root")
    detail = "hidden (kptr_restrict)" if hidden else "/proc/kallsyms"
    return Check("kernel symbols", not hidden, detail, "sysctl kernel.kptr_restrict=1, and CAP_SYSLOG or root")


def _lockdown() -> Check:
    try:
        state = Path("/sys/kernel/security/lockdown").read_text()
    except OSError:
        return Check("lockdown", True, "none")
    strict = "[confidentiality]" in state
    return Check("lockdown", not strict, state.strip(), "confidentiality mode forbids BPF to read memory")


def _pids() -> Check:
    remedy = "ebtop on the host; here --pid, -- COMMAND and the names of processes cannot be matched"
    return Check("process ids", not nested_pids(), NESTED if nested_pids() else "the host's", remedy)


def try_tools() -> list[ToolState]:
    """Start each tool for a moment: what attached, and what was tried."""
    from ebtop import registry
    from ebtop.source.live import Keeper
    from ebtop.source.settings import Settings
    from ebtop.tick import Gone, Load, Phase, Stop, ToolState

    keeper = Keeper()
    states: list[ToolState] = []
    try:
        keeper.request(Settings(screen_pid=os.getpid()))
        privilege.become_caller()
        source = keeper.source()
        tools = [tool for tool in registry.tools() if tool.make is None]  # those need to be asked for something
        for tool in tools:
            source.send(Load(tool.name))
        for message in source.messages():
            if isinstance(message, ToolState) and message.phase in {Phase.RUNNING, Phase.FAILED}:
                states.append(message)
                if len(states) == len(tools):
                    source.send(Stop())
            elif isinstance(message, Gone) and message.reason:
                states.append(ToolState("capture", Phase.FAILED, reason=message.reason))
        source.close()
    finally:
        keeper.close()
    return states


def print_all(checks: list[Check], states: list[ToolState]) -> None:
    """For people."""
    from ebtop.sanitise import sanitise

    lines = []
    for check in checks:
        lines.append(f"{'ok' if check.ok else '--':<3} {check.name:<22} {check.detail}")
        if not check.ok and check.remedy:
            lines.append(f"    {'':<22} -> {check.remedy}")
    for state in states:
        works = not state.reason
        lines.append(f"{'ok' if works else '--':<3} {state.tool:<22} {', '.join(state.probes) or state.reason}")
        lines += [f"    {'':<22} tried {probe}: {error}" for probe, error in state.tried]
        if state.remedy:
            lines.append(f"    {'':<22} -> {state.remedy}")
    sys.stdout.write("".join(f"{sanitise(line)}\n" for line in lines))
