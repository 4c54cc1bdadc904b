"""python -m tests.bench.wholecost COMMAND ...: its CPU seconds, with all that it ever started, whoever waited for them.

A process of its own, as it takes over the orphans of the command: what daemons use would otherwise be nobody's.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Sequence

from tests.bench.running import UnavailableError

_PR_SET_CHILD_SUBREAPER = 36


def measure(command: Sequence[str]) -> float:
    """CPU seconds of the command and all its descendants; its output goes nowhere.

    Raises UnavailableError when it fails or is not installed.
    """
    own = [sys.executable, "-m", "tests.bench.wholecost", *command]
    done = subprocess.run(own, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise UnavailableError(said[-1] if said else f"it ended with {done.returncode}")
    return float(done.stdout)


def main(command: Sequence[str]) -> int:
    """Run it, wait for its last descendant; the command's exit code."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
