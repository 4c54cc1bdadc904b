"""What the page of a process says of it, as parts of a sheet: who it is, what it does, its family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.text import Text

from ebtop.capability import EVERY
from ebtop.model.doing import Doing
from ebtop.model.format import clock, count, duration, full_time, nbytes, quoted, user
from ebtop.model.kin import MOST_CHILDREN
from ebtop.model.processfacts import ProcessFacts
from ebtop.sanitise import sanitise
from ebtop.tick import CHILDREN_TOLD, Ancestor, Namespace, ProcessDetails
from ebtop.ui.cells import padded
from ebtop.ui.details import command, laid_out
from ebtop.ui.sheet import Part

MORE = "more"
_FEW_ARGUMENTS, _ALL_ARGUMENTS = 600, 200_000
"""Characters of the arguments that are shown at first, and when all are asked for."""

_SPARK = "·▁▂▃▄▅▆▇█"
_NAME, _NUMBER = 15, 8
_SPARK_FROM = 70
_STATES = {"R": "running", "S": "sleeping", "D": "waiting, uninterruptible", "T": "stopped", "t": "traced",
           "Z": "zombie: it has ended, its parent has not asked how", "X": "dead", "I": "idle"}  # fmt: skip
_CLOCKS_DIFFER_NS = 1_000_000_000


def plain(text: str, tone: str = "") -> Text:
    """A text in one tone."""
    return Text(text, style=tone) if not tone else Text().append(text, tone)


def block(key: str, text: Text) -> Part:
    """A part that is read, not chosen."""
    return Part(key, (text.plain, tuple(text.spans)), lambda _width: text.copy())


def fields(key: str, named: Sequence[tuple[str, str]]) -> Part:
    """Names and values, short ones side by side."""
    return Part(key, tuple(named), lambda width: laid_out(named, width, "dim"))


def parts(
    pid: int, process: ProcessDetails | None, facts: ProcessFacts, keys: Mapping[str, str], whole: bool
) -> list[Part]:
    """All of it. `keys` has the tools' hotkeys by name; `whole` says that all arguments are to be shown."""
    found = [*_identity(pid, process, facts, whole), block("doing", Text()), Part("doing heading", "", _doing_title)]
    found += [_doing(doing, keys.get(doing.tool.name, "")) for doing in facts.doings]
    return [*found, *_parents(process, facts), *_children(process, facts)]


def _heading(key: str, text: str) -> Part:
    return block(key, plain(text, "dim"))


# Who it is


def _identity(pid: int, process: ProcessDetails | None, facts: ProcessFacts, whole: bool) -> Iterator[Part]:
    known = facts.known.values
    argv = process.argv if process and process.argv else known.get("argv")
    comm = process.comm if process and process.comm else str(known.get("comm") or "")
    yield from _command(comm, [str(word) for word in argv] if isinstance(argv, (list, tuple)) else (), whole)
    yield from (block(f"note {n}", plain(note, "warn")) for n, note in enumerate(_notes(pid, process, facts)))
    named = {"figures": list(facts.figures)}
    if process is None:
        yield block("asked", plain("/proc has not answered: this is what events tell of it", "dim"))
    if process is None or not (process.alive or process.start):
        named = {"known": list(_known_fields(facts)), **named}
    else:
        named = {"who": list(_who(process)), "rights": list(_rights(process)), **named}
    yield from (fields(key, values) for key, values in named.items() if values)


def _command(comm: str, argv: Sequence[str], whole: bool) -> Iterator[Part]:
    """The arguments as a shell would need them written; of very long ones the beginning."""
    text = command(comm, argv, _ALL_ARGUMENTS) or "(no name is known)"
    long = len(text) > _FEW_ARGUMENTS
    yield block("command", plain(text if whole or not long else text[:_FEW_ARGUMENTS] + "…", "strong"))
    if long:
        said = "fewer arguments" if whole else f"{len(text) - _FEW_ARGUMENTS:,} more characters of arguments"
        yield Part(MORE, said, lambda _width: plain(f"… {said}", "accent"), leads=True)


def _notes(pid: int, process: ProcessDetails | None, facts: ProcessFacts) -> Iterator[str]:
    if process is None:
        return
    if not process.alive:
        seen = f"; last seen {clock(facts.known.last)}" if facts.known.last else ""
        nothing = "" if process.start else " before /proc was asked"
        ended = f": {facts.known.ended}" if facts.known.ended else ""
        yield f"▲ it has gone{nothing}{ended}{seen}"
    elif facts.known.first and facts.known.first < process.start - _CLOCKS_DIFFER_NS:
        since = clock(process.start)[:8]
        yield f"▲ before {since} another process had the pid {pid}: what is older is not of this one."


def _who(process: ProcessDetails) -> Iterator[tuple[str, str]]:
    uid = f"{sanitise(process.user)} ({process.uid})" if process.user != str(process.uid) else process.user
    if process.user:
        yield "user", uid if process.uid is not None else sanitise(process.user)
    if process.gid is not None:
        groups = [str(g) for g in process.groups if g != process.gid]
        yield "groups" if groups else "group", " ".join([str(process.gid), *groups])
    if process.alive:
        if process.state:
            yield "state", _STATES.get(process.state, sanitise(process.state))
        yield "threads", f"{process.threads:,}"
        yield "memory", nbytes(process.rss)
        yield "age", duration(process.age_s * 1e9)
    if process.start:
        yield "started", full_time(process.start)[:19]
    for name, value in (("container", process.container), ("cgroup", process.cgroup), ("cwd", process.cwd),
                        ("exe", process.exe)):  # fmt: skip
        if value:
            yield name, quoted(value) if name in {"cwd", "exe"} else sanitise(value)


