"""A visitor who reads one page after the other: `python3 visitor.py PORT`, until told to end."""

from __future__ import annotations

import itertools
import sys
import time
import urllib.request

for number in itertools.count(1):
    for path in (f"product/{number % 5000}", "index.html"):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/{path}", timeout=5).read()
        except OSError:
            time.sleep(0.2)
    time.sleep(0.06)
