"""python -m tests.screenshots [PANE ...]: runs the dashboard on real loads and writes screenshots/PANE.svg and .png."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cairosvg  # type: ignore[import-untyped]

from tests import loads
from tests.bench.terminal import Terminal
from tests.bench.tracers import EBTOP
from tests.screenshots import svg

TARGET = Path(__file__).parents[2] / "screenshots"

# A small deployment that goes on for ever: programs that live for milliseconds, files that are not there, connections
# of which some are refused, and more threads than CPUs.
WORKLOAD = """
cd "$1"
mkdir -p conf.d && echo 'port = 8080' > conf.d/app.toml && echo '{"debug": false}' > settings.json
while :; do
    for name in app local secrets; do grep -s port "conf.d/$name.toml" >/dev/null; done
    sed 's/8080/9090/' conf.d/app.toml > rendered.toml
    python3 -S -c 'import json; json.load(open("settings.json")); print("deployed")' >/dev/null
    ./migrate --check 2>/dev/null
    sort -u rendered.toml /etc/services | wc -l >/dev/null
    sleep 0.15
done &
while :; do "$CONNECTS" 5 3 1 >/dev/null; sleep 0.3; done &
while :; do "$SWITCHES" contend 5 4 >/dev/null; done &
while :; do "$BURNXX" 3 >/dev/null; "$BURN" 1.5 >/dev/null; done &
wait
"""


class Scene(NamedTuple):
    """How a pane is shown: seconds to let it run, then keys, each followed by a second."""

    pane: str
    seconds: float
    keys: tuple[str, ...] = ()
    focused: bool = True


SCENES = (
    Scene("execsnoop", 8),
    Scene("opensnoop", 8),
    Scene("tcpconnect", 10),
    Scene("runqlat", 45, focused=False),
    Scene("profile", 12),
)


@contextmanager
def workload() -> Iterator[int]:
    """The loads, running; the pid of their common ancestor."""
    programs = {name.upper(): str(loads.build(name)) for name in ("connects", "switches", "burn", "burnxx")}
    with tempfile.TemporaryDirectory(prefix="deploy-") as directory:
        command = ["sh", "-c", WORKLOAD, "deploy", directory]
        process = subprocess.Popen(command, env={**os.environ, **programs}, start_new_session=True)
        try:
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def take(scene: Scene, pid: int, columns: int, rows: int) -> str:
    """Run the dashboard on the scene and draw what its terminal shows: SVG."""
    focus = ["--pid", str(pid), "--follow"] if scene.focused else []
    terminal = Terminal([str(EBTOP), scene.pane, *focus], columns, rows)
    try:
        terminal.wait_for(scene.pane)
        time.sleep(scene.seconds)
        for keys in scene.keys:
            terminal.type(keys)
            time.sleep(1)
        return svg.render(terminal.screen(), f"ebtop: {scene.pane}")
    finally:
        terminal.type("q")
        try:
            terminal.process.wait(10)
        finally:
            terminal.process.kill()
            terminal.close()


def main() -> int:
    """Take the pictures that were asked for; 0, or 3 without root."""
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("panes", nargs="*", help="all by default")
    parser.add_argument("--columns", type=int, default=120)
    parser.add_argument("--rows", type=int, default=36)
    parser.add_argument("-o", "--output", type=Path, default=TARGET)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("Tracing needs root: sudo make screenshots", file=sys.stderr)
        return 3
    with workload() as pid:
        for scene in SCENES:
            if arguments.panes and scene.pane not in arguments.panes:
                continue
            print(f"{scene.pane} ...", flush=True)
            picture = take(scene, pid, arguments.columns, arguments.rows)
            (arguments.output / f"{scene.pane}.svg").write_text(picture)
            cairosvg.svg2png(bytestring=picture.encode(), write_to=str(arguments.output / f"{scene.pane}.png"), scale=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
