"""The command line: which verb, and what is wrong with it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from ebtop import __version__, arguments
from ebtop.arguments import Parser, UsageError
from ebtop.endings import end_at_signals

VERBS = ("run", "tools", "doctor")
DASHBOARD = "dashboard"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: the exit code."""
    end_at_signals()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's linear algebra is not used: 30 MB less
    ours, command = arguments.split_command(sys.argv[1:] if argv is None else argv)
    verb = ours[0] if ours and ours[0] in VERBS else DASHBOARD
    module = importlib.import_module(f"ebtop.commands.{verb}")
    prog = "ebtop" if verb == DASHBOARD else f"ebtop {verb}"
    parser = Parser(prog=prog, description=module.HELP, epilog=getattr(module, "EPILOG", None))
    if verb == DASHBOARD:
        parser.add_argument("--version", action="version", version=f"ebtop {__version__}")
    module.add_arguments(parser)
    try:
        code = int(module.main(parser.parse_args(ours[verb != DASHBOARD :]), command))
        sys.stdout.flush()
    except UsageError as error:
        arguments.fail(str(error), arguments.USAGE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered has no reader
        return 0
    except ConnectionError as error:
        arguments.fail(str(error), arguments.CANNOT_RUN)
    return code


if __name__ == "__main__":
    sys.exit(main())
