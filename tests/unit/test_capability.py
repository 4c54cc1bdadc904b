"""Which capabilities stay, on kernels of any age, and whatever was granted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ebtop import capability
from ebtop.capability import BPF, CAPTURE, KEEPER, LOADER, NUMBERS, PERFMON, SYS_ADMIN, to_keep

ALL = (1 << 41) - 1


def bit(name: str) -> int:
    return 1 << NUMBERS[name]


def test_each_process_keeps_less_than_the_one_before() -> None:
    keeper, capture, loader = (to_keep(names, ALL, 40) for names in (KEEPER, CAPTURE, LOADER))
    assert keeper & capture == capture
    assert capture & loader == loader
    assert keeper > capture > loader > 0
    assert not capture & bit(SYS_ADMIN)


def test_before_the_newer_ones_sys_admin_stays() -> None:
    old = (1 << 38) - 1
    for names in (KEEPER, CAPTURE, LOADER):
        kept = to_keep(names, old, 37)
        assert kept & bit(SYS_ADMIN)
        assert not kept & ~old
    assert to_keep((), old, 37) == 0


def test_where_perf_events_take_root_it_stays() -> None:
    for names in (CAPTURE, LOADER):
        assert to_keep(names, ALL, 40, paranoia=3) == to_keep(names, ALL, 40) | bit(SYS_ADMIN)
        assert not to_keep(names, ALL, 40, paranoia=2) & bit(SYS_ADMIN)


def test_sys_admin_stands_in_for_what_was_not_granted() -> None:
    assert to_keep(LOADER, bit(SYS_ADMIN), 40) == bit(SYS_ADMIN)
    assert to_keep(LOADER, bit(SYS_ADMIN) | bit(BPF), 40) == bit(SYS_ADMIN) | bit(BPF)
    assert to_keep(LOADER, bit(BPF) | bit(PERFMON), 40) == bit(BPF) | bit(PERFMON)


@pytest.mark.parametrize("used", capability.TABLE, ids=lambda c: c.name)
def test_each_in_the_table_is_used_and_explained(used: capability.Capability) -> None:
    assert used.name in KEEPER
    assert used.purpose
    assert used.without
    assert f"`{used.name.removeprefix('CAP_')}`" in (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives capabilities up, so needs some")
def test_what_is_given_up_does_not_come_back() -> None:
    script = (
        "import subprocess\nfrom ebtop import capability\n"
        "capability.keep([capability.BPF])\n"
        "print(subprocess.run(['cat', '/proc/self/status'], capture_output=True, text=True).stdout)\n"
        "try: capability.keep(capability.KEEPER)\nexcept OSError as error: print(error)\n"
        "print(hex(capability.mask()), hex(capability.mask('CapPrm')))\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    sets = dict(re.findall(r"^(Cap\w+|NoNewPrivs):\t(\w+)$", told, re.MULTILINE))
    assert {int(sets[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {bit(BPF)}
    assert sets["NoNewPrivs"] == "1"
    assert told.splitlines()[-1] == f"{hex(bit(BPF))} {hex(bit(BPF))}"
