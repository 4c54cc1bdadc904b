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

TARGET = Path(__file__).parents[2] / "ebtop" / "demo" / "incident.ebtop.xz"
PLACE = Path("/srv/shop")
HOST = "web-03"


def main() -> None:
    """Stage and record."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else TARGET).resolve()
    target.parent.mkdir(exist_ok=True)
    PLACE.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder, "incident.ebtop")
        try:
            subprocess.run(_command(recording), cwd=PLACE, check=True)
        finally:
            shutil.rmtree(PLACE)
        with recording.open("rb") as whole, lzma.open(target, "wb", preset=9) as packed:
            shutil.copyfileobj(whole, packed)
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")


def _command(target: Path) -> list[str]:
    """`ebtop record` in a UTS namespace with a name of its own."""
    python, root = sys.executable, str(Path(__file__).parents[2])
    staging = ["env", f"PYTHONPATH={root}", python, "-m", "tests.incident.staging"]
    record = [str(Path(python).parent / "ebtop"), "record", "--force", "-o", str(target), "--stacks", "--", *staging]
    return ["unshare", "--uts", "sh", "-c", f'hostname {HOST} && exec "$@"', "sh", *record]


if __name__ == "__main__":
    main()
