"""Judging a model look by look: which cells are settled, and what the others still need.

A cell is settled by PASS, IMPROVED, REGRESSION or ERROR, or when the rest of the plan would hardly decide it (`gates.futility`). CHANGED waits
until nothing is open about how well the pictures follow their prompts. What is settled stays as it was said, except that what only counts
(images missing, forwards, health, peaks) is counted over everything that was made: a settled cell can still turn red by that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from swapgate.gates.budget import is_tested, named, settle, within
from swapgate.gates.judge import judge
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import POOLED, RED, Status, Verdict
from swapgate.gates.wording_controls import controlled
from swapgate.suite import changed_meaning
from swapgate.suite.judging import evidence
from swapgate.suite.planning import Cell
from swapgate.suite.rounds import ORIGINAL, REWORDED, WRITTEN, Kind

if TYPE_CHECKING:
    from swapgate.suite.session import Suite

NEEDS: Mapping[str, tuple[str, ...]] = {
    "latency": (WRITTEN, ORIGINAL, REWORDED),
    "memory": (WRITTEN, ORIGINAL, REWORDED),
    "usability": (WRITTEN, ORIGINAL),
    "drift": (WRITTEN, ORIGINAL),
    "stability": (ORIGINAL, REWORDED),
}
"""The kinds of requests that each gate reads."""
SETTLED = frozenset({Status.PASS, Status.IMPROVED, Status.REGRESSION, Status.ERROR, Status.NOT_APPLICABLE})


@dataclass(slots=True)
class Judged:
    """The verdicts of a model so far, of pooled cells by gate and of tasks by gate and task, and which cells are settled.

    until: the last round that was looked at.
    """

    pooled: dict[str, Verdict] = field(default_factory=dict)
    tasks: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    settled: set[tuple[str, str]] = field(default_factory=set)  # (gate, task)
    until: int = 0

    def verdict(self, cell: Cell) -> Verdict:
        return self.pooled[cell.gate] if cell.task == POOLED else self.tasks[cell.gate][cell.task]


def take_look(suite: Suite, model: str, look: int) -> frozenset[Kind]:
    """Judge the open cells of a model at the look-th look (1 is the first), and give what they still need; empty when that is nothing."""
    plan, judged = suite.schedules[model], suite.judged.setdefault(model, Judged())
    judged.until = plan.looks[look - 1]
    policy = suite.policy.at_look(look, len(plan.looks))
    images = sum(bool(generation.image) for _, generation in suite.seen(suite.card(model), judged.until).generations)
    _judge_pooled(suite, model, judged, policy, images)
    for gate in suite.setup.options.gates:
        _judge_tasks(suite, model, gate, judged, policy, images)
    return _needed(suite, model, judged)


def last_word(suite: Suite, model: str) -> None:
    """Count once more, over everything that was made, what a settled cell claims by counting alone; then hold stability to its negative control."""
    judged, everything = suite.judged[model], len(suite.schedules[model].rounds)
    made = len(suite.seen(suite.card(model), everything).generations)
    for (gate, task), found in list(_all(judged)):
        if found.red or found.images is None or found.images == made:
            continue
        again = judge(gate, evidence(suite, model, task, everything), suite.policy.at_look(1, 1).at_most(suite.policy.alpha))
        if any(one.decides and one.status in RED and not is_tested(one) for one in again.findings):
            _put(judged, gate, task, replace(again, images=made))
    noticed, asked = changed_meaning.noticed(suite, suite.card(model))
    for (gate, task), found in list(_all(judged)):
        if gate == "stability":
            _put(judged, gate, task, controlled(found, noticed, asked, suite.policy))


def is_red(judged: Judged) -> bool:
    """Whether any cell is red, after which nothing can make the run anything but red."""
    return any(found.red for _, found in _all(judged))


def is_settled(found: Verdict) -> bool:
    """Whether more images would change nothing that is worth them."""
    if found.status is Status.CHANGED:
        return all(one.status is not Status.INCONCLUSIVE or one.futile for one in found.findings if one.name == "alignment")
    return found.status in SETTLED or found.futile


def _judge_pooled(suite: Suite, model: str, judged: Judged, policy: Policy, images: int) -> None:
    gates = suite.setup.options.gates
    known = {gate: found for gate, found in judged.pooled.items() if (gate, POOLED) in judged.settled}
    found = settle(judge, evidence(suite, model, POOLED, judged.until), gates, policy, models=len(suite.setup.models), settled=known)
    for gate in gates:
        if gate not in known:
            _note(judged, gate, POOLED, found[gate], images)


def _judge_tasks(suite: Suite, model: str, gate: str, judged: Judged, policy: Policy, images: int) -> None:
    """The tasks of a gate: what is red of them depends on all that are still open, so they are judged together."""
    own, pooled = policy.at_most(policy.alpha), judged.pooled[gate]
    left = [task.id for task in suite.setup.tasks[model] if (gate, task.id) not in judged.settled]
    cells = {task: evidence(suite, model, task, judged.until) for task in left}
    alone = {task: judge(gate, found, own) for task, found in cells.items()}
    names = named(alone, policy.alpha)
    for task, one in alone.items():
        _note(judged, gate, task, within(one, pooled, cells[task], is_named=task in names), images)


def _note(judged: Judged, gate: str, task: str, found: Verdict, images: int) -> None:
    _put(judged, gate, task, replace(found, images=images))
    if is_settled(found):
        judged.settled.add((gate, task))


def _put(judged: Judged, gate: str, task: str, found: Verdict) -> None:
    if task == POOLED:
        judged.pooled[gate] = found
    else:
        judged.tasks.setdefault(gate, {})[task] = found


def _all(judged: Judged) -> Iterable[tuple[tuple[str, str], Verdict]]:
    yield from (((gate, POOLED), found) for gate, found in judged.pooled.items())
    yield from (((gate, task), found) for gate, cells in judged.tasks.items() for task, found in cells.items())


def _needed(suite: Suite, model: str, judged: Judged) -> frozenset[Kind]:
    """The kinds of requests that open cells wait for: every task's for a pooled cell, so that its mixture of tasks stays as planned."""
    tasks = [task.id for task in suite.setup.tasks[model]]
    waiting = [key for key, _ in _all(judged) if key not in judged.settled]
    return frozenset((one, kind) for gate, task in waiting for one in (tasks if task == POOLED else [task]) for kind in NEEDS[gate])
