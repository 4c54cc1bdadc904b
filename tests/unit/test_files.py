"""Files that ebtop makes: where, with which modes, and what it does not follow."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebtop.capture import private
from ebtop.capture.headers import write_tree
from ebtop.outfile import open_output

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="makes files of another user")


@pytest.fixture
def a_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Not root, with a runtime folder; what passes is removed."""
    monkeypatch.setattr(private.os, "geteuid", lambda: 4242)
    monkeypatch.setattr(private, "_OF_USERS", tmp_path / "no such")
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    yield runtime
    private.leave()


@AS_ROOT
def test_a_users_own_runtime_folder_is_taken(a_user: Path) -> None:
    os.chown(a_user, 4242, 4242)
    with pytest.raises(PermissionError, match="not a folder of our own"):
        private.folder()  # root made it here: not that user's
    os.chown(a_user / "ebtop", 4242, 4242)
    assert private.folder() == a_user / "ebtop"
    assert stat.S_IMODE((a_user / "ebtop").stat().st_mode) == 0o700
    (a_user / "ebtop").chmod(0o720)
    with pytest.raises(PermissionError, match="mode 40720"):
        private.folder()


@AS_ROOT
@pytest.mark.parametrize("mode", [0o755, 0o770, 0o1777])
def test_a_runtime_folder_that_others_see_into_is_not(a_user: Path, mode: int) -> None:
    os.chown(a_user, 4242, 4242)
    a_user.chmod(mode)
    assert private.folder().parent != a_user


def test_someone_elses_runtime_folder_is_not(a_user: Path) -> None:
    made = private.folder()
    assert made.parent != a_user
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    private.leave()
    assert not made.exists()


def test_a_link_in_place_of_the_folder(a_user: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(private.os, "geteuid", lambda: 0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(private, "_OF_ROOT", tmp_path / "link")
    (tmp_path / "link").symlink_to(elsewhere)
    with pytest.raises(OSError, match="link"):
        private.folder()


def test_a_temporary_folder_where_anyone_can_rename(
    a_user: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "tmp"
    place.mkdir()
    place.chmod(0o777)
    monkeypatch.setattr(private.tempfile, "tempdir", str(place))
    with pytest.raises(PermissionError, match="lets others rename"):
        private.folder()
    place.chmod(0o1777)
    assert private.folder().parent == place


def test_creating_is_creating(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(FileExistsError):
        private.create(tmp_path / "link", "x")
    assert not target.exists()
    private.create(target, "x")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        private.create(target, "y")


def test_the_header_tree_is_for_us_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(private, "folder", lambda: tmp_path)
    before = os.umask(0o077)  # the keeper's
    tree = write_tree("#define KOFF 1\n")
    os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [tree, *tree.rglob("*")]}
    assert modes == {0o700, 0o600}
    assert write_tree("#define KOFF 1\n") == tree
    assert [path.name for path in tmp_path.iterdir()] == [tree.name]


def test_an_output_file_is_the_users_alone(tmp_path: Path) -> None:
    file = tmp_path / "out"
    with open_output(str(file)) as stream:
        stream.write(b"x" * 100)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    with open_output(str(file)) as stream:
        stream.write(b"y")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"y", 0o644)


def test_output_through_a_link_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    open_output(str(tmp_path / "link")).close()
    assert (tmp_path / "target").exists()
    open_output("/dev/stdout").close()


@AS_ROOT
def test_output_does_not_go_where_someone_else_points(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    os.chown(tmp_path / "link", 4242, 4242, follow_symlinks=False)
    (tmp_path / "trap").write_text("theirs")
    os.chown(tmp_path / "trap", 4242, 4242)
    for name in ("link", "trap"):
        with pytest.raises(OSError, match=r"."):
            open_output(str(tmp_path / name))
    assert not (tmp_path / "victim").exists()
    assert (tmp_path / "trap").read_text() == "theirs"
