"""`--format folded`: Brendan Gregg's folded stacks, a line each: `comm;caller;callee count`, root first.

Frames of the kernel end in `_[k]`, as bcc's and perf's readers of stacks write them. What the format has no place for
is written as an escape that can be turned back: `\\x3b` is a semicolon, `\\\\` a backslash.
"""

from __future__ import annotations

import re
from collections import Counter

from ebtop.export.escapes import UNNAMED, escape, escaped
from ebtop.export.exporter import ByteStream, encoding
from ebtop.export.stackcounts import StackCounts
from ebtop.sanitise import sanitise
from ebtop.tick import Frame, Stack

_KERNEL = "_[k]"
_PART = re.compile(r";|^\s|\s$")


def write(counts: StackCounts, stream: ByteStream) -> None:
    """All stacks; those of several processes with one name are added up. OSError is let out."""
    added: Counter[str] = Counter()
    for stack in counts.stacks:
        added[line(stack)] += stack.count
    clean = sanitise if stream.isatty() else str
    for text, count in added.items():
        stream.write(f"{clean(text)} {count}\n".encode(encoding(stream), "backslashreplace"))
    stream.flush()


def line(stack: Stack) -> str:
    """A stack without its count."""
    return ";".join([_name(stack.comm), *map(_frame, stack.frames)])


def _frame(frame: Frame) -> str:
    name = _name(frame.name)
    if frame.kernel:
        return name + _KERNEL
    return name.removesuffix(_KERNEL) + "_\\x5bk]" if name.endswith(_KERNEL) else name  # nobody passes for the kernel


def _name(text: str) -> str:
    return _PART.sub(lambda match: escape(match[0]), escaped(text)) or UNNAMED
