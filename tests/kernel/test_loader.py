"""The compiler process with the installed bcc, of whichever version."""

from __future__ import annotations

import select

from ebtop.capture.btf import KernelTypes
from ebtop.capture.compiler import Compilers
from ebtop.capture.headers import offsets_header, write_tree
from ebtop.capture.loader import Loaded, Request
from ebtop.tool import Attach, Probe

TEXT = """
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
#ifdef WITH_wrong
int wrong(void *ctx) { return nowhere; }
#endif
"""
FENTRY = Probe(Attach.FENTRY, "vfs_open", "opened")
RAW = Probe(Attach.RAW_TRACEPOINT, "sched_switch", "switched")


def built(*alternatives: Probe) -> Loaded:
    """What a compiler process makes of the text."""
    headers = str(write_tree(offsets_header(KernelTypes(), [])))
    compilers = Compilers(1)
    slots = [("place", [[probe] for probe in alternatives])]
    compilers.ask(Request("x", TEXT, slots, {}, headers, [], ["hits"]), {})
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


def test_an_error_of_the_compiler_is_quoted() -> None:
    loaded = built(Probe(Attach.RAW_TRACEPOINT, "sched_switch", "wrong"))
    assert "x.c does not compile: /virtual/main.c:" in loaded.error
    assert "use of undeclared identifier 'nowhere'" in loaded.error
    loaded.close()
