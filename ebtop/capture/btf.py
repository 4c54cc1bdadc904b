"""Where the running kernel keeps what: offsets, sizes and kinds of struct members, from its BTF through libbpf.

Layouts: Linux Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import ctypes
import errno
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FUNC = 1, 2, 3, 4, 5, 6, 12
_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG, _ENUM64 = 8, 9, 10, 11, 18, 19
_TRANSPARENT = frozenset({_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG})
_SIGNED = 1


class BtfError(Exception):
    """This kernel has no usable BTF, or libbpf cannot read it."""


class _Type(ctypes.Structure):
    _fields_ = [("name_off", ctypes.c_uint32), ("info", ctypes.c_uint32), ("size_or_type", ctypes.c_uint32)]


class _Member(ctypes.Structure):
    _fields_ = [("name_off", ctypes.c_uint32), ("type", ctypes.c_uint32), ("offset", ctypes.c_uint32)]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a struct. `ctype` is how C reads it ("u32", "void *"), "" for a struct or an array.

    `offset` and `size` are bytes; for a bit field `bit_size` is not 0 and `bit_offset` counts from the struct's start.
    """

    offset: int
    size: int
    ctype: str
    bit_offset: int = 0
    bit_size: int = 0


def _library() -> Any:
    for name in ("libbpf.so.1", "libbpf.so.0"):
        try:
            return _declare(ctypes.CDLL(name, use_errno=True))
        except OSError:
            continue
    raise BtfError("libbpf is missing (Debian and Ubuntu: libbpf1)")


def _declare(lib: Any) -> Any:
    for name, result, args in (
        ("btf__parse", ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_void_p]),
        ("btf__free", None, [ctypes.c_void_p]),
        ("btf__find_by_name_kind", ctypes.c_int32, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]),
        ("btf__type_by_id", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_uint32]),
        ("btf__name_by_offset", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_uint32]),
        ("btf__resolve_size", ctypes.c_int64, [ctypes.c_void_p, ctypes.c_uint32]),
        ("libbpf_get_error", ctypes.c_long, [ctypes.c_void_p]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, args
    return lib


class KernelTypes:
    """Answers what members the running kernel's structs have.

    Raises BtfError when `path` cannot be read as BTF.
    """

    def __init__(self, path: str = "/sys/kernel/btf/vmlinux") -> None:
        if not Path(path).exists():
            raise BtfError(f"this kernel has no BTF: {path} is missing (CONFIG_DEBUG_INFO_BTF)")
        self._lib = _library()
        self._btf = self._lib.btf__parse(path.encode(), None)
        if not self._btf or self._lib.libbpf_get_error(self._btf):
            raise BtfError(f"libbpf cannot read {path}: {os.strerror(ctypes.get_errno() or errno.EINVAL)}")
        weakref.finalize(self, self._lib.btf__free, self._btf)  # some megabytes

    def _type(self, type_id: int) -> _Type:
        address = self._lib.btf__type_by_id(self._btf, type_id)
        if not address:
            raise BtfError(f"BTF has no type {type_id}")
        return _Type.from_address(address)

    def _kind(self, type_: _Type) -> int:
        return int(type_.info >> 24) & 0x1F

    def _strip(self, type_id: int) -> tuple[int, _Type]:
        type_ = self._type(type_id)
        while self._kind(type_) in _TRANSPARENT:
            type_id = type_.size_or_type
            type_ = self._type(type_id)
        return type_id, type_

    def _members(self, type_id: int) -> Iterator[tuple[str, int, int, int]]:
        """(name, type id, bit offset, bit-field size) of a struct's or union's members."""
        type_ = self._type(type_id)
        array = (_Member * (type_.info & 0xFFFF)).from_address(ctypes.addressof(type_) + ctypes.sizeof(_Type))
        packed = bool(type_.info >> 31)
        for member in array:
            name = (self._lib.btf__name_by_offset(self._btf, member.name_off) or b"").decode()
            offset = member.offset & 0xFFFFFF if packed else member.offset
            yield name, member.type, offset, member.offset >> 24 if packed else 0

    def _find(self, type_id: int, name: str) -> tuple[int, int, int] | None:
        """(type id, bit offset, bit size) of a member, looked for in anonymous structs and unions too."""
        for found, member_type, offset, bits in self._members(type_id):
            if found == name:
                return member_type, offset, bits
            inner_id, inner = self._strip(member_type)
            if not found and self._kind(inner) in {_STRUCT, _UNION}:
                deeper = self._find(inner_id, name)
                if deeper:
                    return deeper[0], offset + deeper[1], deeper[2]
        return None

    def struct_id(self, struct: str) -> int:
        """The type id of a struct, 0 when the kernel has none of that name."""
        return max(0, int(self._lib.btf__find_by_name_kind(self._btf, struct.encode(), _STRUCT)))

    def tracepoint_id(self, name: str) -> int:
        """The type id that a tp_btf program for a tracepoint is loaded with, 0 when the kernel has none."""
        return max(0, int(self._lib.btf__find_by_name_kind(self._btf, f"btf_trace_{name}".encode(), _TYPEDEF)))

    def iterator_id(self, name: str) -> int:
        """The type id that an iterator over all there are of `name` is loaded with, 0 when the kernel has none."""
        return max(0, int(self._lib.btf__find_by_name_kind(self._btf, f"bpf_iter_{name}".encode(), _FUNC)))

    def member(self, struct: str, path: str) -> Member | None:
        """A member by its path ("__sk_common.skc_daddr"), None when this kernel has no such struct or member."""
        type_id, bits, offset = self.struct_id(struct), 0, 0
        if not type_id:
            return None
        for name in path.split("."):
            found = self._find(self._strip(type_id)[0], name)
            if found is None:
                return None
            type_id, step, bits = found
            offset += step
        return self._describe(type_id, offset, bits)

    def _describe(self, type_id: int, bit_offset: int, bits: int) -> Member:
        stripped, type_ = self._strip(type_id)
        kind, size = self._kind(type_), int(self._lib.btf__resolve_size(self._btf, stripped))
        if kind == _STRUCT and type_.info & 0xFFFF == 1 and not bits:  # atomic_t, kuid_t: a number in a wrapper
            _name, inner, step, _bits = next(self._members(stripped))
            return self._describe(inner, bit_offset + step, 0)
        if bits:
            return Member(bit_offset // 8, size, "", bit_offset, bits)
        if kind == _PTR:
            return Member(bit_offset // 8, 8, "void *")
        if kind in {_INT, _ENUM, _ENUM64} and size in {1, 2, 4, 8}:
            return Member(bit_offset // 8, size, f"{'s' if self._signed(type_, kind) else 'u'}{size * 8}")
        return Member(bit_offset // 8, size, "")

    def _signed(self, type_: _Type, kind: int) -> bool:
        if kind != _INT:
            return bool(type_.info >> 31)
        encoding = ctypes.c_uint32.from_address(ctypes.addressof(type_) + ctypes.sizeof(_Type)).value
        return bool((encoding >> 24) & _SIGNED)
