"""Types as C and C++ write them, how their values are read, and where members lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ebtop.resolve.dwarfsections import DwarfError, DwarfFile
from ebtop.resolve.dwarfunits import children_of, entries_in, entry_at, sibling_of
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
_SCOPES: Final = frozenset({"DW_TAG_namespace", "DW_TAG_module", *_AGGREGATES})
_C: Final = frozenset({0x01, 0x02, 0x0C, 0x1D, 0x2C})  # DW_LANG_C89, C, C99, C11, C17
_DEEPEST = 24
_LONGEST = 400
_MOST_MEMBERS = 4096


class Type(NamedTuple):
    """A type. `size` is in bytes, 0 when unknown; `offset` is that of its entry in .debug_info, -1 for void.

    `kind` says how a value is read, behind typedefs and qualifiers; `target` is what a pointer leads to, or the element
    of an array, as an offset, -1 for none. `by_reference` is for classes that are passed by the address of a copy, and
    None for those of which nobody knows.
    """

    name: str
    kind: str
    size: int
    offset: int
    target: int = -1
    by_reference: bool | None = False

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
        self._known: dict[int, Type] = {}
        self._scopes: dict[int, str] = {}

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
            other = self._file.info.get_CU_containing(found.raw_value)
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
            self._known[entry.offset] = known._replace(name=known.name[:_LONGEST])
        return known

    def at_offset(self, offset: int) -> Type:
        """The type at an offset of .debug_info, such as `Type.target`."""
        return _VOID if offset < 0 else self.at(*self._entry(offset))

    def _entry(self, offset: int) -> tuple[Any, Any]:
        unit = self._file.info.get_CU_containing(offset)
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
            return self._aggregate(unit, entry, size)
        if tag == "DW_TAG_enumeration_type":
            return Type(self._prefixed(unit, entry, "enum"), ENUM, size or 4, entry.offset)
        inner = self._inner(unit, entry, depth)
        if tag in _QUALIFIERS:
            return inner._replace(name=_qualified(inner, _QUALIFIERS[tag]))
        if tag == "DW_TAG_typedef":
            return inner._replace(name=self.scoped(unit, entry))
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

    def _aggregate(self, unit: Any, entry: Any, size: int) -> Type:
        prefixed = self._prefixed(unit, entry, _AGGREGATES[entry.tag])
        return Type(prefixed, STRUCT, size, entry.offset, by_reference=_by_reference(unit, entry))

    def _prefixed(self, unit: Any, entry: Any, word: str) -> str:
        """A name with `struct`, `union` or `enum` before it where C needs that."""
        name = self.scoped(unit, entry)
        if not name:
            return f"{word} (unnamed)"
        return f"{word} {name}" if language_of(unit) in _C else name

    def scoped(self, unit: Any, entry: Any) -> str:
        """The name of an entry with the namespaces and classes that it is in: `a::b`."""
        name = name_of(entry)
        if not name or language_of(unit) in _C:
            return name
        if entry.offset not in self._scopes:
            self._scopes[entry.offset] = "::".join(_path(unit, entry.offset))
        scope = self._scopes[entry.offset]
        return f"{scope}::{name}" if scope else name

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


def _by_reference(unit: Any, entry: Any) -> bool | None:
    """Whether a class is passed by the address of a copy, as C++ does when copying one runs code."""
    convention = number_of(entry, "DW_AT_calling_convention", 0)
    if convention in {4, 5}:  # DW_CC_pass_by_reference, DW_CC_pass_by_value
        return convention == 4
    own = name_of(entry).partition("<")[0]
    special = {own, f"~{own}"}
    functions = (c for c in children_of(unit, entry) if c.tag == "DW_TAG_subprogram")
    return None if language_of(unit) not in _C and any(name_of(f) in special for f in functions) else False


def _path(unit: Any, offset: int) -> list[str]:
    """The names of what an entry is in, outermost first."""
    return [name_of(scope) or "(anonymous)" for scope in _enclosing(unit, offset) if scope.tag in _SCOPES]


def _enclosing(unit: Any, offset: int) -> Iterator[Any]:
    """The entries that contain an offset, outermost first, without the unit's own."""
    stack: list[Any] = []
    position, end = unit.get_top_DIE().offset + unit.get_top_DIE().size, unit.cu_offset + unit.size
    while position < min(offset, end):
        entry = entry_at(unit, position)
        position += entry.size
        if entry.is_null():
            if stack:
                stack.pop()
        elif entry.has_children:
            beyond = sibling_of(unit, entry)
            if beyond is not None and beyond <= offset:
                position = beyond
            else:
                stack.append(entry)
    yield from stack


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
