"""The smallest rewording that broke the model: searched while the model is still loaded, and kept in the run.

Searching selects, so these pictures never enter the figures of the stability gate; they are shown as evidence. What is said of
how often a witness breaks comes from fresh seeds alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swapgate.cards import Card
from swapgate.gates.evidence import ImageScore
from swapgate.hosts.process import Host
from swapgate.plan import round_call
from swapgate.suite.generate import record
from swapgate.suite.planning import EDITS_SEPARATOR, restored, serialised, wording_book
from swapgate.suite.scoring import Wanted
from swapgate.tasks import Task

if TYPE_CHECKING:
    from swapgate.suite.session import Suite
    from swapgate.wording import Rewording

MOST = 2  # witnesses a model: each costs up to BUDGET images, and two for every fresh seed
BUDGET = 6  # as many as three edits have smaller parts, so that the smallest is found for certain
FRESH = 5  # new seeds on which a witness is tried again; being searched for, it says nothing of how often it breaks
FRESH_STRIDE = 7_919  # from a task's largest seed on, so that none of them was drawn before
DONE = "witnesses-done"  # event: the search of a model came to its end


def nothing_to_check() -> None:
    """The search goes on."""


def search(suite: Suite, cards: Sequence[Card], hosts: Mapping[str, Host], *, check: Callable[[], None] = nothing_to_check) -> None:
    """For the worst breaking rewordings of each model, find the smallest part that still breaks, and record it.

    check: called before an answer is taken for the model's; it raises when the search is being ended.
    """
    if "stability" not in suite.setup.options.gates:
        return
    for card in cards:
        if card.id in hosts:
            while left := _left(suite, card):
                _shrink(suite, card, *left[0], hosts[card.id], check)
            suite.run.append({"event": DONE, "model": card.id})


def cut_off(suite: Suite, card: Card) -> bool:
    """Whether a model whose images are all made still lacks witnesses, because its run ended before or in the search."""
    if "stability" not in suite.setup.options.gates:
        return False
    if any(event["event"] == DONE and event["model"] == card.id for event in suite.run.events()):
        return False
    return bool(_left(suite, card))


def _left(suite: Suite, card: Card) -> list[tuple[ImageScore, ImageScore]]:
    """The worst breaking rewordings that no witness explains yet, as many as may still be searched."""
    found = [event for event in suite.run.events() if event["event"] == "witness" and event["model"] == card.id]
    left = [(original, broken) for original, broken in _broken(suite, card) if not any(_explains(event, broken) for event in found)]
    return left[: max(0, MOST - len(found))]


def _explains(witness: Mapping[str, Any], broken: ImageScore) -> bool:
    """Whether a rewording holds all edits of a witness of the same prompt: a second search would find the same again."""
    task, language = witness["pair"].split("/")[:2]
    held = set(broken.edits.split(EDITS_SEPARATOR))
    return (task, language) == (broken.task, broken.language) and held.issuperset(witness["edits"].split(EDITS_SEPARATOR))


def _broken(suite: Suite, card: Card) -> list[tuple[ImageScore, ImageScore]]:
    """(original, reworded) scores where the original was usable and the reworded one is not, worst fall first."""
    suite.ensure_scored(card)
    scores = suite.recorded[card.id].scores
    originals = {score.original: score for score in scores if not score.edits}
    pairs = [(originals[score.original], score) for score in scores if score.edits and score.original in originals]
    broken = [(before, after) for before, after in pairs if before.usable and not after.usable]
    return sorted(broken, key=lambda pair: (pair[1].normalised - pair[0].normalised, pair[1].pair))


def _shrink(suite: Suite, card: Card, original: ImageScore, broken: ImageScore, host: Host, check: Callable[[], None]) -> None:
    from swapgate import wording

    task = suite.task(card, broken.task)
    book = wording_book(suite.setup.config).translated(task.prompts)
    whole = restored(book, task.prompts[broken.language], broken.language, broken.edits)
    trial = _Trial(suite=suite, card=card, task=task, like=broken, host=host, check=check)
    seen: dict[str, ImageScore] = {broken.edits: broken}

    def breaks(rewording: Rewording) -> bool:
        edits = serialised(rewording)
        score = trial.score(broken.seed, rewording.text, edits)
        if score is None:
            return False
        seen[edits] = score
        return not score.usable

    found = wording.smallest(whole, breaks, BUDGET)
    edits = serialised(found)
    suite.run.append(
        {
            "event": "witness",
            "model": card.id,
            "pair": broken.pair,
            "original": original.pair,
            "edits": edits,
            "text": found.text,
            "kinds": [str(kind) for kind in found.kinds],
            "before": original.image,
            "after": seen[edits].image,
            "change": round(seen[edits].normalised - original.normalised, 6),
            "shrunk": edits != broken.edits,
            "fresh": _retried(trial, found.text, edits),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """Pictures of one prompt beside the plan: like those of `like` but for seed and wording."""

    suite: Suite
    card: Card
    task: Task
    like: ImageScore
    host: Host
    check: Callable[[], None]

    def score(self, seed: int, text: str, edits: str) -> ImageScore | None:
        """The score of one picture, which is made unless the run has it (two witnesses of a prompt share its originals); None where none came back."""
        call = round_call(self.card, self.task, self.like.language, seed, prompt=text, edits=edits)
        request = call.requests[self.like.index]
        made = self.suite.run.generations().get(request.key)
        if made is None or made.image is None:
            results = self.host.make(call)
            self.check()
            record(self.suite.run, results)
            made = self.suite.run.generations()[request.key]
        if made.image is None:
            return None
        return self.suite.score(self.card, [Wanted(request=request, image=made.image, task=self.task)])[0]


def _retried(trial: _Trial, text: str, edits: str) -> dict[str, Any]:
    """A witness on FRESH seeds of its own, the only estimate of how often it breaks: it was searched for on the seed that broke.

    tried: seeds on which the prompt as written is usable; broke: those of them on which the witness is not; change: the mean change
    of normalised alignment over them, None without any.
    """
    task, like = trial.task, trial.like
    changes, broke = [], 0
    for number in range(1, FRESH + 1):
        seed = (max(task.seeds) + number * FRESH_STRIDE) % 2**31
        before, after = trial.score(seed, task.prompts[like.language], ""), trial.score(seed, text, edits)
        if before is not None and after is not None and before.usable:
            changes.append(after.normalised - before.normalised)
            broke += not after.usable
    return {"tried": len(changes), "broke": broke, "change": round(sum(changes) / len(changes), 6) if changes else None}
