"""What debug information says of a function: its parameters and where they are when it begins, and members of types."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from ebtop.resolve.callingconvention import Value, places
from ebtop.resolve.dwarflocation import PIECES, UNKNOWN, Location, at_entry, by_reference
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

    `seconds` is what one question may take in CPU time; DwarfBudgetError says that it was not enough.
    """

    def __init__(self, image: ElfImage, seconds: float = 5.0) -> None:
        budget = Budget(seconds)
        with only_dwarf_errors(budget):
            self._file = DwarfFile(image, budget)
            self._units, self._types = Units(self._file), Types(self._file)

    def function(self, address: int, changed: bool = False) -> Description:
        """The function that begins at a virtual address.

        `changed` says that the compiler changed it for itself (it is a clone): then it has no calling convention.
        """
        with only_dwarf_errors(self._file.budget):
            found = function_entry(self._units, address)
            if found is None:
                raise DwarfError("no debug information of this function")
            return self._described(*found, address, changed)

    def members(self, type_: Type) -> list[Member]:
        """The members of a struct, class or union, or of what a pointer leads to; [] of other types."""
        with only_dwarf_errors(self._file.budget):
            held = self._types.at_offset(type_.target) if type_.kind == POINTER else type_
            return self._types.members(held.offset) if held.kind == STRUCT else []

    def access(self, type_: Type, path: str) -> Access:
        """The way from a value of a type to what a path names: "next->name", "load", "ports[2]", "" for `*pointer`."""
        steps = _steps(path)
        with only_dwarf_errors(self._file.budget):
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
        result = self._go_result(unit, entry, notes) if language_of(unit) == _GO else self._type(chain, notes)
        fallback = self._fallback(unit, result, [Value(type_, seen) for _, type_, _, seen in found], changed)
        parameters = tuple(
            Parameter(name, type_, place or other)
            for (name, type_, place, _), other in zip(found, fallback, strict=True)
        )
        file, line = self._place(chain)
        name = next((name_of(e) for _, e in chain if name_of(e)), "")
        return Description(name, parameters, variadic, result, file, line, tuple(dict.fromkeys(notes)))

    def _parameters(
        self, unit: Any, entry: Any, address: int, notes: list[str]
    ) -> tuple[list[tuple[str, Type, Location | None, bool | None]], bool]:
        """Names, types, locations where DWARF knows them at the entry, and of classes whether they are passed by
        reference; and whether more may follow."""
        found: list[tuple[str, Type, Location | None, bool | None]] = []
        variadic = False
        for child in children_of(unit, entry):
            variadic |= child.tag == "DW_TAG_unspecified_parameters"
            if child.tag != "DW_TAG_formal_parameter" or len(found) >= _MOST_PARAMETERS or _is_go_result(child):
                continue
            chain = self._chain(unit, child)
            name = next((name_of(e) for _, e in chain if name_of(e)), "")
            type_ = self._type(chain, notes)
            if "DW_AT_artificial" in child.attributes:  # `this` cannot be changed
                type_ = type_._replace(name=type_.name.removesuffix(" const"))
            place = at_entry(self._file, unit, entry, child, address)
            parts = sum(size for _, size in place.pieces) if place is not None else 0
            whole = None if place is not None and place.kind == PIECES and parts < type_.size else place
            found.append((name, type_, whole, self._reference(child, type_)))
        return found, variadic

    def _fallback(self, unit: Any, result: Type, values: list[Value], changed: bool) -> list[Location]:
        language = language_of(unit)
        if language == _GO or changed:
            why = "Go passes parameters in its own way" if language == _GO else "the compiler changed this function"
            return [Location(UNKNOWN, source=f"{why}; DWARF does not say where this is at the entry")] * len(values)
        if language == _RUST:  # scalars go as in C; structs as the compiler likes
            values = [Value(v.type, None if v.type.kind == STRUCT else False) for v in values]
        returned = Value(
            result, None if language == _RUST and result.kind == STRUCT else self._types.by_reference(result)
        )
        return places(self._file.image.machine, returned, values, self._types.parts)

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

    def _go_result(self, unit: Any, entry: Any, notes: list[str]) -> Type:
        """Go lists results among the parameters, some of them twice."""
        found = {name_of(c): self._type([(unit, c)], notes) for c in children_of(unit, entry) if _is_go_result(c)}
        types = list(found.values()) or [self._types.at_offset(-1)]
        return types[0] if len(types) == 1 else _UNREAD._replace(name=f"({', '.join(t.name for t in types)})")

    def _reference(self, parameter: Any, type_: Type) -> bool | None:
        """Whether a parameter is passed by the address of a copy."""
        seen = by_reference(parameter) if type_.kind == STRUCT else False
        return self._types.by_reference(type_) if seen is None else seen

    def _type(self, chain: list[tuple[Any, Any]], notes: list[str]) -> Type:
        for unit, entry in chain:
            if "DW_AT_type" in entry.attributes:
                try:
                    return self._types.of(unit, entry)
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
        try:
            program = self._file.info.line_program_for_CU(unit)
        except Exception:  # pyelftools raises anything on what it cannot read, such as the lines of 64-bit DWARF
            if self._file.budget.ended:
                raise
            return ""  # the line alone is worth something
        index = number - (program["version"] < 5) if program is not None else -1
        files = program["file_entry"] if program is not None else []
        return text(files[index].name) if 0 <= index < len(files) else ""


def _is_go_result(entry: Any) -> bool:
    return entry.tag == "DW_TAG_formal_parameter" and bool(number_of(entry, "DW_AT_variable_parameter", 0))


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
