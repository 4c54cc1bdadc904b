"""`ebtop tools`: what there is."""

from __future__ import annotations

import argparse
import sys

NAME = "tools"
HELP = "list the tools, a line each"


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """None."""


def main(_args: argparse.Namespace, _command: list[str] | None) -> int:
    """Print the list."""
    from ebtop import registry
    from ebtop.sanitise import sanitise

    for tool in registry.tools():
        sys.stdout.write(f"{tool.name:<12} {tool.group:<11} {tool.title}\n")
    for bad in registry.broken():
        sys.stdout.write(f"{bad.name:<12} {'broken':<11} {sanitise(bad.error)}\n")
    return 0
