"""The compiler process with the installed bcc, of whichever version."""

from __future__ import annotations

import re
import select
import struct
import time

import pytest

from ebtop.capture import bpfcall
from ebtop.capture.btf import KernelTypes
from ebtop.capture.compiler import Compilers
from ebtop.capture.headers import offsets_header, write_tree
from ebtop.capture.loader import Loaded, Request
from ebtop.probe import Attach, Probe

TEXT = """
#include <kernel_offsets.h>
#define KLOAD(p, s, m) (*(KTYPE_##s##__##m *)((void *)(p) + KOFF_##s##__##m))
BPF_ARRAY(hits, u64, 1);

static inline int hit(void) {
    hits.increment(0);
    return 0;
}
#ifdef WITH_opened
KFUNC_PROBE(vfs_open, void *path, void *file) { return hit(); }
#endif
#ifdef WITH_switched
int switched(void *ctx) { return hit(); }
#endif
#ifdef WITH_typed
static inline int of(void *task) { return KLOAD(task, task_struct, pid) < 0 ? 0 : hit(); }
int typed(struct bpf_raw_tracepoint_args *ctx) { return of((void *)ctx->args[2]); }
#endif
#ifdef WITH_far
int far(struct bpf_raw_tracepoint_args *ctx) { return ctx->args[40]; }
#endif
#ifdef WITH_wrong
int wrong(void *ctx) { return nowhere; }
#endif
"""
FENTRY = Probe(Attach.FENTRY, "vfs_open", "opened")
RAW = Probe(Attach.RAW_TRACEPOINT, "sched_switch", "switched")


TYPED = Probe(Attach.TP_BTF, "sched_switch", "typed")


def built(*alternatives: Probe) -> Loaded:
    """What a compiler process makes of the text."""
    kernel = KernelTypes()
    headers = str(write_tree(offsets_header(kernel, [TEXT])))
    compilers = Compilers(1)
    slots = [("place", [[probe] for probe in alternatives])]
    types = {str(probe): kernel.tracepoint_id(probe.target) for probe in alternatives if probe.kind is Attach.TP_BTF}
    compilers.ask(Request("x", TEXT, slots, {}, headers, [], ["hits"], types=types), {})
    readable, _, _ = select.select(compilers.filenos(), [], [], 60)
    [(_name, loaded)] = compilers.collect(readable)
    for worker in list(compilers._workers):
        compilers._drop(worker)
    return loaded


def test_fentry_attaches_or_gives_way() -> None:
    """Kernels differ in whether they allow it; that the compiler crashes over the function's name is neither."""
    loaded = built(FENTRY, RAW)
    assert loaded.error == ""
    assert set(loaded.maps) == {"hits"}
    if loaded.tried:
        [(probe, reason)] = loaded.tried
        assert probe == "fentry:vfs_open"
        assert reason
        assert "no function" not in reason
        assert loaded.probes == ["raw_tracepoint:sched_switch"]
    else:
        assert loaded.probes == ["fentry:vfs_open"]
    loaded.close()


def test_a_typed_tracepoint_runs() -> None:
    loaded = built(TYPED)
    assert (loaded.error, loaded.tried, loaded.probes) == ("", [], ["tp_btf:sched_switch"])
    time.sleep(0.1)
    assert struct.unpack("<Q", bpfcall.lookup(loaded.maps["hits"], bytes(4), 8))[0] > 0
    loaded.close()


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        (Probe(Attach.TP_BTF, "no_such_tracepoint", "typed"), "this kernel's BTF has no tp_btf:no_such_tracepoint"),
        (Probe(Attach.TP_BTF, "sched_switch", "far"), "cannot load far: .*context"),
    ],
)
def test_a_typed_tracepoint_that_cannot_be_gives_way(probe: Probe, reason: str) -> None:
    loaded = built(probe, RAW)
    assert loaded.probes == ["raw_tracepoint:sched_switch"]
    [(_probe, told)] = loaded.tried
    assert re.match(reason, told), told
    loaded.close()


def test_an_error_of_the_compiler_is_quoted() -> None:
    loaded = built(Probe(Attach.RAW_TRACEPOINT, "sched_switch", "wrong"))
    assert "x.c does not compile: /virtual/main.c:" in loaded.error
    assert "use of undeclared identifier 'nowhere'" in loaded.error
    loaded.close()
