"""Programs to begin with: small ones of many kinds, by whatever compilers are here."""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from ebtop.resolve.elflayout import ElfImage
from tests.hostile.test_binary import SOURCE, WITH, WITHOUT
from tests.hostile.test_elf import made
from tests.unit.unwindfiles import opened

KINDS: dict[str, tuple[str, ...]] = {
    "dwarf5": ("g++", "-g", "-O1"),
    "dwarf4": ("g++", "-gdwarf-4", "-O2"),
    "dwarf3": ("g++", "-gdwarf-3", "-O0"),
    "types": ("g++", "-gdwarf-4", "-fdebug-types-section"),
    "compressed": ("g++", "-g", "-gz"),
    "split": ("g++", "-g", "-gsplit-dwarf"),
    "bare": ("g++", "-O2", "-s"),
    "fixed": ("g++", "-g1", "-no-pie"),
    "lld": ("g++", "-g", "-fuse-ld=lld"),
    "clang": ("clang++", "-g", "-O1"),
    "clang4": ("clang++", "-gdwarf-4", "-gdwarf-aranges"),
    "object": ("g++", "-g", "-c"),
    "arm64": ("aarch64-linux-gnu-g++", "-g"),
    "narrow": ("g++", "-g", "-m32"),
}


def _built(folder: Path, command: tuple[str, ...]) -> bytes:
    for head in (WITH, WITHOUT):
        (folder / "shop.cc").write_text(SOURCE.replace("%s", head))
        done = subprocess.run([*command, "-w", "shop.cc", "-o", "shop"], cwd=folder, capture_output=True, check=False)
        if not done.returncode:
            return (folder / "shop").read_bytes()
    return b""


def _with(program: bytes, section: str, data: bytes) -> bytes:
    """A program with one more section, b"" where there is no objcopy."""
    if not shutil.which("objcopy"):
        return b""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "program").write_bytes(program)
        (Path(folder) / "data").write_bytes(data)
        command = ["objcopy", "--add-section", f"{section}=data", "program"]
        subprocess.run(command, cwd=folder, check=True)
        return (Path(folder) / "program").read_bytes()


def _go_table(program: bytes) -> bytes:
    """A table of three functions as Go's runtime has it, for the code of a program."""
    with opened(program) as fd:
        code = ElfImage(fd).section(".text")
    names = b"main.main\0main.cold\0runtime.goexit\0"
    places = (code.address if code else 0, 72, 72, 72, 72, 72 + len(names))
    header = struct.pack("<IHBBQQQQQQQQ", 0xFFFFFFF1, 0, 1, 8, 3, 0, *places)
    rows = struct.pack("<7I", 0, 28, 16, 40, 48, 52, 64)
    functions = (struct.pack("<3I", begin, name, 0) for begin, name in ((0, 0), (16, 10), (48, 20)))
    return header + names + rows + b"".join(functions)


def _moved_away(bare: bytes, whole: bytes) -> dict[str, bytes]:
    """Programs whose names are elsewhere in the file."""
    return {
        "go": _with(bare, ".gopclntab", _go_table(bare)),
        "minidebug": _with(bare, ".gnu_debugdata", lzma.compress(whole)),
    }


def into(corpus: Path) -> int:
    """Write them to a folder: how many there are. Raises RuntimeError where nothing can be built."""
    (corpus / "made").write_bytes(made([(1, 0x400000, 16, 0x12), (6, 0x400010, 16, 0x12)], b"\0main\0step\0"))
    programs = {}
    for name, command in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            programs[name] = _built(Path(folder), command) if shutil.which(command[0]) else b""
    if programs["bare"]:
        programs |= _moved_away(programs["bare"], programs["dwarf5"])
    built = {name: data for name, data in programs.items() if data}
    if not built:
        raise RuntimeError("no compiler builds a program here: needs g++")
    for name, data in built.items():
        (corpus / name).write_bytes(data)
    return len(built) + 1
