"""Functions by name: real compilers' names, with nm and c++filt as the second opinion."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ebtop.resolve.binary import Binaries, Binary
from ebtop.resolve.binaryfile import open_binary
from ebtop.resolve.elf import read_build_id
from ebtop.resolve.functionindex import Function
from ebtop.resolve.functionname import base_of, clones_of, inner_names
from ebtop.resolve.functionsearch import BASE, INNER, SYMBOL, WHOLE, Found, search
from ebtop.resolve.sieve import sieve_of
from tests.unit.elfprograms import built, output

C_SOURCE = r"""
#include <stdlib.h>
#include <string.h>
typedef int (*copier)(int);
static int first(int x) { return x + 1; }
static int second(int x) { return x + 2; }
static copier choose(void) { return getenv("X") ? first : second; }
int chosen(int) __attribute__((ifunc("choose")));
__attribute__((noinline)) int named(int x) { return x * 3 + 1; }
int other_name(int) __attribute__((alias("named")));
__attribute__((cold, noinline)) void fail(const char *why) { abort(); }
__attribute__((noinline)) int rarely(int x, const char *s) {
  if (__builtin_expect(x == 77, 0)) { fail(s); fail(s + 1); } return x + (int)strlen(s); }
__attribute__((noinline)) static int with_constant(int x, int y) {
  int s = 0; for (int i = 0; i < x; i++) s += y * i ^ x; return s; }
int main(int argc, char **argv) {
  return chosen(argc) + named(argc) + other_name(argc) + rarely(argc, argv[0]) + with_constant(argc, 77)
       + with_constant(argc + 1, 77); }
