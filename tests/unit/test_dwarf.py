"""Parameters, types and members: compilers' debug information, and what a debugger finds when the function begins."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import BinaryError, open_binary
from ebtop.resolve.dwarf import Description, Parameter
from ebtop.resolve.dwarflocation import PIECES, REGISTER, STACK, UNKNOWN, Location
from ebtop.resolve.dwarfsections import DwarfBudgetError, DwarfError
from tests.unit.dwarfprograms import MEMBERS, PARAMETERS
from tests.unit.elfprograms import SERVER, built, output
from tests.unit.goprograms import go_program
from tests.unit.test_functions import RUST_SOURCE

VALUES = {
    "scalars": {"i": -3, "l": 1 << 40, "c": ord("x"), "s": -7, "b": 1},
    "many": {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 77, "h": ord("h"), "i": 99},
    "numbers": {"d": 2.5, "f": 0.5, "i": 42, "e": -1.25},
    "structs": {"s": [11 | 22 << 32], "m": [33, 4.5], "p": [6.5, 7.5], "last": 44},
    "large": {"first": 55, "big": [1, 2, 3, 4], "last": 66},
    "copied": {"c": [88], "i": 89},
    "big_result": {"i": 90},
    "pair_result": {"i": 91},
    "enumerated": {"c": 17},
    "wide": {"w": [9, 7], "i": 10},
    "quad": {"i": 12},
    "shop::Cart::add": {"price": 23},
}
COMPILERS = [(c, o, v) for c in ("g++", "clang++") for o in ("-O0", "-O2") for v in (4, 5)]


def described(path: str, pattern: str) -> Description:
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        (function,) = binary.find(pattern).functions
        return binary.describe(function)


def addresses(path: str, names: list[str]) -> dict[str, int]:
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        return {name: binary.find(name).functions[0].address for name in names}


def gdb_value(place: Location, size: int, word: int = 0) -> str:
    """A gdb expression for 8 bytes of a value, or as many as it has."""
    kind = {1: "char", 2: "short", 4: "int", 8: "long"}[min(size - 8 * word, 8)]
    if place.kind == PIECES:
        return gdb_value(place.pieces[word][0], 8)
    if place.kind == STACK:
        return f"*(unsigned {kind}*)($rsp+{place.offset + 8 * word})"
    assert place.kind == REGISTER
    if place.register.startswith("xmm"):
        return f"${place.register}.v{16 // size}_int{8 * size}[0]"
    names = {"ax", "bx", "cx", "dx", "si", "di", "bp", "sp"}
    register = f"$r{place.register}" if place.register in names else f"${place.register}"
    return f"*(unsigned long*)({register}+{8 * word})" if place.indirect else f"(unsigned {kind}){register}"


def as_number(value: float, size: int) -> int:
    """What gdb prints for the bytes of a value."""
    import struct

    if isinstance(value, float):
        return int.from_bytes(struct.pack("<d" if size == 8 else "<f", value), "little")
    return value % (1 << 8 * size)


def questions(parameter: Parameter, wanted: float | list[float]) -> list[tuple[str, int]]:
    """What to ask gdb about a parameter, and the answers."""
    if not isinstance(wanted, list):
        return [(gdb_value(parameter.location, parameter.type.size), as_number(wanted, parameter.type.size))]
    size = parameter.type.size
    return [(gdb_value(parameter.location, size, number), as_number(value, min(size, 8)))
            for number, value in enumerate(wanted)]  # fmt: skip


@pytest.mark.parametrize(("compiler", "level", "version"), COMPILERS)
def test_a_debugger_finds_the_values_there(tmp_path: Path, compiler: str, level: str, version: int) -> None:
    if os.uname().machine != "x86_64" or not shutil.which("gdb"):
        pytest.skip("needs gdb on x86-64")
    path = built(tmp_path, "program", "-g", level, f"-gdwarf-{version}", source=PARAMETERS, compiler=compiler)
    asked: list[tuple[str, str, int]] = []
    commands = ["set confirm off", "set pagination off", "set debuginfod enabled off", "set print repeats 0"]
    places = addresses(path, list(VALUES))
    commands += ["starti"]
    base = _load_bias(path)
    for name, wanted in VALUES.items():
        parameters = {p.name: p for p in described(path, name).parameters}
        if name == "copied" and version == 4 and UNKNOWN in {p.location.kind for p in parameters.values()}:
            continue  # DWARF before 5 does not say whether what is returned is copied by running code
        commands += [f"tbreak *({places[name] + base:#x})", "continue"]
        for key, value in wanted.items():
            for question, answer in questions(parameters[key], value):
                asked.append((f"{name} {key} {question}", question, answer))
                commands.append(f'printf "answer %lu\\n", (unsigned long)({question})')
    script = tmp_path / "commands"
    script.write_text("\n".join([*commands, "kill", "quit"]))
    said = subprocess.run(
        ["gdb", "-batch", "-nx", "-x", str(script), path], capture_output=True, text=True, check=False
    )
    answers = [int(n) for n in re.findall(r"^answer (\d+)$", said.stdout, re.MULTILINE)]
    if not answers and "ptrace" in said.stderr:
        pytest.skip("gdb may not trace here")
    assert len(answers) == len(asked), said.stdout + said.stderr
    wrong = {what: (got, answer) for (what, _, answer), got in zip(asked, answers, strict=True) if got != answer}
    assert not wrong


def _load_bias(path: str) -> int:
    """Where gdb loads a position-independent program, which it does without randomness."""
    return 0x555555554000 if "DYN" in output("readelf", "-h", path) else 0


def test_names_and_types(tmp_path: Path) -> None:
    path = built(tmp_path, "program", "-g", source=PARAMETERS)
    scalars = described(path, "scalars")
    assert [(p.name, p.type.name) for p in scalars.parameters] == [
        ("i", "int"), ("l", "long int"), ("c", "char"), ("s", "short int"), ("b", "bool"), ("text", "const char *"),
    ]  # fmt: skip
    assert [p.type.kind for p in scalars.parameters] == [
        "integer", "integer", "character", "integer", "boolean", "pointer"
    ]  # fmt: skip
    assert [p.type.is_string for p in scalars.parameters] == [False] * 5 + [True]
    line = PARAMETERS[: PARAMETERS.index("int scalars(")].count("\n") + 1
    assert (scalars.name, scalars.result.name, scalars.line, scalars.variadic) == ("scalars", "int", line, False)
    assert scalars.file.endswith("program.cc")
    add = described(path, "shop::Cart::add")
    assert [(p.name, p.type.name) for p in add.parameters] == [
        ("this", "shop::Cart *"), ("price", "int"), ("what", "const char *"),
    ]  # fmt: skip
    enumerated = described(path, "enumerated")
    assert [p.type.name for p in enumerated.parameters] == ["Colour", "Colour *", "int &"]
    assert enumerated.parameters[0].type.kind == "enum"
    called = described(path, "called")
    assert [p.type.name for p in called.parameters] == ["int (*)(int, char *)", "void *"]
    assert described(path, "open_ended").variadic
    assert described(path, "big_result").result.name == "Big"
    assert described(path, "numbers").result.kind == "float"


def test_the_servers_main(tmp_path: Path) -> None:
    path = built(tmp_path, "server", "-g", source=SERVER)
    main = described(path, "MainCommon::main")
    assert [p.type.name for p in main.parameters] == ["int", "char **", "Envoy::MainCommon::Hook"]
    assert main.parameters[2].location.indirect


def test_members_lie_where_the_compiler_puts_them(tmp_path: Path) -> None:
    path = built(tmp_path, "members", "-g", source=MEMBERS, compiler="gcc")
    paths = ["name", "in.half[1]", "in.named.deep", "ports[2]", "table[1].whole", "load"]
    *offsets, named = map(int, output(path).split()) if subprocess.run([path], stdout=-3).returncode == 0 else []
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        look, by_value = binary.describe(binary.find("look").functions[0]).parameters
        dwarf = binary.dwarf
        for member, offset in zip(paths, offsets, strict=True):
            assert dwarf.access(look.type, member).hops == (offset,), member
        assert dwarf.access(by_value.type, "named").hops == (named,)
        chain = dwarf.access(look.type, "next->next.ptr->half[1]")
        assert chain.hops == (0, 0, dwarf.access(look.type, "ptr").hops[0], 6)
        assert (chain.type.name, chain.type.size) == ("short int", 2)
        assert dwarf.access(look.type, "name").type.is_string
        assert dwarf.access(look.type, "ptr[2].tag").hops[1] == 2 * 16
        assert dwarf.access(look.type, "kind").bits == (3, 5)
        assert dwarf.access(look.type, "").type.name == "list_t"
        assert dwarf.access(look.type, "call").type.name == "int (*)(int, char *)"
        members = {m.name: m for m in dwarf.members(look.type)}
        assert members["ports"].type.name == "int [4]"
        assert members["load"].offset == offsets[-1]
        assert {m.name for m in dwarf.members(members["in"].type)} == {"tag", "", "named"}
        assert dwarf.members(members["load"].type) == []
        for bad, reason in {
            "nothing": "has no member nothing; it has next, flags", "load.x": "has no members", "a..b": "is no path",
            "load[2]": "is no array", "x y": "is no path",
        }.items():  # fmt: skip
            with pytest.raises(DwarfError, match=reason):
                dwarf.access(look.type, bad)


@pytest.mark.parametrize("compiler", ["g++", "aarch64-linux-gnu-g++", "aarch64-linux-gnu-gcc"])
def test_the_calling_convention_agrees_with_optimised_debug_information(tmp_path: Path, compiler: str) -> None:
    """-O2 says where parameters are at the entry, -O0 does not: then the convention has to say the same."""
    source, flags = PARAMETERS, ["-shared", "-fPIC", "-nostdlib"]
    if compiler.startswith("aarch64"):
        compiler, c = "aarch64-linux-gnu-gcc", ["-xc", "-std=gnu2x"]
        flags += c
        source = _as_c(PARAMETERS)
    if compiler != "g++" and not shutil.which(compiler):
        pytest.skip(f"needs {compiler}")
    plain = built(tmp_path, "plain", "-g", "-O0", *flags, source=source, compiler=compiler)
    fast = built(tmp_path, "fast", "-g", "-O2", *flags, source=source, compiler=compiler)
    compared = 0
    for name in ("scalars", "many", "numbers", "structs", "large", "big_result", "pair_result", "wide"):
        for slow, quick in zip(described(plain, name).parameters, described(fast, name).parameters, strict=True):
            if quick.location.source == "DWARF":
                assert slow.location._replace(source="") == _unsourced(quick.location), (name, slow.name)
                compared += 1
    assert compared >= 10


def _unsourced(place: Location) -> Location:
    pieces = tuple((p._replace(source="calling convention"), size) for p, size in place.pieces)
    return place._replace(source="", pieces=pieces)


def _as_c(source: str) -> str:
    """The functions of PARAMETERS that C has, too, without the C library."""
    kept = [line for line in source.splitlines() if line.startswith(("KEPT", "  sink +="))]
    kept = [line for line in kept if not re.search(r"Copied|Colour|open_ended|called|pair_result|big_result", line)]
    head = """
