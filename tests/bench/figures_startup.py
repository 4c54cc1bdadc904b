"""How fast ebtop and its peers start, with files in the page cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from tests import loads
from tests.bench import phases, processes
from tests.bench.plan import Plan
from tests.bench.report import Figure
from tests.bench.running import UnavailableError
from tests.bench.terminal import Terminal
from tests.bench.tracers import (
    LIBBPF,
    PERF,
    Tracer,
    check_installed,
    dashboard,
    ebtop_run,
    peers,
    perf,
    stop,
    unavailable,
)

FIRST, LIVE, ALL = "first screen", "live data in the pane shown", "probes of all tools attached"


def startup(plan: Plan) -> Iterator[Figure]:
    """From the start of the process to what comes out of it; something to see happens 200 times a second."""
    screen = Figure(
        "startup", "From the start of the dashboard", "s", digits=2, goals={FIRST: 0.5, LIVE: 1.0, ALL: 1.5}
    )
    parts = Figure("startup_parts", "Parts of the start of ebtop run opensnoop, one after the other", "s", digits=3)
    parts.note("seen by strace, which stops it at a few calls; imports: until the compiler process is asked")
    attach = Figure("startup_attached", "From the start to the last probe attached", "s", LIBBPF, 2)
    data = Figure("startup_data", "From the start to the first event on a terminal", "s", LIBBPF, 2)
    with _something_to_see() as marker:
        for number in plan.rounds(warm_up=True):
            into = [screen, parts, attach, data]
            if not number:  # the warm-up counts for nothing
                into = [Figure(figure.key, figure.title, figure.unit) for figure in into]
            _attempt(into[0], lambda into=into: _dashboard(into[0], marker))  # type: ignore[misc]
            _attempt(into[1], lambda into=into: _parts(into[1], marker))  # type: ignore[misc]
            for tracer in _tracers():
                _one(tracer, marker, into[2], into[3])
    yield from (screen, parts, attach, data)


@contextmanager
def _something_to_see() -> Iterator[str]:
    """The name of a file that nothing else opens, 200 times a second."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "seen-by-tracers"
        path.touch()
        with Popen(loads.command("opens", path, "3600s", 1, 200), stdout=PIPE) as load:
            try:
                yield path.name
            finally:
                load.kill()


def _attempt(figure: Figure, measure: Callable[[], None]) -> None:
    try:
        measure()
    except (UnavailableError, TimeoutError, ProcessLookupError) as error:
        figure.note(f"not measured: {error}")


def _dashboard(figure: Figure, marker: str) -> None:
    tracer = dashboard("opensnoop")
    check_installed(tracer)
    with _on_terminal(tracer) as terminal, ThreadPoolExecutor(2) as pool:
        first, live = (pool.submit(terminal.wait_for, words) for words in ("opensnoop", marker))
        last = processes.wait_attached(terminal.process.pid, settled=1.5) - terminal.started
        for name, seconds in ((FIRST, first.result()), (LIVE, live.result()), (ALL, last)):
            figure.add(name, seconds)


def _parts(figure: Figure, marker: str) -> None:
    tracer = ebtop_run("opensnoop", "--duration", "1.5")
    check_installed(tracer)
    found = phases.watch(tracer.command, marker)
    names = ("imports and preparing", "compiling", "loading and attaching", "first event written")
    for name, seconds in zip(names, found, strict=True):
        figure.add(name, seconds)
    figure.add("together", sum(found))


def _tracers() -> list[Tracer]:
    return [dashboard("opensnoop"), ebtop_run("opensnoop"), *peers("opensnoop"), perf("trace", "-e", "openat")]


def _one(tracer: Tracer, marker: str, attach: Figure, data: Figure) -> None:
    """perf shows no path, but the name of the program."""
    try:
        check_installed(tracer)
        with _on_terminal(tracer) as terminal, ThreadPoolExecutor(1) as pool:
            shown = pool.submit(terminal.wait_for, "opens/" if tracer.name == PERF else marker)
            try:
                last = processes.wait_attached(terminal.process.pid) - terminal.started
                data.add(tracer.name, shown.result())
                attach.add(tracer.name, last)
            except (TimeoutError, ProcessLookupError) as error:
                raise unavailable(terminal.text(), error) from error
    except UnavailableError as error:
        attach.missing(tracer.name, error)
        data.missing(tracer.name, error)


@contextmanager
def _on_terminal(tracer: Tracer) -> Iterator[Terminal]:
    terminal = Terminal(tracer.command)
    try:
        yield terminal
    finally:
        stop(terminal.process)
        terminal.close()
