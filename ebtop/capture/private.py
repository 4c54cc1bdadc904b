"""A folder that only we can write to: what is compiled and then run in the kernel lies there."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

_OF_ROOT = Path("/run/ebtop")
_OF_USERS = Path("/run/user")
_made: list[Path] = []


def folder() -> Path:
    """Below /run for root; for others in their runtime folder if it is theirs alone, else one that ends with us.

    Raises OSError when it exists but belongs to someone else, is open to others or no folder.
    """
    if os.geteuid() == 0:
        base = _OF_ROOT
    else:
        places = (os.environ.get("XDG_RUNTIME_DIR", ""), f"{_OF_USERS}/{os.geteuid()}")
        ours = next((Path(place) for place in places if place.startswith("/") and _is_ours(Path(place), 0o077)), None)
        if ours is None:
            return _passing()
        base = ours / "ebtop"
    base.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(base, 0o022):
        found = base.lstat()
        raise PermissionError(f"{base} is not a folder of our own (owner {found.st_uid}, mode {found.st_mode:o})")
    return base


def _is_ours(path: Path, open_to_others: int) -> bool:
    """Is it a folder (no link to one) of this user's, without those permissions?"""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & open_to_others


def _passing() -> Path:
    """A folder of a name that nobody knew before, mode 0700, where nobody else can rename it."""
    place = Path(tempfile.gettempdir())
    found = place.stat()
    if found.st_uid not in {0, os.geteuid()} or (found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX):
        raise PermissionError(f"{place} lets others rename what is ours: set XDG_RUNTIME_DIR to a folder of your own")
    _made.append(Path(tempfile.mkdtemp(prefix="ebtop-", dir=place)))
    return _made[-1]


def leave() -> None:
    """Remove the folders that were made to end with us."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


def create(path: Path, content: str) -> None:
    """Write a new file, mode 0600. Raises OSError when there is anything of that name, a dangling link included."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(content)
