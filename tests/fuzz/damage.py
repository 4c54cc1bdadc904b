"""Damage where it hurts: words in headers and tables become those that overflow, wrap, or point at themselves."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from tests.hostile.test_elf import LONG_WORDS

_SECTION = struct.Struct("<IIQQQQIIQQ")
_MOST_SECTIONS = 64
_MOST_PLACES = 8
_READ = (b".debug", b".zdebug", b".note", b".stapsdt", b".symtab", b".strtab", b".dynsym", b".dynstr", b".eh_frame",
         b".gopclntab", b".gnu_debug", b".shstrtab")  # fmt: skip

Part = tuple[int, int]
"""Where it begins, and its bytes."""


def parts(data: bytes) -> list[Part]:
    """The parts of a file of 64 bits that are believed: its header, the tables of headers, and sections by name."""
    if len(data) < 64 or data[:5] != b"\x7fELF\x02":
        return [(0, len(data))] if data else []
    segments, table = struct.unpack_from("<QQ", data, 32)
    count, names = struct.unpack_from("<HH", data, 60)
    places = (table + number * _SECTION.size for number in range(min(count, _MOST_SECTIONS)))
    sections = [_SECTION.unpack_from(data, at) for at in places if at + _SECTION.size <= len(data)]
    strings = sections[names][4] if names < len(sections) else 0
    found = [(0, 64), (segments, 56 * 10), (table, _SECTION.size * len(sections))]
    found += [(s[4], s[5]) for s in sections if data[strings + s[0] : strings + s[0] + 16].startswith(_READ)]
    return [(begin, min(size, len(data) - begin)) for begin, size in found if size and begin < len(data)]


def _words(data: bytearray, chance: random.Random, part: Part) -> None:
    for _ in range(chance.randint(1, _MOST_PLACES)):
        at, width = part[0] + chance.randrange(part[1]), chance.choice((1, 1, 2, 4, 8))
        value = chance.choice((chance.choice(LONG_WORDS), chance.getrandbits(64), chance.randrange(256)))
        data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")


def _mixed(data: bytearray, chance: random.Random, part: Part) -> None:
    begin, size = chance.choice(parts(bytes(data)))
    many = min(size, part[1])
    data[part[0] : part[0] + many] = data[begin : begin + many]


def _moved(data: bytearray, chance: random.Random, part: Part) -> None:
    """Some bytes of a part become others of it."""
    many = chance.randint(1, min(64, part[1]))
    source, target = (part[0] + chance.randrange(part[1] - many + 1) for _ in range(2))
    data[target : target + many] = data[source : source + many]


def _cut(data: bytearray, chance: random.Random, part: Part) -> None:
    del data[part[0] + chance.randrange(part[1]) :]


_WAYS = (*[_words] * 8, *[_moved] * 3, _mixed, _cut)


def damaged(mutate: Callable[[bytes, int], bytes], data: bytes, largest: int, seed: int) -> bytes:
    """Another file made of one; `mutate` is the fuzzer's own way, which knows nothing of ELF."""
    chance = random.Random(seed)
    if chance.random() < 0.2:
        return mutate(data, largest)
    whole = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        known = parts(bytes(whole))
        if known:
            chance.choice(_WAYS)(whole, chance, chance.choice(known))
    return bytes(whole[:largest])
