"""Colours: a quiet background, one accent for what the user acts on, warm ones for trouble alone."""

from __future__ import annotations

import os
from collections.abc import Mapping

from textual.theme import Theme

QUIET = Theme(
    name="ebtop",
    primary="#5fa8d3",
    secondary="#7d8ca3",
    accent="#62c4c3",
    warning="#e0af68",
    error="#f7768e",
    success="#8fbf7f",
    foreground="#c8d0da",
    background="#12161c",
    surface="#12161c",
    panel="#1b212a",
    dark=True,
    variables={
        "block-cursor-foreground": "#f2f6fa",
        "block-cursor-background": "#27425a",
        "block-cursor-text-style": "bold",
        "footer-key-foreground": "#62c4c3",
        "border": "#364250",
        "border-blurred": "#27303b",
        "scrollbar": "#2b3542",
        "scrollbar-hover": "#3a4757",
        "scrollbar-active": "#4a5a6d",
        "scrollbar-background": "#12161c",
        "scrollbar-background-hover": "#12161c",
        "scrollbar-background-active": "#12161c",
        "scrollbar-corner-color": "#12161c",
        "input-selection-background": "#27425a",
    },
)


def default_theme(environ: Mapping[str, str] = os.environ) -> str:
    """The terminal's own colours where it has few: shades that differ little would all come out the same there."""
    term = environ.get("TERM", "")
    poor = term in {"linux", "vt100", "vt220", "ansi", "screen", "xterm"} and not environ.get("COLORTERM")
    return "ansi-dark" if poor else QUIET.name
