"""Rounds and looks of a run: what is asked of a model, given what the looks so far have settled.

A run is made in rounds (`plan.rounds`), and after some of them there is a look (`gates.looks`). What a look leaves open is journalled as
pairs of a task and a kind of request, so that a resumption and a replay ask for the same; only those go on. A budget says how far:

- smoke: as far as the first look. It can be gone on with: the look has spent only its share.
- gate: to the end of the plan, as long as something is open.
- full: the whole plan whatever is settled. Begun so, it is judged once, at its end, as a test of fixed size is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swapgate.gates.looks import look_rounds
from swapgate.plan import Call, Request, rounds
from swapgate.runs.folder import RunFolder
from swapgate.suite.options import Budget

LOOK, BUDGET = "look", "budget"  # events: what a look left open; another budget for what is left
WRITTEN, ORIGINAL, REWORDED = "written", "original", "reworded"
Kind = tuple[str, str]  # a task, and WRITTEN, ORIGINAL (as written, with a seed that is also asked reworded) or REWORDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The rounds of a model and after which of them (1 is the first) there is a look.

    reworded: task, language and seed of the pictures that rewordings are compared with.
    """

    rounds: tuple[tuple[Call, ...], ...]
    looks: tuple[int, ...]

    reworded: frozenset[tuple[str, str, int]]

    @property
    def requests(self) -> Iterator[Request]:
        """Every request of the plan."""
        return (request for calls in self.rounds for call in calls for request in call.requests)

    def kind(self, call: Call) -> Kind:
        """The task of a call, and what kind of request it is."""
        if call.first.edits:
            return (call.first.task, REWORDED)
        return (call.first.task, ORIGINAL if _seed(call) in self.reworded else WRITTEN)


def schedule(run: RunFolder, calls: Sequence[Call]) -> Schedule:
    """The rounds and looks of a model; a run begun with the budget full, or by a version without rounds, has one look at the end."""
    made = rounds(calls)
    whole = run.manifest.get(BUDGET, "full") == "full"
    looks = () if not made else (len(made),) if whole else look_rounds(len(made))
    return Schedule(rounds=made, looks=looks, reworded=frozenset(_seed(call) for call in calls if call.first.edits))


def budget_of(run: RunFolder) -> Budget:
    """The budget of a run: the last one it was given."""
    given = [event[BUDGET] for event in run.events() if event["event"] == BUDGET]
    found: Budget = (given or [run.manifest.get(BUDGET, "full")])[-1]
    return found


def looked(run: RunFolder, model: str) -> dict[int, frozenset[Kind]]:
    """What every look at a model so far left open, by the number of the look (1 is the first)."""
    events = (event for event in run.events() if event["event"] == LOOK and event["model"] == model)
    return {event["look"]: frozenset((task, kind) for task, kind in event["open"]) for event in events}


def note_look(run: RunFolder, model: str, look: int, left: frozenset[Kind], images: int) -> None:
    """Journal what a look leaves open, and after how many images."""
    run.append({"event": LOOK, "model": model, "look": look, "open": sorted(map(list, left)), "images": images})


def asked(plan: Schedule, budget: Budget, seen: Mapping[int, frozenset[Kind]], *, until: int | None = None) -> tuple[tuple[Call, ...], ...]:
    """The calls of each round that are asked for, up to round `until` (1 is the first; None for all).

    A call is asked if every look before its round left its task and kind open. Looks that were not taken yet leave everything open.
    """
    last = len(plan.rounds) if until is None else until
    if budget == "smoke" and plan.looks:
        last = min(last, plan.looks[0])
    found = []
    for number, calls in enumerate(plan.rounds[:last], start=1):
        before = [] if budget == "full" else [left for look, left in seen.items() if plan.looks[look - 1] < number]
        found.append(tuple(call for call in calls if all(plan.kind(call) in left for left in before)))
    return tuple(found)


def budget_entry(budget: Budget) -> dict[str, Any]:
    """The event that gives the rest of a run another budget."""
    return {"event": BUDGET, BUDGET: budget}


def _seed(call: Call) -> tuple[str, str, int]:
    return (call.first.task, call.first.language, call.first.seed)
