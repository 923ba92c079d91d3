"""`swapgate`: a look ahead at a run, calibration, review of baselines, the report, the checks of cards and tasks, drills, a server, the stand-ins, and a first project.

Exit status (`swapgate.exits`): 0 all is well; 1 the command found or refused something; 2 a mistake of the user, explained on stderr; 3 undecided
under --strict; 4 something could not be made, read or written; 130 interrupted.
Every command works without a prompt; those with figures have --json. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from swapgate import __version__
from swapgate.characters import escaped
from swapgate.cli import (
    baselines,
    calibrate,
    check,
    comfyui,
    compare,
    doctor,
    drill,
    init,
    judge,
    label,
    merge,
    plan,
    probe,
    report,
    schema,
    serve,
    standins,
)
from swapgate.errors import UserError, unwritten
from swapgate.exits import Exit, of_error

GROUPS = (plan, calibrate, probe, baselines, report, schema, compare, merge, label, judge, check, comfyui, doctor, drill, serve, standins, init)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    given = parser().parse_args(arguments)
    try:
        status: int = given.handler(given)
        sys.stdout.flush()
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return of_error(error)
    except BrokenPipeError:
        # The reader (head, less) left; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return Exit.INTERRUPTED
    except OSError as error:
        sys.stderr.write(f"{unwritten(error)}\n")
        return of_error(error)
    except Exception as error:  # a defect: Python would end with the status of a regression
        sys.stderr.write(escaped(traceback.format_exc(), keep="\n"))
        return of_error(error)
    return status


class _Parser(argparse.ArgumentParser):
    """Says what it cannot read with what steers a terminal written out; the parsers of the commands are of this kind, too."""

    def error(self, message: str) -> NoReturn:
        super().error(escaped(message))


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = _Parser(prog="swapgate", description=(__doc__ or "").partition("\n")[0])
    made.add_argument("--version", action="version", version=f"swapgate {__version__}")
    made.add_argument("--project", type=Path, default=Path(), metavar="DIR", help="a folder of the project (default: this one)")
    groups = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add(groups)
    return made


if __name__ == "__main__":
    raise SystemExit(main())
