"""Small programs that do an exactly known amount of something, for the kernel tests and the benches.

Each prints one JSON object at its end: `load`, `count`, `wall_ns`, `cpu_ns`, both per operation, and its own fields.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent
# Frame pointers, so that stacks are whole; no inlining across files can hide a function.
FLAGS = ("-O2", "-g", "-Wall", "-Wextra", "-fno-omit-frame-pointer", "-pthread")
THROUGH_LIBC = ("-DTHROUGH_LIBC",)
WITHOUT_FRAME_POINTERS = (*THROUGH_LIBC, "-fomit-frame-pointer")
SORTS: dict[str, tuple[str, ...]] = {
    "frame pointers": (),
    "none": ("-fomit-frame-pointer",),
    "static": ("-fomit-frame-pointer", "-static", "-Wl,--eh-frame-hdr"),
}
"""How `sorts` is built."""


@cache
def _directory() -> Path:
    """Where programs are built: private to write, open to read, as loads also run as other users.

    $EBTOP_LOADS is a folder where they are already: an emulated machine would take minutes.
    """
    given = os.environ.get("EBTOP_LOADS")
    if given:
        return Path(given)
    directory = Path(tempfile.mkdtemp(prefix="ebtop-loads-"))
    directory.chmod(0o755)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@cache
def build(name: str, *flags: str) -> Path:
    """The path of the load of that name, built with gcc or g++ and further compiler flags.

    Raises FileNotFoundError when there is no such load or no compiler, CalledProcessError when it does not compile.
    """
    source = next((path for suffix in (".c", ".cc") if (path := SOURCES / f"{name}{suffix}").exists()), None)
    if source is None:
        raise FileNotFoundError(f"no load {name!r} in {SOURCES}")
    target = _directory() / "-".join([name, *(flag.strip("-") for flag in flags)])
    compiler = "gcc" if source.suffix == ".c" else "g++"
    command = [compiler, *FLAGS, *flags, "-o", str(target), str(source)]
    if not target.exists():
        subprocess.run(command, check=True, capture_output=True, text=True)
    return target


def build_all() -> Path:
    """Build every load: the folder that they are in."""
    for source in sorted(SOURCES.glob("*.c*")):
        build(source.stem)
    for flags in (THROUGH_LIBC, WITHOUT_FRAME_POINTERS):
        build("paths", *flags)
    for options in SORTS.values():
        build("sorts", *options)
    return _directory()


def command(name: str, *arguments: object) -> list[str]:
    """The command line of a load, built if need be."""
    return [str(build(name)), *map(str, arguments)]


def run(name: str, *arguments: object, timeout: float = 120) -> dict[str, Any]:
    """Run a load to its end and give its report.

    Raises CalledProcessError when it fails, TimeoutExpired after `timeout` seconds.
    """
    done = subprocess.run(command(name, *arguments), check=True, stdout=subprocess.PIPE, text=True, timeout=timeout)
    report: dict[str, Any] = json.loads(done.stdout)
    return report
