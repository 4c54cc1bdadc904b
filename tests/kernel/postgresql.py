"""A PostgreSQL of the test's own: a database in a folder, a socket beside it, nothing of the system's service."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = "postgres"
_QUIET = ["-c", "listen_addresses=", "-c", "autovacuum=off", "-c", "fsync=off", "-c", "logging_collector=off"]


def programs() -> Path:
    """The folder with the server's programs, of the newest that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if not found:
        pytest.skip("PostgreSQL's server is not installed (postgresql)")
    return found[-1].parent


class Server:
    """A running one."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.program, self.pid, self._folder = programs() / "postgres", pid, folder

    def session(self, queries: Iterable[str]) -> list[str]:
        """The command of a client that asks all of them, in one session."""
        script = self._folder / "queries.sql"
        script.write_text("".join(f"{query};\n" for query in queries), encoding="utf-8")
        client = [str(programs() / "psql"), "-X", "-q", "-A", "-t", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1"]
        return [*client, "-h", str(self._folder), "-U", USER, "-f", str(script), "postgres"]


@contextmanager
def server() -> Iterator[Server]:
    """One that ends with the block. It refuses to be root's: it runs as the user that the package has made for it."""
    found = programs()
    user = pwd.getpwnam(USER)
    folder = Path(tempfile.mkdtemp(prefix="ebtop-pg-", dir="/tmp"))  # sockets have short names
    try:
        os.chown(folder, user.pw_uid, user.pw_gid)
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": folder}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        made = [found / "initdb", "-D", folder / "data", "-A", "trust", "-N", "-E", "UTF8", "--locale=C", "-U", USER]
        subprocess.run(made, check=True, **who, **quiet)
        started = [found / "postgres", "-D", folder / "data", "-k", folder, *_QUIET]
        with subprocess.Popen(started, **who, **quiet) as process:
            try:
                _answers(found, folder, process)
                yield Server(folder, process.pid)
            finally:
                process.terminate()
    finally:
        shutil.rmtree(folder)


def _answers(found: Path, folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run([found / "pg_isready", "-q", "-h", folder], check=False).returncode:
        assert process.poll() is None and time.monotonic() < deadline, "PostgreSQL does not answer"
        time.sleep(0.05)
