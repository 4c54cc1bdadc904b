"""cgroup ids on a tree of folders, and on the real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebtop.resolve.cgroup import CgroupError, Cgroups, find_mount


@pytest.fixture
def tree(tmp_path: Path) -> str:
    for path in ("system.slice/nginx.service", "system.slice/ssh.service", "user.slice/a b"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "cgroup.procs").touch()
    return str(tmp_path)


@pytest.fixture
def real() -> Iterator[Path]:
    mount = find_mount()
    if not mount or not os.access(mount, os.W_OK):
        pytest.skip("needs a cgroup2 mount that may be written")
    path = Path(mount, f"ebtop-test-{os.getpid()}", "inner")
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        for folder in (path, path.parent):
            if folder.exists():
                folder.rmdir()


def test_ids_are_inodes_and_lead_back(tree: str) -> None:
    cgroups = Cgroups(tree)
    for path in ("/", "/system.slice", "/system.slice/nginx.service", "/user.slice/a b"):
        assert cgroups.id_of(path) == os.stat(tree + path).st_ino
        assert Cgroups(tree).path_of(os.stat(tree + path).st_ino) == path
    assert cgroups.path_of(1 << 62) == ""


@pytest.mark.parametrize(
    "spelling", ["system.slice/ssh.service", "/system.slice/ssh.service/", "//system.slice/./ssh.service"]
)
def test_spellings_of_a_path(tree: str, spelling: str) -> None:
    cgroups = Cgroups(tree)
    assert cgroups.path_of(cgroups.id_of(spelling)) == "/system.slice/ssh.service"
    assert cgroups.id_of(tree + "/system.slice/ssh.service") == cgroups.id_of(spelling)
    assert cgroups.relative(tree) == "/"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/system.slice/nginx.servic", "did you mean /system.slice/nginx.service"),
        ("nginx.service", "did you mean /system.slice/nginx.service?"),
        ("/../../../etc", "there are /"),
        ("cgroup.procs", "no cgroup"),
        ("a\0b", "no cgroup"),
        ("x" * 5000, "no cgroup"),
    ],
)
def test_errors_name_near_paths(tree: str, path: str, hint: str) -> None:
    with pytest.raises(CgroupError, match="no cgroup") as error:
        Cgroups(tree).id_of(path)
    assert hint in str(error.value)


def test_links_lead_nowhere(tree: str) -> None:
    Path(tree, "out").symlink_to("/")
    with pytest.raises(CgroupError):
        Cgroups(tree).id_of("/out")
    assert Cgroups(tree).path_of(os.stat("/").st_ino) != "/out"


def test_the_tree_is_walked_at_most_once_a_second(tree: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("ebtop.resolve.cgroup.time.monotonic", lambda: now[0])
    cgroups = Cgroups(tree)
    assert cgroups.path_of(1 << 62) == ""
    Path(tree, "late").mkdir()
    late = os.stat(f"{tree}/late").st_ino
    assert cgroups.path_of(late) == ""
    now[0] += 1.1
    assert cgroups.path_of(late) == "/late"
    Path(tree, "late").rmdir()
    assert cgroups.path_of(late) == "/late"  # it was known


def test_a_wide_tree_is_bounded(tree: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebtop.resolve.cgroup._MAX_CGROUPS", 3)
    cgroups = Cgroups(tree)
    cgroups.path_of(1 << 62)
    assert len(cgroups._paths) == 3


def test_the_real_tree(real: Path) -> None:
    number = os.stat(real).st_ino
    path = f"/{real.parent.name}/inner"
    by_handle, by_walk = Cgroups(), Cgroups()
    by_walk._by_handle = False
    assert by_walk.path_of(number) == path
    assert by_handle.path_of(number) == path
    assert by_handle.id_of(path) == number
    real.rmdir()
    assert by_handle.path_of(number) == path  # rows of a cgroup that has gone keep its name
    assert Cgroups().path_of(number) == ""
    with pytest.raises(CgroupError):
        by_handle.id_of(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_DAC_READ_SEARCH")
def test_the_kernel_answers_without_a_walk(real: Path) -> None:
    cgroups = Cgroups()
    cgroups.path_of(os.stat(real).st_ino)
    assert cgroups._walked_at == float("-inf")


def test_no_cgroup2() -> None:
    cgroups = Cgroups("")
    assert cgroups.path_of(1) == ""
    with pytest.raises(CgroupError, match="no cgroup2 file system"):
        cgroups.id_of("/")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup"),
        ("31 2 0:7 / /cg/cpu rw - cgroup cgroup rw,cpu\n40 2 0:3 / /cg/unified rw - cgroup2 c rw\n", "/cg/unified"),
        ("50 1 0:26 /some/part /mnt/a rw - cgroup2 c rw\n51 1 0:26 / /mnt/b\\040c rw - cgroup2 c rw\n", "/mnt/b c"),
        ("1 1 0:1 / / rw - ext4 /dev/vda rw\nbroken\n - cgroup2\n", ""),
    ],
)
def test_mounts(tmp_path: Path, lines: str, expected: str) -> None:
    (tmp_path / "mountinfo").write_text(lines)
    assert find_mount(str(tmp_path / "mountinfo")) == expected


def test_no_mountinfo(tmp_path: Path) -> None:
    assert find_mount(str(tmp_path / "none")) == ""
