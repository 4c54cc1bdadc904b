"""One boot of a kernel under QEMU, without KVM: what runs there sees the host's files and can change none of them."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.vm import initramfs
from tests.vm.packages import Kernel, UnavailableError

QEMU = "qemu-system-x86_64"
MEMORY_MB = 2048
_APPEND = "console=ttyS0 panic=-1 quiet mitigations=off random.trust_cpu=on maxcpus=1"
"""The second CPU is there to be plugged in: two that run at once cost an emulated machine more than they bring."""


@dataclass(frozen=True)
class Ended:
    """How a boot ended: the exit code of what ran, None when the guest died or took too long; `said` is its last."""

    code: int | None
    seconds: float
    said: str


def _command(kernel: Kernel, initrd: Path, out: Path) -> list[str]:
    shared = "security_model=none"
    return [
        QEMU, "-M", "pc", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB),
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-chardev", f"file,id=console,path={out}/console", "-serial", "chardev:console",
        "-kernel", str(kernel.image), "-initrd", str(initrd), "-append", _APPEND,
        "-virtfs", f"local,path=/,mount_tag=hostro,{shared},readonly=on,multidevs=remap",
        "-virtfs", f"local,path={out},mount_tag=hostout,{shared}",
    ]  # fmt: skip


def _tail(out: Path, *names: str) -> str:
    texts = [(out / name).read_text(errors="replace") for name in names if (out / name).exists()]
    return "\n".join(text.strip()[-2000:] for text in texts if text.strip())


def boot(kernel: Kernel, out: Path, script: str, limit_s: float) -> Ended:
    """Run a shell script as root in the guest, with `out` as its /out. Raises UnavailableError."""
    if "9p" not in kernel.modules:
        raise UnavailableError(f"{kernel.release} has no 9p, by which the guest would see the host's files")
    initrd = out / "initrd"
    initrd.write_bytes(initramfs.image(kernel.modules))
    (out / "run").write_text(script)
    begun = time.monotonic()
    with subprocess.Popen(_command(kernel, initrd, out), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as machine:
        try:
            complaints = machine.communicate(timeout=limit_s)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            complaints = f"stopped after {limit_s:.0f} s"
        finally:
            machine.kill()
    rc = out / "rc"
    code = int(rc.read_text()) if rc.exists() and rc.read_text().strip() else None
    return Ended(code, time.monotonic() - begun, "\n".join([complaints, _tail(out, "console", "stdout", "stderr")]))
