"""The process that compiles: it alone imports bcc and LLVM, hands programs, maps and attachments over and goes away.

So a crash of the compiler hurts one tool, and its memory is given back. Requests and replies are JSON, one message
each on a sequenced-packet socket, with the file descriptors beside them.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Self

from ebtop import capability
from ebtop.capture import bcclib, perfevents
from ebtop.capture.bcclib import Bcc, BccError, Compiled
from ebtop.capture.detaching import detach
from ebtop.probe import TYPED, Attach, Probe
from ebtop.probing.plan import Site

STACKS = "STACKS"
"""The define with which programs walk stacks (bpf/include/stacks.h)."""
_BOUND = frozenset({Attach.FENTRY, Attach.FEXIT})
IDLE_S = 1.0
FIRST_S = 20.0
"""So long the first request is waited for: on a busy machine it takes capture that long to import what it needs."""
FDS_AT_ONCE = 200
MESSAGE = 1 << 18


@dataclass(frozen=True)
class Request:
    """What to build: a program's text and defines, its slots, the maps that are there; by their probe the type ids of
    what has some, and by their function the sites of user probes; `files` are their paths, whose descriptors come with
    it, after those of maps. What is not to `attach` is loaded only: other programs go on in it."""

    name: str
    text: str
    slots: list[tuple[str, list[list[Probe]]]]
    defines: dict[str, int]
    headers: str
    shared: list[str]
    attach: bool = True
    frequency: int = 99
    types: dict[str, int] = field(default_factory=dict)
    sites: dict[str, list[Site]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def encode(self) -> bytes:
        """As JSON."""
        slots = [
            [
                name,
                [
                    [[p.kind.value, p.target, p.function, p.optional, p.stands_in_for, p.pair] for p in alt]
                    for alt in alternatives
                ],
            ]
            for name, alternatives in self.slots
        ]
        head = [self.name, self.text, slots, self.defines, self.headers]
        rest = [self.shared, self.attach, self.frequency, self.types, self.sites, self.files]
        return json.dumps([*head, *rest]).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Request:
        """From JSON."""
        name, text, slots, defines, headers, shared, attach, frequency, types, sites, files = json.loads(raw)
        decoded = [
            (slot, [[Probe(Attach(p[0]), *p[1:]) for p in alt] for alt in alternatives]) for slot, alternatives in slots
        ]
        located = {function: [Site(*site) for site in of] for function, of in sites.items()}
        return cls(name, text, decoded, defines, headers, shared, attach, frequency, types, located, files)


def _plain(probe: Probe) -> list[object]:
    return [probe.kind.value, probe.target, probe.function, probe.optional, probe.stands_in_for, probe.pair]


@dataclass
class Loaded:
    """What was built: descriptors by their use (maps: all of the program), what attached and what was tried in vain.
    `stacks`: its programs walk stacks themselves."""

    maps: dict[str, int] = field(default_factory=dict)
    programs: dict[str, int] = field(default_factory=dict)
    attachments: list[int] = field(default_factory=list)
    probes: list[str] = field(default_factory=list)
    tried: list[tuple[str, str]] = field(default_factory=list)
    error: str = ""
    compile_s: float = 0.0
    stacks: bool = False

    def close(self) -> None:
        """Let go of every descriptor."""
        detach(self.attachments)
        for fd in [*self.maps.values(), *self.programs.values()]:
            os.close(fd)


_BY_SITE = frozenset({Attach.UPROBE, Attach.URETPROBE, Attach.USDT})
_BY_EVENT = {Attach.COUNTED: perfevents.open_counted, Attach.TIMED: perfevents.open_timed}


class _Complaints:
    """Collects what clang, the verifier and libbcc print, which is the only place where they say why."""

    def __enter__(self) -> Self:
        sys.stderr.flush()
        self._file = os.fdopen(os.memfd_create("complaints"), "w+b")
        self._saved = os.dup(2)
        os.dup2(self._file.fileno(), 2)
        return self

    def __exit__(self, *_exc: object) -> None:
        sys.stderr.flush()
        os.dup2(self._saved, 2)
        os.close(self._saved)
        self._file.seek(0)
        self.text = self._file.read(1 << 20).decode("utf-8", "replace")
        self._file.close()

    def first(self, otherwise: str) -> str:
        """The line that says most: an error of the compiler, else the verifier's last words."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        told = [line for line in lines if "error:" in line] or [
            line for line in lines if not line.startswith(("processed ", "verification time", "stack depth"))
        ][-1:]
        return told[0] if told else otherwise


