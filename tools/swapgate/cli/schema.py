"""`swapgate schema`: the published JSON schema of verdicts.json, for whoever reads that file with a program."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cli.common import OK

if TYPE_CHECKING:
    from swapgate.cli.common import Groups

FILE = Path(__file__).parents[1] / "report" / "verdicts.schema.json"


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("schema", help="print the JSON schema (draft 2020-12) of verdicts.json")
    made.set_defaults(handler=_schema)


def _schema(_given: argparse.Namespace) -> int:
    sys.stdout.write(FILE.read_text(encoding="utf-8"))
    return OK
