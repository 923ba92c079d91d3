"""The negative control of stability: prompts whose meaning was changed, which a model and its judge have to notice.

A model that draws the same whatever it is told changes with no rewording, and so does a judge that sees nothing. So a counterfactual
statement of a facet is asked in place of a few prompts, with the same seed, and its picture is judged by the prompt as written:
noticed is one that is not usable. These pictures are beside the plan and enter no other figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from swapgate.canonical import digest
from swapgate.cards import Card
from swapgate.hosts.process import Host
from swapgate.plan import Call, order_of_seeds, round_call
from swapgate.suite.generate import record
from swapgate.suite.scoring import Wanted
from swapgate.tasks import Task

if TYPE_CHECKING:
    from swapgate.suite.session import Suite

MOST = 6  # prompts a model: each costs an image, and three that go unnoticed are enough to doubt
EVENT = "changed-meaning"


def make(suite: Suite, cards: Sequence[Card], hosts: Mapping[str, Host], *, check: Callable[[], None]) -> None:
    """Ask every judged model for its changed meanings, and journal them. `check` is called before an answer is taken for the model's."""
    for card in cards:
        for task, language, facet, statement in _open(suite, card):
            call = _call(card, task, language, statement)
            results = hosts[card.id].make(call)
            check()
            record(suite.run, results)
            suite.run.append({"event": EVENT, "model": card.id, "task": task.id, "language": language, "facet": facet, "text": statement})


def left(suite: Suite, card: Card) -> bool:
    """Whether a model was not yet asked for all of them."""
    return any(True for _ in _open(suite, card))


def noticed(suite: Suite, card: Card) -> tuple[int, int]:
    """(changed meanings that were noticed, those that were asked and gave a picture) of a model, in the tasks that are judged."""
    tasks = {task.id: task for task in suite.setup.tasks[card.id]}
    made = suite.run.generations()
    wanted = []
    for event in _asked(suite, card):
        task = tasks.get(event["task"])
        request = task and _call(card, task, event["language"], event["text"]).requests[task.protocol.counted_index]
        generation = request and made.get(request.key)
        if task and request and generation and generation.image:
            wanted.append(Wanted(request=request, image=generation.image, task=task))
    scores = suite.score(card, wanted) if wanted else []
    return sum(not score.usable for score in scores), len(scores)


def _asked(suite: Suite, card: Card) -> list[dict[str, Any]]:
    return [event for event in suite.run.events() if event["event"] == EVENT and event["model"] == card.id]


def _open(suite: Suite, card: Card) -> Iterator[tuple[Task, str, str, str]]:
    """(task, language, facet, statement) still to be asked: of prompts that gave a usable picture, in an order that hangs on their names alone."""
    if "stability" not in suite.setup.options.gates or card not in suite.setup.models or card.dry:
        return
    done = {(event["task"], event["language"]) for event in _asked(suite, card)}
    for number, (task, language) in enumerate(_prompts(suite, card)[:MOST]):
        if (task.id, language) not in done:
            facet = task.facets[number % len(task.facets)]
            yield task, language, facet.name, facet.statements[language][1]


def _prompts(suite: Suite, card: Card) -> list[tuple[Task, str]]:
    """The prompts that have a facet, are reworded, and whose picture with the first reworded seed is usable."""
    suite.ensure_scored(card)
    usable = {score.pair for score in suite.recorded[card.id].scores if score.usable and not score.unjudged}
    tasks = [task for task in suite.setup.tasks[card.id] if task.facets and task.rewordings and task.reworded_seeds]
    every = [(task, language) for task in tasks for language in task.prompts]
    kept = [(task, language) for task, language in every if f"{task.id}/{language}/{_seed(task, language)}/{task.protocol.counted_index}" in usable]
    return sorted(kept, key=lambda one: digest([one[0].id, one[1]]))


def _seed(task: Task, language: str) -> int:
    return order_of_seeds(task, language)[0]


def _call(card: Card, task: Task, language: str, statement: str) -> Call:
    return round_call(card, task, language, _seed(task, language), prompt=statement)
