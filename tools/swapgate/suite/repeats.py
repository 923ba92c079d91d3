"""What a run's null shows: how its repeats differ from its own pictures, and what each of its processes cost.

Pictures are compared in every process, whatever legal variation it ran under; costs only of processes that ran as the card says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from swapgate.cards import Card
from swapgate.gates.evidence import Null, Repeat
from swapgate.hosts.variations import ONE_THREAD, PLAIN_NAME
from swapgate.plan import Request
from swapgate.suite.arms import cost
from swapgate.suite.generate import NULL_CALLS, again
from swapgate.tasks import Task

if TYPE_CHECKING:
    from swapgate.suite.session import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class NullProcess:
    """A process of the null: its number (from 1), the variation it ran under, and whether it went through in one go."""

    number: int
    variation: str
    whole: bool


def processes(suite: Suite, model: str) -> list[NullProcess]:
    """The processes that this run's null of a model began, in order. One that was cut off was started again under its number."""
    events = [event for event in suite.run.events() if event["event"] == "null" and event["model"] == model]
    begun = Counter(event["repeat"] for event in events)
    names = {event["repeat"]: variation_of(event) for event in events}
    return [NullProcess(number=number, variation=name, whole=begun[number] == 1) for number, name in sorted(names.items())]


def variation_of(event: Mapping[str, Any]) -> str:
    """The name of the variation that a process of the null ran under, from the event of its beginning, which once held only its threads."""
    return str(event.get("variation") or (ONE_THREAD.name if event.get("threads") else PLAIN_NAME))


def null_of(suite: Suite, card: Card, tasks: Sequence[Task]) -> Null | None:
    """The null that this run measured for a model: its repeats against its own pictures; None when it measured none."""
    made = suite.run.generations()
    pairs: dict[str, tuple[str, str, str]] = {}
    named: dict[int, str] = {}
    for process in processes(suite, card.id):
        for request in _asked(suite, card, tasks):
            # A process counts once: what it makes again in a later turn is no further witness of what differs between processes.
            first, second = made.get(request.key), made.get(again(request, process.number, 0).key)
            if first and second and first.image and second.image:
                pairs[f"{request.pair}#{process.number}"] = (process.variation, second.image, first.image)
                named[process.number] = process.variation
    if not pairs:
        return None
    drifts = suite.scorer(card).drifts([(pair, ours, theirs) for pair, (_, ours, theirs) in pairs.items()], suite.run.load_image)
    return Null(
        drifts=tuple(replace(drift, variation=pairs[drift.pair][0]) for drift in drifts),
        processes=len(named),
        variations=tuple(sorted(set(named.values()))),
    )


def repeats_of(suite: Suite, card: Card, task: Task) -> tuple[Repeat, ...]:
    """What a task cost in each process of the null that ran as the card says, its first call left out as in the run itself.

    A process that was cut off and begun again is two, and is left out: its calls would be neither's.
    """
    return tuple(_repeats(suite, card, task))


def _repeats(suite: Suite, card: Card, task: Task) -> Iterator[Repeat]:
    from swapgate.suite.session import journal_places

    made, places, own = suite.run.generations(), journal_places(suite.run), _asked(suite, card, [task])
    for process in processes(suite, card.id):
        if process.variation != PLAIN_NAME or not process.whole:
            continue
        asked = [made[key] for turn in range(NULL_CALLS) for request in own if (key := again(request, process.number, turn).key) in made]
        found = cost(sorted((one for one in asked if one.image), key=lambda one: places.get(one.request, -1)), None)
        if found and found.calls:
            yield Repeat(run=suite.run.id, process=process.number, task=task.id, cost=found)


def _asked(suite: Suite, card: Card, tasks: Sequence[Task]) -> list[Request]:
    from swapgate.suite.session import null_calls

    names = {task.id for task in tasks}
    return [request for call in null_calls(suite.plan.calls[card.id]) for request in call.requests if request.task in names]