class Builder:
    """Builds one program with bcc."""

    def __init__(self, bcc: Bcc, request: Request, shared: Sequence[int]) -> None:
        self._bcc, self._request = bcc, request
        maps = len(request.shared)
        self._shared = dict(zip(request.shared, shared[:maps], strict=True))
        self._files = dict(zip(request.files, shared[maps:], strict=True))
        self.result = Loaded()

    def build(self) -> Loaded:
        """Compile, load and attach; every failure is in the result.

        Only the functions of the alternatives that are being tried are compiled (-DWITH_NAME), as compiling takes most
        of the time; when one does not attach, the program is built anew with the next.
        """
        started = time.monotonic()
        slots = [[alt for alt in alternatives if self._has_types(alt)] for _, alternatives in self._request.slots]
        chosen = [0] * len(slots)
        failed = next((number for number, alternatives in enumerate(slots) if not alternatives), None)
        while failed is None or chosen[failed] < len(slots[failed]):
            failed = self._attempt([alt[i] for alt, i in zip(slots, chosen, strict=True)])
            if failed is None:
                break
            chosen[failed] += 1
        if failed is not None:
            self.result.error = f"no probe for {self._request.slots[failed][0]!r} could be attached"
        self.result.compile_s = time.monotonic() - started
        return self.result

    def _has_types(self, alternative: Sequence[Probe]) -> bool:
        """Whether the kernel told the type of each function that needs one: without it there is nothing to compile."""
        typed = [probe for probe in alternative if probe.kind in TYPED and not probe.optional]
        unknown = [probe for probe in typed if not self._request.types.get(str(probe), 0)]
        self.result.tried += [(str(probe), f"this kernel's BTF has no {probe}") for probe in unknown]
        return not unknown

    def _attempt(self, alternatives: Sequence[Sequence[Probe]]) -> int | None:
        """Build with one alternative for each slot: the slot that did not attach, None when all did (or it is no use
        to go on: `result.error` then says why)."""
        self._let_go()
        module = self._compile([probe for probes in alternatives for probe in probes])
        if module is None:
            return None
        for name, fd in self._shared.items():
            # The program was compiled against a map of its own; before it is loaded, the shared one takes its place.
            os.dup2(fd, module.map_fd(name), inheritable=False)
        for number, probes in enumerate(alternatives):
            if not self._alternative(module, probes):
                return number
        self.result.maps = {name: module.map_fd(name) for name in module.map_names()}
        self._keep = module  # its descriptors must stay open until they have been sent
        return None

    def _let_go(self) -> None:
        detach(self.result.attachments)
        self.result.attachments, self.result.probes, self.result.programs = [], [], {}

    def _compile(self, probes: Sequence[Probe]) -> Compiled | None:
        flags = [
            "-Wno-everything",
            "-fno-unroll-loops",
            *(f"-DWITH_{name}" for name in sorted({p.function for p in probes})),
        ]
        # One at a function's entry cannot go on in another program: it walks stacks itself, or nothing does.
        self.result.stacks = STACKS in self._request.defines or any(p.kind in _BOUND for p in probes)
        defines = self._request.defines | ({STACKS: 1} if self.result.stacks else {})
        flags += [f"-D{name}={value}" for name, value in defines.items()]
        if self._request.headers:
            flags.append(f"-I{self._request.headers}/include")
        complaints = _Complaints()
        try:
            with complaints:
                return self._bcc.compile(self._request.text, flags)
        except BccError as error:
            self.result.error = f"{self._request.name}.c does not compile: {complaints.first(str(error))}"
            return None

    def _alternative(self, module: Compiled, probes: Sequence[Probe]) -> bool:
        attached: list[int] = []
        names: list[str] = []
        for _pair, together in groupby(probes, key=lambda probe: probe.pair or probe):
            some = list(together)
            fds: list[int] = []
            works = self._all_of(module, some, fds)
            if works:
                names += [name for name in map(str, some) if name not in names]  # some stand in for others
            attached += fds
            if not works and not some[0].optional:
                for fd in attached:
                    os.close(fd)
                return False
        self.result.attachments += attached
        self.result.probes += names
        return bool(names)

    def _all_of(self, module: Compiled, probes: Sequence[Probe], attached: list[int]) -> bool:
        """Attach all of them or none."""
        for probe in probes:
            error = self._attach(module, probe, attached)
            if error:
                self.result.tried.append((str(probe), error))
                for fd in attached:
                    os.close(fd)
                attached.clear()
                return False
        return True

    def _attach(self, module: Compiled, probe: Probe, attached: list[int]) -> str:
        """ "" when it worked, else why not."""
        complaints = _Complaints()
        error = ""
        with complaints:
            try:
                if probe.kind in _BY_SITE:
                    program, fds = self._at_sites(module, probe)
                else:
                    program = module.load(probe, self._request.types.get(str(probe), 0))
                    fds = self._open(probe, program)
            except BccError as failure:
                error = str(failure)
        if error:
            return ": ".join(filter(None, (error, complaints.first(""))))
        attached += [fd for fd in fds if fd >= 0]
        if any(fd < 0 for fd in fds):
            return complaints.first(f"cannot attach to {probe.target}")
        self.result.programs[probe.function] = program
        return ""

    def _open(self, probe: Probe, program: int) -> list[int]:
        if not self._request.attach:
            return []
        if probe.kind is Attach.PERF_EVENT:
            return [self._bcc.sample(program, self._request.frequency, cpu) for cpu in online_cpus()]
        if probe.kind in _BY_EVENT:
            return _all(_BY_EVENT[probe.kind](program, probe.target, online_cpus()))
        return [self._bcc.attach(probe, program)]

    def _at_sites(self, module: Compiled, probe: Probe) -> tuple[int, list[int]]:
        """A user function's program and attachments: by links, which close at once, where the kernel has them. Raises
        BccError."""
        sites, returns = self._request.sites[probe.function], probe.kind is Attach.URETPROBE
        with contextlib.suppress(BccError):  # before Linux 6.6; whatever else it is, events fail of it too
            program = module.load_for_links(probe)
            with contextlib.ExitStack() as unless_linked:
                unless_linked.callback(os.close, program)
                fds = _all(perfevents.link_uprobes(program, sites, self._files, returns=returns))
                unless_linked.pop_all()
                return program, fds
        program = module.load(probe)
        return program, _all(perfevents.open_uprobes(program, sites, self._files, returns=returns))