typedef struct { int a, b; } Small; typedef struct { long a; double b; } Mixed; typedef struct { double x, y; } Pair;
typedef struct { float x, y; } Floats; typedef struct { long a[4]; } Big;
#define KEPT __attribute__((noinline))
#define bool _Bool
long sink;
KEPT Big big_result(int i) { Big b = {0}; b.a[1] = i; sink += i; return b; }
KEPT Pair pair_result(int i) { sink += i; Pair p = {1.0 * i, 2.0}; return p; }
"""
    return head + "\n".join(kept)


VARIANTS = {
    "aranges": [],
    "gold index": ["-fuse-ld=gold", "-Wl,--gdb-index"],
    "lld index": ["-fuse-ld=lld", "-ggnu-pubnames", "-Wl,--gdb-index"],
    "packed": ["-gz=zlib"],
    "dwarf 4": ["-gdwarf-4"],
    "dwarf 3": ["-gdwarf-3"],
    "64-bit": ["-gdwarf64"],
    "lto": ["-O1", "-flto"],
    "sections": ["-ffunction-sections"],
}


@pytest.mark.parametrize("kind", list(VARIANTS))
def test_wherever_the_debug_information_is(tmp_path: Path, kind: str) -> None:
    path = built(tmp_path, "server", "-g", *VARIANTS[kind])
    assert [p.type.name for p in described(path, "MainCommon::main").parameters][:2] == ["int", "char **"]
    assert [p.name for p in described(path, "inner").parameters] == ["x"]
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        hook = binary.describe(binary.find("MainCommon::main").functions[0]).parameters[2]
        assert {m.name for m in binary.dwarf.members(hook.type)} >= {"", "_M_invoker"}
        assert binary.dwarf.access(hook.type, "_M_invoker").hops == (24,)
    output("objcopy", "--remove-section", ".debug_aranges", path)  # then all units are looked through
    assert [p.name for p in described(path, "inner").parameters] == ["x"]


def test_a_separate_debug_file(tmp_path: Path) -> None:
    path = built(tmp_path, "server", "-g")
    wanted = described(path, "MainCommon::main")
    output("objcopy", "--only-keep-debug", path, f"{path}.debug")
    output("objcopy", "--strip-all", f"--add-gnu-debuglink={path}.debug", path)
    before = len(os.listdir("/proc/self/fd"))
    assert described(path, "MainCommon::main") == wanted
    assert len(os.listdir("/proc/self/fd")) == before
    os.unlink(f"{path}.debug")
    with open_binary(path) as file, pytest.raises(BinaryError, match="no debug information, neither in it nor"):
        _ = Binary(file, Binaries()).dwarf


def test_kinds_that_are_not_read_say_so(tmp_path: Path) -> None:
    split = built(tmp_path, "split", "-g", "-gsplit-dwarf")
    with pytest.raises(BinaryError, match=r"split debug information \(-gsplit-dwarf\)"):
        described(split, "plain_step")
    units = built(tmp_path, "units", "-g", "-gdwarf-4", "-fdebug-types-section")
    main = described(units, "MainCommon::main")
    assert main.parameters[0].type.name == "int"
    assert main.parameters[2].location.indirect or main.parameters[2].location.kind == UNKNOWN
    if shutil.which("dwz"):
        one, two = (built(tmp_path, name, "-g", "-gdwarf-4") for name in ("one", "two"))
        done = subprocess.run(["dwz", "-m", str(tmp_path / "shared"), one, two], capture_output=True, check=False)
        if done.returncode == 0:
            main = described(one, "MainCommon::main")
            assert any("dwz" in note for note in main.notes)
            assert [p.location.register for p in main.parameters][:1] == ["di"] or main.parameters[0].type.name == "?"


def test_too_little_time_is_said(tmp_path: Path) -> None:
    path = built(tmp_path, "server", "-g")
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        (function,) = binary.find("MainCommon::main").functions
        binary.dwarf._file.budget._reads = 100
        with pytest.raises(DwarfBudgetError, match="not searched to its end"):
            binary.dwarf.function(function.address)
        with pytest.raises(BinaryError, match="server: the debug information was not searched"):
            binary.describe(function)
        binary.dwarf._file.budget._reads = 1_000_000
        assert binary.describe(function).parameters
        with pytest.raises(DwarfError, match="no debug information of this function"):
            binary.dwarf.function(function.address + 1)


def test_clones_have_no_calling_convention(tmp_path: Path) -> None:
    source = r"""__attribute__((noinline)) static int with_constant(int x, int y) {
      int s = 0; for (int i = 0; i < x; i++) s += y * i ^ x; return s; }
      int main(int argc, char **argv) { return with_constant(argc, 77) + with_constant(argc + 1, 77); }"""
    path = built(tmp_path, "program", "-g", "-O2", source=source, compiler="gcc")
    with open_binary(path) as file:
        binary = Binary(file, Binaries())
        (function,) = binary.find("with_constant").functions
        if not function.clones:
            pytest.skip("this compiler makes no such clone")
        for parameter in binary.describe(function).parameters:
            assert parameter.location.source == "DWARF" or "the compiler changed" in parameter.location.source


def test_rust(tmp_path: Path) -> None:
    if not shutil.which("rustc"):
        pytest.skip("needs rustc")
    (tmp_path / "shop.rs").write_text(RUST_SOURCE)
    path = str(tmp_path / "shop")
    done = subprocess.run(
        ["rustc", "-g", str(tmp_path / "shop.rs"), "-o", path], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"rustc: {done.stderr[-300:]}")
    add = described(path, "*Cart*add")
    assert [(p.name, p.type.size, p.location.register) for p in add.parameters] == [
        ("self", 8, "di"),
        ("price", 8, "si"),
    ]
    assert add.parameters[1].type.name == "u64"
    with open_binary(path) as file:
        assert Binary(file, Binaries()).dwarf.access(add.parameters[0].type, "total").hops == (0,)


def test_go(tmp_path: Path) -> None:
    path = go_program(tmp_path, "-ldflags=-compressdwarf=false")
    add = described(path, "main.(*Cart).Add")
    assert [(p.name, p.type.name, p.location.register) for p in add.parameters] == [
        ("c", "main.Cart *", "ax"), ("price", "int", "bx"),
    ]  # fmt: skip
    assert add.result.name == "int"
