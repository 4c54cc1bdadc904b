"""Names made by g++ and rustc, with c++filt as the second opinion, and names that were made to do harm."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebtop.resolve import demangle as module
from ebtop.resolve.demangle import demangle, without_parameters
from tests import pace

CPP = r"""
#include <map>
#include <string>
#include <vector>
namespace outer { namespace {
template <class T> struct Box { T value; T get(T other) const { return value + other; } };
} namespace inner {
struct Machine { int operator()(int) const; operator bool() const; void run(std::map<std::string, std::vector<int>> &);
};
int Machine::operator()(int x) const { return Box<int>{x}.get(3); }
Machine::operator bool() const { return true; }
void Machine::run(std::map<std::string, std::vector<int>> &m) { auto f = [&](int i) { m["a"].push_back(i); }; f(3); }
template <class... A> int count(A &&...) { return sizeof...(A); }
} }
int main() { return outer::inner::count(1, 2.0, "three") + outer::inner::Machine()(2); }
"""

RUST = """
mod shapes {
    pub trait Area { fn area(&self) -> u64; }
    pub struct Square(pub u64);
    impl Area for Square { #[inline(never)] fn area(&self) -> u64 { self.0 * self.0 } }
    #[inline(never)] pub fn total<T: Area>(all: &[T]) -> u64 { all.iter().map(|a| a.area()).sum() }
}
fn main() { println!("{}", shapes::total(&[shapes::Square(3), shapes::Square(std::env::args().count() as u64)])); }
"""


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def mangled_names(path: Path, prefix: str) -> list[str]:
    names = [line.split()[-1] for line in output("nm", "--defined-only", str(path)).splitlines()]
    return sorted({name for name in names if name.startswith(prefix)})


def test_cpp_names_are_those_of_cxxfilt(tmp_path: Path) -> None:
    if not shutil.which("g++") or not shutil.which("c++filt"):
        pytest.skip("needs g++ and c++filt")
    (tmp_path / "a.cc").write_text(CPP)
    output("g++", "-O0", "-o", str(tmp_path / "a"), str(tmp_path / "a.cc"))
    names = mangled_names(tmp_path / "a", "_Z")
    expected = output("c++filt", *names).splitlines()
    found = [demangle(name) for name in names]
    # Both say the same; what binutils' newer demangler prints differently are spaces and literals.
    agree = sum(a.replace(" ", "") == b.replace(" ", "") for a, b in zip(found, expected, strict=True))
    assert len(names) > 50
    assert agree >= 0.97 * len(names)
    assert "outer::(anonymous namespace)::Box<int>::get(int) const" in found
    assert "outer::inner::Machine::operator()(int) const" in found
    assert "int outer::inner::count<int, double, char const (&) [6]>(int&&, double&&, char const (&) [6])" in found


@pytest.mark.parametrize("scheme", ["v0", "legacy"])
def test_rust_names(tmp_path: Path, scheme: str) -> None:
    if not shutil.which("rustc"):
        pytest.skip("needs rustc")
    (tmp_path / "hello.rs").write_text(RUST)
    command = [
        "rustc",
        "-C",
        f"symbol-mangling-version={scheme}",
        "-Z",
        "unstable-options",
        "-o",
        str(tmp_path / "hello"),
        str(tmp_path / "hello.rs"),
    ]
    # New compilers hold the old scheme to be unstable.
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"RUSTC_BOOTSTRAP": "1"})
    if done.returncode:
        pytest.skip(f"rustc cannot do {scheme}: {done.stderr[-200:]}")
    names = mangled_names(tmp_path / "hello", "_R" if scheme == "v0" else "_ZN")
    found = [demangle(name) for name in names]
    assert "hello::main" in found
    assert any(name.startswith("<hello::shapes::Square as hello::shapes::Area>::area") for name in found)
    assert any(re.match(r"hello::shapes::total(::<|$)", name) for name in found)
    assert not [name for name in found if re.search(r"17?h[0-9a-f]{16}|\$LT\$|\$u20\$", name)]
    changed = sum(a != b for a, b in zip(found, names, strict=True))
    assert changed >= 0.97 * len(names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("main", "main"),
        ("", ""),
        ("_Z", "_Z"),
        ("_ZN3foo3barEv@@VERSION_1", "foo::bar()"),
        ("_ZN3foo3barEv.cold", "foo::bar() [clone .cold]"),
        ("_ZSt4cout@GLIBCXX_3.4", "std::cout"),
        ("_RNvC7mycrate3foo", "mycrate::foo"),
        ("_RNvC7mycrate3foo.llvm.1234ABCD", "mycrate::foo"),
        ("_Read_all", "_Read_all"),
        ("_ZN4core3fmt9Formatter3new17h0123456789abcdefE", "core::fmt::Formatter::new"),
        ("_ZN4core3fmt9Formatter3new17h0123456789abcdefE.llvm.99", "core::fmt::Formatter::new"),
        ("_ZN38_$LT$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE", "<T as core::fmt::Debug>::fmt"),
        ("\udcff_Z", "\udcff_Z"),
    ],
)
def test_known_names(name: str, expected: str) -> None:
    assert demangle(name) == expected


@pytest.mark.parametrize(
    ("full", "short"),
    [
        ("foo::bar(int, char (*)(int)) const", "foo::bar"),
        ("foo::operator()(int)", "foo::operator()"),
        ("operator new(unsigned long)", "operator new"),
        ("main::{lambda()#1}::operator()() const", "main::{lambda()#1}::operator()"),
        ("(anonymous namespace)::f() [clone .cold]", "(anonymous namespace)::f"),
        ("vtable for a::(anonymous namespace)", "vtable for a::(anonymous namespace)"),
        ("void f<int>(int) &&", "void f<int>"),
        ("plain", "plain"),
        (")", ")"),
        ("()", "()"),
    ],
)
def test_short_names(full: str, short: str) -> None:
    assert without_parameters(full) == short


def test_short_through_demangle() -> None:
    assert demangle("_ZN3foo3barEiPKc", short=True) == "foo::bar"
    assert demangle("_ZN3foo3barEiPKc") == "foo::bar(int, char const*)"


def doubling(levels: int) -> str:
    """A name whose text doubles with each level."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "_ZN5outer1fESt4pairIiiE" + "".join(f"S0_IS{digits[i + 1]}_S{digits[i + 1]}_E" for i in range(levels))


def rust_doubling(levels: int) -> str:
    """The same for Rust's v0 scheme: a tuple of two references to the tuple before."""
    name, place = "INvC1a1fTuuE", 8
    for _ in range(levels):
        reference = "B" + base62(place - 1) + "_"
        place = len(name)
        name += f"T{reference}{reference}E"
    return "_R" + name + "E"


def base62(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return (base62(number // 62) if number >= 62 else "") + digits[number % 62]


HOSTILE = [
    rust_doubling(4),
    rust_doubling(20),
    doubling(5),
    doubling(12),
    doubling(30),
    "_Z1fI" + "J" + "i" * 200 + "E" + "EvDpDpDpDpDpT_",
    "_Z" + "P" * 100_000 + "i",
    "_Z1f" + "P" * 2000 + "i",
    "_Z1f" + "F" * 1900 + "v",
    "_Z" + "N" * 100_000,
    "_ZN" + "1a" * 50_000 + "E",
    "_Z" + "9" * 100_000,
    "_Z" + "I" * 2000,
    "_R" + "NvNv" * 400 + "C1a1b1c",
    "_RINvC1a1f" + "TB9_B9_E" * 300 + "E",
    "_R" + "I" * 100_000,
    "_RNvC" + "9" * 2000 + "a",
    "_RNvCu" + "999" + "a_" + "z" * 1500,
    "_ZN" + "9" * 1900 + "17h0123456789abcdefE",
    "_ZN3$u99999999$17h0123456789abcdefE",
    "_ZN3foo17h0123456789abcdefE" + "\0" * 100,
    "x" * 100_000,
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_take_no_time_and_no_memory(name: str) -> None:
    with pace.at_most(200):
        result = demangle(name)
    assert 0 < len(result) <= 4096


def test_what_is_too_complex_keeps_the_part_that_can_be_read() -> None:
    assert demangle(doubling(30)) == "outer::f"
    assert demangle("_ZN5Eigen8internal4gemmI" + "S_" * 100) == "Eigen::internal::gemm<...>"


def test_rust_references() -> None:
    assert demangle(rust_doubling(1)) == "a::f::<((), ()), (((), ()), ((), ()))>"
    assert demangle(rust_doubling(20)) == rust_doubling(20)


def test_usual_template_names_are_not_taken_for_hostile() -> None:
    name = (
        "_ZNSt8_Rb_treeISsSt4pairIKSsSt6vectorIiSaIiEEESt10_Select1stIS5_ESt4lessISsESaIS5_EE"
        "22_M_emplace_hint_uniqueIJRKSt21piecewise_construct_tSt5tupleIJRS1_EESF_IJEEEEE"
        "St17_Rb_tree_iteratorIS5_ESt23_Rb_tree_const_iteratorIS5_EDpOT_"
    )
    assert demangle(name).startswith("std::_Rb_tree_iterator<std::pair<std::string const, std::vector<int")


@given(st.text(max_size=60), st.sampled_from(["", "_Z", "_ZN", "_R", "__ZN", "_ZN3foo"]))
def test_never_raises(rest: str, prefix: str) -> None:
    assert isinstance(demangle(prefix + rest), str)


@given(st.lists(st.sampled_from("NCIBSETLKFPRQDMXYG0123_aisuvhp"), max_size=60))
def test_never_raises_on_rust_grammar(letters: list[str]) -> None:
    assert isinstance(demangle("_R" + "".join(letters)), str)


def test_a_broken_library_leaves_the_mangled_name(monkeypatch: pytest.MonkeyPatch) -> None:
    cxxfilt = pytest.importorskip("cxxfilt")

    def broken(name: bytes) -> bytes:
        raise OSError("no libstdc++")

    monkeypatch.setattr(cxxfilt, "demangleb", broken)
    monkeypatch.setattr(module, "_known", type(module._known)(10))
    assert demangle("_Zli2_xy") == "_Zli2_xy"


CPP_TOKENS = ["S_", "S0_", "S1_", "T_", "T0_", "Dp", "sp", "I", "E", "J", "St4pair", "1a", "i", "N", "v", "P", "F", "X"]


@given(st.lists(st.sampled_from(CPP_TOKENS), max_size=300))
def test_no_cpp_grammar_takes_long(tokens: list[str]) -> None:
    with pace.at_most(200):
        demangle("_Z1fI" + "".join(tokens))
