"""What the capture process is told on its command line, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """`attach` keeps only alternatives that use that kind of probe, or that function; `screen_pid` is who draws, 0 for
    none; `measure` has what capture and the programs cost measured and told (Vitals), which costs too."""

    interval_s: float = 1.0
    backlog: int = 128 << 20
    perf_buffer: bool = False
    attach: str = ""
    screen_pid: int = 0
    measure: bool = True

    def encode(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, raw: str) -> Settings:
        """From JSON."""
        return cls(**json.loads(raw))
