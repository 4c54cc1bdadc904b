"""The last Ticks of every tool, bounded in bytes, and the names that their ids stand for."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ebtop import registry
from ebtop.eventstack import TOLD_NS
from ebtop.model.activity import Moment, amount
from ebtop.model.snapshot import Snapshot, ToolSnapshot
from ebtop.model.told import SharedStacks, Told
from ebtop.probing.plan import Plan
from ebtop.tick import FoundPoints, Gone, Message, Notice, Past, Phase, ProcessDetails, Tick, ToolState, Vitals
from ebtop.tool import Names, Tool, Type

DEFAULT_BUDGET = 64 << 20
"""Bytes that the ticks of all tools together may take."""

NAMES_KEPT = 50_000
"""Names kept per domain; those learnt longest ago go first."""

TICKS_KEPT = 20_000
"""Ticks kept per tool, however small: five hours at one a second."""

NOTICES_KEPT = 50

PROCESSES_KEPT = 32
"""Processes whose details are kept: those of the panel, and of the pages that were opened."""

_NAME_BYTES = 150  # about what a dictionary takes for an id and a short name


class _Known:
    """Names by domain. `frozen` gives copies that never change, made anew only for the domains that did."""

    def __init__(self) -> None:
        self._domains: dict[str, dict[int, str | int]] = {}
        self._copies: dict[str, Mapping[int, str | int]] = {}

    def learn(self, domain: str, names: Mapping[int, str | int], keep: int | None) -> None:
        known = self._domains.setdefault(domain, {})
        for key in names.keys() & known.keys():  # learnt again: as if new
            del known[key]
        known.update(names)
        if keep is not None and len(known) > keep:
            for key in list(known)[: len(known) - keep]:
                del known[key]
        if names:
            self._copies.pop(domain, None)

    def forget(self, domain: str, ids: set[int]) -> None:
        known = self._domains.get(domain, {})
        gone = ids & known.keys()
        for key in gone:
            del known[key]
        if gone:
            self._copies.pop(domain, None)

    def frozen(self) -> Mapping[str, Mapping[int, str | int]]:
        for domain in self._domains.keys() - self._copies.keys():
            self._copies[domain] = dict(self._domains[domain])
        return dict(self._copies)


class _ToolHistory:
    """One tool's part."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self.late = tuple(c.key for c in tool.columns if c.late)
        self.state = ToolState(tool.name, Phase.IDLE)
        self.ticks: deque[Tick] = deque()
        self._activity: deque[Moment] = deque()
        self._tick_bytes = 0
        self._sizes: deque[int] = deque()
        self._events = 0
        self._lost: Counter[str] = Counter()
        self._names = _Known()
        self._told = {c.key: Told() for c in tool.columns if c.type is Type.STACK}
        self._stacks = SharedStacks()
        self._held: set[int] = set()  # ids of the events in `ticks`, for tools whose rows come late
        self._snapshot: ToolSnapshot | None = None

    @property
    def nbytes(self) -> int:
        return self._tick_bytes + sum(told.nbytes for told in self._told.values()) if self._told else self._tick_bytes

    def add(self, tick: Tick) -> None:
        tick = self._with_known_texts(tick)
        if tick.stacks:
            tick = replace(tick, stacks=self._stacks.shared(tick.stacks))
        self.ticks.append(tick)
        self._activity.append(Moment(tick.end, amount(tick)))
        self._sizes.append(self._size(tick))
        self._tick_bytes += self._sizes[-1]
        self._events += tick.event_count
        self._lost.update(tick.lost)
        self._held |= self._ids(tick)
        for domain, names in tick.names.items():
            if domain in self._told:
                continue
            self._names.learn(domain, names, None if domain in self.late else NAMES_KEPT)
        self._learn_rows(tick)
        self._snapshot = None

    def _with_known_texts(self, tick: Tick) -> Tick:
        """Those that it tells again are held once."""
        again = {
            domain: self._told[domain].learn(tick.end, tick.names[domain])
            for domain in self._told
            if domain in tick.names
        }
        return replace(tick, names={**tick.names, **again}) if again else tick

    def set_state(self, state: ToolState) -> None:
        self.state = state
        self._snapshot = None

    def drop_oldest(self) -> None:
        """Give up the oldest tick."""
        gone = self.ticks.popleft()
        self._forget(gone)
        for told in self._told.values():
            told.forget(self.ticks[0].start - TOLD_NS if self.ticks else gone.end)
        self._activity.popleft()
        self._tick_bytes -= self._sizes.popleft()
        self._snapshot = None

    def begin_from(self, start: int, names: Names, events: int, lost: Mapping[str, int]) -> None:
        """What was learnt and counted before the first tick, which begins then."""
        for domain, known in names.items():
            if domain in self._told:
                self._told[domain].learn(start, known)
            else:
                self._names.learn(domain, known, NAMES_KEPT)
        self._events, self._lost = events, Counter(lost)

    def snapshot(self) -> ToolSnapshot:
        if self._snapshot is None:
            self._snapshot = ToolSnapshot(
                self.tool, self.state, tuple(self.ticks), self._all_names(), self._events, dict(self._lost),
                tuple(self._activity),
            )  # fmt: skip
        return self._snapshot

    def _all_names(self) -> Mapping[str, Mapping[int, str | int]]:
        return {**self._names.frozen(), **{domain: told.frozen() for domain, told in self._told.items()}}

    def _size(self, tick: Tick) -> int:
        names = [names for domain, names in tick.names.items() if domain not in self._told]
        learnt = sum(map(len, names))
        letters = sum(len(name) for known in names for name in known.values() if isinstance(name, str))
        late = len(tick.rows) * (len(self.late) + 1) if tick.rows is not None and self.late else 0
        return tick.nbytes + _NAME_BYTES * (learnt + late) + letters

    def _ids(self, tick: Tick) -> set[int]:
        """Ids by which late rows may find the tick's events."""
        key = self.tool.row_key
        if not key or not self.late:
            return set()
        found: set[int] = set()
        for batch in tick.events:
            if key in (batch.dtype.names or ()):
                found.update(batch[key].tolist())
        return found

    def _row_ids(self, tick: Tick) -> list[int]:
        key = self.tool.row_key
        if not self.late or tick.rows is None or key not in (tick.rows.dtype.names or ()):
            return []
        ids: list[int] = tick.rows[key].tolist()
        return ids

    def _learn_rows(self, tick: Tick) -> None:
        ids = self._row_ids(tick)
        if tick.rows is None or not ids:
            return
        for column in self.late:
            if column in (tick.rows.dtype.names or ()):
                self._names.learn(column, dict(zip(ids, tick.rows[column].tolist(), strict=True)), None)

    def _forget(self, tick: Tick) -> None:
        """Late values go with their event, or with the row that told them when its event was never seen."""
        events = self._ids(tick)
        self._held -= events
        orphans = events | (set(self._row_ids(tick)) - self._held)
        for column in self.late:
            self._names.forget(column, orphans)


