"""`swapgate compare`: the verdicts of one recorded run against another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cli.common import add_json, config_of, find_run, show
from swapgate.exits import Exit

if TYPE_CHECKING:
    from swapgate.cli.common import Groups
    from swapgate.suite.comparing import Compared

COMPARISONS = Path(".swapgate") / "compare"  # of a project
EPILOG = """exit status:
  0  nothing is worse
  1  a REGRESSION
  2  a mistake: no such run, runs that share no model, cards or tasks that are not those of the runs
  3  nothing was decided; with --strict, something was left undecided
  4  an ERROR: pictures are missing or could not be judged, or a run or --out cannot be read or written

The runs themselves are not changed. Times and memory of another cohort (accelerator, placement, recipe) are INCOMPARABLE.
"""


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser(
        "compare",
        help="the verdicts of one recorded run with another one as its baseline",
        description="Judge RUN_B with RUN_A standing for the accepted baseline: any two recorded runs, also of different machines.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("before", metavar="RUN_A", help="the run that stands for the baseline: a folder or its name")
    made.add_argument("after", metavar="RUN_B", help="the run that is judged")
    made.add_argument("--out", type=Path, metavar="DIR", help=f"where verdicts.json and the report go (default: {COMPARISONS}/<RUN_A>..<RUN_B>)")
    made.add_argument("--strict", action="store_true", help="undecided cells fail, too")
    add_json(made)
    made.set_defaults(handler=_compare)


def _compare(given: argparse.Namespace) -> int:
    from swapgate.report.terminal import summary_lines
    from swapgate.suite.comparing import compare

    config, before, after = config_of(given), find_run(given, given.before), find_run(given, given.after)
    out = given.out or config.root / COMPARISONS / f"{before.resolve().name}..{after.resolve().name}"
    done = compare(config, before, after, out, strict=given.strict)
    alone = [f"only in {before}: {name}" for name in done.only_before] + [f"only in {after}: {name}" for name in done.only_after]
    facts = {
        "before": str(before),
        "after": str(after),
        "report": str(done.page),
        "only_before": list(done.only_before),
        "only_after": list(done.only_after),
    }
    show(given, {**facts, **{key: done.data[key] for key in ("outcome", "counts", "verdicts")}}, [*alone, *summary_lines(done.data, done.page)])
    return _status(done)


def _status(done: Compared) -> Exit:
    from swapgate.gates.verdict import Status

    if Status.REGRESSION in done.statuses:
        return Exit.REGRESSION
    if Status.ERROR in done.statuses:
        return Exit.ERROR
    return Exit.UNDECIDED if done.data["outcome"]["red"] else Exit.PASS
