"""The distribution's bcc package, found from whatever Python runs ebtop, and what its versions do differently.

bcc is pure Python over libbcc.so; PyPI's "bcc" is an unrelated package.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

_PLACES = (
    "/usr/lib/python3/dist-packages",  # Debian, Ubuntu
    *(str(p) for p in sorted(Path("/usr/lib").glob("python3*/site-packages"))),  # Fedora, Arch, openSUSE, Alpine
    *(str(p) for p in sorted(Path("/usr/lib64").glob("python3*/site-packages"))),
)

PACKAGES = (
    "bcc is missing: install python3-bpfcc (Debian, Ubuntu), python3-bcc (Fedora, RHEL, openSUSE), "
    "python-bcc (Arch) or py3-bcc (Alpine)"
)


class BccMissingError(Exception):
    """The bcc package, or its library, is not installed."""


def _spec() -> Any:
    for place in _PLACES:
        init = Path(place, "bcc", "__init__.py")
        if init.is_file() and Path(place, "bcc", "libbcc.py").is_file():
            return importlib.util.spec_from_file_location("bcc", init, submodule_search_locations=[str(init.parent)])
    return None


def load() -> Any:
    """The bcc module. Raises BccMissingError with the package to install."""
    spec = _spec()
    if spec is None:
        raise BccMissingError(PACKAGES)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError, AttributeError) as error:
        raise BccMissingError(f"bcc in {spec.origin} does not load: {error}; {PACKAGES}") from error
    # bcc loads and attaches by itself what has a name such as kfunc__X, before our maps are in their place.
    module.BPF._trace_autoload = lambda _self: None
    return module


def installed() -> str:
    """Where bcc is, "" when it is not."""
    spec = _spec()
    return str(spec.origin) if spec else ""
