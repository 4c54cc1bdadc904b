"""What a process inherits: sudo's variables, terminals, locales, homes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ebtop import config, privilege
from ebtop.commands.dashboard import check_size
from ebtop.config import ConfigError
from ebtop.heldcommand import HeldCommand
from ebtop.sanitise import sanitise
from ebtop.ui import theme
from tests.hostile import examples
from tests.hostile.emulator import acting
from tests.hostile.words import ATTACKS, raw, text

IDS = ["", "0", "1000", "-1", "+5", " 7", "4294967295", "4294967296", "99999999999", "9" * 5000, "٣", "²", "1_000",
"0x10", "root",
       "1e3", "\x1b[31m", "65534", "00", "0001000"]  # fmt: skip
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give root up")


@examples(200)
@given(uid=st.one_of(st.sampled_from(IDS), text()), gid=st.one_of(st.sampled_from(IDS), text()), root=st.booleans())
def test_who_called_sudo(uid: str, gid: str, root: bool) -> None:
    """Never root, never "leave it as it is"; and nobody at all for who is not root."""
    with mock.patch.dict(os.environ, {"SUDO_UID": uid, "SUDO_GID": gid, "SUDO_USER": "root"}), \
         mock.patch.object(os, "geteuid", lambda: 0 if root else 1000):  # fmt: skip
        who = privilege.caller()
    if not root:
        assert who is None
    elif who is not None:
        assert 0 < who.uid < (1 << 32) - 1
        assert 0 < who.gid < (1 << 32) - 1
        assert str(who.uid) == uid.lstrip("0")


def ebtop(*argv: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """ebtop to its end, in an odd environment."""
    return subprocess.run([sys.executable, "-m", "ebtop", *argv], capture_output=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment})  # fmt: skip


def one_line(done: subprocess.CompletedProcess[bytes]) -> None:
    """An answer, or one line that says why not."""
    assert b"Traceback" not in done.stderr, done.stderr
    assert not acting(done.stderr.decode().replace("\n", "")), done.stderr
    assert done.stderr.count(b"\n") <= 1, done.stderr


@needs_root
@pytest.mark.parametrize("uid", ["4294967294", "4294967295", "9" * 5000, "٣", "junk"])
def test_sudo_of_nobody(uid: str, tmp_path: Path) -> None:
    """Root has been given up, or cannot be, or nobody called."""
    script = "import os\nfrom ebtop import privilege\nprivilege.become_caller()\nprint(os.getresuid())\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False,
                          env={**os.environ, "SUDO_UID": uid, "SUDO_GID": uid})  # fmt: skip
    one_line(done)
    if uid == "4294967294":
        assert b"(0, " not in done.stdout
    else:
        assert done.stdout.startswith(b"(0, 0, 0)")


@needs_root
def test_root_that_cannot_be_given_up_is_said_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:

    def refuse(_who: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setenv("SUDO_UID", "1000")
    monkeypatch.setenv("SUDO_GID", "1000")
    monkeypatch.setattr(privilege, "give_up", refuse)
    with pytest.raises(SystemExit) as caught:
        privilege.become_caller()
    assert caught.value.code == 3


@pytest.mark.parametrize(
    "environment",
    [{"TERM": "\x1b]0;x\x07"}, {"TERM": ""}, {"TERM": "x" * 10_000}, {"LANG": "xx_YY.\x1b", "LC_ALL": "\x9b"},
    {"LC_ALL": "POSIX"},
     {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"COLUMNS": "9" * 5000, "LINES": "-1"},
     {"COLUMNS": "junk"},
     {"HOME": "\x1b[2J"}, {"HOME": ""}, {"HOME": "/dev/zero"}, {"XDG_CONFIG_HOME": "\n\x1b",
     "XDG_RUNTIME_DIR": "x" * 5000},
     {"NO_COLOR": "\x1b"}, {"TZ": "../../../dev/zero\x1b"}, {"SUDO_UID": "9" * 5000}, {"SUDO_UID": "1",
     "SUDO_GID": "\x1b"},
     {"TMPDIR": "/nowhere/\x1b"}, {"PATH": "\x1b"}],
    ids=lambda e: "-".join(e),
)  # fmt: skip
def test_commands_in_an_odd_environment(environment: dict[str, str]) -> None:
    one_line(listed := ebtop("tools", **environment))
    assert listed.returncode == 0
    assert listed.stdout.count(b"\n") >= 5


@pytest.mark.parametrize("argv", [["run", "nothing"], ["run", "opensnoop", "--", "/nowhere/\x1b"], []])
def test_errors_in_an_odd_environment(argv: Sequence[str]) -> None:
    odd = {"TERM": "\x1b", "COLUMNS": "0", "SUDO_UID": "-5", "HOME": "\x9b", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    one_line(done := ebtop(*argv, **odd))
    assert done.returncode in {2, 3}


@examples(100)
@given(place=raw().map(lambda b: b.replace(b"\0", b"")))
@example(place=b"x" * 5000)
@example(place=b"/dev/zero")
def test_where_the_config_file_is(place: bytes) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME"):
        with mock.patch.dict(os.environ, {name: os.fsdecode(place)}):
            if name == "HOME":
                os.environ.pop("XDG_CONFIG_HOME", None)
            try:
                assert config.load().path is None
            except ConfigError as error:
                assert not acting(sanitise(str(error)))


@examples(100)
@given(term=text())
def test_theme(term: str) -> None:
    assert theme.default_theme({"TERM": term}) in {"ebtop", "ansi-dark"}


@pytest.mark.parametrize("size", ["0", "-1", "1000000000", "9" * 5000, "", "80x24", "٣", " 80", "1e2"])
def test_sizes_that_no_terminal_has_are_not_believed(size: str) -> None:
    environ = {"COLUMNS": size, "LINES": size, "TERM": "xterm"}
    check_size(environ)
    assert environ == {"TERM": "xterm"}
    check_size(kept := {"COLUMNS": "120", "LINES": "999"})
    assert kept == {"COLUMNS": "120", "LINES": "999"}


@pytest.mark.parametrize("name", [b"no\xffexec\x1b[31m", b"\x9b31m", "ś".encode(), b"a\nb"])
def test_a_command_that_is_no_program_says_so_and_is_nobody_else(tmp_path: Path, name: bytes) -> None:
    """Were the child to go on, there would be a second ebtop with the first one's files and threads."""
    path = os.fsencode(tmp_path) + b"/" + name
    with open(path, "wb") as file:
        file.write(b"no program\n")
    os.chmod(path, 0o700)
    reading, writing = os.pipe()
    held = HeldCommand([os.fsdecode(path)], stderr=writing)
    os.close(writing)
    held.release()
    _, status = os.waitpid(held.pid, 0)
    said = b""
    while part := os.read(reading, 65536):
        said += part
    os.close(reading)
    assert os.waitstatus_to_exitcode(status) == 127
    assert said.endswith(b": Exec format error\n")
    assert not acting(said.decode()[:-1])


def test_all_attacks_are_attacks() -> None:
    """The list itself: most of it would act, were it let through."""
    assert sum(bool(acting(a.decode("utf-8", "surrogateescape"))) for a in ATTACKS) > 60
