"""What code that runs as root must never do, looked for in the syntax of every file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "ebtop"
FILES = sorted(ROOT.rglob("*.py"))
FORBIDDEN = {
    "os.system", "os.popen", "os.spawnl", "os.spawnlp", "os.spawnv", "os.spawnvp", "os.execvp", "os.execlp", "os.execl",
    "os.posix_spawnp", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell",
    "pty.spawn", "tempfile.mktemp", "eval", "exec", "pickle.load", "pickle.loads", "marshal.loads", "shelve.open",
    "os.chmod", "os.tmpnam",
}  # fmt: skip
OPEN_TO_ALL = ("/tmp", "/var/tmp", "/dev/shm")
WRITES = {  # every place that can create or change a file, and why it is safe
    ("capture/private.py", "os.open"),  # O_EXCL and O_NOFOLLOW in a folder of our own
    ("capture/private.py", "os.fdopen"),  # the same
    ("capture/private.py", "tempfile.mkdtemp"),  # 0700, a name that nobody knew
    ("capture/private.py", "base.mkdir"),  # 0700, looked at afterwards
    ("capture/headers.py", "tempfile.mkdtemp"),  # inside the private folder
    ("capture/headers.py", "path.parent.mkdir"),  # inside that
    ("capture/headers.py", "scratch.rename"),  # inside the private folder
    ("capture/loader.py", "os.fdopen"),  # a memfd
    ("resolve/debugfile.py", "open"),  # a memfd
    ("outfile.py", "os.open"),  # -o FILE, with the rights of who named it
    ("outfile.py", "os.fdopen"),  # the same
    ("record/newfile.py", "os.open"),  # O_EXCL and O_NOFOLLOW, with the rights of who named it
    ("record/writer.py", "sqlite3.connect"),  # a file that newfile.py made; looked at afterwards
    ("record/database.py", "sqlite3.connect"),  # mode=ro
    ("commands/run.py", "os.fdopen"),  # standard output
    ("commands/run.py", "Path(os.devnull).open"),
    ("standard.py", "os.open"),  # /dev/null
    ("standard.py", "os.fdopen"),  # the standard streams
    ("commands/demo.py", "recording.open"),  # in a folder that was made just now, 0700, with the caller's rights
    ("commands/dashboard.py", "tempfile.TemporaryFile"),  # O_TMPFILE, with the caller's rights
}
WRITERS = {"write_text", "write_bytes", "touch", "mkdir", "makedirs", "symlink_to", "hardlink_to", "symlink", "link",
           "rename", "replace_file", "mkdtemp", "mkstemp", "NamedTemporaryFile", "TemporaryFile", "mkfifo",
           "mknod"}  # fmt: skip
OPENERS = {"open", "fdopen"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def writes(name: str, call: ast.Call) -> bool:
    """Can this call create or change a file?"""
    last = name.rsplit(".", 1)[-1]
    if last in WRITERS or name == "sqlite3.connect":
        return True
    if last not in OPENERS:
        return False
    given = " ".join(ast.unparse(argument) for argument in [*call.args, *(k.value for k in call.keywords)])
    modes = [
        n.value for a in call.args for n in ast.walk(a) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    modes += [k.value.value for k in call.keywords if k.arg == "mode" and isinstance(k.value, ast.Constant)]
    text_mode = any(isinstance(mode, str) and set(mode) & set("wax+") and set(mode) <= set("rwaxbt+") for mode in modes)
    return text_mode or any(flag in given for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "_FLAGS"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_shell_and_nothing_that_runs_text(path: Path) -> None:
    found = [name for name, call in calls(path)
             if name in FORBIDDEN or any(k.arg == "shell" for k in call.keywords)]  # fmt: skip
    assert found == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_path_that_anyone_can_write_to(path: Path) -> None:
    strings = [n.value for n in ast.walk(ast.parse(path.read_text()))
               if isinstance(n, ast.Constant) and isinstance(n.value, str)]  # fmt: skip
    assert [s for s in strings if s.startswith(OPEN_TO_ALL)] == []


def test_every_place_that_writes_is_known() -> None:
    found = {(str(path.relative_to(ROOT)), name) for path in FILES for name, call in calls(path) if writes(name, call)}
    assert found == WRITES


def test_the_test_sees_what_it_looks_for() -> None:
    bad = ["open('x', 'w')", "os.open(p, os.O_CREAT)", "Path(p).open(mode='ab')", "p.write_text('')", "p.mkdir()"]
    for text in bad:
        name, call = next((ast.unparse(n.func), n) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call))
        assert writes(name, call), text
    call = ast.parse("open('wax', 'rb')").body[0]
    assert isinstance(call, ast.Expr)
