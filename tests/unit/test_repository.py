"""What must stay true of the repository as a whole: its layout, its names and what its documents say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ebtop
from ebtop import registry

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ALSO_A_KIND = {"profile": {ROOT / "ebtop" / "attachpoint.py"}}
"""Where a word that is a tool's name is one for a kind of attach point."""
COMMON_WORD = "probe"
"""The name of the tool whose subject all tools have: each attaches probes."""
NAMES = [tool.name for tool in registry.tools()]
SOURCES = sorted((ROOT / "ebtop").rglob("*.py")) + sorted((ROOT / "ebtop").rglob("*.tcss"))
CODE = [*SOURCES, *sorted((ROOT / "bpf").rglob("*.[ch]")), *sorted((ROOT / "tests").rglob("*.py"))]


def test_no_tool_is_broken() -> None:
    assert registry.broken() == ()
    assert len(NAMES) >= 5


def _mentions(path: Path, name: str) -> list[str]:
    """Where a tool's name occurs in a file."""
    text = path.read_text()
    word = re.compile(rf"(?<![\w-]){name}(?![\w-])")
    lines = enumerate(text.splitlines(), 1)
    return [f"{path.relative_to(ROOT)}:{number}: {line.strip()}" for number, line in lines if word.search(line)]


@pytest.mark.parametrize("name", NAMES)
def test_a_tool_is_named_in_its_own_files_only(name: str) -> None:
    if name == COMMON_WORD:
        pytest.skip("the word for any attach point, in code and comments everywhere")
    own = {ROOT / "ebtop" / "tools" / f"{name}.py"} | ALSO_A_KIND.get(name, set())
    assert [mention for path in SOURCES if path not in own for mention in _mentions(path, name)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_tool_is_a_program_a_declaration_and_a_test(name: str) -> None:
    assert (ROOT / "bpf" / f"{name}.c").is_file()
    assert (ROOT / "tests" / "kernel" / f"test_{name}.py").is_file()


def test_hotkeys_are_unique() -> None:
    keys = [tool.key for tool in registry.tools()]
    assert len(set(keys)) == len(keys)


def test_readme_lists_each_tool_as_it_declares_itself() -> None:
    rows = re.findall(r"^\| `(.)` \| (\w+) \| (.+?) \|$", README, re.MULTILINE)
    assert rows == [(tool.key, tool.name, tool.title) for tool in registry.tools()]


def test_documents_link_to_files_that_exist() -> None:
    for document in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / document).read_text())
        assert [target for target in targets if not (ROOT / target).is_file()] == [], document


def test_readme_shows_each_pane() -> None:
    assert [name for name in NAMES if f"screenshots/{name}.png" not in README] == []


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == ebtop.__version__
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_bpf_programs_name_their_licence() -> None:
    licence = "/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */"
    programs = [path for path in CODE if path.suffix in {".c", ".h"}]
    assert programs
    assert [path.name for path in programs if path.read_text().splitlines()[0] != licence] == []


def test_files_stay_short_enough_to_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in CODE}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}


def test_no_file_is_named_after_nothing() -> None:
    assert [p.name for p in CODE if p.stem in {"utils", "util", "core", "manager", "helpers", "misc", "common"}] == []


def test_nothing_but_the_known_stands_at_the_top() -> None:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone, to tell what belongs to the repository")
    # Whoever runs the tests as root need not own the clone.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files"]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}
    allowed = {"bpf", "ebtop", "tests", "screenshots", ".ci", "pyproject.toml", "Makefile", ".gitignore"}
    assert top - allowed - {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"} == set()


def test_what_needs_no_screen_does_not_load_one() -> None:
    packages = ("source", "model", "tools", "export", "record", "capture", "resolve")
    modules = ["ebtop.registry"] + [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in packages
        for path in sorted((ROOT / "ebtop" / package).glob("*.py"))
        if path.stem != "__main__"
    ]
    script = f"import importlib, sys\nfor m in {modules}: importlib.import_module(m)\nprint('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


@pytest.mark.parametrize("started", ["ebtop.capture.capture", "ebtop.capture.compiler", "ebtop.ui.app", "ebtop.cli",
                                     "ebtop.commands.run", "ebtop.commands.record", "ebtop.commands.dashboard",
                                     "ebtop.source.live"])  # fmt: skip
def test_a_start_need_not_wait_for_what_finds_and_plans_attach_points(started: str) -> None:
    """Not before somebody asks for some, which most never do."""
    script = f"import {started}, ebtop.registry, sys; ebtop.registry.tools(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    late = r"ebtop\.probing\.(?!plan$).*|elftools|ebtop\.capture\.(making|planning|pointplans|userplanning|trial)"
    late += (
        r"|ebtop\.capture\.points\.(?!events$|finder$).*|ebtop\.resolve\.(binary|binaryname|dwarf.*|usdt.*|function.*)"
    )
    assert started in done.stdout.split()
    assert [name for name in done.stdout.split() if re.fullmatch(late, name)] == []
