"""What a word that nobody knows may have been meant to be."""

from __future__ import annotations

import difflib


def near(word: str, known: list[str]) -> str:
    """A question with the nearest known words, or where to look: `; did you mean that?`."""
    if not known:
        return "; there are none"
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(known[:12])}"
