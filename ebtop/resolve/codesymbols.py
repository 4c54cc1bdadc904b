"""The code symbols of a file, from itself and from where they went when it was stripped."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from ebtop.resolve.debugfile import DEBUG_ROOT, embedded_debug_data, separate_debug_file
from ebtop.resolve.elflayout import SHT_SYMTAB, ElfError, ElfImage
from ebtop.resolve.gofunctions import read_go_functions
from ebtop.resolve.symboltable import Strings, Symbols, read_symbols

_OF_GO = frozenset({".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo", ".note.go.buildid"})
OWN, EMBEDDED, SEPARATE, RUNTIME = "file", ".gnu_debugdata", "debug file", ".gopclntab"


@dataclass(slots=True)
class CodeSymbols:
    """Symbols, the string tables with their names, and of each of these, where it comes from.

    `stripped` says that the file has no .symtab, `go` that it was made of Go, `damaged` what is wrong with a debug file
    whose symbols are missing therefore.
    """

    parts: list[Symbols] = field(default_factory=list)
    strings: list[Strings] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    stripped: bool = False
    go: bool = False
    damaged: str = ""

    def add(self, image: ElfImage, fd: int, origin: str) -> bool:
        """Add those of one file; whether it has any. Raises ElfError, and has added none then."""
        before = len(self.strings)
        try:
            parts = (read_go_functions if origin == RUNTIME else read_symbols)(image, fd, self.strings)
        except ElfError:
            del self.strings[before:]
            raise
        self.parts += parts
        self.origins += [origin] * (len(self.strings) - before)
        return bool(parts)

    def add_found(self, found: AbstractContextManager[tuple[ElfImage, int] | None], origin: str) -> bool:
        """Add those of a debug file; a damaged one costs its symbols only."""
        try:
            with found as debug:
                return debug is not None and self.add(*debug, origin)
        except ElfError as error:
            self.damaged = f"{origin}: {error}"
            return False


def read_code_symbols(
    image: ElfImage, fd: int, build_id: bytes, path: str = "", debug_root: str = DEBUG_ROOT
) -> CodeSymbols:
    """All code symbols that belong to a file. `path` is where it lies, "" when unknown. Raises ElfError."""
    names = {section.name for section in image.sections}
    stripped = not any(section.type == SHT_SYMTAB for section in image.sections)
    found = CodeSymbols(stripped=stripped, go=not names.isdisjoint(_OF_GO))
    found.add(image, fd, OWN)
    if found.stripped and not found.add_found(separate_debug_file(image, build_id, path, debug_root), SEPARATE):
        found.add_found(embedded_debug_data(image), EMBEDDED)
        if found.go:
            found.add_found(nullcontext((image, fd)), RUNTIME)
    return found
