"""`python -m tests.faults [NAME...] [--tries N] [--seed S]`."""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Iterator

from tests.faults import ends, floods, places
from tests.faults.outcome import Outcome, table
from tests.faults.subjects import become_reaper

FAULTS: dict[str, Callable[[int, random.Random], Iterator[Outcome]]] = {
    "kill": ends.killed,
    "signals": ends.asked_to_end,
    "hangup": ends.terminal_gone,
    "stdout": ends.stdout_closed,
    "resize": ends.resized,
    "overflow": floods.overflow,
    "storm": floods.storm,
    "full-map": floods.full_map,
    "pid-reuse": places.pid_reuse,
    "pid-namespace": places.pid_namespace,
    "vanishing": places.vanishing,
}


def main() -> int:
    """Run the chosen faults and print the table; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FAULTS)}; all without")
    parser.add_argument("--tries", type=int, default=100, help="how often to kill; the others in proportion")
    parser.add_argument("--seed", type=int, default=None, help="for the random moments")
    args = parser.parse_args()
    unknown = set(args.names) - FAULTS.keys()
    if unknown or args.tries < 1:
        parser.error(f"there are {', '.join(FAULTS)}, and --tries from 1 on")
    if os.geteuid():
        parser.error("capture needs root")
    become_reaper()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 32)
    outcomes: list[Outcome] = []
    for name in args.names or FAULTS:
        for outcome in FAULTS[name](args.tries, random.Random(seed)):
            outcomes.append(outcome)
            print(f"{'held' if outcome.held else 'NOT HELD'}: {outcome.fault} {outcome.wrong}", file=sys.stderr)
    print(table(outcomes))
    held = sum(outcome.held for outcome in outcomes)
    print(f"\nseed {seed}\n{held} passed, {len(outcomes) - held} failed")
    return 0 if held == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
