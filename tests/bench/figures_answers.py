"""How soon the dashboard answers keys."""

from __future__ import annotations

import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests import loads
from tests.bench.plan import Plan
from tests.bench.report import Figure
from tests.bench.terminal import Terminal
from tests.bench.tracers import attached, dashboard

RATE = 400_000
KEYS = (("?", "what ebtop costs"), ("\x1b", "opensnoop"), ("5", "5 runqlat ·"), ("3", "3 opensnoop ·"))
AT_REST, FLOODED = "ebtop, at rest", "ebtop, in a flood"


def answers(plan: Plan) -> Iterator[Figure]:
    """From a key to its answer on the terminal: help and back, two panes."""
    figure = Figure("answers", "From a key to its answer, all keys", "ms", digits=0, goals={FLOODED: 100})
    figure.note(f"in a flood: one thread opens a file {RATE:,} times a second while the opens are shown")
    for _ in plan.rounds():
        with attached(dashboard("opensnoop")) as running:
            assert running.terminal
            time.sleep(plan.seconds(3))
            _press(running.terminal, figure, AT_REST)
            with flood():
                time.sleep(plan.seconds(3))
                _press(running.terminal, figure, FLOODED)
    yield figure


@contextmanager
def flood() -> Iterator[None]:
    """Opens at RATE meanwhile."""
    with tempfile.NamedTemporaryFile() as target:
        command = loads.command("opens", target.name, "1000s", 1, RATE)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as load:
            yield
            load.kill()


def _press(terminal: Terminal, figure: Figure, name: str) -> None:
    for _ in range(10):
        for key, words in KEYS:
            figure.add(name, 1000 * terminal.answer_s(key, words))
            time.sleep(random.uniform(0.1, 0.4))  # at any moment of a tick
