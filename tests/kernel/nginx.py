"""An nginx of the test's own: its files in a folder, its ports on loopback, nothing of the system's service."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

import pytest

_CONFIGURATION = """
user {user};
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{ listen 127.0.0.1:{v4}; listen [::1]:{v6}; return 200 "here\\n"; }}
}}
"""

# Two requests on a connection: only where it is kept does nginx set TCP_NODELAY.
_SCRIPT = """
import http.client, json, os, subprocess, sys, time
configuration, folder, told, v4, v6 = sys.argv[1:]
server = subprocess.Popen([{program!r}, "-p", folder, "-e", folder + "/error.log", "-c", configuration])
def connected(host, port):
    for _ in range(500):
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try: connection.connect(); return connection
        except ConnectionRefusedError: time.sleep(0.02)
    raise SystemExit("nginx does not listen")
clients = []
for host, port in (("127.0.0.1", int(v4)), ("::1", int(v6))):
    connection = connected(host, port)
    clients.append([host, connection.sock.getsockname()[1]])
    for _ in range(2):
        connection.request("GET", "/"); assert connection.getresponse().read() == b"here\\n"
    connection.close()
time.sleep(0.2)
server.terminate(); server.wait(10)
json.dump(clients, open(told, "w"))
"""


def free_port(family: int, host: str) -> int:
    """One that nobody has now."""
    with socket.socket(family) as taken:
        taken.bind((host, 0))
        return int(taken.getsockname()[1])


class Nginx:
    """`command` starts it, asks it by IPv4 and by IPv6, and ends it; `told` then has who asked, as JSON."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            pytest.skip("nginx is not installed (nginx-light)")
        self.v4, self.v6 = free_port(socket.AF_INET, "127.0.0.1"), free_port(socket.AF_INET6, "::1")
        self._folder, self.told = folder, folder / "told.json"
        configuration, script = folder / "nginx.conf", folder / "asking.py"
        configuration.write_text(_CONFIGURATION.format(user="root", folder=folder, v4=self.v4, v6=self.v6))
        script.write_text(_SCRIPT.format(program=program))
        args = [configuration, folder, self.told, self.v4, self.v6]
        self.command = [sys.executable, "-I", "-S", str(script), *map(str, args)]
