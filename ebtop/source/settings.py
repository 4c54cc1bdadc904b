"""What the capture process is told on its command line, as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields

_RANGES: dict[str, tuple[type, float, float]] = {
    "interval_s": (float, 0.02, 3600.0), "backlog": (int, 1 << 16, 16 << 30), "screen_pid": (int, 0, 1 << 31),
}  # fmt: skip
_WORD = re.compile("[a-z0-9_]{0,64}")


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
        """From JSON that may come from anyone. Raises ValueError, in one line, for what is none of it."""
        given = json.loads(raw)
        if type(given) is not dict or given.keys() != {field.name for field in fields(cls)}:
            raise ValueError("these are not the settings of this version")
        for name, (kind, least, most) in _RANGES.items():
            if type(given[name]) not in {int, kind} or not least <= given[name] <= most:
                raise ValueError(f"the setting {name} is no {kind.__name__} from {least} to {most}")
        if type(given["perf_buffer"]) is not bool or type(given["measure"]) is not bool:
            raise ValueError("a setting is neither true nor false")
        if type(given["attach"]) is not str or not _WORD.fullmatch(given["attach"]):
            raise ValueError("no kind of probe, nor a function")
        return cls(**given)
