"""What debug information says of a function: its parameters and where they are when it begins, and members of types."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from ebtop.resolve import callingconvention
from ebtop.resolve.dwarflocation import UNKNOWN, Location, at_entry, by_reference
from ebtop.resolve.dwarfsections import Budget, DwarfBudgetError, DwarfError, DwarfFile, only_dwarf_errors
from ebtop.resolve.dwarftypes import ARRAY, OTHER, POINTER, STRUCT, Member, Type, Types, language_of, name_of, number_of
from ebtop.resolve.dwarfunits import Units, children_of, function_entry
from ebtop.resolve.elflayout import ElfImage
from ebtop.tool import text

_GO, _RUST = 0x16, 0x1C
_MOST_PARAMETERS = 64
_DEEPEST = 8
_PATH = re.compile(r"(?:^|\.|->)([A-Za-z_$][\w$]*)|\[(\d{1,9})\]")
_UNREAD: Final = Type("?", OTHER, 0, -1)


class Parameter(NamedTuple):
    """A parameter: what it is called ("this" included, "" without a name), its type, and where it is at the entry."""

    name: str
    type: Type
    location: Location


class Description(NamedTuple):
    """A function as its source has it. `line` is 0 when unknown; `notes` say what could not be read."""

    name: str
    parameters: tuple[Parameter, ...]
    variadic: bool
    result: Type
    file: str
    line: int
    notes: tuple[str, ...]


class Access(NamedTuple):
    """How to come from a pointer, or from the address of a struct, to a value of a type.

    At each of `hops` but the last, add it and read a pointer; add the last and read the value. `bits` is (first, count)
    for a bit field.
    """

    hops: tuple[int, ...]
    type: Type
    bits: tuple[int, int] | None = None


class Dwarf:
    """The debug information of one file; only what is asked for is read. All methods raise DwarfError, nothing else.

    `seconds` is what one question may take; DwarfBudgetError says that it was not enough.
    """

    def __init__(self, image: ElfImage, seconds: float = 5.0) -> None:
        with only_dwarf_errors():
            self._file = DwarfFile(image, Budget(seconds))
            self._units, self._types = Units(self._file), Types(self._file)

    def function(self, address: int, changed: bool = False) -> Description:
        """The function that begins at a virtual address.

        `changed` says that the compiler changed it for itself (it is a clone): then it has no calling convention.
        """
        self._file.budget.begin()
        with only_dwarf_errors():
            found = function_entry(self._units, address)
            if found is None:
                raise DwarfError("no debug information of this function")
            return self._described(*found, address, changed)

    def members(self, type_: Type) -> list[Member]:
        """The members of a struct, class or union, or of what a pointer leads to; [] of other types."""
        self._file.budget.begin()
        with only_dwarf_errors():
            held = self._types.at_offset(type_.target) if type_.kind == POINTER else type_
            return self._types.members(held.offset) if held.kind == STRUCT else []

    def access(self, type_: Type, path: str) -> Access:
        """The way from a value of a type to what a path names: "next->name", "load", "ports[2]", "" for `*pointer`."""
        self._file.budget.begin()
        steps = _steps(path)
        with only_dwarf_errors():
            hops, bits = [0], None
            if type_.kind == POINTER:
                type_ = self._types.at_offset(type_.target)
            for step in steps:
                if type_.kind == POINTER:
                    hops.append(0)
                    type_ = self._types.at_offset(type_.target)
                    if isinstance(step, int):
                        hops[-1] += step * type_.size
                        continue
                member = self._element(type_, step) if isinstance(step, int) else self._member(type_, step)
                hops[-1] += member.offset
                type_, bits = member.type, member.bits
            return Access(tuple(hops), type_, bits)

    def _element(self, type_: Type, index: int) -> Member:
        if type_.kind != ARRAY:
            raise DwarfError(f"{type_.name} is no array")
        of = self._types.at_offset(type_.target)
        return Member("", index * of.size, of)

    def _member(self, type_: Type, name: str, depth: int = 0) -> Member:
        """A member by name, also of base classes and of unnamed structs in the struct."""
        if type_.kind != STRUCT or depth > _DEEPEST:
            raise DwarfError(f"{type_.name} has no members")
        members = self._types.members(type_.offset)
        for member in members:
            if member.name == name:
                return member
        for member in members:
            if not member.name and member.type.kind == STRUCT:
                try:
                    inner = self._member(member.type, name, depth + 1)
                except DwarfBudgetError:
                    raise
                except DwarfError:
                    continue
                return inner._replace(offset=inner.offset + member.offset)
        known = ", ".join(m.name for m in members[:20] if m.name)
        raise DwarfError(f"{type_.name} has no member {name}{f'; it has {known}' if known else ''}")

    def _described(self, unit: Any, entry: Any, address: int, changed: bool) -> Description:
        notes: list[str] = []
        chain = self._chain(unit, entry)
        found, variadic = self._parameters(unit, entry, address, notes)
        types = [type_ for _, type_, _ in found]
        result = self._type(chain, notes)
        fallback = self._fallback(unit, result, types, changed)
        parameters = tuple(
            Parameter(name, type_, place or other) for (name, type_, place), other in zip(found, fallback, strict=True)
        )
        file, line = self._place(chain)
        name = next((name_of(e) for _, e in chain if name_of(e)), "")
        return Description(name, parameters, variadic, result, file, line, tuple(dict.fromkeys(notes)))

    def _parameters(
        self, unit: Any, entry: Any, address: int, notes: list[str]
    ) -> tuple[list[tuple[str, Type, Location | None]], bool]:
        """Names, types and, where DWARF knows them at the entry, locations; and whether more may follow."""
        found: list[tuple[str, Type, Location | None]] = []
        variadic = False
        for child in children_of(unit, entry):
            variadic |= child.tag == "DW_TAG_unspecified_parameters"
            if child.tag != "DW_TAG_formal_parameter" or len(found) >= _MOST_PARAMETERS:
                continue
            chain = self._chain(unit, child)
            name = next((name_of(e) for _, e in chain if name_of(e)), "")
            found.append((name, self._type(chain, notes, child), at_entry(self._file, unit, entry, child, address)))
        return found, variadic

    def _fallback(self, unit: Any, result: Type, types: list[Type], changed: bool) -> list[Location]:
        language = language_of(unit)
        if language == _GO or changed:
            why = "Go passes parameters in its own way" if language == _GO else "the compiler changed this function"
            return [Location(UNKNOWN, source=f"{why}; DWARF does not say where this is at the entry")] * len(types)
        if language == _RUST:  # scalars go as in C; structs as the compiler likes
            types = [_UNREAD._replace(name=t.name) if t.kind == STRUCT else t for t in types]
        return callingconvention.places(
            self._file.image.machine, result, types, lambda t: self._types.members(t.offset)
        )

    def _chain(self, unit: Any, entry: Any) -> list[tuple[Any, Any]]:
        """An entry, and those that it is an instance or the definition of."""
        found = [(unit, entry)]
        for _ in range(_DEEPEST):
            unit, entry = found[-1]
            links = [key for key in ("DW_AT_abstract_origin", "DW_AT_specification") if key in entry.attributes]
            if not links:
                break
            found.append(self._types.referred(unit, entry, links[0]))
        return found

    def _type(self, chain: list[tuple[Any, Any]], notes: list[str], parameter: Any = None) -> Type:
        for unit, entry in chain:
            if "DW_AT_type" in entry.attributes:
                try:
                    found = self._types.of(unit, entry)
                    seen = by_reference(parameter) if parameter is not None and found.by_reference is None else None
                    return found if seen is None else found._replace(by_reference=seen)
                except DwarfBudgetError:
                    raise
                except DwarfError as error:
                    notes.append(str(error))
                    return _UNREAD
        return self._types.at_offset(-1)

    def _place(self, chain: list[tuple[Any, Any]]) -> tuple[str, int]:
        """The source file and line of a function."""
        for unit, entry in chain:
            line, number = number_of(entry, "DW_AT_decl_line", 0), number_of(entry, "DW_AT_decl_file", -1)
            if line:
                return self._source(unit, number), line
        return "", 0

    def _source(self, unit: Any, number: int) -> str:
        if number < 0 or "DW_AT_stmt_list" not in unit.get_top_DIE().attributes:
            return name_of(unit.get_top_DIE())
        program = self._file.info.line_program_for_CU(unit)
        index = number - (program["version"] < 5) if program is not None else -1
        files = program["file_entry"] if program is not None else []
        return text(files[index].name) if 0 <= index < len(files) else ""


def _steps(path: str) -> list[str | int]:
    """A path in its parts. Raises DwarfError."""
    found: list[str | int] = []
    position = 0
    while position < len(path):
        match = _PATH.match(path, position)
        if match is None:
            raise DwarfError(f"{path[:80]!r} is no path of members, such as next->name or ports[2]")
        found.append(match[1] or int(match[2]))
        position = match.end()
    return found
