"""What `ebtop doctor` makes of what it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from ebtop import capability
from ebtop.commands import doctor


@pytest.mark.parametrize(
    ("lines", "ok"),
    [
        ("ffffffff81000000 T _stext\n", True),
        ("0000000000000000 A fixed_percpu_data\nffffffff81000000 T _stext\n", True),
        ("0000000000000000 A fixed_percpu_data\n0000000000000000 T _stext\n", False),
    ],
)
def test_hidden_symbols_are_not_mistaken_for_offsets(tmp_path: Path, lines: str, ok: bool) -> None:
    file = tmp_path / "kallsyms"
    file.write_text(lines)
    assert doctor.kernel_symbols(file).ok is ok


@pytest.mark.parametrize(
    ("paranoia", "held", "ok"),
    [
        (2, {"CAP_BPF", "CAP_PERFMON"}, True),
        (3, {"CAP_BPF", "CAP_PERFMON"}, False),
        (3, {"CAP_SYS_ADMIN"}, True),
        (2, {"CAP_SYS_ADMIN"}, True),
        (2, set(), False),
    ],
)
def test_perf_events_take_more_where_the_kernel_is_paranoid(
    paranoia: int, held: set[str], ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capability, "has", lambda name: name in held)
    check = doctor.perf_events(paranoia)
    assert check.ok is ok
    assert ("no samples" in check.detail) is not ok