class History:
    """What the screen can look back on. One thread feeds it and takes snapshots; a snapshot may go anywhere.

    Where all together hold more than `budget` (bytes), who holds most gives up its oldest ticks: a flood in one tool
    may use what the others leave, and takes nothing from them. The newest tick of each always stays.
    """

    def __init__(self, tools: Sequence[Tool], budget: int = DEFAULT_BUDGET) -> None:
        self._budget = budget
        self._tools = {tool.name: _ToolHistory(tool) for tool in tools}
        self._vitals: Vitals | None = None
        self._processes: dict[int, ProcessDetails] = {}
        self._points: FoundPoints | None = None
        self._notices: tuple[Notice, ...] = ()
        self._gone: str | None = None

    def add(self, message: Message) -> None:
        """Take over a message; those of tools that are not known are left aside."""
        match message:
            case Tick():
                self._add_tick(message)
            case ToolState() | Plan():
                self._tell(message)
            case Vitals():
                self._vitals = message
            case ProcessDetails():
                self._learn_process(message)
            case FoundPoints():
                self._points = message
            case Notice():
                self._notices = (*self._notices, message)[-NOTICES_KEPT:]
            case Gone():
                self._gone = message.reason
            case Past():
                self._go_to(message)

    def _tell(self, of_tool: ToolState | Plan) -> None:
        """A tool stands otherwise, or is another from now on."""
        if of_tool.tool not in self._tools:
            return
        if isinstance(of_tool, Plan):
            self._tools[of_tool.tool] = _ToolHistory(registry.made(of_tool))
        else:
            self._tools[of_tool.tool].set_state(of_tool)

    def _learn_process(self, details: ProcessDetails) -> None:
        """Snapshots hold the mapping that there was: it is replaced, not changed."""
        kept = {pid: known for pid, known in self._processes.items() if pid != details.pid}
        for pid in list(kept)[: len(kept) - PROCESSES_KEPT + 1]:
            del kept[pid]
        self._processes = {**kept, details.pid: details}

    def restarted(self) -> None:
        """Capture runs again: what it says is news, what is held stays."""
        self._gone = None

    def tool(self, name: str) -> ToolSnapshot:
        """One tool's picture; KeyError when it is not known."""
        return self._tools[name].snapshot()

    def snapshot(self, time: int) -> Snapshot:
        """The picture of now (`time`, Unix ns), which later messages do not change."""
        tools = {name: part.snapshot() for name, part in self._tools.items()}
        return Snapshot(time, tools, self._vitals, self._processes, self._notices, self._gone, points=self._points)

    @property
    def nbytes(self) -> int:
        """About how much memory the held ticks take."""
        return sum(part.nbytes for part in self._tools.values())

    def _go_to(self, past: Past) -> None:
        """Hold what was so then, and nothing else."""
        for name, part in self._tools.items():
            self._tools[name] = _ToolHistory(part.tool)
            self._tools[name].set_state(part.state)
            start = min((tick.start for tick in past.ticks if tick.tool == name), default=past.time)
            self._tools[name].begin_from(start, past.names.get(name, {}), *past.totals.get(name, (0, {})))
        self._vitals = past.vitals or self._vitals
        for tick in past.ticks:
            self._add_tick(tick)

    def _add_tick(self, tick: Tick) -> None:
        part = self._tools.get(tick.tool)
        if part is None:
            return
        part.add(tick)
        if len(part.ticks) > TICKS_KEPT:
            part.drop_oldest()
        while self.nbytes > self._budget:
            able = [p for p in self._tools.values() if len(p.ticks) > 1]
            if not able:
                return
            max(able, key=lambda p: p.nbytes).drop_oldest()
