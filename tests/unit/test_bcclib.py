"""What ebtop uses of bcc, on both sides of what changed between 0.26 and 0.37, and what it says where bcc is amiss."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebtop.capture import bcclib
from ebtop.capture.bcclib import Bcc, BccError, BccMissingError
from ebtop.capture.loader import Builder, Request, online_cpus
from ebtop.tool import Attach, Probe
from tests.unit.bccfakes import Crashed, Side, bcc_0_26, bcc_0_37

PROGRAM = """
BPF_HASH(focus, u32, u32);
BPF_ARRAY(counters, u64, 4);
int by_tracepoint(void *ctx) { return 0; }
int by_raw(void *ctx) { return 0; }
int by_sample(void *ctx) { return 0; }
int by_kprobe(void *ctx) { return 0; }
KFUNC_PROBE(tcp_set_state, void *sk, int after) { return 0; }
KRETFUNC_PROBE(tcp_set_state, void *sk, int after) { return 0; }
"""

REAL = f"""
import inspect, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from ebtop.capture import bcclib
bcclib.load()
import bcc
for function in (bcc.BPF.__init__, bcc.BPF.load_func):
    print(*inspect.signature(function).parameters)
print("self._trace_autoload()" in inspect.getsource(bcc.BPF.__init__))
"""


@pytest.fixture(params=[bcc_0_26, bcc_0_37], ids=["0.26", "0.37"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """Each version; what was opened is closed."""
    before = set(os.listdir("/proc/self/fd"))
    yield request.param()
    for fd in set(os.listdir("/proc/self/fd")) - before:
        if os.path.exists(f"/proc/self/fd/{fd}") and os.readlink(f"/proc/self/fd/{fd}") == os.devnull:
            os.close(int(fd))


def forget() -> None:
    """As in a process that has not imported bcc."""
    for name in [name for name in sys.modules if name.split(".")[0] == "bcc"]:
        del sys.modules[name]


@pytest.fixture
def fresh() -> Iterator[None]:
    """bcc is imported in this test for the first time."""
    forget()
    yield
    forget()


def place(folder: Path, library: str = "", package: str = "") -> str:
    """A folder with a bcc package in it."""
    (folder / "bcc").mkdir()
    (folder / "bcc" / "libbcc.py").write_text(f"import ctypes\n{library or 'lib = object()'}\n")
    (folder / "bcc" / "__init__.py").write_text(f"import re\nfrom .libbcc import lib\n{package}\n")
    (folder / "bcc" / "version.py").write_text("__version__ = '0.26.0'\n")
    return str(folder)


@pytest.mark.parametrize(
    ("probe", "loaded", "attached"),
    [
        (Probe(Attach.TRACEPOINT, "sock:state", "by_tracepoint"), (b"by_tracepoint", 5),
         ("bpf_attach_tracepoint", b"sock", b"state")),
        (Probe(Attach.RAW_TRACEPOINT, "sys_exit", "by_raw"), (b"by_raw", 17),
         ("bpf_attach_raw_tracepoint", b"sys_exit")),
        (Probe(Attach.KPROBE, "f", "by_kprobe"), (b"by_kprobe", 2),
         ("bpf_attach_kprobe", 0, f"p_ebtop_{os.getpid()}_f".encode(), b"f", 0, 0)),
        (Probe(Attach.KRETPROBE, "f", "by_kprobe"), (b"by_kprobe", 2),
         ("bpf_attach_kprobe", 1, f"r_ebtop_{os.getpid()}_f".encode(), b"f", 0, 0)),
    ],
)  # fmt: skip
def test_functions_go_by_their_own_names(
    side: Side, probe: Probe, loaded: tuple[bytes, int], attached: tuple[object, ...]
) -> None:
    bcc = Bcc(side.module)
    program = bcc.compile(PROGRAM, ["-DX=1"])
    assert bcc.attach(probe, program.load(probe)) >= 0
    assert side.log == [("compile", "-DX=1"), ("load", *loaded), attached]


def test_a_typed_tracepoint_takes_a_type_and_a_function(side: Side) -> None:
    program = Bcc(side.module).compile(PROGRAM, [])
    with pytest.raises(BccError, match="BTF has no tp_btf:nope"):
        program.load(Probe(Attach.TP_BTF, "nope", "by_raw"))
    with pytest.raises(BccError, match="no function for tp_btf:sched_switch"):
        program.load(Probe(Attach.TP_BTF, "sched_switch", "elsewhere"), 7)


@pytest.mark.parametrize(("kind", "name"), [(Attach.FENTRY, "kfunc"), (Attach.FEXIT, "kretfunc")])
def test_fentry_goes_by_the_name_that_the_version_gives(side: Side, kind: Attach, name: str) -> None:
    bcc = Bcc(side.module)
    probe = Probe(kind, "tcp_set_state", "state")
    assert bcc.attach(probe, bcc.compile(PROGRAM, []).load(probe)) >= 0
    full = f"{name}__{'vmlinux__' if side.modules else ''}tcp_set_state".encode()
    assert side.log == [("compile",), ("load", full, 26), ("bpf_attach_kfunc",)]  # and nothing "attached by bcc"


def test_a_name_by_hand_would_crash_the_newer_one() -> None:
    """Why such a function is looked up and never named: the fake stands for a SIGSEGV."""
    by_hand = "int kfunc__tcp_set_state(void *ctx) { return 0; }"
    probe = Probe(Attach.FENTRY, "tcp_set_state", "kfunc__tcp_set_state")
    assert Bcc(bcc_0_26().module).compile(by_hand, []).load(probe) >= 0
    with pytest.raises(Crashed):
        Bcc(bcc_0_37().module).compile(by_hand, []).load(probe)


def test_samples_are_taken_on_the_cpu_s_clock(side: Side) -> None:
    bcc = Bcc(side.module)
    probe = Probe(Attach.PERF_EVENT, "cpu-clock", "by_sample")
    assert bcc.sample(bcc.compile(PROGRAM, []).load(probe), 49, 3) >= 0
    assert side.log[1:] == [("load", b"by_sample", 7), ("bpf_attach_perf_event", 1, 0, 0, 49, -1, 3, -1)]


def test_what_bcc_refuses_is_one_kind_of_error(side: Side) -> None:
    bcc = Bcc(side.module)
    program = bcc.compile(PROGRAM, [])
    with pytest.raises(BccError, match="no map 'nowhere'"):
        program.map_fd("nowhere")
    with pytest.raises(BccError, match="Unknown program"):
        program.load(Probe(Attach.KPROBE, "f", "nowhere"))
    with pytest.raises(BccError, match="no function for fentry:f"):
        program.load(Probe(Attach.FENTRY, "f", "by_kprobe"))
    with pytest.raises(BccError, match="Failed to compile"):
        bcc.compile("#error", [])


def test_a_program_is_built_on_either_side(side: Side) -> None:
    """As the compiler process does: fentry is refused, the tracepoint comes in its place, maps are exchanged."""
    side.refused = {b"kfunc__tcp_set_state", b"kfunc__vmlinux__tcp_set_state"}
    alternatives = [
        [Probe(Attach.FENTRY, "tcp_set_state", "state")],
        [Probe(Attach.TRACEPOINT, "sock:refused", "by_tracepoint")],
        [Probe(Attach.TRACEPOINT, "sock:state", "by_tracepoint"), Probe(Attach.PERF_EVENT, "cpu-clock", "by_sample")],
    ]
    request = Request("x", PROGRAM, [("state", alternatives)], {"N": 1}, "/h", ["focus"])
    with open("/proc/self/status", "rb") as shared:
        result = Builder(Bcc(side.module), request, [shared.fileno()]).build()
        assert result.error == ""
        assert os.path.samestat(os.fstat(result.maps["focus"]), os.fstat(shared.fileno()))
        assert not os.path.samestat(os.fstat(result.maps["counters"]), os.fstat(shared.fileno()))
    assert result.tried == [
        ("fentry:tcp_set_state", "not permitted"),
        ("tracepoint:sock:refused", "cannot attach to sock:refused"),
    ]
    assert result.probes == ["tracepoint:sock:state", "perf_event:cpu-clock"]
    assert len(result.attachments) == 1 + len(online_cpus())
    assert set(result.programs) == {"by_tracepoint", "by_sample"}
    assert [entry for entry in side.log if entry[0] == "attached by bcc"] == []
    result.close()


def test_the_installed_bcc_is_as_the_fakes() -> None:
    """Its signatures take what the fakes take; that the library has every call is looked at when it is loaded."""
    if not bcclib.installed():
        pytest.skip("bcc is not installed")
    told = subprocess.run([sys.executable, "-I", "-c", REAL], capture_output=True, text=True, check=True)
    assert told.stderr == ""
    made, load, autoload = (line.split() for line in told.stdout.splitlines())
    fake = bcc_0_37().module.BPF
    assert set(inspect.signature(fake.__init__).parameters) <= set(made)
    assert load[:3] == list(inspect.signature(fake.load_func).parameters)
    assert autoload == ["True"]


def test_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcclib, "_PLACES", ())
    assert bcclib.installed() == ""
    with pytest.raises(BccMissingError) as caught:
        bcclib.load()
    assert str(caught.value).startswith("bcc is missing: install python3-bpfcc (Debian, Ubuntu)")
    assert {"python3-bcc", "python-bcc", "py3-bcc"} <= set(str(caught.value).replace(",", "").split())


@pytest.mark.parametrize(
    ("library", "says"),
    [
        ("ctypes.CDLL(None).kernel_enum_has_val", "and its library are of different versions (.*kernel_enum_has_val)"),
        ("ctypes.CDLL('libnowhere.so.0')", r"does not load \(libnowhere.so.0: .*\): install python3-bpfcc"),
        ("import nowhere", r"does not load \(No module named 'nowhere'\): install python3-bpfcc"),
        ("re.nowhere = ctypes.nowhere", r"does not load \(.*'nowhere'\): install python3-bpfcc"),
        ("lib = object()\nclass BPF: pass", r"is too old: it has no bpf_num_functions\(\)"),
    ],
)
def test_a_bcc_that_does_not_load_says_why_in_one_line(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, says: str
) -> None:
    monkeypatch.setattr(bcclib, "_PLACES", (place(tmp_path, library, "from .libbcc import *"),))
    with pytest.raises(BccMissingError, match=says) as caught:
        bcclib.load()
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_warnings_of_an_older_bcc_do_not_reach_the_terminal(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.26 has escape sequences that Python 3.12 warns of on stderr; here warnings are errors."""
    escaped = r"cold = re.match(b'^.*\.cold(\.\d+)?$', b'x.cold.1')"
    library = "from types import SimpleNamespace\nlib = SimpleNamespace(**dict.fromkeys(%r))" % (bcclib._CALLS,)  # noqa: UP031
    monkeypatch.setattr(bcclib, "_PLACES", (place(tmp_path, library, f"{escaped}\nclass BPF: pass"),))
    with pytest.raises(SyntaxError, match="invalid escape"):
        compile(escaped, "bcc", "exec")
    bcclib.load()
    assert sys.modules["bcc"].cold
    assert bcclib.installed() == f"{tmp_path}/bcc (0.26.0)"
