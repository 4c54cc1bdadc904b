"""`ebtop probes`: what a probe can be attached to on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ebtop import arguments, privilege

if TYPE_CHECKING:
    from ebtop.attachpoint import Point

NAME = "probes"
HELP = "list the attach points of this machine"
_AT_ONCE = 500
EPILOG = """\
A pattern with a wildcard (*, ?, [..]) or a colon has to match the whole: 'tracepoint:syscalls:*open*', '*:tcp_*'.
Words alone have to occur, in any order: 'tcp connect'. Functions and USDT probes of programs and libraries are listed
file by file: 'uprobe:node:*Start*', 'usdt:/usr/bin/x:*'. What cannot be attached is listed with the reason.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `ebtop probes`."""
    parser.add_argument("glob", nargs="?", default="*", metavar="GLOB", help="which; all without it")
    parser.add_argument("-v", "--verbose", action="store_true", help="with their arguments and types")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="json: one object a line")


def main(args: argparse.Namespace, _command: list[str] | None) -> int:
    """List them: 0, or 2 when nothing matches."""
    refusal = privilege.refusal()
    if refusal:
        arguments.fail(refusal, arguments.NOT_PERMITTED)
    from ebtop.capture import tracefs
    from ebtop.capture.btf import BtfError
    from ebtop.capture.points.search import Points
    from ebtop.resolve.binaryfile import BinaryError

    missing = tracefs.ensure()
    points = Points()
    found = points.matching(args.glob)
    if args.verbose:
        found = map(points.described, found)
    try:
        count = _print(found, as_json=args.format == "json", verbose=args.verbose)
    except (BinaryError, BtfError) as error:
        arguments.fail(str(error), arguments.USAGE)
    if missing:
        sys.stderr.write(f"ebtop: tracepoints are not listed: {missing}\n")
    if not count:
        arguments.fail(f"no attach point matches {args.glob!r} (ebtop probes lists them all)", arguments.USAGE)
    return 0


def _print(points: Iterator[Point], *, as_json: bool, verbose: bool) -> int:
    """A few hundred at a time, as there are a hundred thousand: how many there were."""
    from ebtop.sanitise import sanitise

    count = 0
    while some := list(islice(points, _AT_ONCE)):
        count += len(some)
        if as_json:
            lines = [json.dumps(_object(point)) for point in some]
        else:
            lines = [sanitise(line) for point in some for line in _lines(point, verbose=verbose)]
        sys.stdout.write("\n".join(lines) + "\n")
    return count


def _object(point: Point) -> dict[str, object]:
    """`arguments` only where they were asked for, null where they are not known."""
    told: dict[str, object] = {"kind": point.kind.value, "target": point.target, "probe": str(point)}
    told |= {"attachable": not point.refusal, "reason": point.refusal}
    if point.arguments is not None:
        told["arguments"] = [{"name": a.name, "type": a.type} for a in point.arguments]
        told["returns"] = point.returns
    return told


def _lines(point: Point, *, verbose: bool) -> Iterator[str]:
    yield f"{point}  ({point.refusal})" if point.refusal else str(point)
    if verbose:
        yield from (f"    {argument}" for argument in point.arguments or ())
        if point.returns:
            yield f"    returns {point.returns}"
