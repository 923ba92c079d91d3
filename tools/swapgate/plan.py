"""The plan: which images are made, in which order. A request is one image; a call is what one round asks the pipeline for."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swapgate.canonical import digest
from swapgate.card_parts import Scalar
from swapgate.cards import Card
from swapgate.errors import UserError
from swapgate.tasks import Task

SEED_STRIDE = 1_000_003  # image i of a round is drawn from seed + i * stride, so that rounds never share a seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One image to make.

    `edits` is the serialised rewording ("" for the prompt as written); `repeat` > 0 asks for the same picture again,
    which is how the measured null is made; `index` is the place in its round.
    """

    model: str
    task: str
    language: str
    seed: int
    index: int
    prompt: str
    negative_prompt: str | None
    width: int
    height: int
    call: tuple[tuple[str, Scalar], ...]
    edits: str = ""
    repeat: int = 0

    @property
    def key(self) -> str:
        """SHA-256 of the canonical JSON: the identity of this request within a run."""
        return digest(self.as_json())

    @property
    def pair(self) -> str:
        """What pairs this request with that of another run or model: everything but the model and the recipe."""
        wording = f"/{self.edits}" if self.edits else ""
        return f"{self.task}/{self.language}/{self.seed}/{self.index}{wording}"

    @property
    def recipe(self) -> str:
        """Short hash of what is asked (prompt, size, call): pairs with different recipes cannot be compared."""
        return digest([self.prompt, self.negative_prompt, self.width, self.height, list(self.call)])[:16]

    @property
    def image_seed(self) -> int:
        return self.seed + self.index * SEED_STRIDE

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "task": self.task,
            "language": self.language,
            "seed": self.seed,
            "index": self.index,
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "width": self.width,
            "height": self.height,
            "call": dict(self.call),
            "edits": self.edits,
            "repeat": self.repeat,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Request:
        return Request(**{**data, "call": tuple(sorted(data["call"].items()))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One pipeline call: the requests of one round, in index order; they differ only in `index`."""

    requests: tuple[Request, ...]

    @property
    def first(self) -> Request:
        return self.requests[0]

    @property
    def key(self) -> str:
        return self.first.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All calls of a run, by model, in the order in which they are made."""

    calls: Mapping[str, tuple[Call, ...]]

    def requests(self, model: str) -> Iterator[Request]:
        """Every request of one model."""
        return itertools.chain.from_iterable(call.requests for call in self.calls[model])

    def images(self) -> int:
        """Images planned in all."""
        return sum(len(call.requests) for calls in self.calls.values() for call in calls)


Reworded = tuple[str, str]  # serialised edits, the text they give
REFINER_PROMPT = "refiner.prompt"  # in a request's call: what the refiner is given where that is not the request's own prompt


def round_call(card: Card, task: Task, language: str, seed: int, *, prompt: str | None = None, edits: str = "", repeat: int = 0) -> Call:
    """The call of one round: images_per_round requests from one seed."""
    text = task.prompts[language] if prompt is None else prompt
    return Call(
        requests=tuple(
            Request(
                model=card.id,
                task=task.id,
                language=language,
                seed=seed,
                index=index,
                prompt=text,
                negative_prompt=card.negative_prompt.get(language),
                width=task.width,
                height=task.height,
                call=_call(card, task, language),
                edits=edits,
                repeat=repeat,
            )
            for index in range(task.protocol.images_per_round)
        )
    )


def _call(card: Card, task: Task, language: str) -> tuple[tuple[str, Scalar], ...]:
    """The card's call; for a part that reads one language only, with the task's prompt in it, as written, beside a request in another."""
    second = card.parts.second_language
    if second in ("same", language):
        return tuple(card.call.items())
    if second not in task.prompts:
        raise UserError(
            where=str(card.path),
            key="refiner.prompt" if card.parts.refiner else "comfyui.second_prompt",
            value=second,
            rule=f"a language that the task {task.id} has a prompt in: {', '.join(task.prompts)}",
            remedy=f"add prompts.{second} to the task, or " + ('write prompt = "same"' if card.parts.refiner else "remove second_prompt"),
        )
    return tuple(sorted({**card.call, REFINER_PROMPT: task.prompts[second]}.items()))


def build(cards: Iterable[Card], tasks: Mapping[str, Sequence[Task]], rewordings: Mapping[tuple[str, str], Sequence[Reworded]]) -> Plan:
    """The plan for `cards`; `tasks` by card id, `rewordings` by (task id, language).

    Seeds go round before tasks: a run that is cut short has measured every task a little rather than some not at all.
    Rewordings come with the rounds, as many a round as there are prompts where that is enough, so that every gate has samples early.
    """
    return Plan(calls={card.id: tuple(itertools.chain.from_iterable(_rounds(card, tasks[card.id], rewordings))) for card in cards})


def rounds(calls: Iterable[Call]) -> tuple[tuple[Call, ...], ...]:
    """The rounds of a model's calls in their order: a round begins where a prompt is asked as written once more.

    A plan that was recorded in another order (all prompts as written, then all rewordings) has its rewordings in the last round.
    """
    found: list[list[Call]] = []
    asked: dict[tuple[str, str], int] = {}
    for call in calls:
        prompt = (call.first.task, call.first.language)
        if not call.first.edits:
            asked[prompt] = asked.get(prompt, 0) + 1
            if asked[prompt] > len(found):
                found.append([])
        elif not found:
            found.append([])
        found[-1].append(call)
    return tuple(map(tuple, found))


def _rounds(card: Card, tasks: Sequence[Task], rewordings: Mapping[tuple[str, str], Sequence[Reworded]]) -> Iterator[list[Call]]:
    """Every round: each prompt as written with its next seed, then the rewordings whose turn it is."""
    waiting = {
        (task.id, language): deque(_reworded(card, task, language, rewordings.get((task.id, language), ())))
        for task in tasks
        for language in task.prompts
    }
    orders = {(task.id, language): order_of_seeds(task, language) for task in tasks for language in task.prompts}
    last = max((len(task.seeds) for task in tasks), default=0)
    for number in range(last):
        made = [
            round_call(card, task, language, orders[task.id, language][number])
            for task in tasks
            if number < len(task.seeds)
            for language in task.prompts
        ]
        for (task_id, language), queue in waiting.items():
            known = set(orders[task_id, language][: number + 1])
            for _ in range(_due(len(queue), last - number)):
                made += [queue.popleft()] if queue[0].first.seed in known else []
        yield made


def _due(left: int, rounds_left: int) -> int:
    """Rewordings of a prompt that a round takes: one, or as many as it takes to be done in the last."""
    return min(left, max(1, -(-left // rounds_left)))


def order_of_seeds(task: Task, language: str) -> tuple[int, ...]:
    """A task's seeds in the order in which a prompt gets them: the reworded ones first, inside either group by a hash of all names.

    What a run that stopped early says of the seeds that it did not reach holds if the order has nothing to do with a fault,
    and no fault knows this hash.
    """
    return tuple(sorted(task.seeds, key=lambda seed: (seed not in task.reworded_seeds, digest([task.id, language, seed]))))


def _reworded(card: Card, task: Task, language: str, texts: Sequence[Reworded]) -> Iterator[Call]:
    """Each reworded seed once with another rewording, before any is asked a second time."""
    seeds = [seed for seed in order_of_seeds(task, language) if seed in task.reworded_seeds]
    for turn in range(len(texts)):
        for place, seed in enumerate(seeds):
            edits, text = texts[(turn + place) % len(texts)]
            yield round_call(card, task, language, seed, prompt=text, edits=edits)
