"""A Go program, built by the Go that is here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = """
package main
import "os"
type Cart struct { total int }
//go:noinline
func (c *Cart) Add(price int) int { c.total += price; return c.total }
//go:noinline
func cold(x int) int { return x + 1 }
func main() { c := &Cart{}; os.Exit(cold(c.Add(len(os.Args))) - 2) }
"""


def go_program(folder: Path, *flags: str, source: str = SOURCE) -> str:
    """The path of the program; the test is skipped where it cannot be built."""
    if not shutil.which("go"):
        pytest.skip("needs go")
    (folder / "shop.go").write_text(source)
    environment = os.environ | {"GOCACHE": "/tmp/ebtop-go-cache", "GO111MODULE": "off"}
    command = ["go", "build", *flags, "-o", str(folder / "shop"), str(folder / "shop.go")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        pytest.skip(f"go: {done.stderr[-300:]}")
    return str(folder / "shop")
