"""What a run whose whole plan was made would have needed, had it been looked at on the way: the fixed-size test beside the early one.

The same pictures and times are judged twice, so both kinds of verdict have the same errors to spend and the same evidence to spend them on;
they differ in nothing but when they were asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from swapgate.errors import UserError
from swapgate.gates.looks import look_rounds
from swapgate.gates.verdict import POOLED, Verdict
from swapgate.suite.looks import is_red, take_look
from swapgate.suite.rounds import Kind, Schedule, asked

if TYPE_CHECKING:
    from swapgate.suite.session import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A model's run, looked at on the way.

    planned: images of the whole plan; images: those it would have made until every cell was settled. gates: by gate the verdict of the pooled
    cell and the images made until then; answer: images until it was certain whether the run is red, which is the first look at which any
    cell is, or the one that settles the last cell. seconds: of the calls of `images`, and of the whole plan.
    """

    planned: int
    images: int
    gates: Mapping[str, tuple[Verdict, int]]
    answer: int
    seconds: tuple[float, float]

    @property
    def share(self) -> float:
        """Images made of those planned, in (0, 1]."""
        return self.images / self.planned


def rehearse(suite: Suite, model: str) -> Rehearsal:
    """Look at a model of a recorded run round by round. UserError for a run that lacks images of its plan."""
    plan = suite.schedules[model]
    whole = replace(plan, looks=look_rounds(len(plan.rounds)))
    planned = sum(1 for _ in plan.requests)
    card = suite.card(model)
    if len(suite.seen(card, len(plan.rounds)).generations) < planned:
        raise UserError(where=str(suite.run.path), rule="a run that made its whole plan", remedy=f"pytest --resume={suite.run_name} --budget=full")
    # Caches of what was seen are shared; what was judged is not.
    own = replace(suite, schedules={**suite.schedules, model: whole}, judged={}, verdicts={})
    closed: dict[int, frozenset[Kind]] = {}
    gates: dict[str, tuple[Verdict, int]] = {}
    red: int | None = None
    for look, until in enumerate(whole.looks, start=1):
        made = _images(whole, closed, until)
        left = take_look(own, model, look)
        judged = own.judged[model]
        gates.update({gate: (found, made) for gate, found in judged.pooled.items() if gate not in gates and (gate, POOLED) in judged.settled})
        red = made if red is None and is_red(judged) else red
        closed[look] = left
        if not left:
            break
    made = _images(whole, closed, len(whole.rounds))
    gates.update({gate: (found, made) for gate, found in own.judged[model].pooled.items() if gate not in gates})
    return Rehearsal(
        planned=planned,
        images=made,
        gates=gates,
        answer=made if red is None else red,
        seconds=(_seconds(suite, whole, closed), _seconds(suite, whole, {})),
    )


def _images(plan: Schedule, closed: Mapping[int, frozenset[Kind]], until: int) -> int:
    return sum(len(call.requests) for calls in asked(plan, "gate", closed, until=until) for call in calls)


def _seconds(suite: Suite, plan: Schedule, closed: Mapping[int, frozenset[Kind]]) -> float:
    made = suite.run.generations()
    calls = [made[call.key] for calls in asked(plan, "gate", closed) for call in calls if call.key in made]
    return sum(one.times.total for one in calls if one.times)
