"""Attach points in files that have no name here: in another mount namespace, deleted, replaced."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ebtop.probing.plan import Mode, Plan, Probing
from ebtop.tick import Focus, Load, Phase, SetFocus, Tick
from tests import loads
from tests.kernel.ebtop import run, started
from tests.kernel.screen import Screen, stands
from tests.namespaces import need_mounts

pytestmark = pytest.mark.native
CALLS = 53


class Elsewhere:
    """A shell in a mount namespace of its own, with a copy of a program that is there only, and its main."""

    def __init__(self, folder: Path) -> None:
        need_mounts()
        self.program = folder / "inside" / "calls"
        self.program.parent.mkdir()
        script = f"mount -t tmpfs none {self.program.parent} && cp {loads.build('calls')} {self.program} && echo up"
        script += '\nwhile read command; do eval "$command"; echo done; done'
        self._shell = started(
            ["unshare", "-m", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._shell.pid
        self._answer()

    def _answer(self) -> str:
        assert self._shell.stdout
        return self._shell.stdout.readline()

    def does(self, command: str) -> None:
        """Have the shell do something, and wait for it."""
        assert self._shell.stdin
        self._shell.stdin.write(f"{command} > /dev/null\n")
        self._shell.stdin.flush()
        assert self._answer() == "done\n"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path)


def counted(elsewhere: Elsewhere, spec: str, focus: Focus = Focus()) -> dict[str, int]:  # noqa: B008  it cannot be changed
    """How often a function is hit while the program runs once."""
    screen = Screen()
    screen.source.send(SetFocus(focus))
    screen.source.send(Load("probe", probing=Probing((f"{spec}:calls_add",), Mode.COUNT)))
    screen.comes(stands("probe", Phase.RUNNING))
    elsewhere.does(f"{elsewhere.program} {CALLS}")
    screen.stop()
    (plan,) = (m for m in screen.messages if isinstance(m, Plan))
    rows = [m.rows for m in screen.messages if isinstance(m, Tick) and m.rows is not None]
    screen.source.close()
    screen.keeper.close()
    return {plan.points[0].name: sum(int(row["count"].sum()) for row in rows)}


def test_a_program_of_a_container(elsewhere: Elsewhere) -> None:
    assert not elsewhere.program.exists()
    spec = f"uprobe:/proc/{elsewhere.pid}/root{elsewhere.program}"
    assert counted(elsewhere, spec) == {f"{spec}:calls_add": CALLS}
    missing = run("run", "probe", "-p", f"uprobe:{elsewhere.program}:calls_add", "--duration", "1")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "no such file" in missing.stderr


@pytest.mark.parametrize("here", ["", "another file of that name"])
def test_with_a_focus_on_a_process_its_files_are_meant(elsewhere: Elsewhere, here: str) -> None:
    if here:
        shutil.copy("/bin/true", elsewhere.program)
    spec = f"uprobe:{elsewhere.program}"
    assert counted(elsewhere, spec, Focus((elsewhere.pid,), follow=True)) == {f"{spec}:calls_add": CALLS}


@pytest.mark.parametrize("after", ["deleted", "replaced"])
def test_a_program_that_runs_and_has_no_name_any_more(tmp_path: Path, after: str) -> None:
    program = tmp_path / "calls"
    shutil.copy(loads.build("calls"), program)
    process = started([program, "10000000", "1"], stdout=subprocess.DEVNULL)
    while not os.readlink(f"/proc/{process.pid}/exe").endswith("/calls"):
        pass
    program.unlink()
    if after == "replaced":
        shutil.copy("/bin/true", program)
    by_exe = run("run", "probe", "-p", f"uprobe:/proc/{process.pid}/exe:calls_*", "--mode", "count", "--hot",
                 "--duration", "1", "--format", "json")  # fmt: skip
    assert (by_exe.returncode, "calls_" in by_exe.stdout) == (0, True), by_exe.stderr
    by_name = run("run", "probe", "-p", f"uprobe:{program}:calls_*", "--mode", "count", "--hot", "--duration", "1",
                  "--pid", str(process.pid), "--format", "json")  # fmt: skip
    assert (by_name.returncode, '"type":"row"' in by_name.stdout) == (0, True), by_name.stderr
    assert process.poll() is None
