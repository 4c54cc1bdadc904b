"""The header tree that BCC compiles against, generated from the running kernel's BTF: no kernel headers needed.

BCC's built-in headers include a few of the kernel's; empty files do for most of them. What the programs read of kernel
structs they name as KREAD(pointer, struct, member) (bpf/include/kernel.h); those names are found in the sources and
their offsets, as BTF has them, become kernel_offsets.h.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from ebtop.capture import private
from ebtop.capture.btf import Member

_USE = re.compile(r"\bK(?:READ|LOAD|GET|ADDR|HAS|OFFSET)\(")

_EMPTY = (
    "include/linux/bpf_common.h",
    "include/uapi/linux/bpf.h",
    "include/uapi/linux/bpf_perf_event.h",
    "include/uapi/linux/if_ether.h",
    "include/uapi/linux/if_packet.h",
    "include/uapi/linux/ptrace.h",
    "include/asm/page.h",
)

_KCONFIG = "#pragma once\n#define CONFIG_BPF_SYSCALL 1\n"

_LOG2 = """#pragma once
#define roundup_pow_of_two(n) (1UL << (64 - __builtin_clzl((unsigned long)(n) - 1)))
"""

_TYPES = """#pragma once
typedef signed char __s8; typedef unsigned char __u8; typedef short __s16; typedef unsigned short __u16;
typedef int __s32; typedef unsigned int __u32; typedef long long __s64; typedef unsigned long long __u64;
typedef __s8 s8; typedef __u8 u8; typedef __s16 s16; typedef __u16 u16;
typedef __s32 s32; typedef __u32 u32; typedef __s64 s64; typedef __u64 u64;
typedef __u8 uint8_t; typedef __u16 uint16_t; typedef __u32 uint32_t; typedef __u64 uint64_t;
typedef __s8 int8_t; typedef __s16 int16_t; typedef __s32 int32_t; typedef __s64 int64_t;
typedef __u16 __be16; typedef __u32 __be32; typedef __u64 __be64; typedef __u16 __le16; typedef __u32 __le32;
typedef __u64 __le64; typedef __u16 __sum16; typedef __u32 __wsum;
typedef unsigned long size_t; typedef long ssize_t; typedef unsigned long uintptr_t; typedef int pid_t;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define PAGE_SIZE 4096
#define __bitwise
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#if defined(__aarch64__)
struct user_pt_regs { __u64 regs[31]; __u64 sp; __u64 pc; __u64 pstate; };
struct pt_regs { __u64 regs[31]; __u64 sp; __u64 pc; __u64 pstate; __u64 orig_x0; __s32 syscallno; };
#else
struct pt_regs {
    unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#endif
"""


def _version() -> str:
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", platform.release())
    major, minor, patch = (int(part or 0) for part in match.groups()) if match else (5, 0, 0)
    code = (major << 16) + (minor << 8) + min(patch, 255)
    return (
        f"#pragma once\n#define LINUX_VERSION_CODE {code}\n"
        "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))\n"
    )


def _last_two(source: str, start: int) -> tuple[str, str] | None:
    """The last two arguments of the call whose parenthesis opens at `start`."""
    depth, commas = 0, []
    for at in range(start, min(len(source), start + 400)):
        char = source[at]
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 1:
            commas.append(at)
        if depth == 0:
            first = commas[-2] if len(commas) > 1 else start
            member = source[commas[-1] + 1 : at].strip() if commas else ""
            struct = source[first + 1 : commas[-1]].strip() if commas else ""
            return (struct, member) if struct.isidentifier() and member.isidentifier() else None
    return None


def used_members(sources: Iterable[str]) -> set[tuple[str, str]]:
    """The (struct, member) pairs that C sources name in KREAD and its kin."""
    pairs = {_last_two(source, use.end() - 1) for source in sources for use in _USE.finditer(source)}
    return {pair for pair in pairs if pair}


def _define(struct: str, name: str, member: Member | None) -> str:
    key = f"{struct}__{name}"
    if member is None:
        return f"#define KHAS_{key} 0\n"
    lines = [f"#define KHAS_{key} 1", f"#define KOFF_{key} {member.offset}"]
    if member.ctype:
        lines.append(f"#define KTYPE_{key} {member.ctype}")
    if member.bit_size:
        lines += [f"#define KBIT_{key} {member.bit_offset}", f"#define KBITS_{key} {member.bit_size}"]
    return "\n".join(lines) + "\n"


class Types(Protocol):
    """What knows the running kernel's structs."""

    def member(self, struct: str, path: str) -> Member | None:
        """A member by its path, None when this kernel has no such struct or member."""


def offsets_header(kernel: Types, sources: Iterable[str]) -> str:
    """kernel_offsets.h: where the running kernel keeps each member that the sources name."""
    pairs = sorted(used_members(sources))
    return "#pragma once\n" + "".join(_define(struct, name, kernel.member(struct, name)) for struct, name in pairs)


def _contents(offsets: str) -> dict[str, str]:
    files = dict.fromkeys(_EMPTY, "#pragma once\n")
    files |= {
        "include/linux/kconfig.h": _KCONFIG,
        "include/linux/types.h": _TYPES,
        "include/linux/version.h": _version(),
        "include/linux/log2.h": _LOG2,
        "include/kernel_offsets.h": offsets,
    }
    return files


def write_tree(offsets: str) -> Path:
    """The tree with this kernel_offsets.h, made whole under a private folder and then named by its content.

    Raises OSError where no folder of our own can be had.
    """
    files = _contents(offsets)
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]
    base = private.folder()
    target = base / f"headers-{digest}"
    if target.is_dir():
        return target
    scratch = Path(tempfile.mkdtemp(prefix="making-", dir=base))
    for name, content in files.items():
        path = scratch / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        private.create(path, content)
    try:
        scratch.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(scratch)  # another ebtop was faster
    return target
