"""A recording's file is ours alone, whoever else may write to the folder."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from ebtop.record.newfile import NewFile, PlaceError
from ebtop.record.writer import RecordingWriter
from tests.unit.recordings import TOOLS, read, ticks

BESIDE = ("-wal", "-shm", "-journal")


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("mine")
    with pytest.raises(PlaceError, match="exists; --force replaces it"):
        RecordingWriter(tmp_path / "r")
    assert (tmp_path / "r").read_text() == "mine"
    with RecordingWriter(tmp_path / "r", force=True, tools=TOOLS) as writer:
        writer.add(ticks(1)[0])
    assert len(read(tmp_path / "r")) == 1


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("end", ["", *BESIDE])
def test_links_are_not_followed(tmp_path: Path, end: str, force: bool) -> None:
    (tmp_path / "precious").write_text("precious")
    for to in ("precious", "nothing"):
        link = tmp_path / f"r{end}"
        link.symlink_to(tmp_path / to)
        with pytest.raises(PlaceError, match="no regular file"):
            NewFile(tmp_path / "r", force=force)
        link.unlink()
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("end", BESIDE)
def test_what_sqlite_would_take_for_its_own_is_refused(tmp_path: Path, end: str) -> None:
    (tmp_path / f"r{end}").write_bytes(b"what someone put there")
    with pytest.raises(PlaceError, match="left from an earlier recording; --force"):
        NewFile(tmp_path / "r", force=False)
    assert [p.name for p in tmp_path.iterdir()] == [f"r{end}"]
    RecordingWriter(tmp_path / "r", force=True).close()
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_nothing_but_regular_files_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("folder", "fifo"):
        with pytest.raises(PlaceError, match="no regular file"):
            NewFile(tmp_path / name, force=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_someone_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "r").touch()
    os.chown(tmp_path / "r", 65534, 65534)
    with pytest.raises(PlaceError, match="someone else"):
        NewFile(tmp_path / "r", force=True)


def test_a_folder_where_anyone_can_replace_files_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PlaceError, match="choose another"):
        NewFile(tmp_path / "r", force=False)
    tmp_path.chmod(0o1777)
    RecordingWriter(tmp_path / "r").close()


def test_files_are_private_while_it_is_written(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with RecordingWriter(tmp_path / "r", tools=TOOLS) as writer:
            writer.add(ticks(1)[0])
            writer.commit()
            modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys(["r", "r-wal", "r-shm", "r-journal"], 0o600)
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_a_file_that_was_exchanged_is_noticed(tmp_path: Path) -> None:
    made = NewFile(tmp_path / "r", force=False)
    (tmp_path / "r").unlink()
    database = sqlite3.connect(tmp_path / "r")
    database.execute("CREATE TABLE t (a)")
    with pytest.raises(PlaceError, match="replaced"):
        made.check()
    database.close()


def test_no_folder_no_recording(tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match=r"cannot write .*No such file"):
        NewFile(tmp_path / "none" / "r", force=False)
