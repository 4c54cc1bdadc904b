"""Layouts from headers, where there is no BTF: compiled from a tree that looks like a distribution's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ebtop.capture.btf import BtfError, Member
from ebtop.capture.distroheaders import HeaderTypes

RELEASE = "9.9.9-made-up"
SCHED = """
struct hlist_node { struct hlist_node *next, **pprev; };
struct vfsmount { void *mnt_root; };
struct wrapped { int counter; };
struct task_struct {
    char before[13];
    unsigned short narrow;
    union { struct { long deep; void *pointer; }; char bytes[40]; };
    struct wrapped live;
    unsigned first : 3, second : 5;
};
"""

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None
    or subprocess.run(
        ["gcc", "-gbtf", "-xc", "-c", "-o/dev/null", "/dev/null"], check=False, capture_output=True
    ).returncode
    != 0,
    reason="needs gcc 12 or newer",
)


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """What /lib/modules would be."""
    files = {
        "generated/utsrelease.h": f'#define UTS_RELEASE "{RELEASE}"\n',
        "generated/autoconf.h": "#define CONFIG_SMP 1\n",
        "linux/sched.h": SCHED,
        "linux/kconfig.h": "#define FROM_KCONFIG 1\n",
    }
    for name, text in files.items():
        file = tmp_path / RELEASE / "build" / "include" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_members_are_where_the_compiler_puts_them(modules: Path) -> None:
    types = HeaderTypes(["task_struct", "mount", "not_there"], RELEASE, str(modules))
    assert types.member("task_struct", "narrow") == Member(14, 2, "u16")
    assert types.member("task_struct", "pointer") == Member(24, 8, "void *")
    assert types.member("task_struct", "live") == Member(56, 4, "s32")
    assert types.member("task_struct", "state") is None
    assert types.member("not_there", "member") is None
    assert types.member("mount", "mnt_parent") == Member(16, 8, "void *")
    bits = types.member("task_struct", "second")
    assert bits is not None
    assert (bits.bit_offset, bits.bit_size) == (60 * 8 + 3, 5)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("generated/utsrelease.h", '#define UTS_RELEASE "6.1.0-1-amd64"\n', "of another kernel"),
        ("generated/autoconf.h", "#define CONFIG_RANDSTRUCT 1\n", "at random"),
        ("linux/sched.h", "#error not today\n", "no layouts: .*not today"),
    ],
)
def test_headers_that_would_lie_are_refused(modules: Path, file: str, text: str, said: str) -> None:
    (modules / RELEASE / "build" / "include" / file).write_text(text)
    with pytest.raises(BtfError, match=said):
        HeaderTypes(["task_struct"], RELEASE, str(modules))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BtfError, match=f"no headers of {RELEASE} in {tmp_path}"):
        HeaderTypes(["task_struct"], RELEASE, str(tmp_path))
