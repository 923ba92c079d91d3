"""`swapgate judge`: what is known of the judges: how often they are right, and what follows for the figures of a run.

Each verb is a module of its own with `add(verbs)`; a new one is one file and one entry in `VERBS`.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from swapgate.cli import judge_fit

if TYPE_CHECKING:
    from swapgate.cli.common import Groups

VERBS: tuple[ModuleType, ...] = (judge_fit,)


def add(groups: Groups) -> None:
    """Add the group to the command line."""
    group = groups.add_parser("judge", help="how often the judges are right, and what that means for the figures")
    verbs = group.add_subparsers(required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(verbs)
