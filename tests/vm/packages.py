"""Kernels from the distribution's archive, unpacked into a cache folder: nothing is installed, /boot is not touched."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

from ebtop import privilege

ARCHITECTURE = "amd64"
FLAVOURS = ("", "cloud", "rt")
_OF_A_KERNEL = (
    "./boot/vmlinuz-*",
    *(f"*/kernel/fs/{name}/*" for name in ("9p", "fscache", "fuse", "netfs", "overlayfs")),
    "*/kernel/net/9p/*",
    "*/kernel/drivers/virtio/*",
    "*/kernel/drivers/net/veth.ko*",
)
_OF_HEADERS = ("./usr/src/*",)
_APT = Lock()


class UnavailableError(Exception):
    """A kernel cannot be had here; the message says why."""


def cache_folder() -> Path:
    """Where kernels stay between runs: in the home of whoever called sudo."""
    caller = privilege.caller()
    if caller:
        return Path(caller.home, ".cache", "ebtop-vm")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "ebtop-vm")


def _apt(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(arguments), capture_output=True, text=True, check=False, cwd=cwd)


def _numbers(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", name)]


def _listed(version: str, flavour: str) -> list[str]:
    """The releases that apt has a kernel of, newest first: `6.1.0-56-amd64`."""
    ending = f"-{flavour}-{ARCHITECTURE}" if flavour else rf"(?<!-cloud)(?<!-rt)-{ARCHITECTURE}"
    # 6.1.0-56-amd64, 6.12.117+deb12-amd64: a name without a third number is a meta-package.
    pattern = re.compile(rf"linux-image-({re.escape(version)}\.\d[\w.+]*(-\d+)?{ending})")
    names = _apt("apt-cache", "pkgnames", f"linux-image-{version}.").stdout.split()
    releases = [found[1] for name in names if (found := pattern.fullmatch(name))]
    return sorted(releases, key=_numbers, reverse=True)


def _location(package: str) -> str:
    """The file name of a package in the archive, "" when there is only its name."""
    told = _apt("apt-get", "download", "--print-uris", package).stdout.split()
    return told[1] if len(told) > 1 else ""


def _refresh() -> None:
    """Have apt learn what there is now; without the right to, what it knows must do."""
    _apt(*([] if os.geteuid() == 0 else ["sudo", "-n"]), "apt-get", "update", "-qq")


def newest(version: str, flavour: str) -> str:
    """The newest release that can be had. Raises UnavailableError."""
    with _APT:
        for refreshed in (False, True):
            for release in _listed(version, flavour):
                if _location(f"linux-image-{release}"):
                    return release
            if not refreshed:
                _refresh()
    kind = f"{flavour} " if flavour else ""
    raise UnavailableError(f"apt has no {kind}kernel {version} for {ARCHITECTURE}")


def _download(package: str, into: Path) -> Path:
    with _APT:
        done = _apt("apt-get", "download", "-qq", package, cwd=into)
    found = list(into.glob("*.deb"))
    if done.returncode or not found:
        last = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise UnavailableError(f"apt cannot download {package}: {last}")
    return found[0]


def _extract(deb: Path, into: Path, patterns: tuple[str, ...]) -> None:
    into.mkdir()
    unpacker = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE)
    # A pattern may match nothing: what is a module in one kernel is built into another.
    command = ["tar", "--extract", "--no-same-owner", "--wildcards", f"--directory={into}", *patterns]
    subprocess.run(command, stdin=unpacker.stdout, stderr=subprocess.DEVNULL, check=False)
    if unpacker.wait() or not any(into.iterdir()):
        raise UnavailableError(f"{deb.name} is damaged")


def unpacked(package: str, patterns: tuple[str, ...]) -> Path:
    """The folder with a package's files that match, fetched unless it is there. Raises UnavailableError.

    It appears under its name only when it is whole.
    """
    target = cache_folder() / package
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetching-") as scratch:
        deb = _download(package, Path(scratch))
        tree = Path(scratch, "tree")
        _extract(deb, tree, patterns)
        tree.chmod(0o755)
        _hand_over(tree)
        shutil.move(tree, target)
    return target


def _hand_over(tree: Path) -> None:
    """To whoever called sudo."""
    caller = privilege.caller()
    if caller:
        for path in [tree.parent.parent, tree, *tree.rglob("*")]:
            os.chown(path, caller.uid, caller.gid, follow_symlinks=False)


@dataclass(frozen=True)
class Kernel:
    """A kernel by what it is asked for as: 6.1, 6.12-cloud, 6.1-rt."""

    name: str

    @cached_property
    def release(self) -> str:
        """What `uname -r` says on it. Raises UnavailableError."""
        if platform.machine() != "x86_64":
            raise UnavailableError("the guest runs this machine's programs, and only x86-64 is emulated here")
        version, _, flavour = self.name.partition("-")
        if flavour not in FLAVOURS or not re.fullmatch(r"\d+\.\d+", version):
            raise UnavailableError(f"{self.name!r} is no kernel: 6.1, 6.12-cloud and 6.1-rt would be")
        return newest(version, flavour)

    @cached_property
    def folder(self) -> Path:
        """The unpacked package: the kernel, and the modules that mount file systems of the host."""
        return unpacked(f"linux-image-{self.release}", _OF_A_KERNEL)

    @property
    def image(self) -> Path:
        """The kernel itself."""
        return self.folder / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> dict[str, Path]:
        """Module files by the name that the kernel gives them."""
        files = self.folder.rglob("*.ko*")
        return {file.name.split(".ko")[0].replace("-", "_"): file for file in files}

    @cached_property
    def headers(self) -> list[tuple[str, Path]]:
        """(where they belong, where they are unpacked): the headers of this kernel. Raises UnavailableError."""
        own = f"linux-headers-{self.release}"
        flavour = "-rt" if self.name.endswith("-rt") else ""
        base = re.sub(rf"(-(cloud|rt))?-{ARCHITECTURE}$", "", self.release)
        names = [own, f"linux-headers-{base}-common{flavour}"]
        return [(f"/usr/src/{name}", unpacked(name, _OF_HEADERS) / "usr" / "src" / name) for name in names]
