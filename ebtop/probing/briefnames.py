"""What tells the attach points of a plan from each other, in as few words as a table has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from ebtop.attachpoint import PointKind
from ebtop.probing.plan import Plan, Planned

_OF_KERNEL = frozenset({PointKind.TRACEPOINT, PointKind.RAW_TRACEPOINT, PointKind.FENTRY, PointKind.KPROBE})
_OF_FILES = frozenset({PointKind.UPROBE, PointKind.USDT})


def brief_names(plan: Plan) -> Mapping[str, str]:
    """By the points' names: `sys_enter_openat`, `libc.so.6:fopen`, `uretprobe:libc.so.6:fopen`. What would stand for
    several points stands for none of them."""
    forms = {point.name: tuple(dict.fromkeys(_forms(point))) for point in plan.points}
    used = Counter(form for found in forms.values() for form in found)
    return {name: next((form for form in found if used[form] == 1), name) for name, found in forms.items()}


def _forms(point: Planned) -> Iterator[str]:
    """From the shortest to the name itself."""
    called, _, _ = point.name.partition(":")
    at_return = "" if called == point.kind else f"{called}:"
    if point.kind in _OF_KERNEL:
        yield at_return + point.target.rpartition(":")[2]
        yield at_return + point.target
    elif point.kind in _OF_FILES and point.sites:
        path = point.sites[0].path
        if point.target.startswith(f"{path}:"):
            inside = point.target[len(path) + 1 :]
            if point.kind is PointKind.USDT:
                yield inside
            yield f"{at_return}{path.rpartition('/')[2]}:{inside}"
    yield point.name
