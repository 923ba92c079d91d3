"""`swapgate report`: write the page of any recorded run from its verdicts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swapgate.cli.common import OK, add_json, config_of, run_of, say, show, store_of
from swapgate.report.words import LANGUAGES

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
    made.add_argument("--lang", choices=LANGUAGES, default=LANGUAGES[0], help="language of the page that opens first (default: en)")
    made.add_argument("--single-file", action="store_true", help="one file with thumbnails in it, RUN/report.html, in the language of --lang")
    add_json(made)
    made.set_defaults(handler=_report)


def _report(given: argparse.Namespace) -> int:
    from swapgate import report
    from swapgate.canonical import write_atomic
    from swapgate.runs.folder import RunFolder
    from swapgate.suite.results import FILE

    path, store, config = run_of(given), store_of(given), config_of(given)
    how: dict[str, Any] = {"lang": given.lang, "runs": config.root / config.runs}
    if not (path / FILE).is_file():
        _judge(given, path)
    run = RunFolder.open(path)

    def image(sha: str) -> Path | None:
        own = run.image_path(sha)
        return own if own.is_file() else store.picture(sha)

    try:
        if given.out and given.out.resolve() != path.resolve():
            write_atomic(given.out / FILE, (path / FILE).read_bytes())
        if given.single_file:
            single = report.build_single(given.out or path, image, **how)
            page, data = single.path, {"report": str(single.path), "bytes": single.size, "warning": single.warning}
        else:
            page = report.build(given.out or path, image, **how)
            data = {"report": str(page)}
    finally:
        run.close()
    if data.get("warning"):
        say(f"warning: {data['warning']}", to=sys.stderr)
    show(given, data, [str(page)])
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
