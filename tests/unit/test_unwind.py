"""From registers and a piece of stack to frames, on stacks made by hand."""

from __future__ import annotations

import struct

from ebtop.resolve.cfaprogram import Kind, Row, Rule
from ebtop.resolve.unwind import ARM64, X86_64, Copy, End, Registers, Rows, unwind

SP = 0x7FFF00000000
BACK = Rule(Kind.OFFSET, -8)


def leaves(offset: int, register: int = 7, signal: bool = False, **rules: Rule) -> Row:
    """A row by the stack pointer; `rules` are called r6 and so on."""
    return Row(register, offset, b"", {16: BACK} | {int(k[1:]): v for k, v in rules.items()}, 16, signal)


def stack(*words: int) -> Copy:
    """What lies at SP."""
    return Copy(SP, b"".join(struct.pack("<Q", word) for word in words))


def table(**rows: Row) -> Rows:
    """By address, called x10 and so on; the function goes on for 16 bytes."""
    known = {int(k[1:], 16): row for k, row in rows.items()}
    return lambda address: known.get(address & ~0xF)


def addresses(found: object) -> list[int]:
    return [frame.address for frame in found.frames]  # type: ignore[attr-defined]


ROOT = Row(7, 8, b"", {16: Rule(Kind.UNDEFINED)}, 16, False)


def test_through_a_function_that_uses_the_frame_pointer_for_itself():
    saves = leaves(24, r6=Rule(Kind.OFFSET, -16))
    # Its own word, the caller's rbp, back to 0x20 and something; there by rbp: a local, above, back to 0x30.
    words = stack(1, SP + 32, 0x25, 2, SP + 48, 0x35, 3, 4)
    framed = Row(6, 16, b"", {16: BACK, 6: Rule(Kind.OFFSET, -16)}, 16, False)
    found = unwind(X86_64, Registers(0x10, SP, 0xBAD), words, table(x10=saves, x20=framed, x30=ROOT))
    assert (addresses(found), found.end) == ([0x10, 0x25, 0x35], End.ROOT)


def test_a_call_that_ends_its_function_is_looked_up_there():
    rows = table(x10=leaves(8), x20=ROOT)
    assert unwind(X86_64, Registers(0x10, SP, 0), stack(0x30), rows).end is End.ROOT
    signal = table(x10=leaves(8, signal=True), x30=ROOT)
    found = unwind(X86_64, Registers(0x10, SP, 0), stack(0x30), signal)
    assert (found.end, found.frames[1].called) == (End.ROOT, False)


def test_by_frame_pointers_where_there_is_no_table():
    words = stack(9, SP + 24, 0x20, 0, 0x30)
    found = unwind(X86_64, Registers(0x10, SP, SP + 8), words, lambda _address: None)
    assert (addresses(found), found.end) == ([0x10, 0x20, 0x30], End.ROOT)


def test_what_is_no_frame_pointer_ends_it():
    for pointer in (SP - 8, SP + 3, 5):
        found = unwind(X86_64, Registers(0x10, SP, pointer), stack(1, 2, 3), lambda _address: None)
        assert (addresses(found), found.end) == ([0x10], End.LOST)


def test_the_piece_ends_and_frame_pointers_may_lead_on():
    framed = Row(6, 16, b"", {16: BACK, 6: Rule(Kind.OFFSET, -16)}, 16, False)
    above = SP + 4096
    rows = table(x10=leaves(16, r6=Rule(Kind.OFFSET, -16)), x20=framed)
    found = unwind(X86_64, Registers(0x10, SP, 7), stack(above, 0x25), rows)
    assert found == ([(0x10, False), (0x25, True)], End.CUT, above)
    by_stack = unwind(X86_64, Registers(0x10, SP, above), stack(1, 0x25), table(x10=leaves(16), x20=leaves(6000)))
    assert (by_stack.end, by_stack.chained) == (End.CUT, 0)
    without = unwind(X86_64, Registers(0x10, SP, above), stack(), lambda _address: None)
    assert (without.end, without.chained) == (End.CUT, above)


def test_it_goes_up_only_and_ends():
    again = unwind(X86_64, Registers(0x10, SP, SP), stack(SP, 0x10, 3), lambda _address: None)
    assert (addresses(again), again.end) == ([0x10, 0x10], End.LOST)
    downwards = unwind(X86_64, Registers(0x10, SP, 0), stack(0x10, 0x10), table(x10=leaves(-64)))
    assert len(downwards.frames) == 1
    long = unwind(X86_64, Registers(0x10, SP, 0), stack(*[0x15] * 2000), table(x10=leaves(8)))
    assert (len(long.frames), long.end) == (256, End.CUT)


def test_registers_that_are_kept_moved_and_lost():
    rows = table(
        x10=leaves(8, r6=Rule(Kind.REGISTER, 3)),  # rbx is not known here
        x20=Row(6, 16, b"", {16: BACK}, 16, False),
    )
    assert unwind(X86_64, Registers(0x10, SP, SP), stack(0x25, 2), rows).end is End.LOST
    kept = table(x10=leaves(8, r6=Rule(Kind.SAME)), x20=Row(6, 16, b"", {16: BACK}, 16, False), x30=ROOT)
    assert unwind(X86_64, Registers(0x10, SP, SP + 8), stack(0x25, 2, 0x35), kept).end is End.ROOT


def test_a_stack_that_was_realigned():
    """The CFA is where a word below the frame pointer says."""
    realigned = Row(-1, 0, b"\x76\x78\x06", {16: BACK}, 16, False)
    found = unwind(X86_64, Registers(0x10, SP, SP + 8), stack(SP + 40, 0, 0, 0, 0x35), table(x10=realigned, x30=ROOT))
    assert (addresses(found), found.end) == ([0x10, 0x35], End.ROOT)
    damaged = Row(-1, 0, b"\x06", {16: BACK}, 16, False)
    assert unwind(X86_64, Registers(0x10, SP, SP), stack(1), table(x10=damaged)).end is End.LOST


def test_arm64_returns_by_a_register_and_signs_addresses():
    leaf = Row(31, 0, b"", {}, 30, False)
    framed = Row(31, 16, b"", {29: Rule(Kind.OFFSET, -16), 30: Rule(Kind.OFFSET, -8)}, 30, False)
    root = Row(31, 0, b"", {30: Rule(Kind.UNDEFINED)}, 30, False)
    words = stack(SP + 64, 0x35 | 0x1234 << 48)
    found = unwind(ARM64, Registers(0x10, SP, 0, 0x25), words, table(x10=leaf, x20=framed, x30=root))
    assert (addresses(found), found.end) == ([0x10, 0x25, 0x35], End.ROOT)
    stuck = unwind(ARM64, Registers(0x10, SP, 0, 0x25), words, table(x10=leaf, x20=leaf))
    assert stuck.end is End.LOST


def test_more_expressions_than_any_stack_has():
    each = Row(7, 8, b"", {16: BACK} | {n: Rule(Kind.VALUE_EXPRESSION, 0, b"\x31") for n in range(20, 50)}, 16, False)
    found = unwind(X86_64, Registers(0x10, SP, 0), stack(*[0x15] * 200), table(x10=each))
    assert (len(found.frames), found.end) == (5, End.LOST)
