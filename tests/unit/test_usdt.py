"""USDT probes of real programs, beside what readelf reads, and operands as assemblers write them."""

from __future__ import annotations

import os
import re
import shutil
import struct
from pathlib import Path

import pytest

from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import open_binary
from ebtop.resolve.usdt import UsdtProbe
from ebtop.resolve.usdtargument import Operand, parse_arguments
from tests.unit.elfprograms import built, output

SOURCE = r"""
#if %d
#define _SDT_HAS_SEMAPHORES 1
#endif
#include <sys/sdt.h>
#if %d
__extension__ unsigned short shop_sold_semaphore __attribute__((section(".probes"))) = 0;
__extension__ unsigned short shop_twice_semaphore __attribute__((section(".probes"))) = 0;
#endif
volatile long stock = 5;
__attribute__((noinline)) int sold(int price, const char *what, signed char grade) {
  DTRACE_PROBE4(shop, sold, price, what, grade, 17);
  DTRACE_PROBE1(shop, twice, stock);
  return price + grade; }
int main(int argc, char **argv) { DTRACE_PROBE1(shop, twice, argc); return sold(argc, argv[0], 3) == 0; }
"""


def program(folder: Path, *flags: str, semaphore: bool, compiler: str = "gcc") -> str:
    if not list(Path("/usr/include").glob("**/sys/sdt.h")):
        pytest.skip("needs sys/sdt.h (systemtap-sdt-dev)")
    source = SOURCE.replace("%d", str(int(semaphore)))
    return built(folder, "shop", "-O2", *flags, source=source, compiler=compiler)


def probes_of(path: str) -> dict[str, UsdtProbe]:
    with open_binary(path) as file:
        return {f"{probe.provider}:{probe.name}": probe for probe in Binary(file, Binaries()).usdt}


def listed(path: str) -> set[tuple[str, str, int, int, str]]:
    """Provider, name, location, semaphore and arguments, as readelf prints them."""
    found = re.findall(
        r"Provider: (\S+)\s+Name: (\S+)\s+Location: (0x[0-9a-f]+), Base: 0x[0-9a-f]+, Semaphore: (0x[0-9a-f]+)\s+"
        r"Arguments: ?(.*)", output("readelf", "-nW", path)
    )  # fmt: skip
    return {(p, n, int(at, 16), int(counted, 16), arguments.strip()) for p, n, at, counted, arguments in found}


LINKERS = [
    ["-pie", "-fPIE"],
    ["-no-pie"],
    ["-fuse-ld=gold"],
    ["-fuse-ld=lld"],
    ["-Wl,-Ttext-segment=0x7000000", "-no-pie"],
]


@pytest.mark.parametrize("flags", LINKERS, ids=" ".join)
@pytest.mark.parametrize("semaphore", [False, True])
def test_probes_are_those_of_readelf(tmp_path: Path, flags: list[str], semaphore: bool) -> None:
    path = program(tmp_path, *flags, semaphore=semaphore)
    probes = probes_of(path)
    assert {name: len(probe.places) for name, probe in probes.items()} == {"shop:sold": 1, "shop:twice": 2}
    places = {(p.provider, p.name, q.address, q.semaphore, " ".join(a.text for a in q.arguments))
              for p in probes.values() for q in p.places}  # fmt: skip
    assert places == listed(path)
    with open(path, "rb") as file:
        data = file.read()
    for probe in probes.values():
        assert probe.has_semaphore == semaphore
        for place in probe.places:
            assert data[place.offset] == 0x90  # the nop that is the probe
            symbol = output("nm", path)
            if semaphore:
                assert f"{place.semaphore:016x} D shop_{probe.name}_semaphore" in symbol
                assert data[place.semaphore_offset : place.semaphore_offset + 2] == b"\0\0"


def test_semaphores_lie_where_the_program_counts(tmp_path: Path) -> None:
    path = program(tmp_path, "-pie", "-fPIE", "-fuse-ld=lld", semaphore=True)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    place = probes_of(path)["shop:sold"].places[0]
    data[place.semaphore_offset : place.semaphore_offset + 2] = b"\x12\x34"
    (tmp_path / "marked").write_bytes(data)
    section = output("objdump", "-s", "-j", ".probes", str(tmp_path / "marked"))
    assert "1234" in section


def test_files_that_prelink_moved(tmp_path: Path) -> None:
    """Notes keep the addresses of the linker; their base and that of the section tell by how much the file moved."""
    path = program(tmp_path, semaphore=True)
    wanted = probes_of(path)
    with open_binary(path) as file:
        section = Binary(file, Binaries()).image.section(".note.stapsdt")
    assert section is not None
    data, position = bytearray(Path(path).read_bytes()), section.offset
    while position < section.offset + section.size:
        name, value, _ = struct.unpack_from("<III", data, position)
        at = position + 12 + (name + 3) // 4 * 4
        words = struct.unpack_from("<QQQ", data, at)
        struct.pack_into("<QQQ", data, at, *((word - 0x1000) % (1 << 64) for word in words))
        position = at + (value + 3) // 4 * 4
    moved = tmp_path / "moved"
    moved.write_bytes(data)
    assert listed(str(moved)) != listed(path)
    assert probes_of(str(moved)) == wanted


