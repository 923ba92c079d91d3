"""`swapgate drill`: plant real faults into a model, one run each, and see which gates catch them."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swapgate.cli.common import FOUND, OK, add_json, config_of, progress_on_stderr, say, show
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.cli.common import Groups
    from swapgate.config import Config
    from swapgate.drills.kinds import Dose, Drill
    from swapgate.drills.run import Ask
    from swapgate.gates.policy import Policy

NOTHING = "nothing"  # the control's id; see swapgate.drills.jobs.CONTROL
DESCRIPTION = (
    "Makes one honest run of a model and accepts it as a baseline in a folder of its own, then a run for every planted fault, "
    "and says which gate caught which. The project's baselines are neither read nor written. Exit status 1: a gate that had to "
    "fire did not, one that had to be quiet fired, a fault did not act or, after the whole catalogue, no fault trips a gate (DEAD)."
)


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("drill", help="plant real faults into a model and see which gates catch them", description=DESCRIPTION)
    made.add_argument("--model", required=True, metavar="NAME", help="the model card to drill")
    made.add_argument("--task", default="", metavar="X,Y", help="tasks to judge it by (default: all of the card's families)")
    made.add_argument(
        "--drill",
        default="",
        metavar="A,B",
        help="drills (default: the whole catalogue); `nothing` is the honest model again, in which no gate may fire",
    )
    made.add_argument(
        "--dose", default="severe", metavar="DOSE", help="mild, moderate, severe (the heaviest that a drill has) or all (default: severe)"
    )
    made.add_argument("--repeats", type=int, default=1, metavar="N", help="runs of every drill and dose (default: 1)")
    made.add_argument(
        "--null", type=int, metavar="N", help="fresh processes that measure how much the honest model differs from itself (default: 4 to 12)"
    )
    made.add_argument("--false-alarms", default="", metavar="1%", help="chance that an unchanged run is red anywhere (default: the policy's, 1%%)")
    made.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where everything goes (default: drill-<time> among the runs); one begun there is gone on with"
    )
    made.add_argument(
        "--policies", choices=("peers",), help="then apply other projects' pass rules to the same runs, too (with --control and harmless variations)"
    )
    made.add_argument("--control", action="store_true", help="also run the honest model once more, as --drill=…,nothing does")
    made.add_argument(
        "--shard",
        default="1/1",
        metavar="K/N",
        help="make only the K-th of N disjoint shares of the runs; runs of all shares copied into one folder are read together",
    )
    add_json(made)
    made.set_defaults(handler=_drill)


def _drill(given: argparse.Namespace) -> int:
    from swapgate.drills import show as shown
    from swapgate.drills.run import drill
    from swapgate.gates.policy import read_policy
    from swapgate.suite.options import share

    config = config_of(given)
    policy = read_policy(config.policy_table())
    policy = replace(policy, false_alarms=share("--false-alarms", given.false_alarms) or policy.false_alarms)
    ask = _ask(given, config)
    try:
        matrix = drill(config, ask, policy, progress_on_stderr())
        page = shown.write(matrix, ask.out)  # before anything else is made
        beside = _beside(given, config, ask, policy)
    except KeyboardInterrupt:
        say(f"what is finished is kept; go on with the same command and --out={ask.out}", to=sys.stderr)
        raise
    show(given, {**matrix.as_json(), "page": str(page), **beside[0]}, [*shown.lines(matrix, page), *beside[1]])
    return FOUND if matrix.red else OK


def _beside(given: argparse.Namespace, config: Config, ask: Ask, policy: Policy) -> tuple[dict[str, Any], list[str]]:
    """The table of other projects' rules, as data and as lines; nothing without --policies."""
    if not given.policies:
        return {}, []
    from swapgate.drills.peers import show as shown
    from swapgate.drills.peers.run import compare

    table = compare(config, ask, policy, progress_on_stderr())
    page = shown.write(table, ask.out)
    return {"peers": {**table.as_json(), "page": str(page)}}, ["", *shown.lines(table, page)]


def _ask(given: argparse.Namespace, config: Config) -> Ask:
    from swapgate.drills.run import Ask

    names, doses = _names(given.drill), _doses(given.dose)
    drills = _drills(names)
    out = Path(os.path.abspath(given.out)) if given.out else _new_folder(config)
    named = " ".join(f"--{name}={value}" for name in ("model", "task", "drill", "dose") if (value := getattr(given, name)))
    return Ask(
        model=given.model, out=out, tasks=_names(given.task), drills=drills, whole=not given.drill and doses != ("mild",), doses=doses, repeats=given.repeats,
        null=given.null, control=given.control or NOTHING in names or bool(given.policies), share=_share(given.shard), command=f"swapgate drill {named}",
    )  # fmt: skip


def _drills(names: tuple[str, ...]) -> tuple[Drill, ...]:
    """The drills of those names; the whole catalogue where none is named, none where only controls are."""
    from swapgate.drills.catalogue import CATALOGUE, drill

    return tuple(drill(name) for name in dict.fromkeys(names) if name != NOTHING) if names else CATALOGUE


def _share(text: str) -> tuple[int, int]:
    """K and N of K/N; that K lies between 1 and N is checked with the rest of what is asked."""
    k, slash, n = text.partition("/")
    if not (slash and k.strip().isdecimal() and n.strip().isdecimal()):
        raise UserError(where="--shard", value=text, rule="K of N shares, K from 1 to N", remedy="write --shard=1/4")
    return int(k), int(n)


def _doses(text: str) -> tuple[Dose, ...]:
    from swapgate.drills.jobs import DOSES

    asked = _names(text)
    if asked == ("all",):
        return DOSES
    unknown = [name for name in asked if name not in DOSES]
    if unknown or not asked:
        raise UserError(where="--dose", value=text, rule=f"{', '.join(DOSES)} or all", remedy="write --dose=severe")
    return tuple(dose for dose in DOSES if dose in asked)


def _new_folder(config: Config) -> Path:
    from swapgate.runs.folder import new_folder

    return config.root / config.runs / f"drill-{new_folder(config.root).name}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
