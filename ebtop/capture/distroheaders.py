"""Layouts of kernel structs where there is no BTF: from the distribution's headers for the running kernel, and tracefs.

BCC is not given these headers themselves: its clang takes seconds for them and stumbles over what newer kernels have.
A C file that names the structs is compiled with gcc, which writes their layouts down as BTF (-gbtf, GCC 12), and from
there everything is as with the kernel's own.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ebtop.capture import private, tracefs
from ebtop.capture.btf import BtfError, KernelTypes, Member

REMEDY = "a kernel with BTF (CONFIG_DEBUG_INFO_BTF=y) is needed, or the headers of this one and gcc 12 or newer"

_COMPILERS = ("gcc", "gcc-15", "gcc-14", "gcc-13", "gcc-12")
_SEARCHED = "/usr/local/bin:/usr/bin:/bin"
_ARCHITECTURE = {"x86_64": "x86", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
_FLAGS = ("-c", "-gbtf", "-O2", "-w", "-std=gnu11", "-fms-extensions", "-fshort-wchar", "-D__KERNEL__")
_COMPILE_S = 120

_INCLUDED = (
    "linux/sched.h", "linux/sched/signal.h", "linux/mm_types.h", "linux/fs.h", "linux/fs_struct.h", "linux/fdtable.h",
    "linux/mount.h", "linux/dcache.h", "linux/path.h", "linux/binfmts.h", "linux/cgroup.h", "linux/kernfs.h",
    "linux/net.h", "net/sock.h", "net/inet_sock.h", "net/af_unix.h", "linux/cred.h", "linux/user_namespace.h",
)  # fmt: skip

# fs/mount.h comes with no headers package; these members have come first and in this order since Linux 3.13.
_PRIVATE = """struct mount {
    struct hlist_node mnt_hash;
    struct mount *mnt_parent;
    struct dentry *mnt_mountpoint;
    struct vfsmount mnt;
};
"""

_EVENT, _EXIT = "trace_event_raw_", "syscall_trace_exit"
_FIELD = re.compile(r"^\s*field:(.*?)(\w+)(\[[^;]*\])?;\s*offset:(\d+);\s*size:(\d+);\s*signed:(\d);", re.MULTILINE)


class HeaderTypes:
    """Answers what members the running kernel's structs have, for the structs named.

    Raises BtfError when the headers are missing, are another kernel's, or cannot be compiled.
    """

    def __init__(self, structs: Iterable[str], release: str = "", modules: str = "/lib/modules") -> None:
        release = release or platform.release()
        self.build = Path(modules, release, "build")
        _check(self.build, release)
        with tempfile.TemporaryDirectory(prefix="layouts-", dir=private.folder()) as folder:
            self._types = KernelTypes(_compiled(self.build, _source(structs), Path(folder)))

    def tracepoint_id(self, name: str) -> int:  # noqa: ARG002
        """None: without BTF there is no tp_btf."""
        return 0

    def iterator_id(self, name: str) -> int:  # noqa: ARG002
        """None, for the same reason."""
        return 0

    def member(self, struct: str, path: str) -> Member | None:
        """A member by its path, None when there is no such struct or member."""
        return in_tracefs(struct, path) if is_in_tracefs(struct) else self._types.member(struct, path)


def _source(structs: Iterable[str]) -> str:
    # The first must be there; some of the others come and go with versions.
    includes = f"#include <{_INCLUDED[0]}>\n"
    includes += "".join(f"#if __has_include(<{name}>)\n#include <{name}>\n#endif\n" for name in _INCLUDED[1:])
    return includes + _PRIVATE + "".join(f"struct {name} *ebtop_{name};\n" for name in sorted(set(structs)))


def _check(build: Path, release: str) -> None:
    """Headers of another kernel would lie in silence."""
    try:
        told = (build / "include" / "generated" / "utsrelease.h").read_text()
        config = (build / "include" / "generated" / "autoconf.h").read_text()
    except OSError as error:
        raise BtfError(f"there are no headers of {release} in {build}: {error.strerror}") from error
    if f'"{release}"' not in told:
        raise BtfError(f"the headers in {build} are of another kernel than {release}")
    if re.search(r"^#define CONFIG_(GCC_PLUGIN_)?RANDSTRUCT 1$", config, re.MULTILINE):
        raise BtfError("this kernel's structs are laid out at random (CONFIG_RANDSTRUCT), which headers do not tell")


def _command(compiler: str, build: Path) -> list[str]:
    source = build.parent / "source"
    common = source if source.is_dir() else build
    arch = f"arch/{_ARCHITECTURE}/include"
    places = [
        common / arch, build / arch / "generated", common / "include", build / "include", common / arch / "uapi",
        build / arch / "generated/uapi", common / "include/uapi", build / "include/generated/uapi",
    ]  # fmt: skip
    first = [common / "include/linux" / name for name in ("compiler-version.h", "kconfig.h", "compiler_types.h")]
    command = [compiler, *_FLAGS, *(f"-I{place}" for place in places)]
    for name in first:
        command += ["-include", str(name)] if name.exists() else []
    return command


def _compiled(build: Path, source: str, folder: Path) -> str:
    """The path of an object file with the layouts. Raises BtfError with what the compilers said."""
    file, target = folder / "layouts.c", folder / "layouts.o"
    private.create(file, source)
    told = "gcc is not installed"
    for name in _COMPILERS:
        compiler = shutil.which(name, path=_SEARCHED)
        if compiler is None:
            continue
        told = _compile([*_command(compiler, build), "-o", str(target), str(file)])
        if not told:
            return str(target)
    raise BtfError(f"the headers in {build} give no layouts: {told}")


def _compile(command: list[str]) -> str:
    """ "" when it worked, else the compiler's first complaint."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_COMPILE_S, env={"PATH": _SEARCHED}
        )
    except subprocess.TimeoutExpired as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return next((line for line in done.stderr.splitlines() if "error" in line), "it failed without a word")


def is_in_tracefs(struct: str) -> bool:
    """Is it the record of a tracepoint, which no header declares?"""
    return struct.startswith(_EVENT) or struct == _EXIT


def in_tracefs(struct: str, name: str) -> Member | None:
    """A field of a tracepoint's record, as tracefs describes it; None when there is no such."""
    event = "syscalls/sys_exit_*" if struct == _EXIT else f"*/{struct.removeprefix(_EVENT)}"
    place = tracefs.found()
    file = next((place / "events").glob(f"{event}/format"), None) if place else None
    for of_type, field, array, offset, size, signed in _FIELD.findall(file.read_text()) if file else ():
        if field == name:
            number = f"{'s' if signed == '1' else 'u'}{int(size) * 8}"
            return Member(int(offset), int(size), "" if array else "void *" if "*" in of_type else number)
    return None


def kernel_types(structs: Iterable[str]) -> tuple[KernelTypes | HeaderTypes, str]:
    """What tells the running kernel's layouts, and a note where it is not BTF.

    Raises BtfError with all that was tried.
    """
    try:
        return KernelTypes(), ""
    except BtfError as without:
        try:
            types = HeaderTypes(structs)
        except BtfError as neither:
            raise BtfError(f"{without}; {neither}") from neither
        return types, f"{without}; its structs are taken to be as in the headers in {types.build}"
