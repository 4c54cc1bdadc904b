"""Who may trace, and giving root up for everything that is not capture."""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import dataclass

from ebtop import arguments, capability

_ID = re.compile("[0-9]{1,10}")
_NO_ID = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Caller:
    """Who called sudo."""

    uid: int
    gid: int
    name: str
    home: str


def refusal() -> str:
    """One line for someone who may not trace, "" for someone who may."""
    lacking = capability.missing()
    if not lacking:
        return ""
    return (
        f"tracing needs {' and '.join(lacking)}, which you do not have: run it as `sudo ebtop`, "
        f"or have root grant {'it' if len(lacking) == 1 else 'them'} (systemd: AmbientCapabilities=)"
    )


def caller() -> Caller | None:
    """Who called sudo, None when nobody did (or root itself)."""
    uid = _id("SUDO_UID")
    if os.geteuid() != 0 or not uid:
        return None
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        gid = _id("SUDO_GID")
        return Caller(uid, gid, str(uid), "/") if gid else None
    return Caller(uid, entry.pw_gid, entry.pw_name, entry.pw_dir)


def _id(variable: str) -> int:
    """The user or group that sudo names; 0 for what it cannot have written (-1 would mean "leave it as it is")."""
    raw = os.environ.get(variable, "")
    number = int(raw) if _ID.fullmatch(raw) else 0
    return number if number < _NO_ID else 0


def give_up(who: Caller) -> None:
    """Become `who` for good: ids, groups, and the environment that says where the home is.

    Raises OSError; raises RuntimeError should root still be within reach.
    """
    if who.name == str(who.uid):
        os.setgroups([who.gid])
    else:
        os.initgroups(who.name, who.gid)
    os.setresgid(who.gid, who.gid, who.gid)
    os.setresuid(who.uid, who.uid, who.uid)
    if 0 in os.getresuid() or capability.mask():
        raise RuntimeError("root could not be given up")
    os.environ.update(HOME=who.home, USER=who.name, LOGNAME=who.name)
    for name in [key for key in os.environ if key.startswith("XDG_")]:
        del os.environ[name]  # they may still be root's


def become_caller() -> None:
    """Give up what only capture needs: root for whoever called sudo, granted capabilities for anyone else.

    Root itself stays root. A command that is started may gain privileges of its own, as it could without ebtop.
    """
    who = caller()
    if who:
        try:
            give_up(who)
        except (OSError, RuntimeError) as error:
            arguments.fail(
                f"root cannot be given up for uid {who.uid}, who called sudo: {error}", arguments.NOT_PERMITTED
            )
    elif os.geteuid() != 0:
        capability.keep((), new_privileges=True)
