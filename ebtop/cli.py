"""The command line: which verb, and what is wrong with it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from ebtop import __version__, arguments, preferences, standard
from ebtop.arguments import Parser, UsageError
from ebtop.endings import end_at_signals

VERBS = ("run", "record", "replay", "demo", "export", "probes", "tools", "doctor")
DASHBOARD = "dashboard"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: the exit code."""
    end_at_signals()
    standard.fill_closed()
    preferences.prefer("OPENBLAS_NUM_THREADS", "1")  # NumPy's linear algebra is not used: 30 MB less
    ours, command = arguments.split_command(sys.argv[1:] if argv is None else argv)
    verb = ours[0] if ours and ours[0] in VERBS else DASHBOARD
    module = importlib.import_module(f"ebtop.commands.{verb}")
    prog = "ebtop" if verb == DASHBOARD else f"ebtop {verb}"
    parser = Parser(prog=prog, description=module.HELP, epilog=getattr(module, "EPILOG", None))
    if verb == DASHBOARD:
        parser.add_argument("--version", action="version", version=f"ebtop {__version__}")
    module.add_arguments(parser)
    try:
        try:
            return int(module.main(parser.parse_args(ours[verb != DASHBOARD :]), command))
        finally:
            sys.stdout.flush()  # after --help and --version, too
    except UsageError as error:
        arguments.fail(str(error), arguments.USAGE)
    except BrokenPipeError:
        standard.give_up_stdout()
        return 0
    except ConnectionError as error:
        arguments.fail(str(error), arguments.CANNOT_RUN)
    except OSError as error:
        standard.give_up_stdout()
        what = "cannot write the output" if error.filename is None else f"{error.filename}"
        arguments.fail(f"{what}: {error.strerror or error}", arguments.WRITE_FAILED)


if __name__ == "__main__":
    sys.exit(main())
