"""`swapgate report`: write the page of a run again from its verdicts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cli.common import OK, add_json, run_of, show, store_of

if TYPE_CHECKING:
    from swapgate.cli.common import Groups


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("report", help="write a run's report again from its verdicts.json")
    made.add_argument("run", nargs="?", metavar="RUN", help="the run folder or its name (default: the newest)")
    add_json(made)
    made.set_defaults(handler=_report)


def _report(given: argparse.Namespace) -> int:
    from swapgate import report
    from swapgate.runs.folder import RunFolder

    path, store = run_of(given), store_of(given)
    run = RunFolder.open(path)

    def image(sha: str) -> Path | None:
        own = run.image_path(sha)
        if own.is_file():
            return own
        return store.picture(sha)

    try:
        page = report.build(path, image)
    finally:
        run.close()
    show(given, {"report": str(page)}, [str(page)])
    return OK