def test_arguments(tmp_path: Path) -> None:
    (place,) = probes_of(program(tmp_path, semaphore=False))["shop:sold"].places
    price, what, grade, constant = place.arguments
    assert (price.size, price.signed, price.kind, price.register) == (4, True, "register", "di")
    assert (what.size, what.signed, what.kind, what.register) == (8, False, "register", "si")
    assert (grade.size, grade.signed) == (1, True)
    assert (constant.kind, constant.value, constant.size) == ("constant", 17, 4)


def test_arm64(tmp_path: Path) -> None:
    copied = tmp_path / "include"  # the header is the same for all architectures
    (copied / "sys").mkdir(parents=True)
    for header in Path("/usr/include").glob("**/sys/sdt*.h"):
        shutil.copy(header, copied / "sys")
    path = program(tmp_path, f"-I{copied}", semaphore=False,
                   compiler="aarch64-linux-gnu-gcc")  # fmt: skip
    (place,) = probes_of(path)["shop:sold"].places
    price, what, grade, constant = place.arguments
    assert (price.size, price.signed, price.kind, price.register) == (4, True, "register", "x0")
    assert (what.kind, what.register) == ("register", "x1")
    assert grade.kind in {"register", "memory"}
    assert (constant.kind, constant.value) == ("constant", 17)


@pytest.mark.skipif(not os.path.exists("/usr/lib/postgresql/15/bin/postgres"), reason="needs Debian's PostgreSQL")
def test_postgresql() -> None:
    path = "/usr/lib/postgresql/15/bin/postgres"
    probes = probes_of(path)
    assert {"postgresql:query__start", "postgresql:query__done"} <= set(probes)
    places = {(p.provider, p.name, q.address, q.semaphore, " ".join(a.text for a in q.arguments))
              for p in probes.values() for q in p.places}  # fmt: skip
    assert places == listed(path)
    assert len(places) >= 50
    assert not [a for p in probes.values() for q in p.places for a in q.arguments if a.kind == "unknown"]


def operand(kind: str, size: int = 8, **fields: object) -> dict[str, object]:
    return {"kind": kind, "size": size, **fields}


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("", []),
        ("-4@%eax", [operand("register", 4, signed=True, register="ax")]),
        ("1@%ah 2@%r9w", [operand("register", 1, register="ax", byte=1), operand("register", 2, register="r9")]),
        ("-8@$-17 4@$0x10", [operand("constant", value=-17, signed=True), operand("constant", 4, value=16)]),
        ("8@-16(%rbp)", [operand("memory", register="bp", value=-16)]),
        ("8@16+8(%rsp)", [operand("memory", register="sp", value=24)]),
        ("4@(%rax,%rbx,4)", [operand("memory", 4, register="ax", index_register="bx", scale=4)]),
        ("8@0(,%rcx,8)", [operand("memory", index_register="cx", scale=8)]),
        ("4@stock(%rip)", [operand("global", 4, symbol="stock")]),
        ("4@40+stock(%rip)", [operand("global", 4, symbol="stock", value=40)]),
        ("4@stock+4(%rip)", [operand("global", 4, symbol="stock", value=4)]),
        ("8f@%xmm0", [operand("unknown", floating=True)]),
        ("8@%fs:16", [operand("unknown")]),
        ("8@32(%rip)", [operand("unknown")]),
        ("8@stock(%rax)", [operand("unknown")]),
        ("%eax 4(%rsp)", [operand("register", register="ax"), operand("memory", register="sp", value=4)]),
        ("-4@w0 8@x30", [operand("register", 4, signed=True, register="x0"), operand("register", register="x30")]),
        ("8@[sp, 16] 4@17", [operand("memory", register="sp", value=16), operand("constant", 4, value=17)]),
        ("8@[x1,x2,lsl 3]", [operand("memory", register="x1", index_register="x2", scale=8)]),
        ("-4@wzr", [operand("constant", 4, signed=True, value=0)]),
        ("8@x31", [operand("unknown")]),
        ("8@$99999999999999999999999", [operand("unknown")]),
        ("8@" + "9" * 5000, [operand("unknown")]),
        (" ".join(["4@%eax"] * 30), [operand("register", 4, register="ax")] * 12),
    ],
)  # fmt: skip
def test_operands(arguments: str, wanted: list[dict[str, object]]) -> None:
    plain = [
        {key: value for key, value in found._asdict().items() if key != "text"} for found in parse_arguments(arguments)
    ]
    defaults = {key: value for key, value in Operand("", "")._asdict().items() if key not in {"text", "kind"}}
    assert plain == [{**defaults, **fields} for fields in wanted]
