"""python -m tests.incident [FILE]: stages the incident, as root, and records it: what `ebtop demo` shows.

Nothing of the machine but the incident is in the recording: it has the focus, and the host is given another name.
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TARGET = ROOT / "ebtop" / "demo" / "incident.ebtop.xz"
PLACE, INSTALLED = Path("/srv/shop"), Path("/opt/ebtop")
HOST = "web-03"
STAGING = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "/usr/bin/python3", "staging.py"]


def main() -> None:
    """Stage and record."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else TARGET).resolve()
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder, "incident.ebtop")
        PLACE.mkdir(parents=True)
        INSTALLED.mkdir(parents=True)
        try:
            _furnish()
            subprocess.run([*STAGING, "prepare"], cwd=PLACE, check=True)
            subprocess.run(_command(recording), cwd=PLACE, check=True)
        finally:
            shutil.rmtree(PLACE)
            INSTALLED.rmdir()
        with recording.open("rb") as whole, lzma.open(target, "wb", preset=9) as packed:
            shutil.copyfileobj(whole, packed)
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")


def _furnish() -> None:
    """What the incident consists of goes to a place of its own: the recording shows paths."""
    for name in ("staging.py", "shop.py", "visitor.py", "deploy.sh"):
        shutil.copy(HERE / name, PLACE)
    source, program = HERE / "thumbnails.c", PLACE / "thumbnails"
    subprocess.run(["gcc", "-O2", "-fno-omit-frame-pointer", "-o", program, source], check=True)


def _command(target: Path) -> list[str]:
    """`ebtop record` under a name of the host and at a place that say nothing of this machine, in namespaces."""
    python = str(INSTALLED / Path(sys.executable).relative_to(ROOT))
    record = [python, "-m", "ebtop", "record", "-o", str(target), "--stacks", *_queries(), "--", *STAGING]
    set_up = f"hostname {HOST} && mount --bind '{ROOT}' {INSTALLED}"
    return ["unshare", "--uts", "--mount", "sh", "-c", f'{set_up} && exec "$@"', "sh", *record]


def _queries() -> list[str]:
    """What makes `probe` tell each query that the database is asked."""
    postgres = max(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return ["-p", f"usdt:{postgres}:postgresql:query__start", "--string", "arg0"]


if __name__ == "__main__":
    main()