def _rights(process: ProcessDetails) -> Iterator[tuple[str, str]]:
    if process.gid is not None:  # /proc was asked, and answered
        yield "capabilities", capabilities(process)
    if process.namespaces:
        own = [n for n in process.namespaces if not n.shared]
        yield "namespaces", _own_namespaces(own) if own else "those of pid 1"


def capabilities(process: ProcessDetails) -> str:
    """The effective ones; where it has nearly all of them, those that it lacks."""
    apart = any(n.name == "user" and not n.shared for n in process.namespaces)
    where = ", in its own user namespace only" if apart and process.capabilities else ""
    if process.all_capabilities:
        return f"all{where}"
    held = [sanitise(name).removeprefix("CAP_") for name in process.capabilities]
    lacking = [name for name in EVERY if name not in held]
    if len(held) > len(lacking):
        return f"all but {' '.join(lacking)}{where}".lower()
    return f"{' '.join(held)}{where}".lower() or "none"


def _own_namespaces(own: Sequence[Namespace]) -> str:
    return "of its own: " + "  ".join(f"{sanitise(n.name)} {n.inode}" for n in own)


def _known_fields(facts: ProcessFacts) -> Iterator[tuple[str, str]]:
    known = facts.known
    for key in ("uid", "container", "cgroup"):
        value = known.values.get(key)
        if value not in (None, ""):
            yield key.replace("uid", "user"), user(value) if isinstance(value, int) else sanitise(str(value))
    if known.first:
        yield "first seen", clock(known.first)
        yield "last seen", clock(known.last)


# What it does


def _doing_title(width: int) -> Text:
    spark_title = f"{'LAST 12':<13}" if width >= _SPARK_FROM else ""
    return plain(f"{'DOES':<{_NAME + 1}}{'/S':>{_NUMBER}} {'HELD':>{_NUMBER}}  {spark_title}LATEST", "dim")


def _doing(doing: Doing, key: str) -> Part:
    content = doing.total, round(doing.rate, 1), doing.recent, doing.latest, doing.failed
    return Part(f"tool {doing.tool.name}", content, lambda width: _doing_line(doing, key, width), leads=True)


def _doing_line(doing: Doing, key: str, width: int) -> Text:
    """The tool, per second, held, the last seconds, the latest; the seconds only where there is room for all."""
    text = Text().append(padded(f"{key} {doing.tool.name}", _NAME, right=False), "accent").append(" ")
    for number in (doing.rate, doing.total):
        text.append(
            padded(count(number if number < 100 else round(number)), _NUMBER, right=True), "" if number else "dim"
        )
        text.append(" ")
    if width >= _SPARK_FROM:
        text.append(" ").append(spark(doing.recent), "dim").append(" ")
    if doing.latest:
        text.append(" ")
        text.append(doing.latest, "warn" if doing.failed else "")
    return text


def spark(amounts: Sequence[int], cells: int = 12) -> str:
    """Amounts as bars of one cell each, the newest at the right; nothing at all is a dot."""
    most = max(amounts, default=0)
    bars = "".join(_SPARK[max(1, round(n * 8 / most)) if n else 0] for n in amounts)
    return bars.rjust(cells)


# Its family


def _parents(process: ProcessDetails | None, facts: ProcessFacts) -> Iterator[Part]:
    above = process.ancestors if process and process.ancestors else facts.ancestors
    if above:
        yield block("parents", Text())
        yield _heading("parents heading", "STARTED BY (the nearest first)")
    yield from (_relative(ancestor, "") for ancestor in above)


def _relative(process: Ancestor, end: str) -> Part:
    return Part(f"pid {process.pid}", (process, end), lambda width: _relative_line(process, end, width), leads=True)


def _relative_line(process: Ancestor, end: str, width: int) -> Text:
    """Its pid, its command, and what is known of its end at the right edge."""
    text = Text().append(padded(str(process.pid), 8, right=True), "accent").append("  ")
    room = max(width - text.cell_len - cell_len(end) - (2 if end else 0), 8)
    name = command(process.comm, process.argv, max(width, 8)) or "?"
    text.append(padded(name, room, right=False) if end else name)
    return text.append("  ").append(end, "dim") if end else text


def _children(process: ProcessDetails | None, facts: ProcessFacts) -> Iterator[Part]:
    """Those that live by pid, then those that have gone, the newest first."""
    ended = {child.process.pid for child in facts.children if child.ended}
    told = process.children if process and process.alive else ()
    live = [child for child in told if child.pid not in ended]
    living = {child.pid for child in live}
    seen = [child for child in reversed(facts.children) if child.process.pid not in living]
    if not live and not seen:
        return
    yield block("children", Text())
    yield _heading("children heading", f"STARTED  {_counted(len(live), len(seen))}")
    for child in live:
        yield _relative(child, "live")
    for known in seen:
        yield _relative(known.process, known.ended or ("gone" if known.time < _complete(process) else "seen"))


def _complete(process: ProcessDetails | None) -> int:
    """When all children that lived were told (Unix ns): those that were seen before, and are none of them, have gone.
    0 where not all were, or nobody was asked."""
    if process is None or not process.alive or len(process.children) >= CHILDREN_TOLD:
        return 0
    return process.start + round(process.age_s * 1e9)


def _counted(live: int, seen: int) -> str:
    said = [f"{live}{' or more' * (live >= CHILDREN_TOLD)} live"] if live else []
    if seen:
        said.append(f"{'the newest ' * (seen >= MOST_CHILDREN)}{seen} seen before")
    return ", ".join(said)
