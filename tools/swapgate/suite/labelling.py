"""Which images a person labels, in which order, without knowing the model: the queue of `swapgate label`.

Every image of a prompt as written takes part, of all models of the run (both arms of an A/B run), shuffled by a hash in which no model
takes part. Everybody gets the same order: people who stop early have then labelled the same random part, and can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from swapgate.canonical import digest
from swapgate.errors import UserError
from swapgate.report import phrases
from swapgate.runs.folder import RunFolder
from swapgate.runs.labels import Labels, checked_person

AGAIN = 0.05  # the share of pictures that are shown a second time
_SOONEST, _SPREAD = 20, 40  # a picture comes again after 20 to 59 others (half of a smaller queue): no longer in mind, and reached soon


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One showing: the image's SHA-256, the request that it is judged for, its prompt and language, and which look it is."""

    image: str
    pair: str
    prompt: str
    language: str
    look: int = 0


def pictures(run: RunFolder) -> list[Shown]:
    """Every picture with the request it was made for, each once, whichever models made it; no rewordings, no repeats, no lost files.

    UserError for a run without any.
    """
    made = run.generations()
    found: dict[tuple[str, str], Shown] = {}
    for request in run.requests():
        generation = made.get(request.key)
        if request.edits or request.repeat or generation is None or generation.image is None or not run.image_path(generation.image).is_file():
            continue
        shown = Shown(image=generation.image, pair=request.pair, prompt=request.prompt, language=request.language)
        found.setdefault((shown.image, shown.pair), shown)
    if not found:
        raise UserError(where=str(run.path), rule="the run must hold images to label", remedy="name a run that made some: pytest tests/gates")
    return list(found.values())


def queue(run_id: str, found: Sequence[Shown]) -> list[Shown]:
    """The pictures in the order in which they are shown, AGAIN of them (at least one) a second time, a while after the first."""
    order = sorted(found, key=lambda shown: digest([run_id, shown.image, shown.pair]))
    later = [(place + _lag(run_id, shown, len(order)) + 0.5, replace(shown, look=1)) for place, shown in enumerate(order)]
    inside = [slot for slot in later if slot[0] < len(order)]
    chosen = sorted(inside, key=lambda slot: digest(["again", run_id, slot[1].image, slot[1].pair]))[: math.ceil(AGAIN * len(order))]
    slots = [*((float(place), shown) for place, shown in enumerate(order)), *chosen]
    return [shown for _, shown in sorted(slots, key=lambda slot: slot[0])]


def _lag(run_id: str, shown: Shown, n: int) -> int:
    return min(_SOONEST + int(digest(["lag", run_id, shown.image, shown.pair])[:8], 16) % _SPREAD, n // 2)


class Sitting:
    """One person before one run: what is shown under a number, and what they answer. Numbers are 0 … total - 1."""

    def __init__(self, run: RunFolder, person: str) -> None:
        self.person = checked_person(person)
        self.labels = Labels(run.path)
        self.shown = queue(run.id, pictures(run))
        self.images = frozenset(one.image for one in self.shown)
        mine = {label.mark: label.usable for label in self.labels.current() if label.person == self.person}
        self._answers = {number: mine[self._mark(number)] for number in range(len(self.shown)) if self._mark(number) in mine}

    @property
    def done(self) -> int:
        """How many showings this person has answered."""
        return len(self._answers)

    def upcoming(self, after: int = -1) -> int | None:
        """The next showing without an answer behind `after`, else the first one; None when all have one."""
        waiting = [number for number in range(len(self.shown)) if number not in self._answers]
        return next((number for number in waiting if number > after), waiting[0] if waiting else None)

    def state(self, number: int | None) -> dict[str, Any]:
        """What the page needs to show `number`, and nothing that tells models apart. IndexError for a number that there is not.

        The prompt has what is not seen, or steers what is seen, written as escapes.
        """
        facts: dict[str, Any] = {"total": len(self.shown), "done": self.done}
        if number is None:
            return {**facts, "number": None}
        if not 0 <= number < len(self.shown):
            raise IndexError(number)
        one, after = self.shown[number], number + 1
        return {
            **facts,
            "number": number,
            "image": one.image,
            "prompt": phrases.shown(one.prompt),
            "language": one.language,
            "answered": number in self._answers,
            "usable": self._answers.get(number),
            "ahead": self.shown[after].image if after < len(self.shown) else None,
        }

    def answer(self, number: int, *, usable: bool | None, seconds: float | None) -> int | None:
        """Keep the answer to `number` in the run folder; gives the number to show next. IndexError as for `state`."""
        if not 0 <= number < len(self.shown):
            raise IndexError(number)
        one = self.shown[number]
        self.labels.add(person=self.person, image=one.image, pair=one.pair, usable=usable, look=one.look, seconds=seconds)
        self._answers[number] = usable
        return self.upcoming(number)

    def _mark(self, number: int) -> tuple[str, str, str, int]:
        one = self.shown[number]
        return (self.person, one.image, one.pair, one.look)
