"""The web application: a page for each product, out of a database. `python3 shop.py PORT SOCKETS VERSION`.

Version 2, which the deploy brings, asks a cache first that nobody has set up.
"""

from __future__ import annotations

import socket
import string
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue

import psycopg2

PORT, SOCKETS, VERSION = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
CACHE = ("127.0.0.1", 6379)
CONNECTIONS = 4
_idle: SimpleQueue[psycopg2.extensions.connection] = SimpleQueue()


def cached(key: str) -> str | None:
    """What the cache has, if it answers."""
    try:
        with socket.create_connection(CACHE, timeout=0.5) as cache:
            cache.sendall(f"GET {key}\r\n".encode())
            return cache.recv(4096).decode()
    except OSError:
        return None


def product(number: int) -> tuple[str, int]:
    """Its name and price."""
    if VERSION == 2:
        cached(f"product:{number}")
    database = _idle.get()
    try:
        with database, database.cursor() as cursor:
            cursor.execute("SELECT name, price FROM product WHERE id = %s", (number,))
            return cursor.fetchone() or ("nothing", 0)
    finally:
        _idle.put(database)


class Page(BaseHTTPRequestHandler):
    """GET /product/N."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        template = Path("templates/product.html").read_text()
        name, price = product(int(self.path.rpartition("/")[2] or 0))
        body = string.Template(template).substitute(name=name, price=price).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: nginx has its log."""


for _ in range(CONNECTIONS):
    _idle.put(psycopg2.connect(host=SOCKETS, dbname="postgres", user="postgres"))
ThreadingHTTPServer(("127.0.0.1", PORT), Page).serve_forever()
