"""What the compiler process is asked for: a tool's program, and the same again with the code that walks stacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ebtop.capture.kerneltypes import Known
from ebtop.capture.loader import STACKS, Request
from ebtop.capture.program import Program
from ebtop.capture.running import Running
from ebtop.capture.tracer import GO_ON_IN, tool_defines
from ebtop.resolve.symbols import Symbolizer
from ebtop.tool import Slot, Tool, probes_of

MOST_WALKING = 8
"""Points of a made tool whose programs all walk stacks from the beginning: each takes the verifier a while."""


def walks_stacks(tool: Tool) -> bool:
    """Whether a tool's programs are built with the code that walks stacks though nobody has asked for any yet: stacks
    are what it tells, or it was made from points whose programs cannot go on in others."""
    return bool(tool.stack_map) or (tool.stacks and bool(tool.headers) and len(probes_of(tool.slots)) <= MOST_WALKING)


def program_request(
    name: str,
    program: Program,
    slots: Sequence[Slot],
    given: Mapping[str, int],
    kernel: Known,
    types: Mapping[str, int],
    shared: Iterable[str],
    files: Iterable[str],
    stacks: bool,
) -> Request:
    """A program, attached. `given` are given_defines(), `types` the type ids of its probes, `files` the paths of
    those that it is attached to; `stacks`: with the code that walks stacks from the beginning."""
    return Request(
        name=name,
        text=program.text,
        slots=[(slot.name, [list(a) for a in slot.alternatives]) for slot in slots],
        defines={**program.defines, **given, **({STACKS: 1} if stacks else {})},
        headers=kernel.headers,
        shared=list(shared),
        frequency=given.get("FREQUENCY", 0),
        types=dict(types),
        sites={function: list(sites) for function, sites in program.tool.sites.items()} if program.tool else {},
        files=list(files),
    )


def stacks_request(
    name: str, program: Program, running: Running, given: Mapping[str, int], kernel: Known
) -> tuple[Request, Mapping[str, int]]:
    """The functions of a tool that runs once more, for those to go on in, and the maps that both have."""
    shared = {name: fd for name, fd in running.tracer.loaded.maps.items() if name not in GO_ON_IN.values()}
    request = Request(
        name=name,
        text=program.text,
        slots=[(probe.function, [[probe]]) for probe in running.probes],
        defines={**program.defines, **given, STACKS: 1},
        headers=kernel.headers,
        shared=list(shared),
        attach=False,
        types=kernel.of(running.probes),
    )
    return request, shared


def given_defines(symbols: Symbolizer, tool: Tool | None, options: Mapping[str, int]) -> dict[str, int]:
    """-D values that a tool's user and the machine give."""
    return tool_defines(options) | _kernel_places(symbols, tool.kernel_functions if tool else ())


def _kernel_places(symbols: Symbolizer, functions: Sequence[str]) -> dict[str, int]:
    """Where the kernel has functions that a program asks for. As C reads them, addresses are below 0."""
    known = symbols.kernel_places(functions) if functions else {}
    places = {name: known.get(name, (0, 0)) for name in functions}
    starts = {f"KSTART_{name}": start - (start >> 63 << 64) for name, (start, _) in places.items()}
    return starts | {f"KSIZE_{name}": size for name, (_, size) in places.items()}
