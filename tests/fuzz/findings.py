"""What was found: one of each place in the code, so that the first does not hide the others."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType


def _place(where: TracebackType | None) -> str:
    """The last line of ours that an exception went through, as a file's name."""
    frames = traceback.extract_tb(where)
    ours = [frame for frame in frames if "/ebtop/" in frame.filename] or frames
    return f"{Path(ours[-1].filename).stem}-{ours[-1].lineno}" if ours else "nowhere"


class Findings:
    """Those of a folder; they stay there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "found"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._count = folder / "tried"
        self._tried = 0

    def add(self, data: bytes, error: BaseException) -> None:
        """Keep a file, and what came of it, if it is the first of its kind."""
        cause = error.__cause__ or error
        name = f"{type(cause).__name__}-{_place(cause.__traceback__)}"
        if not (self._folder / name).exists():
            (self._folder / name).write_bytes(data)
            (self._folder / f"{name}.txt").write_text("".join(traceback.format_exception(error)))

    def count(self) -> None:
        """One more was tried."""
        self._tried += 1
        if self._tried % 100 == 0:
            with self._count.open("ab") as file:
                file.write(b"x")

    def tried(self) -> int:
        """How many were tried in all runs, to the nearest hundred below."""
        return 100 * self._count.stat().st_size if self._count.exists() else 0

    def told(self) -> list[str]:
        """A line each."""
        return [f"{path}: {path.read_text().splitlines()[-1]}" for path in sorted(self._folder.glob("*.txt"))]
