"""`swapgate report`: write the page of any recorded run from its verdicts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cli.common import OK, add_json, config_of, run_of, show, store_of

if TYPE_CHECKING:
    from swapgate.cli.common import Groups


EPILOG = """exit status: 0 written; 2 no such run; 4 the run is damaged, or cannot be written (then --out=DIR)"""


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("report", help="write the page of any recorded run, again or for the first time", epilog=EPILOG)
    made.add_argument(
        "run", nargs="?", metavar="RUN", help="the run folder or its name (default: the newest); one that was never judged is judged first"
    )
    made.add_argument("--out", type=Path, metavar="DIR", help="write the page and verdicts.json there and leave the run as it is")
    add_json(made)
    made.set_defaults(handler=_report)


def _report(given: argparse.Namespace) -> int:
    from swapgate import report
    from swapgate.canonical import write_atomic
    from swapgate.runs.folder import RunFolder
    from swapgate.suite.results import FILE

    path, store = run_of(given), store_of(given)
    if not (path / FILE).is_file():
        _judge(given, path)
    run = RunFolder.open(path)

    def image(sha: str) -> Path | None:
        own = run.image_path(sha)
        return own if own.is_file() else store.picture(sha)

    try:
        if given.out and given.out.resolve() != path.resolve():
            write_atomic(given.out / FILE, (path / FILE).read_bytes())
        page = report.build(given.out or path, image)
    finally:
        run.close()
    show(given, {"report": str(page)}, [str(page)])
    return OK


def _judge(given: argparse.Namespace, path: Path) -> None:
    """Judge a run that was interrupted before it was, as pytest --replay does: what was not made is said to be missing."""
    from swapgate.gates.policy import read_policy
    from swapgate.suite.options import Options
    from swapgate.suite.session import Suite

    config = config_of(given)
    suite = Suite.open(config, Options(root=config.root, replay=path), read_policy(config.policy_table()))
    try:
        suite.judge_all()
    finally:
        suite.run.close()
