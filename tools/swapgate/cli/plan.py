"""`swapgate plan`: what a run will make, how long it should take, and what each gate can decide. Nothing is loaded."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from swapgate.cli.common import OK, UNDECIDED, add_json, config_of, show
from swapgate.errors import UserError
from swapgate.suite.options import BUDGETS

if TYPE_CHECKING:
    from swapgate.cli.common import Groups
    from swapgate.config import Config
    from swapgate.suite.options import Options


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("plan", help="say what a run will make, how long it takes, and the smallest change each gate finds")
    made.add_argument("--model", default="", metavar="A,B", help="model cards to judge (default: those of [tool.swapgate], else all)")
    made.add_argument("--task", default="", metavar="X,Y", help="tasks to judge them by (default: all of the card's families)")
    made.add_argument("--against", metavar="A", help="A/B: against this model instead of the baseline")
    made.add_argument("--gate", default="", metavar="G,H", help="gates to judge (default: all)")
    made.add_argument("--false-alarms", default="", metavar="1%", help="chance that an unchanged run is red anywhere (default: the policy's, 1%%)")
    made.add_argument("--wordings", default="", metavar="K", help="reword every prompt in K ways (default: as many as the tasks say)")
    made.add_argument("--null", type=int, default=0, metavar="N", help="also measure the null in N fresh processes")
    made.add_argument("--budget", default="gate", choices=BUDGETS, help="how far the run may go (default: gate)")
    made.add_argument("--strict", action="store_true", help="exit status 3 when some gate cannot be decided")
    add_json(made)
    made.set_defaults(handler=_plan)


def _plan(given: argparse.Namespace) -> int:
    from swapgate.suite.outlook import foresee
    from swapgate.suite.outlook_lines import lines

    config = config_of(given)
    seen = foresee(config, _options(given, config))
    show(given, seen.as_json(), lines(seen))
    return UNDECIDED if given.strict and seen.undecided else OK


def _options(given: argparse.Namespace, config: Config) -> Options:
    from swapgate.suite.options import Options, share, wordings

    if given.null < 0:
        raise UserError(where="--null", value=given.null, rule="a number of processes, 0 or more", remedy="write --null=4")
    return Options(
        root=config.root,
        models=_names(given.model),
        tasks=_names(given.task),
        gates=_gates(given.gate),
        against=given.against or None,
        strict=given.strict,
        false_alarms=share("--false-alarms", given.false_alarms),
        wordings=wordings("--wordings", given.wordings),
        null=given.null,
        budget="full" if given.null else given.budget,
        command="swapgate plan",
    )


def _gates(text: str) -> tuple[str, ...]:
    from swapgate.gates.verdict import GATES

    unknown = [name for name in _names(text) if name not in GATES]
    if unknown:
        raise UserError(where="--gate", value=unknown[0], rule=f"a gate: {', '.join(GATES)}", remedy="choose one of them")
    return tuple(gate for gate in GATES if gate in _names(text)) or GATES


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