"""

RUST_SOURCE = """
pub mod shop { pub struct Cart { pub total: u64 }
  impl Cart { #[inline(never)] pub fn add(&mut self, price: u64) -> u64 { self.total += price; self.total } }
  pub trait Priced { fn price(&self) -> u64; }
  impl Priced for Cart { #[inline(never)] fn price(&self) -> u64 { self.total } } }
use shop::Priced;
fn main() { let mut c = shop::Cart { total: std::env::args().count() as u64 };
  println!("{} {}", c.add(3), c.price()); }
"""


@contextmanager
def opened(path: str, **options: str) -> Iterator[Binary]:
    with open_binary(path) as file:
        yield Binary(file, Binaries(**options))


def found(path: str, pattern: str) -> Found:
    with opened(path) as binary:
        return binary.find(pattern)


def names(result: Found) -> set[str]:
    return {function.name for function in result.functions}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> str:
    return built(tmp_path_factory.mktemp("functions"), "server", "-g")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    return built(tmp_path_factory.mktemp("functions"), "program", "-O2", source=C_SOURCE, compiler="gcc")


MAIN = "Envoy::MainCommon::main(int, char**, std::function<void (Envoy::Server::Instance&)>)"


@pytest.mark.parametrize(
    ("pattern", "way", "wanted"),
    [
        (MAIN, WHOLE, {MAIN}),
        ("Envoy::MainCommon::main", BASE, {MAIN}),
        ("MainCommon::main", INNER, {MAIN}),
        ("main", WHOLE, {"main"}),
        ("Envoy::Main*", WHOLE, {MAIN}),
        ("MainCommon::m?in", INNER, {MAIN}),
        ("twice<*>", INNER, {"int twice<int>(int)", "double twice<double>(double)"}),
        ("int twice<int>", BASE, {"int twice<int>(int)"}),
        ("inner", INNER, {"(anonymous namespace)::inner(int)"}),
        ("plain_step", WHOLE, {"plain_step"}),
        ("plain*", WHOLE, {"plain_step"}),
        ("*(int)", WHOLE, {"int twice<int>(int)", "(anonymous namespace)::inner(int)"}),
        ("MainCommon", INNER, set()),  # a class is no function
        ("ainCommon::main", INNER, set()),  # and half a word is no name
        ("nowhere", INNER, set()),
    ],
)  # fmt: skip
def test_patterns(server: str, pattern: str, way: str, wanted: set[str]) -> None:
    result = found(server, pattern)
    assert result.way == way
    assert result.complete
    assert names(result) == wanted
    assert result.total == len(result.functions)


def test_a_mangled_name(server: str) -> None:
    symbol = next(f.symbol for f in found(server, MAIN).functions)
    assert symbol.startswith("_ZN5Envoy10MainCommon4main")
    for pattern in (symbol, f"{symbol[:28]}*"):
        result = found(server, pattern)
        assert result.way == SYMBOL
        assert names(result) == {MAIN}


def test_case_and_limit(server: str) -> None:
    with opened(server) as binary:
        assert names(binary.find("envoy::maincommon::MAIN", ignore_case=True)) == {MAIN}
        assert not binary.find("envoy::maincommon::MAIN").functions
        everything = binary.find("*")
        some = binary.find("*", limit=3)
        assert (len(some.functions), some.total) == (3, everything.total)
        for pattern in ("", "  ", "x" * 5000, "a\0b"):
            with pytest.raises(ValueError, match="name a function"):
                search(binary.functions, pattern)


def test_time_that_runs_out_is_said(server: str) -> None:
    with opened(server) as binary:
        result = search(binary.functions, "nowhere", seconds=-1)
        assert (result.complete, result.functions) == (False, [])


def listed_functions(path: str) -> dict[int, set[str]]:
    """The names of functions by address, as readelf and c++filt give them."""
    at: dict[int, set[str]] = {}
    found = re.findall(
        r"^ *\d+: ([0-9a-f]{16}) +\S+ I?FUNC +\S+ +\S+ +[0-9]+ ([^@\s]+)", output("readelf", "-sW", path), re.MULTILINE
    )
    plain = subprocess.run(
        ["c++filt"], input="\n".join(n for _, n in found), capture_output=True, text=True, check=True
    )
    for (address, _), name in zip(found, plain.stdout.splitlines(), strict=True):
        # binutils writes out what libstdc++ and LLVM leave short
        short = re.sub(r"std::basic_([io]{1,2}stream)<char, std::char_traits<char> >", r"std::\1", name)
        at.setdefault(int(address, 16), set()).add(short)
    return at


@pytest.mark.parametrize("path", ["server", "program", "/usr/bin/node", "/lib/x86_64-linux-gnu/libc.so.6"])
def test_all_names_are_those_of_readelf(path: str, request: pytest.FixtureRequest) -> None:
    path = path if path.startswith("/") else request.getfixturevalue(path)
    if not Path(path).exists():
        pytest.skip(f"needs {path}")
    with opened(path, debug_root="/nonexistent") as binary:
        result = binary.find("*", limit=200_000)
        result.functions.extend(binary.find("*[clone*", limit=200_000).functions)
        result.functions.extend(binary.find("*.cold*", limit=200_000).functions)
        result.functions.extend(binary.find("*.part*", limit=200_000).functions)
    at: dict[int, set[str]] = {}
    for function in result.functions:
        at.setdefault(function.address, set()).update({function.name, *function.aliases})
    wanted = listed_functions(path)
    missing = {place: listed for place, listed in wanted.items() if place not in at}
    assert not missing
    same = sum(bool(at[place] & listed) for place, listed in wanted.items())
    assert same >= 0.995 * len(wanted)  # names that could expand without end are cut: demangle.py


LIBRARIES = ["/usr/bin/node", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1"]


@pytest.mark.parametrize("path", LIBRARIES)
def test_what_searches_pass_over_cannot_match(path: str) -> None:
    """Each word that is sifted by stands in the symbol of each name that has it."""
    if not Path(path).exists():
        pytest.skip(f"needs {path}")
    with opened(path) as binary:
        functions = binary.find("*", limit=40_000).functions
    sifted = 0
    for function in functions:
        for part in re.split(r"[<>(), ]+|::", function.name):
            word = sieve_of(part)
            assert word.decode() in function.symbol, function
            sifted += bool(word)
    assert sifted > len(functions) / 2


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [("node::Start*", b"Start"), ("*", b""), ("std::string*", b""), ("vtable for Cart", b"Cart"), ("a::b", b""),
     ("*12345ul*", b""), ("main", b"main"), ("operator new", b""), ("anonymous*Cart", b"Cart"), ("Allocator", b"")],
)  # fmt: skip
def test_sieves(pattern: str, wanted: bytes) -> None:
    assert sieve_of(pattern) == wanted


def test_a_sieve_finds_what_a_full_search_finds(server: str, program: str) -> None:
    for path in (server, program):
        with opened(path) as binary:
            every = binary.find("*", limit=100_000).functions
        for function in every:
            with opened(path) as binary:  # nothing is remembered yet
                assert function.name in names(binary.find(function.name.replace("*", "?")))


def test_aliases_ifuncs_and_sizes(program: str) -> None:
    with opened(program) as binary:
        (named,) = binary.find("named").functions
        (other,) = binary.find("other_name").functions
        (chosen,) = binary.find("chosen").functions
        assert (named.aliases, other.aliases) == (("other_name",), ("named",))
        assert named.address == other.address
        assert named.size == int(re.search(r"[0-9a-f]+ ([0-9a-f]+) T named", output("nm", "-S", program))[1], 16)  # type: ignore[index]
        assert (named.kind, chosen.kind) == ("function", "ifunc")
        assert binary.find("*name*").addresses == [named.address]
        assert binary.functions.at(named.address) in {named, other}


def test_clones_are_told_from_functions(program: str) -> None:
    with opened(program) as binary:
        symbols = {f.symbol for f in binary.find("*.*").functions} | {
            f.symbol for f in binary.find("*.cold*").functions
        }
        if not any(s.startswith("with_constant.") for s in symbols) or "rarely.cold" not in symbols:
            pytest.skip("this compiler makes no such clones")
        (clone,) = binary.find("with_constant").functions
        assert "constprop" in clone.clones
        assert clone.whole
        (rarely,) = binary.find("rarely").functions
        assert (rarely.clones, rarely.whole) == ((), True)
        (cold,) = binary.find("rarely.cold").functions
        assert (cold.clones, cold.whole) == (("cold",), False)
        assert "rarely.cold" not in names(binary.find("rare*"))


@pytest.mark.parametrize("linker", ["gold", "lld"])
def test_folded_functions_show_all_their_names(tmp_path: Path, linker: str) -> None:
    flags = ["-O1", "-ffunction-sections", f"-fuse-ld={linker}", "-Wl,--icf=all"]
    source = "int one(int x) { return x * 31 + 7; } int two(int x) { return x * 31 + 7; }int main"
    source += "(int c, char **v) { return one(c) + two(c + 1); }"
    path = built(tmp_path, "folded", *flags, "-fno-inline", "-fno-ipa-icf", source=source, compiler="gcc")
    with opened(path) as binary:
        (one,) = binary.find("one").functions
        assert one.aliases == ("two",)
        assert len(binary.find("?*o*").addresses) == len(set(binary.find("?*o*").addresses))


@pytest.mark.parametrize("mangling", ["legacy", "v0"])
def test_rust(tmp_path: Path, mangling: str) -> None:
    if not shutil.which("rustc"):
        pytest.skip("needs rustc")
    (tmp_path / "shop.rs").write_text(RUST_SOURCE)
    path = str(tmp_path / "shop")
    flags = ["-C", f"symbol-mangling-version={mangling}", "-C", "opt-level=1"]
    unstable = ["-Z", "unstable-options"] if mangling == "legacy" else []
    environment = os.environ | {"RUSTC_BOOTSTRAP": "1"}
    command = ["rustc", *unstable, *flags, str(tmp_path / "shop.rs"), "-o", path]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        pytest.skip(f"rustc: {done.stderr[-300:]}")
    with opened(path) as binary:
        (add,) = binary.find("Cart::add" if mangling == "legacy" else "*Cart>::add").functions
        assert add.name == {"legacy": "shop::shop::Cart::add", "v0": "<shop::shop::Cart>::add"}[mangling]
        assert add.symbol.startswith({"legacy": "_ZN", "v0": "_R"}[mangling])
        assert binary.find("*Priced*price").total == 1
        assert binary.find("shop::main").total == 1


def test_names_from_a_debug_file_and_from_debug_data(tmp_path: Path) -> None:
    path = built(tmp_path, "server", "-g", "-Wl,--build-id")
    with opened(path) as binary:
        wanted = {f.name: f.address for pattern in ("inner", "twice<*>") for f in binary.find(pattern).functions}
        build_id = binary.image.build_id().hex()
    packed, stripped = tmp_path / "packed", str(tmp_path / "stripped")
    output("objcopy", "--strip-debug", path, str(packed))
    subprocess.run(["xz", "-k", str(packed)], check=True)
    output("strip", "-o", stripped, path)
    with opened(stripped) as binary:
        assert not binary.find("inner").functions
        assert binary.offer().text.startswith("stripped: no function has a name; also")
    embedded = str(tmp_path / "embedded")
    output("objcopy", f"--add-section=.gnu_debugdata={packed}.xz", stripped, embedded)
    root = tmp_path / "root"
    debug = root / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    debug.parent.mkdir(parents=True)
    output("objcopy", "--only-keep-debug", path, str(debug))
    for file, options, origin in (
        (embedded, {}, ".gnu_debugdata"),
        (stripped, {"debug_root": str(root)}, "debug file"),
    ):
        with opened(file, **options) as binary:
            functions: list[Function] = [f for name in wanted for f in binary.find(name).functions]
            assert {f.name: f.address for f in functions} == wanted
            assert {f.origin for f in functions} == {origin}
            assert "stripped, but its" in binary.offer().text


def test_a_name_that_only_the_debug_file_has_for_what_is_exported(tmp_path: Path) -> None:
    source = 'static int inner(int) __attribute__((alias("shown")));'
    source += "int shown(int x) { return x; } int (*kept)(int) = inner;"
    path = built(tmp_path, "whole", "-shared", "-fPIC", "-Wl,--build-id", source=source, compiler="gcc")
    build_id = read_build_id(path).hex()
    debug = tmp_path / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    debug.parent.mkdir(parents=True)
    output("objcopy", "--only-keep-debug", path, str(debug))
    output("strip", path)
    with opened(path, debug_root=str(tmp_path)) as binary:
        for name, alias in (("shown", "inner"), ("inner", "shown")):
            (function,) = binary.find(name).functions
            assert (function.name, function.aliases) == (name, (alias,))
        assert binary.find("*n*").addresses.count(function.address) == 1


def test_what_is_left_of_a_stripped_program(tmp_path: Path) -> None:
    path = built(tmp_path, "server", "-s", "-static-pie")
    with opened(path) as binary:
        offer = binary.offer()
        assert (offer.stripped, offer.named) == (True, 0)
        assert offer.starts > 100
        assert offer.text.startswith("stripped: no function has a name; also")
        assert "function starts by address" in offer.text


def test_functions_are_read_once(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Binaries()
    with open_binary(server) as file:
        first = Binary(file, known).functions
    with open_binary(server) as file:
        assert Binary(file, known).functions is first
    os.utime(server, ns=(1, 1))
    with open_binary(server) as file:
        assert Binary(file, known).functions is not first


def test_a_string_table_that_is_not_held(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(server) as binary:
        wanted = names(binary.find("*"))
    monkeypatch.setattr("ebtop.resolve.symboltable._STRINGS_IN_MEMORY", 100)
    monkeypatch.setattr("ebtop.resolve.symboltable._PIECE", 20000)
    monkeypatch.setattr("ebtop.resolve.functionindex._MOST_TEXT", 1)  # and no name is remembered
    with opened(server) as binary:
        assert names(binary.find("*")) == wanted
        assert names(binary.find("MainCommon::main")) == {MAIN}
        assert binary.functions.nbytes < 100_000


@pytest.mark.parametrize(
    ("full", "base", "clones", "inner"),
    [
        ("a::f(int) const", "a::f", (), ["f"]),
        ("a::f(int) [clone .isra.0] [clone .cold]", "a::f", ("isra", "cold"), ["f"]),
        ("f.constprop.0.isra.1.cold", "f", ("constprop", "isra", "cold"), []),
        ("f.llvm.1234567890ABCDEF", "f", ("llvm",), []),
        ("void a::b<c::d>::e<f>(g)", "void a::b<c::d>::e<f>", (), ["a::b<c::d>::e<f>", "b<c::d>::e<f>", "e<f>"]),
        ("a::(anonymous namespace)::f(x (*)(y))", "a::(anonymous namespace)::f", (), ["(anonymous namespace)::f", "f"]),
        ("a::operator()(int)", "a::operator()", (), ["operator()"]),
        ("f()::{lambda(int)#1}::operator()(int) const", "f()::{lambda(int)#1}::operator()", (),
         ["{lambda(int)#1}::operator()", "operator()"]),
        (".cold", ".cold", (), ["cold"]),
    ],
)  # fmt: skip
def test_parts_of_names(full: str, base: str, clones: tuple[str, ...], inner: list[str]) -> None:
    assert base_of(full) == base
    assert clones_of(full) == clones
    assert inner_names(base) == inner
