"""The user's config file: keys, theme, how much history. Read with the user's rights, before anything is started.

[keys]
"app.quit" = "q,ctrl+q"
[ui]
theme = "nord"
history = "256 MB"
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from ebtop.near import near

HISTORY = 64 << 20
_MOST = 64 << 10
_LEAST_HISTORY = 1 << 20
_SIZE = re.compile(r"(\d+)\s*([kMG]i?)?B?")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


class ConfigError(ValueError):
    """The config file cannot be used; one line with its path and the reason."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the user set. `keys` maps the ids of bindings to keys ("f,ctrl+f"); `history` is in bytes."""

    keys: Mapping[str, str] = field(default_factory=dict)
    theme: str = ""
    history: int = HISTORY
    path: Path | None = None


def default_path() -> Path:
    """Where the file is looked for."""
    return Path(platformdirs.user_config_dir("ebtop")) / "config.toml"


def load(path: Path | None = None) -> Config:
    """Read the file; without one, the defaults. A file that is named must exist. Raises ConfigError."""
    source = path or default_path()
    try:
        return _config(tomllib.loads(_read(source)), source)
    except FileNotFoundError:
        if path is None:
            return Config()
        raise ConfigError(f"{source}: there is no such file") from None
    except (OSError, ValueError, RecursionError) as error:  # TOML, UTF-8, numbers and nesting that Python refuses
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{source}: {' '.join(reason.split())}") from None


def _read(source: Path) -> str:
    """The file's text. Raises OSError, ValueError; a FIFO or a device would be waited for, or have no end."""
    with os.fdopen(os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ConfigError("this is no regular file")
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise ConfigError(f"a config file has at most {_MOST:,} bytes")
    return data.decode()


def _config(data: Mapping[str, Any], source: Path) -> Config:
    _known(data, ("keys", "ui"), "section")
    ui = _table(data, "ui")
    _known(ui, ("theme", "history"), "setting in [ui]")
    theme = ui.get("theme", "")
    if not isinstance(theme, str):
        raise ConfigError("ui.theme must be a name in quotes")
    return Config(_keys(_table(data, "keys")), theme, _bytes(ui.get("history", HISTORY)), source)


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"[{name}] must be a section")
    return table


def _known(data: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for name in data:
        if name not in known:
            raise ConfigError(f"no {what} {name!r}{near(name, list(known))}")


def _keys(table: Mapping[str, Any], prefix: str = "") -> Mapping[str, str]:
    """Ids may be quoted ("app.quit" = "q") or not (app.quit = "q", which TOML reads as a table in a table)."""
    found: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found.update(_keys(value, f"{prefix}{name}."))
        elif isinstance(value, str) and value.strip() and value.isprintable():  # keys are drawn on the last line
            found[prefix + name] = value.strip()
        else:
            raise ConfigError(f'keys.{prefix}{name} must be keys in quotes, such as "f,ctrl+f"')
    return found


def size(text: str) -> int | None:
    """Bytes of "128 MB", "64Mi" or "1000000"; None for what is no size."""
    match = _SIZE.fullmatch(text.strip())
    return int(match[1]) * _FACTORS[match[2] or ""] if match else None


def _bytes(value: object) -> int:
    found = -1
    if isinstance(value, int) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str):
        found = size(value) or -1
    if found < _LEAST_HISTORY:
        raise ConfigError(f'ui.history must be a size of at least 1 MiB, such as "128 MB", not {value!r}')
    return found
