"""Programs of many layouts, built by whatever compilers and linkers are here; what is missing is skipped."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SERVER = r"""
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <unistd.h>
namespace Envoy { namespace Server { struct Instance { int port; double load; }; }
class MainCommon { public:
  using Hook = std::function<void(Server::Instance&)>;
  static int main(int argc, char** argv, Hook hook);
}; }
extern "C" __attribute__((noinline)) int plain_step(int x) { return x * 3 + 1; }
__attribute__((noinline)) int Envoy::MainCommon::main(int argc, char**, Hook hook) {
  Server::Instance instance{argc, 0.5}; hook(instance); return plain_step(argc);
}
template <typename T> __attribute__((noinline)) T twice(T x) { return x + x; }
namespace { __attribute__((noinline)) int inner(int x) { return plain_step(x) - 1; } }
int main(int argc, char** argv) {
  int seen = 0;
  int got = Envoy::MainCommon::main(argc, argv, [&](Envoy::Server::Instance& i) { seen = i.port; });
  printf("%d %d %d\n", got, seen, inner(twice(argc)) + (int)twice(1.5)); fflush(stdout);
  if (argc > 1 && !strcmp(argv[1], "wait")) { char c; if (read(0, &c, 1) < 0) return 1; }
  return 0;
}
"""

LINKER_SCRIPT = """
ENTRY(_start)
PHDRS { headers PT_LOAD FILEHDR PHDRS FLAGS(4); early PT_LOAD FLAGS(5); code PT_LOAD FLAGS(5); data PT_LOAD FLAGS(6); }
SECTIONS {
  . = 0x400000 + SIZEOF_HEADERS;
  .rodata : { *(.rodata*) } :headers
  . = 0x10002000; .early : { *(.early) } :early
  . = 0x20005000; .text : { *(.text*) } :code
  . = 0x30007000; .data : { *(.data*) *(.bss*) } :data
  /DISCARD/ : { *(.eh_frame) *(.note*) *(.comment) *(.interp) }
}
"""

FREESTANDING = r"""
static long call(long n, long a, long b, long c) { long r;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory"); return r; }
__attribute__((noinline, section(".early"))) int early_step(int x) { return x * 5 + 2; }
__attribute__((noinline)) int late_step(int x) { return early_step(x) * 7; }
void _start(void) { char c; if (late_step(3)) call(1, 1, (long)"up\n", 3); call(0, 0, (long)&c, 1);
  call(60, 0, 0, 0); }
"""

LAYOUTS: dict[str, list[str]] = {
    "pie": ["-fPIE", "-pie"],
    "not pie": ["-fno-pie", "-no-pie"],
    "separate code": ["-fPIE", "-pie", "-Wl,-z,separate-code"],
    "no separate code": ["-fPIE", "-pie", "-Wl,-z,noseparate-code"],
    "not pie, no separate code": ["-fno-pie", "-no-pie", "-Wl,-z,noseparate-code"],
    "gold": ["-fPIE", "-pie", "-fuse-ld=gold"],
    "gold, not pie": ["-fno-pie", "-no-pie", "-fuse-ld=gold"],
    "lld": ["-fPIE", "-pie", "-fuse-ld=lld"],
    "lld, not pie": ["-fno-pie", "-no-pie", "-fuse-ld=lld"],
    "lld, separate code": ["-fPIE", "-pie", "-fuse-ld=lld", "-Wl,-z,separate-code"],
    "mold": ["-fPIE", "-pie", "-fuse-ld=mold"],
    "text segment moved": ["-fno-pie", "-no-pie", "-Wl,-Ttext-segment=0x7000000"],
    "text moved": ["-fno-pie", "-no-pie", "-Wl,-Ttext=0x5000000"],
    "pie at an address": ["-fPIE", "-pie", "-Wl,-Ttext-segment=0x41000000"],  # as prelink leaves files
    "huge pages": ["-fPIE", "-pie", "-Wl,-z,max-page-size=0x200000"],
    "static": ["-static"],
    "static pie": ["-static-pie"],
    "optimised": ["-O2", "-ffunction-sections", "-Wl,--gc-sections"],
    "branch protection": ["-O2", "-fcf-protection=full"],
    "clang": [],
}


def built(folder: Path, name: str, *flags: str, source: str = SERVER, compiler: str = "g++") -> str:
    """The path of a program; the test is skipped where this toolchain lacks something."""
    if not shutil.which(compiler):
        pytest.skip(f"needs {compiler}")
    code, program = folder / f"{name}.{'c' if compiler.endswith(('gcc', 'clang')) else 'cc'}", folder / name
    code.write_text(source)
    command = [compiler, "-w", str(code), "-o", str(program), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{compiler} cannot do {' '.join(flags)}: {done.stderr[-300:]}")
    return str(program)


def output(*command: str) -> str:
    """What a program of the toolchain prints."""
    if not shutil.which(command[0]):
        pytest.skip(f"needs {command[0]}")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
