"""All threads there are, as an iterator's program tells of each (Linux Documentation/bpf/bpf_iterators.rst)."""

from __future__ import annotations

import os

import numpy as np

from ebtop.capture.bpfsyscall import attach_iterator, iterate
from ebtop.tool import Batch

_READ = 1 << 20


class Tasks:
    """`program` is the descriptor of the iterator's program, `record` the layout of what it writes for each."""

    def __init__(self, program: int, record: np.dtype[np.void]) -> None:
        """Raises OSError."""
        self._link, self._record = attach_iterator(program), record

    def read(self) -> Batch:
        """A record for each thread there is, zombies included. Raises OSError."""
        fd = iterate(self._link)
        try:
            pieces = []
            while piece := os.read(fd, _READ):
                pieces.append(piece)
        finally:
            os.close(fd)
        return np.frombuffer(b"".join(pieces), self._record)

    def close(self) -> None:
        """Let go of the iterator."""
        os.close(self._link)
