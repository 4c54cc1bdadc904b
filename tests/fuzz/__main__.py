"""python -m tests.fuzz [--minutes N]: damaged programs, for so long, against what reads ELF files and DWARF.

The exit code is 1 when something was found: an error that is none of ours, or one that says only "damaged", a file that
takes longer than 20 s or more memory than 2 GiB. What was found is kept in the folder, a file each, with its traceback.
The corpus is made of programs that are built here, a few thousand at most of what is made of them, and lies in the
folder, too: another run goes on from there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz import seeds
from tests.fuzz.findings import Findings

SLOWEST_S, MOST_MIB = 20, 2048
_LARGEST = 1 << 18
_KEPT = 2000


def parsed(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N")
    parser.add_argument("--folder", type=Path, default=Path("fuzz-results"), help="(./fuzz-results)")
    parser.add_argument("--again", type=Path, metavar="FILE", help="only this one, that was found before")
    return parser.parse_args(words)


def fuzzed(folder: Path, seconds: float) -> int:
    """Run until the time is over or it dies: what it ended with."""
    corpus, died = folder / "corpus", folder / "died"
    died.mkdir(exist_ok=True)
    options = [f"-max_total_time={seconds:.0f}", f"-timeout={SLOWEST_S}", f"-rss_limit_mb={MOST_MIB}", "-verbosity=1",
               f"-max_len={_LARGEST}", "-print_final_stats=1", f"-artifact_prefix={died}/"]  # fmt: skip
    command = [sys.executable, "-m", "tests.fuzz.target", str(folder), *options, str(corpus)]
    with (folder / "log").open("ab") as log:
        return subprocess.run(command, stdout=log, stderr=log, check=False).returncode


def thinned(corpus: Path) -> None:
    """Of what was kept the smaller ones: time goes into trying, not into reading what was tried."""
    by_size = sorted(corpus.iterdir(), key=lambda path: path.stat().st_size)
    for path in by_size[_KEPT:]:
        path.unlink()


def main(words: list[str]) -> int:
    """Build, run, tell."""
    arguments = parsed(words)
    if arguments.again:
        return subprocess.run([sys.executable, "-m", "tests.fuzz.target", "-", arguments.again], check=False).returncode
    corpus = arguments.folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    built = seeds.into(corpus)
    findings = Findings(arguments.folder)
    os.nice(10)
    end, deaths = time.monotonic() + 60 * arguments.minutes, 0
    while (left := end - time.monotonic()) > 1:
        deaths += fuzzed(arguments.folder, left) != 0
    thinned(corpus)
    told = [f"{findings.tried()} files tried, of {built} programs; {deaths} runs died", *findings.told()]
    sys.stdout.write("\n".join([*told, ""]))
    return 1 if deaths or len(told) > 1 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
