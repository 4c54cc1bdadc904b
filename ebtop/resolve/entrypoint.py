"""Where at the start of a function a probe costs least.

Linux emulates a few first instructions (push, nop, jmp, call); any other is executed out of line in single steps, which
costs some twenty times as much per hit. Functions that are built with -fcf-protection begin with endbr64, which is such
another; the push that often follows is not.

Go's functions begin with a look whether their stack has room, and begin anew once it was moved to where there is: the
entry is passed twice then. Behind that look each call passes once, its arguments still in their registers.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import numpy as np

from ebtop.resolve.elflayout import ElfError, ElfImage

EM_X86_64: Final = 62
_ENDBR64 = b"\xf3\x0f\x1e\xfa"
_MOST_BODY = 1 << 16

# The stack pointer, less what a larger frame takes, against g.stackguard0 or 1 (g is in r14), then jbe: stacksplit in
# cmd/internal/obj/x86/obj6.go of Go's sources, since 1.17.
_STACK_CHECK = re.compile(
    rb"(?:\x49\x3b\x66[\x10\x18]"
    rb"|(?:\x4c\x8d(?:\x64\x24.|\xa4\x24.{4})|\x49\x89\xe4\x49\x81\xec.{4}(?:\x72.|\x0f\x82.{4}))\x4d\x3b\x66[\x10\x18])"
    rb"(?:\x76.|\x0f\x86.{4})",
    re.DOTALL,
)


class EntryPoint(NamedTuple):
    """A file offset to attach to, how many bytes behind the entry it lies, and in words why."""

    offset: int
    moved: int
    reason: str


def cheap_entry(image: ElfImage, fd_offset: int, size: int) -> EntryPoint:
    """The cheapest place to attach to at a function, by its file offset and its size (0 when unknown).

    It is hit exactly once per call, as the entry itself is: behind an endbr64 when a push of a register follows that
    nothing in the function jumps to, otherwise the entry. Raises ElfError when the function is not in the file.
    """
    if image.machine != EM_X86_64 or not image.wide:
        return EntryPoint(fd_offset, 0, "the entry itself")
    available = max(0, min(size or len(_ENDBR64) + 2, _MOST_BODY, image.file_size - fd_offset))
    body = image.read(fd_offset, available)
    if not body:
        raise ElfError("the function is not in the file")
    if not body.startswith(_ENDBR64):
        return EntryPoint(fd_offset, 0, "the entry itself")
    if not _is_push(body[4:6]):
        return EntryPoint(fd_offset, 0, "the entry itself: no push follows its endbr64")
    if size == 0 or size > _MOST_BODY:
        return EntryPoint(fd_offset, 0, "the entry itself: the function's size is not known, or very large")
    if _may_be_jumped_to(body, len(_ENDBR64)):
        return EntryPoint(fd_offset, 0, "the entry itself: something in the function may jump behind its endbr64")
    return EntryPoint(fd_offset + 4, 4, "behind endbr64, at a push, which the kernel emulates instead of stepping")


def go_entry(image: ElfImage, fd_offset: int, size: int) -> EntryPoint:
    """Where each call of a function of a Go program passes exactly once: behind its check of the stack, if it has one
    and nothing else leads there. Raises ElfError when the function is not in the file."""
    available = max(0, min(size, _MOST_BODY + 1, image.file_size - fd_offset))
    body = image.read(fd_offset, available) if image.machine == EM_X86_64 and image.wide else b""
    check = _STACK_CHECK.match(body)
    if check is None:
        return cheap_entry(image, fd_offset, size)
    if size > _MOST_BODY or _may_be_jumped_to(body, check.end()):
        return EntryPoint(fd_offset, 0, "the entry itself, which is passed twice when the stack has to grow")
    return EntryPoint(fd_offset + check.end(), check.end(), "behind the check of the stack, which may run twice")


def _is_push(code: bytes) -> bool:
    """Whether a push of a 64-bit register begins here: 50+r, or 41 50+r."""
    return len(code) == 2 and (0x50 <= code[0] <= 0x57 or (code[0] == 0x41 and 0x50 <= code[1] <= 0x57))


def _may_be_jumped_to(body: bytes, target: int) -> bool:
    """Whether bytes in a function could be a jump to one of its own, wherever its instructions begin."""
    code = np.frombuffer(body, np.uint8)
    after = np.arange(2, len(code) + 1)  # where a short jump ends
    opcode, distance = code[:-1], code[1:].astype(np.int8)
    short = (opcode == 0xEB) | ((opcode >= 0x70) & (opcode <= 0x7F)) | ((opcode >= 0xE0) & (opcode <= 0xE3))
    if bool(np.any(short & (after + distance == target))):
        return True
    if len(code) < 5:
        return False
    far = np.lib.stride_tricks.sliding_window_view(code[1:], 4).copy().view("<i4")[:, 0]
    before = code[: len(far)]
    conditional = np.zeros(len(far), np.bool_)
    conditional[1:] = (code[: len(far) - 1] == 0x0F) & (before[1:] >= 0x80) & (before[1:] <= 0x8F)
    long = (before == 0xE9) | conditional
    return bool(np.any(long & (np.arange(5, 5 + len(far)) + far == target)))
