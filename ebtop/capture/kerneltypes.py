"""What programs are built with that is this kernel's own: the layouts of its structs, the numbers of its types."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ebtop import registry
from ebtop.capture.btf import BtfError, KernelTypes
from ebtop.capture.distroheaders import HeaderTypes, kernel_types
from ebtop.capture.headers import offsets_header, used_members, write_tree
from ebtop.capture.program import all_sources
from ebtop.probe import TYPED, Attach, Probe, probes_of


@dataclass(frozen=True)
class Known:
    """`headers` is the path of the header tree, "" when there is none: `why` then says why not. `note` is to be said;
    `ids` are those of the types that probes are loaded with, by the probe."""

    headers: str = ""
    why: str = ""
    note: str = ""
    ids: dict[str, int] = field(default_factory=dict)

    def of(self, probes: Iterable[Probe]) -> dict[str, int]:
        """The type ids of those probes that need one; 0 where this kernel has none."""
        return {str(probe): self.ids.get(str(probe), 0) for probe in probes if probe.kind in TYPED}


def learn() -> Known:
    """Ask the running kernel, and write the header tree."""
    sources = all_sources()
    try:
        types, note = kernel_types(struct for struct, _member in used_members(sources))
        headers = str(write_tree(offsets_header(types, sources)))
    except (BtfError, OSError) as error:
        return Known(why=str(error))
    typed = {p for tool in registry.tools() for p in probes_of(tool.slots) if p.kind in TYPED}
    return Known(headers, note=note, ids={str(probe): _type_id(types, probe) for probe in typed})


def _type_id(types: KernelTypes | HeaderTypes, probe: Probe) -> int:
    return types.iterator_id(probe.target) if probe.kind is Attach.ITER else types.tracepoint_id(probe.target)
