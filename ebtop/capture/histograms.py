"""Histograms and other counts that a program keeps in a pair of hash maps: one is filled while the other is read and
emptied.

So each interval's counts are exact: by the time a map is read, nobody adds to it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ebtop.capture import bpfcall
from ebtop.tool import Tool

_KEY = np.dtype([("cgroup", "<u8"), ("pid", "<u4"), ("bucket", "<u4")])
_KEY_OF_PARTS = np.dtype([*_KEY.descr, ("probe", "<u4"), ("pad", "<u4")])
STACK_KEY = np.dtype([("id", "<u8"), ("pid", "<u4"), ("tid", "<u4"), ("comm", "S16")])
_SETTLE_S = 0.002
"""A program that read the old generation number is done by then; it runs with preemption off."""


class PairedMaps:
    """The maps NAME_0 and NAME_1: counts (u64) by keys of that layout."""

    def __init__(self, name: str, maps: Mapping[str, int], key: np.dtype[np.void]) -> None:
        self._fds = [maps[f"{name}_0"], maps[f"{name}_1"]]
        self._shape = bpfcall.map_shape(self._fds[0])
        self._key = key
        self._generation_fd = maps["generation"]
        self._generation = 0

    def take(self) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint64]]:
        """(keys, counts) of the interval that ends now."""
        full, self._generation = self._generation, 1 - self._generation
        bpfcall.update(self._generation_fd, struct.pack("<I", 0), struct.pack("<I", self._generation))
        time.sleep(_SETTLE_S)
        keys, values = bpfcall.take_all(self._fds[full], self._shape)
        return keys.reshape(-1).view(self._key), values.reshape(-1).view(np.uint64)


class HistogramMaps(PairedMaps):
    """The pair behind `tool.histogram_map`: keys are struct {u64 cgroup; u32 pid; u32 bucket}, with {u32 probe; u32
    pad} behind them for a tool of several parts."""

    def __init__(self, tool: Tool, maps: Mapping[str, int]) -> None:
        super().__init__(tool.histogram_map, maps, _KEY_OF_PARTS if tool.histogram_parts else _KEY)
