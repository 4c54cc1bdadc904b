"""The functions that run at a point, as C.

At a point where all is known at once there is one, `enter_N` (`return_N` at the return of a call): it reads numbers,
looks whether the filter can be told from them, reads strings, and does what the mode wants. For a call there are two,
with what the second needs of the first kept in a map meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ebtop.attachpoint import PointKind
from ebtop.probing import filter as filters
from ebtop.probing import slots, sources
from ebtop.probing.condition import Variable, check, condition
from ebtop.probing.filter import All, FilterError, Tree
from ebtop.probing.plan import RESULT, Form, Mode, Parameter, Plan, Sides
from ebtop.probing.slots import NO_ADDRESS, TEXT_ROOM, TEXTS

PURPOSES = {Mode.TRACE: "TRACED", Mode.COUNT: "COUNTED", Mode.LATENCY: "TIMED", Mode.DIST: "SPREAD",
            Mode.STACK: "SAMPLED"}  # fmt: skip
SLOWER = "SLOWER"

MOST_TEXTS = 2
"""Strings that a filter may ask for where there is no record to hold them: a program has 512 bytes."""

OWN: Mapping[str, Variable] = {
    "pid": Variable("task_pid()"), "tid": Variable("task_tid()"), "uid": Variable("task_uid()"),
    "comm": Variable("comm", text=16),
}  # fmt: skip
"""What a filter can ask for at any point."""


def purpose(plan: Plan) -> str:
    """What a program is compiled for."""
    return SLOWER if plan.slower_than_ns else PURPOSES[plan.mode]


def variables(parameters: Iterable[Parameter]) -> Mapping[str, Variable]:
    """What a filter can ask for where there are these arguments; in C they are `a0`, `a1` ... and `t0`, `t1` ..."""
    found = dict(OWN)
    for place, parameter in enumerate(parameters):
        text = TEXT_ROOM if parameter.form in TEXTS else 0
        found[parameter.key] = Variable(f"{'t' if text else 'a'}{place}", parameter.signed, text)
    return found


class Functions:
    """Those of the point of that number in the plan; points of one name, as a USDT probe that has several places, count
    as one. Raises FilterError where the filter does not fit it."""

    def __init__(self, plan: Plan, number: int, tree: Tree | None) -> None:
        self._plan, self._number, self._point = plan, number, plan.points[number]
        self._row = next(n for n, point in enumerate(plan.points) if point.name == self._point.name)
        self._purpose = purpose(plan)
        self._every = slots.told(self._point)
        self._known = variables(self._every)
        self._slot = {p.key: slot for p, slot in slots.slots(self._every)}
        check(tree, self._known)
        self._is_call = self._point.sides is Sides.BOTH
        late = self._is_call and RESULT in _names(tree)
        self._early, self._late = (None if late else tree), (tree if late else None)
        self._value = plan.value if plan.mode is Mode.DIST else ""

    def lines(self) -> Iterator[str]:
        """As C."""
        if not self._is_call:
            side = "enter" if self._point.sides is Sides.ENTRY else "return"
            yield from self._function(side, self._hit(), "at_{name}(ctx);")
            return
        by_frame = self._point.kind is PointKind.UPROBE
        key = f"{self._number}, {'frame' if by_frame else 'no_frame'}_at"
        yield from self._function("enter", self._entered(f"{key}_entry(ctx)"), "at_{name}(ctx);")
        key = f"{key}_return(ctx)"
        ending = f"struct call *call = call_of({key});\nif (call) {{{{\n    at_{{name}}(ctx, call);\n"
        ending += f"    end_call({key});\n}}}}"
        yield from self._function("return", self._returned(), ending, ", struct call *call")

    def _function(self, side: str, body: Iterable[str], calls: str, more: str = "") -> Iterator[str]:
        """A program, and apart from it what it does, so that it can be left anywhere."""
        name, context = f"{side}_{self._number}", sources.context(self._point)
        yield f"#ifdef WITH_{name}"
        yield f"static __always_inline void at_{name}({context} *ctx{more}) {{"
        yield from (f"    {line}" for line in body)
        yield "}"
        yield f"int {name}({context} *ctx) {{"
        yield "    if (!is_wanted())"
        yield "        return 0;"
        yield from (f"    {line}" for line in calls.format(name=name).split("\n"))
        yield "    return 0;"
        yield "}"
        yield "#endif"

    # A point where all is known at once

    def _hit(self) -> Iterator[str]:
        told = slots.told(self._point) if self._purpose == PURPOSES[Mode.TRACE] else ()
        asked = _names(self._early) | {self._value}
        yield from self._take(p for p in self._every if p in told or p.key in asked)
        first, second = self._split(self._early)
        yield from self._unless(first, self._known, "return;")
        if self._purpose == PURPOSES[Mode.TRACE]:
            yield from self._trace(told, second)
            return
        yield from self._read_for(second)
        yield from self._unless(second, self._known, "return;")
        yield from self._add(self._known)

    def _trace(self, told: Sequence[Parameter], tree: Tree | None) -> Iterator[str]:
        yield from self._begin("0")
        known = dict(self._known)
        for parameter in told:
            yield from self._put(parameter, "hit")
            known[parameter.key] = self._kept_in("hit", parameter)
        yield from self._unless(tree, known, "{ hits_discard(hit); return; }")
        yield "hits_submit(ctx, hit);"

    def _begin(self, latency: str) -> Iterator[str]:
        yield "u64 stack_id = stack_if_wanted(ctx);"
        yield f"struct hit *hit = begin_hit({self._row}, stack_id, {latency});"
        yield "if (!hit)"
        yield "    return;"

    def _put(self, parameter: Parameter, into: str) -> Iterator[str]:
        """Into a record, or what is kept of a call."""
        slot = self._slot[parameter.key]
        if not slot.text:
            yield f"{into}->{slot.field} = {self._known[parameter.key].c};"
            return
        bit = f"1U << {slot.number}"
        none = f"1U << {slot.number + NO_ADDRESS}"
        call = sources.read_text(parameter, self._address(parameter), f"{into}->{slot.field}")
        note = "text_state" if into == "call" and self._is_read_again(parameter) else "note_text"
        yield f"u32 got_{slot.number} = {note}({call});"
        yield f"{into}->unread |= got_{slot.number} & UNREAD ? {bit} : 0;"
        yield f"{into}->unread |= got_{slot.number} & NO_ADDRESS ? {none} : 0;"
        yield f"{into}->truncated |= got_{slot.number} & TRUNCATED ? {bit} : 0;"

    def _kept_in(self, what: str, parameter: Parameter) -> Variable:
        return self._known[parameter.key]._replace(c=f"{what}->{self._slot[parameter.key].field}")

    def _add(self, known: Mapping[str, Variable]) -> Iterator[str]:
        """Count the hit or the call, whatever that is."""
        if self._purpose == PURPOSES[Mode.COUNT]:
            yield f"count_hit({self._row});"
        elif self._purpose == PURPOSES[Mode.STACK]:
            yield "take_sample(ctx);"
        elif self._value:
            yield f"add_{'signed' if slots.is_signed(self._plan) else 'value'}({self._row}, {known[self._value].c});"
        else:
            yield f"add_value({self._row}, latency_ns);"

    # A call: what is known as it is entered is kept until it returns

    @property
    def _kept(self) -> list[Parameter]:
        """The arguments that are wanted once the call has returned."""
        asked = _names(self._late) | {self._value}
        return [p for p in self._point.arguments if self._purpose == SLOWER or p.key in asked]

    def _entered(self, key: str) -> Iterator[str]:
        kept, asked = self._kept, _names(self._early)
        yield from self._take(p for p in self._point.arguments if p in kept or p.key in asked)
        first, second = self._split(self._early)
        yield from self._unless(first, self._known, "return;")
        yield from self._read_for(second)
        yield from self._unless(second, self._known, "return;")
        yield f"struct call *call = begin_call({key});"
        yield "if (!call)"
        yield "    return;"
        for parameter in kept:
            yield from self._put(parameter, "call")
            if self._is_read_again(parameter):
                yield f"call->p{self._slot[parameter.key].number} = {self._address(parameter)};"
        yield "call->ts = bpf_ktime_get_ns();"

    def _is_read_again(self, parameter: Parameter) -> bool:
        """The strings of a system call may not have been paged in as it is entered; they stay until it returns."""
        return self._point.kind is PointKind.TRACEPOINT and parameter.form is Form.TEXT

    def _returned(self) -> Iterator[str]:
        kept = self._kept
        yield "u64 latency_ns = bpf_ktime_get_ns() - call->ts;"
        if self._purpose == SLOWER:
            yield "if (latency_ns <= SLOWER_THAN)"
            yield "    return;"
        yield from self._take(p for p in self._every if p is self._point.result)
        for parameter in filter(self._is_read_again, kept):
            slot = self._slot[parameter.key]
            yield f"if (call->unread & 1U << {slot.number})"
            yield f"    read_again(call->{slot.field}, call->p{slot.number}, 1U << {slot.number}, call);"
        known = {**self._known, **{p.key: self._kept_in("call", p) for p in kept}}
        yield from self._unless(self._late, known, "return;")
        if self._purpose == SLOWER:
            yield from self._tell(kept)
        else:
            yield from self._add(known)

    def _tell(self, kept: Sequence[Parameter]) -> Iterator[str]:
        yield from self._begin("latency_ns")
        for parameter in kept:
            slot = self._slot[parameter.key]
            if slot.text:
                yield f"read_kernel(hit->{slot.field}, {TEXT_ROOM}, call->{slot.field});"
            else:
                yield f"hit->{slot.field} = call->{slot.field};"
        if self._point.result:
            yield from self._put(self._point.result, "hit")
        yield "hit->unread |= call->unread;"
        yield "hit->truncated |= call->truncated;"
        yield "hits_submit(ctx, hit);"

    # What both have in common

    def _address(self, parameter: Parameter) -> str:
        return f"a{self._every.index(parameter)}"

    def _take(self, parameters: Iterable[Parameter]) -> Iterator[str]:
        """Numbers, and where strings are, as variables."""
        for parameter in parameters:
            if parameter.form not in TEXTS or parameter.form is Form.TEXT:
                wide = "s64" if parameter.signed else "u64"
                yield f"{wide} {self._address(parameter)} = {sources.number(parameter)};"

    def _read_for(self, tree: Tree | None) -> Iterator[str]:
        """The strings that a filter asks for, where there is no record to hold them."""
        wanted = [p for p in self._every if p.form in TEXTS and p.key in _names(tree)]
        if len(wanted) > MOST_TEXTS:
            raise FilterError(
                f"the filter asks for {len(wanted)} strings; {MOST_TEXTS} can be held at once in this mode"
            )
        for parameter in wanted:
            buffer = self._known[parameter.key].c
            yield f"char {buffer}[{TEXT_ROOM}] __attribute__((aligned(8)));"
            yield f"CLEAR({buffer});"
            yield f"note_text({sources.read_text(parameter, self._address(parameter), buffer)});"

    def _split(self, tree: Tree | None) -> tuple[Tree | None, Tree | None]:
        """The part that can be told from numbers, and the rest: strings are read for what passes only."""
        parts = tree.parts if isinstance(tree, All) else (tree,) if tree else ()
        texts = {key for key, variable in self._known.items() if variable.text}
        with_texts = [part for part in parts if _names(part) & texts]
        return _all([part for part in parts if part not in with_texts]), _all(with_texts)

    def _unless(self, tree: Tree | None, known: Mapping[str, Variable], what: str) -> Iterator[str]:
        if tree is None:
            return
        if "comm" in _names(tree):
            yield "char comm[16] __attribute__((aligned(8)));"
            yield "current_comm(comm);"
        yield f"if (!{condition(tree, known)})"
        yield f"    {what}"


def _names(tree: Tree | None) -> set[str]:
    return {name.name for name in filters.names(tree)}


def _all(parts: Sequence[Tree]) -> Tree | None:
    return All(tuple(parts)) if len(parts) > 1 else parts[0] if parts else None
