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

import cairosvg

from tests import loads
from tests.bench.terminal import Terminal
from tests.bench.tracers import EBTOP
from tests.screenshots import svg

TARGET = Path(__file__).parents[2] / "screenshots"

# A deployment that goes on for ever: programs that live for milliseconds, and files that are not there.
DEPLOY = """
mkdir -p conf.d && echo 'port = 8080' > conf.d/app.toml && echo '{"debug": false}' > settings.json
cat > render.py <<'END'
import json, string
print(string.Template("port=$port").substitute(port=json.load(open("settings.json"))["debug"]))
END
while :; do
    for name in app local secrets; do grep -s port "conf.d/$name.toml" >/dev/null; done
    sed 's/8080/9090/' conf.d/app.toml > rendered.toml
    python3 render.py --config conf.d/app.toml >/dev/null
    ./migrate --check 2>/dev/null
    sort -u rendered.toml /etc/services | wc -l >/dev/null
    sleep 0.2
done
"""
CONNECT = 'while :; do "$CONNECTS" 3 2 1 >/dev/null; sleep 0.3; "$CONNECTS" 0 3 0 >/dev/null; sleep 0.2; done'
CONTEND = '"$SWITCHES" contend 5 600 >/dev/null & while :; do sleep 7; "$BURN" 2 >/dev/null; done'
MORNING = (
    DEPLOY.replace("while :; do", "(while :; do").replace("sleep 0.2\ndone", "sleep 0.02; done) &")
    + """
while :; do "$CONNECTS" 3 2 1 >/dev/null; sleep 0.3; done &
while :; do "$BURN" 3 >/dev/null; sleep 4; done &
while :; do dd if=/usr/bin/python3.11 of=copy bs=1M oflag=direct 2>/dev/null; sleep 1; done
"""
)
SERVE = """
mkdir -p logs tmp
cat > nginx.conf <<'END'
daemon off; error_log logs/error.log crit; pid nginx.pid; events {}
http { access_log off; client_body_temp_path tmp/b; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f;
    uwsgi_temp_path tmp/u; scgi_temp_path tmp/s; keepalive_timeout 2;
    server { listen 127.0.0.1:81 reuseport; listen [::1]:81 so_keepalive=on; location / { return 200 hello; } } }
END
while :; do
    nginx -p "$PWD" -c "$PWD/nginx.conf" & sleep 0.5
    for host in 127.0.0.1 '[::1]'; do curl -gs "http://$host:81/" "http://$host:81/again" >/dev/null; sleep 0.2; done
    nginx -p "$PWD" -c "$PWD/nginx.conf" -s quit 2>/dev/null; wait
done
"""
COMPUTE = """
while :; do "$BURNXX" 2 >/dev/null; done &
while :; do head -c 30000000 /usr/bin/python3 /usr/lib/x86_64-linux-gnu/libc.so.6 | gzip -6 >/dev/null; done &
while :; do python3 -c 'import json; [json.loads(json.dumps(list(range(1000)))) for _ in range(10000)]'; done &
wait
"""


class Scene(NamedTuple):
    """What a pane is shown with: a shell script, seconds to let it run, then keys, each followed by a second. The
    picture is called `name`, or as the pane is."""

    pane: str
    script: str
    seconds: float
    keys: tuple[str, ...] = ()
    focused: bool = True
    name: str = ""
    options: tuple[str, ...] = ()
    rows: int = 0  # fewer than asked for: who started the workload is nobody's business


SCENES = (
    Scene("overview", MORNING, 30, ("t",)),
    Scene("opensnoop", MORNING, 20, ("/", "comm=sh path~toml", "\r", "o"), name="process", rows=21),
    Scene("execsnoop", DEPLOY, 8),
    Scene("opensnoop", DEPLOY, 8, ("/", "path~toml", "\r", "\r")),
    Scene("tcpconnect", CONNECT, 10),
    Scene("runqlat", CONTEND, 50, focused=False),
    Scene("profile", COMPUTE, 15),
    Scene("sockops", SERVE, 8, ("/", "comm=nginx", "\r")),
    Scene("capable", SERVE, 8, ("g", "\r")),
    Scene("probe", DEPLOY, 2, ("p", "tracepoint:tcp:*", "\x1b[B", "\x1b[B", " ", "\x1b[B"), name="points", rows=30),
    Scene("probe", DEPLOY, 8, options=("-p", "uprobe:libc:fopen*", "-p", "tracepoint:sched:sched_process_exit")),
)


@contextmanager
def workload(script: str) -> Iterator[int]:
    """The script, running in an empty directory and a plain environment; its pid."""
    programs = {name.upper(): str(loads.build(name)) for name in ("connects", "switches", "burn", "burnxx")}
    environment = {**programs, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    with tempfile.TemporaryDirectory(prefix="deploy-") as directory:
        Path(directory, "deploy.sh").write_text(script)
        process = subprocess.Popen(["sh", "deploy.sh"], cwd=directory, env=environment, start_new_session=True)
        try:
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def take(scene: Scene, pid: int, columns: int, rows: int) -> str:
    """Run the dashboard on the scene and draw what its terminal shows: SVG."""
    focus = ["--pid", str(pid), "--follow"] if scene.focused else []
    terminal = Terminal([str(EBTOP), scene.pane, *scene.options, *focus], columns, rows)
    try:
        terminal.wait_for(scene.pane)
        time.sleep(scene.seconds)
        for keys in scene.keys:
            terminal.type(keys)
            time.sleep(1)
        return svg.render(terminal.screen(), f"ebtop: {scene.pane}")
    finally:
        terminal.process.terminate()  # whatever has the keys
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
    for scene in SCENES:
        name = scene.name or scene.pane
        if arguments.panes and name not in arguments.panes:
            continue
        print(f"{name} ...", flush=True)
        with workload(scene.script) as pid:
            picture = take(scene, pid, arguments.columns, scene.rows or arguments.rows)
        (arguments.output / f"{name}.svg").write_text(picture)
        cairosvg.svg2png(bytestring=picture.encode(), write_to=str(arguments.output / f"{name}.png"), scale=1.5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
