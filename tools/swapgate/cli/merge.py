"""`swapgate merge`: join shards of a run into one."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cli.common import OK, add_json, find_run, show

if TYPE_CHECKING:
    from swapgate.cli.common import Groups

EPILOG = """exit status:
  0  merged, or merged before from the same shards
  2  the shards contradict each other, or --out holds something else; nothing was written
  4  a shard is damaged, or --out cannot be written; nothing was written

for example, two machines with one of two tasks each:
  pytest --task=cup --budget=full --run-dir=one
  pytest --task=cat --budget=full --run-dir=two
  swapgate merge one two --out=whole && pytest --resume=whole
"""


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser(
        "merge",
        help="join shards of a run into one",
        description="Join runs that made disjoint parts of one plan (by --model or --task) alike. Nothing is made or judged.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("runs", nargs="+", metavar="RUN", help="run folders or their names")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the merged run: a new one")
    add_json(made)
    made.set_defaults(handler=_merge)


def _merge(given: argparse.Namespace) -> int:
    from swapgate.suite.merging import merge

    done = merge([find_run(given, name) for name in given.runs], given.out)
    word = "merged before" if done.again else "merged"
    lines = [
        f"{word}: {', '.join(done.shards)} into {done.path}: {done.made} of {done.planned} requests made, {done.images} pictures",
        f"next: pytest --resume={done.path} (verdicts, report and drafts to accept; makes only what is missing), or only to judge: pytest --replay={done.path}",
    ]
    show(given, {**asdict(done), "path": str(done.path)}, lines)
    return OK
