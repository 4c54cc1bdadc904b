"""Stages the incident: `staging.py prepare`, then `staging.py`, in a folder that holds the other files beside this."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
FRONT, BACK = 8080, 8081
CALM_S, DEPLOY_SERVICES, AFTER_S = 14, 90, 24
NGINX = """
worker_processes 2; daemon off; error_log stderr crit; pid nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log access.log; gzip on; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;
    uwsgi_temp_path tmp; scgi_temp_path tmp;
    server {{
        listen 127.0.0.1:{front}; root {folder}/static;
        location /product/ {{ proxy_pass http://127.0.0.1:{back}; }}
    }}
}}
"""


def prepare() -> None:
    """What was there before: files, and an empty database."""
    folder = Path.cwd()
    _furnish(folder)
    data = folder / "data"
    data.mkdir()
    os.chown(data, _postgres().pw_uid, _postgres().pw_gid)
    subprocess.run([POSTGRES[0] / "initdb", "-D", data, "-A", "trust"], check=True, **_becoming())


def main() -> None:
    """From a calm morning to the end."""
    folder = Path.cwd()
    database = _database(folder)
    _wait_for(BACK, shop := _shop(folder, 1))
    nginx = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"])
    visitor = subprocess.Popen([sys.executable, "-S", "visitor.py", str(FRONT)])
    time.sleep(CALM_S)
    subprocess.run(["bash", "deploy.sh", str(DEPLOY_SERVICES)], check=True)
    shop.terminate()
    shop.wait()
    _wait_for(BACK, shop := _shop(folder, 2))
    worker = subprocess.Popen(["./thumbnails", str(AFTER_S + 5)])
    time.sleep(AFTER_S)
    for process in (visitor, worker, nginx, shop, database):
        process.terminate()
        process.wait()


def _furnish(folder: Path) -> None:
    for name in ("static", "templates", "rendered", "tmp", "config/1"):
        (folder / name).mkdir(parents=True)
    (folder / "static/index.html").write_text("<h1>Shop</h1>\n" * 400)
    (folder / "templates/product.html").write_text("<h1>$name</h1><p>$price</p>\n")
    (folder / "templates/service.conf").write_text("service @SERVICE@\nport 80\n" * 20)
    (folder / "nginx.conf").write_text(NGINX.format(front=FRONT, back=BACK, folder=folder))


def _database(folder: Path) -> subprocess.Popen[bytes]:
    """PostgreSQL with a table of products."""
    data, tools, becoming = folder / "data", POSTGRES[0], _becoming()
    settings = ["-c", f"unix_socket_directories={data}", "-c", "listen_addresses="]
    server = subprocess.Popen([tools / "postgres", "-D", data, *settings], **becoming)
    query = (
        "CREATE TABLE product AS SELECT id, 'product ' || id AS name, id * 7 AS price FROM generate_series(1, 5000) id"
    )
    for _ in range(100):
        if subprocess.run([tools / "psql", "-h", data, "-U", "postgres", "-c", query], check=False,
                          **becoming).returncode == 0:  # fmt: skip
            return server
        time.sleep(0.1)
    raise RuntimeError("PostgreSQL does not answer")


def _postgres() -> pwd.struct_passwd:
    return pwd.getpwnam("postgres")


def _becoming() -> dict[str, Any]:
    """For subprocess: PostgreSQL refuses to run as root."""
    user = _postgres()
    return {"user": user.pw_uid, "group": user.pw_gid, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def _shop(folder: Path, version: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "shop.py", str(BACK), folder / "data", str(version)])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/product/1", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    process.kill()
    raise RuntimeError(f"nothing answers on port {port}")


if __name__ == "__main__":
    (prepare if sys.argv[1:] == ["prepare"] else main)()