def _all(attachments: Iterator[int]) -> list[int]:
    """All of them or none. Raises BccError."""
    fds: list[int] = []
    try:
        for fd in attachments:
            fds.append(fd)  # noqa: PERF402  those that came before an error are closed
    except OSError as error:
        for fd in fds:
            os.close(fd)
        raise BccError(f"cannot attach: {perfevents.why(error)}") from error
    return fds


def online_cpus() -> list[int]:
    """The CPUs that are on, from /sys/devices/system/cpu/online ("0-3,6")."""
    ranges = Path("/sys/devices/system/cpu/online").read_text().strip().split(",")
    return [
        cpu for part in ranges for cpu in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)
    ]  # fmt: skip


def send(sock: socket.socket, result: Loaded) -> None:
    """Hand a result over: first a message with the names, then the descriptors in their order."""
    fds = [*result.maps.values(), *result.programs.values(), *result.attachments]
    head = {
        "maps": list(result.maps),
        "programs": list(result.programs),
        "attachments": len(result.attachments),
        "probes": result.probes,
        "tried": result.tried,
        "error": result.error,
        "compile_s": result.compile_s,
        "stacks": result.stacks,
    }
    sock.send(json.dumps(head).encode()[:MESSAGE])
    for start in range(0, len(fds), FDS_AT_ONCE):
        socket.send_fds(sock, [b"fds"], fds[start : start + FDS_AT_ONCE])


def receive(sock: socket.socket) -> Loaded:
    """What `send` sent. Raises ConnectionError when the other side has died."""
    raw = sock.recv(MESSAGE)
    if not raw:
        raise ConnectionError("the compiler process died")
    head = json.loads(raw)
    total = len(head["maps"]) + len(head["programs"]) + head["attachments"]
    fds: list[int] = []
    while len(fds) < total:
        message, received, _flags, _address = socket.recv_fds(sock, 16, FDS_AT_ONCE)
        if not message:
            raise ConnectionError("the compiler process died")
        fds += received
    for fd in fds:
        os.set_inheritable(fd, False)
    maps, rest = fds[: len(head["maps"])], fds[len(head["maps"]) :]
    programs, attachments = rest[: len(head["programs"])], rest[len(head["programs"]) :]
    return Loaded(
        maps=dict(zip(head["maps"], maps, strict=True)),
        programs=dict(zip(head["programs"], programs, strict=True)),
        attachments=attachments,
        probes=head["probes"],
        tried=[(probe, error) for probe, error in head["tried"]],
        error=head["error"],
        compile_s=head["compile_s"],
        stacks=head["stacks"],
    )


def serve(sock: socket.socket) -> None:
    """Build what is asked for until nothing is for a while, or the other side is gone."""
    sock.settimeout(FIRST_S)
    bcc: Bcc | None = None
    problem = ""
    try:
        bcc = bcclib.load()
    except bcclib.BccMissingError as error:
        problem = str(error)
    while True:
        try:
            raw, shared, _flags, _address = socket.recv_fds(sock, MESSAGE, FDS_AT_ONCE)
        except TimeoutError:
            return
        if not raw:
            return
        sock.settimeout(IDLE_S)
        request = Request.decode(raw)
        if request.headers:
            os.environ["BCC_KERNEL_SOURCE"] = request.headers
        builder = Builder(bcc, request, shared) if bcc else None
        result = builder.build() if builder else Loaded(error=problem)
        send(sock, result)
        del builder  # closes this side's descriptors
        for fd in [*shared, *result.attachments]:
            os.close(fd)


if __name__ == "__main__":
    capability.keep(capability.LOADER)
    serve(socket.socket(fileno=int(sys.argv[1])))
