"""The table of top functions: where samples ended (self) and what they passed through (total)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from rich.cells import cell_len

from ebtop.model.format import count
from ebtop.model.stacktree import Function
from ebtop.tick import Frame
from ebtop.ui.cells import Cell, Heading, fitting
from ebtop.ui.functionnames import KERNEL_EDGE, module_of, name_of, percent, shortened

_SELF = Heading("self", "SELF %", 6, rank=1, right=True)
_TOTAL = Heading("total", "TOTAL %", 7, rank=2, right=True)
_SAMPLES = Heading("samples", "SAMPLES", 7, rank=7, right=True)
_MODULE = Heading("module", "MODULE", 18, rank=6)
_NAME = Heading("name", "FUNCTION", 24, rank=0)


def headings(width: int) -> tuple[Heading, ...]:
    """The columns of a table of that width: names need room before modules do."""
    if width >= 78:
        return _SELF, _TOTAL, _SAMPLES, _MODULE, _NAME
    return (_SELF, _TOTAL, _SAMPLES, _NAME) if width >= 60 else (_SELF, _TOTAL, _NAME)


class FunctionRows:
    """A Model of a Table."""

    live_at_top = True

    def __init__(self, functions: Sequence[Function], samples: int, width: int) -> None:
        self.headings: Sequence[Heading] = headings(width)
        self._name_width = fitting(self.headings, width)[-1][1]
        self._functions = functions
        self._samples = samples
        self._row = {function.frame: row for row, function in enumerate(functions)}

    def __len__(self) -> int:
        return len(self._functions)

    def function(self, row: int) -> Function:
        """The function of a row."""
        return self._functions[row]

    def key(self, row: int) -> Hashable:
        """Functions are told apart by name, module and side."""
        return self._functions[row].frame

    def find(self, key: Hashable) -> int | None:
        """The row of a function."""
        return self._row.get(key) if isinstance(key, Frame) else None

    def cells(self, row: int, keys: Sequence[str]) -> Sequence[Cell]:
        """The cells of those columns."""
        function = self._functions[row]
        with_module = "module" in keys
        return [self._cell(function, key, with_module) for key in keys]

    def _cell(self, function: Function, key: str, with_module: bool) -> Cell:
        tone = "" if function.self_count else "dim"
        match key:
            case "self":
                return Cell(percent(function.self_count, self._samples).removesuffix(" %"), tone)
            case "total":
                return Cell(percent(function.total, self._samples).removesuffix(" %"))
            case "samples":
                return Cell(count(function.self_count), tone)
            case "module":
                return Cell(module_of(function.frame), "dim")
            case _:
                return Cell(self._name(function.frame, with_module))

    def _name(self, frame: Frame, with_module: bool) -> str:
        """The name behind its side's mark; its module, where it has no column, if there is room."""
        name, width = name_of(frame), self._name_width - 2
        module = "" if with_module else module_of(frame)
        if module and cell_len(name) + cell_len(module) + 3 <= width:
            name = f"{name}  {module}"
        return f"{KERNEL_EDGE if frame.kernel else ' '} {shortened(name, width)}"
