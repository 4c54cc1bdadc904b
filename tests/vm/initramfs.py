"""What a kernel starts with: busybox, the modules that reach the host's file system, and a first program.

Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst ("newc").
"""

from __future__ import annotations

import gzip
import lzma
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
_WANTED = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "veth")

INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
for module in /modules/*; do insmod $module; done
mount -t devtmpfs dev /dev
mount -t proc proc /proc
nineped() { mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,$3 $1 $2; }
# Nothing that is done in here can change the host: its root is read-only twice, and what is written stays in memory.
nineped hostro /host cache=loose,ro
mount -t tmpfs memory /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work root /root
mkdir -p /root/out
nineped hostout /root/out cache=none
cd /root
for place in proc sys dev; do mkdir -p $place; done
mount -t proc proc proc
mount -t sysfs sys sys
mount -t devtmpfs dev dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs shm dev/shm
mount -t tmpfs run run
mount -t tracefs tracefs sys/kernel/tracing
mount -t debugfs debugfs sys/kernel/debug
mount -t bpf bpf sys/fs/bpf
mount -t cgroup2 cgroup sys/fs/cgroup
ip link set lo up
hostname guest
chroot . /bin/sh /out/run >out/stdout 2>out/stderr </dev/null
echo $? >out/rc
sync
poweroff -f
"""


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def archive(files: Mapping[str, bytes], folders: Iterable[str]) -> bytes:
    """A newc archive; every file may be executed."""
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in folders]
    entries += [(name, stat.S_IFREG | 0o755, content) for name, content in files.items()]
    entries.append(("TRAILER!!!", 0, b""))
    return b"".join(_entry(number, *entry) for number, entry in enumerate(entries, 1))


def _content(module: Path) -> bytes:
    match module.suffix:
        case ".xz":
            return lzma.decompress(module.read_bytes())
        case ".zst":
            return subprocess.run(["zstd", "-dcq", str(module)], check=True, stdout=subprocess.PIPE).stdout
        case _:
            return module.read_bytes()


def in_order(modules: Mapping[str, Path]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the modules wanted, each after those that it names; what is missing is built in."""
    done: set[str] = set()

    def load(name: str) -> Iterator[tuple[str, bytes]]:
        if name in done or name not in modules:
            return
        done.add(name)
        content = _content(modules[name])
        needed = re.search(rb"\0depends=([^\0]*)\0", content)
        for other in needed[1].decode().split(",") if needed else []:
            yield from load(other)
        yield name, content

    for name in _WANTED:
        yield from load(name)


def image(modules: Mapping[str, Path]) -> bytes:
    """The compressed archive for a kernel with these modules."""
    files = {"init": INIT.encode(), "bin/busybox": BUSYBOX.read_bytes()}
    files |= {f"modules/{number:02}-{name}.ko": raw for number, (name, raw) in enumerate(in_order(modules))}
    folders = ["bin", "modules", "dev", "proc", "host", "memory", "root"]
    return gzip.compress(archive(files, folders), 1)
