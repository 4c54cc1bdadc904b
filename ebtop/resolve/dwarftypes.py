"""Types as C and C++ write them, how their values are read, and where members lie."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ebtop.resolve.bounded import BoundedCache
from ebtop.resolve.dwarfscan import Scopes
from ebtop.resolve.dwarfsections import DwarfError, DwarfFile
from ebtop.resolve.dwarfunits import children_of, entries_in, entry_at
from ebtop.tool import text

INTEGER, UNSIGNED, BOOLEAN, CHARACTER, FLOAT = "integer", "unsigned", "boolean", "character", "float"
POINTER, STRUCT, ARRAY, ENUM, VOID, FUNCTION, OTHER = "pointer", "struct", "array", "enum", "void", "function", "other"

_ENCODINGS: Final = {
    1: POINTER,
    2: BOOLEAN,
    4: FLOAT,
    5: INTEGER,
    6: CHARACTER,
    7: UNSIGNED,
    8: CHARACTER,
    16: CHARACTER,
}
_AGGREGATES: Final = {"DW_TAG_structure_type": "struct", "DW_TAG_class_type": "class", "DW_TAG_union_type": "union"}
_QUALIFIERS: Final = {
    "DW_TAG_const_type": "const", "DW_TAG_volatile_type": "volatile", "DW_TAG_restrict_type": "restrict",
    "DW_TAG_atomic_type": "_Atomic",
}  # fmt: skip
_POINTERS: Final = {"DW_TAG_pointer_type": "*", "DW_TAG_reference_type": "&", "DW_TAG_rvalue_reference_type": "&&"}
_C: Final = frozenset({0x01, 0x02, 0x0C, 0x1D, 0x2C})  # DW_LANG_C89, C, C99, C11, C17
_UNSCOPED: Final = _C | {0x16}  # Go's names have their packages
_DEEPEST = 24
_LONGEST = 400
_MOST_MEMBERS = 4096
_MOST_ELEMENTS = 64
_MOST_KNOWN = 4096
_MOST_UNITS = 8


class Type(NamedTuple):
    """A type. `size` is in bytes, 0 when unknown; `offset` is that of its entry in .debug_info, -1 for void.

    `kind` says how a value is read, behind typedefs and qualifiers; `target` is what a pointer leads to, or the element
    of an array, as an offset, -1 for none.
    """

    name: str
    kind: str
    size: int
    offset: int
    target: int = -1

    @property
    def is_string(self) -> bool:
        """Whether it is a pointer to characters."""
        return self.kind == POINTER and self.name.replace("const ", "").replace(" const", "") in _STRINGS


_STRINGS: Final = frozenset({"char *", "char*", "signed char *", "unsigned char *"})


class Member(NamedTuple):
    """A member of a struct or union; `bits` is (first, count) of a bit field, from the lowest bit at `offset`."""

    name: str
    offset: int
    type: Type
    bits: tuple[int, int] | None = None


class Types:
    """The types of one file, read when they are asked for and remembered."""

    def __init__(self, file: DwarfFile) -> None:
        self._file = file
        self._known: BoundedCache[int, Type] = BoundedCache(_MOST_KNOWN)
        self._scopes: BoundedCache[int, str] = BoundedCache(_MOST_KNOWN)
        self._units: BoundedCache[int, Scopes] = BoundedCache(_MOST_UNITS)

    def of(self, unit: Any, entry: Any) -> Type:
        """The type that an entry (a parameter, a member, a function's result) has. void when it has none."""
        reference = entry.attributes.get("DW_AT_type")
        return _VOID if reference is None else self.at(*self.referred(unit, entry, "DW_AT_type"))

    def referred(self, unit: Any, entry: Any, attribute: str) -> tuple[Any, Any]:
        """The unit and the entry that an attribute refers to. Raises DwarfError for those in other files."""
        found = entry.attributes[attribute]
        form = found.form
        if form in {"DW_FORM_ref_addr", "DW_FORM_ref_sig8"}:
            if form == "DW_FORM_ref_sig8":
                raise DwarfError("types in units of their own (-fdebug-types-section) are not read")
            other = self._file.info.unit_with(found.raw_value)
            return other, entry_at(other, found.raw_value)
        if not isinstance(found.raw_value, int) or not form.startswith("DW_FORM_ref") or "sup" in form:
            raise DwarfError("types in a supplementary file (of dwz) are not read")
        return unit, entry_at(unit, unit.cu_offset + found.raw_value)

    def at(self, unit: Any, entry: Any, depth: int = 0) -> Type:
        """The type of an entry. Raises DwarfError when it contains itself."""
        known = self._known.get(entry.offset)
        if known is None:
            if depth > _DEEPEST:
                raise DwarfError("a type that contains itself")
            known = self._read(unit, entry, depth)
            known = known._replace(name=known.name[:_LONGEST])
            self._known.put(entry.offset, known)
        return known

    def at_offset(self, offset: int) -> Type:
        """The type at an offset of .debug_info, such as `Type.target`."""
        return _VOID if offset < 0 else self.at(*self._entry(offset))

    def _entry(self, offset: int) -> tuple[Any, Any]:
        unit = self._file.info.unit_with(offset)
        return unit, entry_at(unit, offset)

    def _inner(self, unit: Any, entry: Any, depth: int) -> Type:
        if "DW_AT_type" not in entry.attributes:
            return _VOID
        return self.at(*self.referred(unit, entry, "DW_AT_type"), depth + 1)

    def _read(self, unit: Any, entry: Any, depth: int) -> Type:
        tag, size = entry.tag, number_of(entry, "DW_AT_byte_size", 0)
        if tag == "DW_TAG_base_type":
            kind = _ENCODINGS.get(number_of(entry, "DW_AT_encoding", 0), OTHER)
            return Type(name_of(entry) or "?", kind, size, entry.offset)
        if tag in _AGGREGATES:
            return Type(self._prefixed(unit, entry, _AGGREGATES[tag]), STRUCT, size, entry.offset)
        if tag == "DW_TAG_enumeration_type":
            return Type(self._prefixed(unit, entry, "enum"), ENUM, size or 4, entry.offset)
        inner = self._inner(unit, entry, depth)
        if tag in _QUALIFIERS:
            return inner._replace(name=_qualified(inner, _QUALIFIERS[tag]), offset=entry.offset)
        if tag == "DW_TAG_typedef":
            return inner._replace(name=self.scoped(unit, entry), offset=entry.offset)
        return self._derived(unit, entry, inner, size)

    def _derived(self, unit: Any, entry: Any, inner: Type, size: int) -> Type:
        """Pointers, arrays and functions."""
        tag, width = entry.tag, unit["address_size"]
        if tag in _POINTERS:
            return Type(_pointer(inner, _POINTERS[tag]), POINTER, size or width, entry.offset, inner.offset)
        if tag == "DW_TAG_ptr_to_member_type":
            return Type(f"{inner.name} ::*", OTHER, 16 if inner.kind == FUNCTION else width, entry.offset)
        if tag == "DW_TAG_array_type":
            counts = [_count(child) for child in children_of(unit, entry) if child.tag == "DW_TAG_subrange_type"]
            total = inner.size
            for count in counts:
                total *= count
            shown = "".join(f"[{count}]" if count else "[]" for count in counts)
            return Type(f"{inner.name} {shown}", ARRAY, size or total, entry.offset, inner.offset)
        if tag == "DW_TAG_subroutine_type":
            parameters = [self.of(unit, c).name for c in children_of(unit, entry) if c.tag == "DW_TAG_formal_parameter"]
            return Type(f"{inner.name} ({', '.join(parameters) or 'void'})", FUNCTION, 0, entry.offset)
        return Type(name_of(entry) or "?", OTHER, size or inner.size, entry.offset)

    def _prefixed(self, unit: Any, entry: Any, word: str) -> str:
        """A name with `struct`, `union` or `enum` before it where C needs that."""
        name = self.scoped(unit, entry)
        if not name:
            return f"{word} (unnamed)"
        return f"{word} {name}" if language_of(unit) in _C else name

    def scoped(self, unit: Any, entry: Any) -> str:
        """The name of an entry with the namespaces and classes that it is in: `a::b`."""
        name = name_of(entry)
        if not name or language_of(unit) in _UNSCOPED:
            return name
        scope = self._scopes.get(entry.offset)
        if scope is None:
            scope = "::".join(self._path(unit, entry.offset))[:_LONGEST]
            self._scopes.put(entry.offset, scope)
        return f"{scope}::{name}" if scope else name

    def _path(self, unit: Any, offset: int) -> list[str]:
        """The names of what an entry is in, outermost first."""
        scopes = self._units.get(unit.cu_offset)
        if scopes is None:
            scopes = Scopes(unit)
            self._units.put(unit.cu_offset, scopes)
        return [name_of(entry_at(unit, scope)) or "(anonymous)" for scope in scopes.around(offset)]

    def members(self, offset: int) -> list[Member]:
        """The members of the struct, class or union at an offset; base classes come as members without a name."""
        unit, entry = self._definition(*self._entry(self.plain(offset)))
        found: list[Member] = []
        for child in children_of(unit, entry):
            if child.tag not in {"DW_TAG_member", "DW_TAG_inheritance"} or len(found) >= _MOST_MEMBERS:
                continue
            if child.attributes.get("DW_AT_external") or child.attributes.get("DW_AT_declaration"):
                continue  # static ones are elsewhere
            name = name_of(child) if child.tag == "DW_TAG_member" else ""
            found.append(_member(child, name, self.of(unit, child)))
        return found

    def parts(self, of: Type) -> list[Member]:
        """The members of a struct, or the elements of an array, as far as they can matter for how it is passed."""
        if of.kind == STRUCT:
            return self.members(of.offset)
        if of.kind != ARRAY:
            return []
        element = self.at_offset(of.target)
        count = of.size // element.size if element.size else 0
        return [Member("", n * element.size, element) for n in range(min(count, _MOST_ELEMENTS))]

    def by_reference(self, of: Type, depth: int = 0) -> bool | None:
        """Whether a class is passed by the address of a copy, as C++ does when copying runs code; None: not known."""
        if of.kind != STRUCT or depth > _DEEPEST:
            return False if of.kind != STRUCT else None
        unit, entry = self._definition(*self._entry(self.plain(of.offset)))
        convention = number_of(entry, "DW_AT_calling_convention", 0)
        if convention in {4, 5}:  # DW_CC_pass_by_reference, DW_CC_pass_by_value
            return convention == 4
        if language_of(unit) in _C:
            return False
        found: set[bool | None] = {self._copied_by_code(unit, entry)}
        for member in self.members(of.offset):
            found.add(member.name.startswith("_vptr") or self.by_reference(member.type, depth + 1))
        return True if True in found else None if None in found else False

    def _copied_by_code(self, unit: Any, entry: Any) -> bool | None:
        """Whether a class declares how it is copied or destroyed; None when that may be what is done anyway."""
        own = name_of(entry).partition("<")[0]
        for child in children_of(unit, entry):
            name = name_of(child) if child.tag == "DW_TAG_subprogram" else ""
            if name not in {own, f"~{own}"} or child.attributes.keys() & {"DW_AT_artificial", "DW_AT_deleted"}:
                continue
            if number_of(child, "DW_AT_defaulted", 0) == 1 or (name == own and not self._takes(unit, child, entry)):
                continue
            return True if unit["version"] >= 5 else None  # before, "= default" was not said
        return False

    def _takes(self, unit: Any, constructor: Any, entry: Any) -> bool:
        """Whether a constructor takes a reference to what it makes."""
        kinds = [c for c in children_of(unit, constructor) if c.tag == "DW_TAG_formal_parameter"]
        given = self.of(unit, kinds[1]) if len(kinds) > 1 else _VOID
        return given.kind == POINTER and given.target >= 0 and self.plain(given.target) == entry.offset

    def plain(self, offset: int) -> int:
        """The entry behind typedefs and qualifiers. Raises DwarfError when there is none."""
        unit, entry = self._entry(offset)
        for _ in range(_DEEPEST):
            if entry.tag not in {*_QUALIFIERS, "DW_TAG_typedef"} or "DW_AT_type" not in entry.attributes:
                return int(entry.offset)
            unit, entry = self.referred(unit, entry, "DW_AT_type")
        raise DwarfError("a type that contains itself")

    def _definition(self, unit: Any, entry: Any) -> tuple[Any, Any]:
        """A struct that is only declared here may be defined in the same unit."""
        if "DW_AT_declaration" not in entry.attributes:
            return unit, entry
        wanted = name_of(entry)
        for other in entries_in(unit, unit.get_top_DIE()):
            if other.tag == entry.tag and "DW_AT_declaration" not in other.attributes and name_of(other) == wanted:
                return unit, other
        raise DwarfError(f"{wanted} is only declared where the function is compiled")


_VOID = Type("void", VOID, 0, -1)


def name_of(entry: Any) -> str:
    """The name of an entry, "" without one."""
    found = entry.attributes.get("DW_AT_name")
    return text(found.value) if found is not None and isinstance(found.value, bytes) else ""


def number_of(entry: Any, attribute: str, otherwise: int) -> int:
    """A number that an entry says."""
    found = entry.attributes.get(attribute)
    return int(found.value) if found is not None and isinstance(found.value, int) else otherwise


def language_of(unit: Any) -> int:
    """The DW_LANG_ code of a unit."""
    return number_of(unit.get_top_DIE(), "DW_AT_language", 0)


def _qualified(inner: Type, word: str) -> str:
    return f"{inner.name} {word}" if inner.name.endswith(("*", "&", "*const")) else f"{word} {inner.name}"


def _pointer(inner: Type, mark: str) -> str:
    if inner.kind == FUNCTION and " (" in inner.name:
        head, _, rest = inner.name.partition(" (")
        return f"{head} ({mark})({rest}"
    return f"{inner.name}{mark}" if inner.name.endswith(("*", "&")) else f"{inner.name} {mark}"


def _count(subrange: Any) -> int:
    """How many elements one dimension has, 0 when unknown."""
    count = number_of(subrange, "DW_AT_count", -1)
    if count < 0:
        count = number_of(subrange, "DW_AT_upper_bound", -1) + 1
    return count if 0 <= count < 1 << 40 else 0


def _member(entry: Any, name: str, of: Type) -> Member:
    offset = number_of(entry, "DW_AT_data_member_location", 0)
    count = number_of(entry, "DW_AT_bit_size", 0)
    if not count:
        return Member(name, offset, of)
    if "DW_AT_data_bit_offset" in entry.attributes:
        whole = number_of(entry, "DW_AT_data_bit_offset", 0)
        return Member(name, whole // 8, of, (whole % 8, count))
    first = 8 * (number_of(entry, "DW_AT_byte_size", 0) or of.size) - number_of(entry, "DW_AT_bit_offset", 0) - count
    return Member(name, offset, of, (first, count))
