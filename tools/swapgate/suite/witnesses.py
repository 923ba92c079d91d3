"""The smallest rewording that broke the model: searched while the model is still loaded, and kept in the run.

Searching selects, so these pictures never enter the figures of the stability gate; they are shown as evidence. What is said of
how often a witness breaks comes from fresh seeds alone. Witnesses that a review kept (`baselines.witnesses`) are tried first.

A smallest rewording that broke the picture it was found on and none of a fresh seed is an accident of that picture. It is told as one
and takes the place of no witness, and a rewording that holds it is searched without it: what else it holds may be what breaks the model.
Beside those kept, a model costs at most MOST_TRIED * (BUDGET + 2 * FRESH) + MOST_WITHOUT = 108 images, and none where nothing broke.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swapgate.baselines import witnesses as corpus
from swapgate.cards import Card
from swapgate.errors import UserError
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

MOST = 2  # witnesses a model that a fresh seed confirms; then the search ends
MOST_TRIED = (
    6  # smallest rewordings a model that are tried on fresh seeds, accidents among them: each costs up to BUDGET images, and two for every fresh seed
)
MOST_WITHOUT = 12  # rewordings a model that do not break without the accidents that they hold: each costs an image to know it
MOST_KEPT = 4  # witnesses of earlier runs that are tried again: each costs an image, and two for every fresh seed
BUDGET = 6  # as many as three edits have smaller parts, so that the smallest is found for certain
FRESH = 5  # new seeds on which a witness is tried again; being searched for, it says nothing of how often it breaks
FRESH_STRIDE = 7_919  # from a task's largest seed on, so that none of them was drawn before
WITNESS, DONE = "witness", "witnesses-done"  # events: one that was found or tried again; the search of a model came to its end


def nothing_to_check() -> None:
    """The search goes on."""


def search(suite: Suite, cards: Sequence[Card], hosts: Mapping[str, Host], *, check: Callable[[], None] = nothing_to_check) -> None:
    """Try what broke each model before, then find for its worst breaking rewordings the smallest part that still breaks, and record it.

    check: called before an answer is taken for the model's; it raises when the search is being ended.
    """
    if "stability" not in suite.setup.options.gates:
        return
    for card in cards:
        if card.id in hosts:
            for original, rewording in _kept(suite, card):
                _try_again(_trial(suite, card, original, hosts[card.id], check), original, rewording)
            whole: set[str] = set()
            while (left := _next(suite, card, whole)) is not None:
                original, broken, accidents = left
                if not _shrink(_trial(suite, card, broken, hosts[card.id], check), original, broken, accidents):
                    whole.add(broken.pair)
            suite.run.append({"event": DONE, "model": card.id})


def cut_off(suite: Suite, card: Card) -> bool:
    """Whether a model whose images are all made still lacks witnesses, because its run ended before or in the search."""
    if "stability" not in suite.setup.options.gates:
        return False
    if any(event["event"] == DONE and event["model"] == card.id for event in suite.run.events()):
        return False
    return bool(_next(suite, card, set()) or _kept(suite, card))


def _found(suite: Suite, card: Card) -> list[dict[str, Any]]:
    return [event for event in suite.run.events() if event["event"] == WITNESS and event["model"] == card.id]


def _kept(suite: Suite, card: Card) -> list[tuple[ImageScore, Rewording]]:
    """(a usable picture of the prompt as written, the rewording) of every kept witness that this run has not tried: those that can still be asked.

    One of another prompt, or with an edit that the project no longer has, is passed over, and so is one of a prompt without a usable picture.
    """
    every = corpus.read(suite.store.root, card.id)
    if not every:
        return []
    suite.ensure_scored(card)
    tasks = {task.id: task for task in suite.setup.tasks[card.id]}
    tried = {(event["pair"].split("/")[0], event["pair"].split("/")[1], event["edits"]) for event in _found(suite, card)}
    usable = {
        (score.task, score.language): score
        for score in reversed(suite.recorded[card.id].scores)
        if score.usable and score.counted and not score.edits
    }
    book, found = wording_book(suite.setup.config), []
    for one in every[:MOST_KEPT]:
        task, original = tasks.get(one.task), usable.get((one.task, one.language))
        if task and original and one.name not in tried and task.prompts[one.language] == one.prompt:
            with suppress(UserError):
                found.append((original, restored(book.translated(task.prompts), one.prompt, one.language, one.edits)))
    return found


def _next(suite: Suite, card: Card, whole: Collection[str]) -> tuple[ImageScore, ImageScore, frozenset[str]] | None:
    """(original, reworded, accidents that it holds) of the rewording to search next; None where none is left or no more may be tried.

    The worst fall comes first, and those with accidents last. whole: pairs of rewordings that break with their accidents alone.
    """
    found = _found(suite, card)
    new = [event for event in found if not event.get("kept", False)]
    if sum(map(_confirmed, new)) >= MOST or len(new) >= MOST_TRIED or len(whole) >= MOST_WITHOUT:
        return None
    left = []
    for original, broken in _broken(suite, card):
        held = [event for event in found if _holds(broken, event)]
        accidents = frozenset(edit for event in held if not event.get("kept", False) for edit in _edits(event["edits"]))
        if broken.pair not in whole and not any(map(_confirmed, held)) and not accidents.issuperset(_edits(broken.edits)):
            left.append((original, broken, accidents))
    return min(left, key=lambda one: bool(one[2]), default=None)


def _confirmed(witness: Mapping[str, Any]) -> bool:
    """Whether it broke a picture of a fresh seed."""
    return bool(witness["fresh"]["broke"])


def _holds(broken: ImageScore, witness: Mapping[str, Any]) -> bool:
    """Whether a rewording has all edits of a witness of the same prompt: a second search would find the same again."""
    task, language = witness["pair"].split("/")[:2]
    return (task, language) == (broken.task, broken.language) and _edits(witness["edits"]) <= _edits(broken.edits)


def _edits(serial: str) -> frozenset[str]:
    return frozenset(serial.split(EDITS_SEPARATOR))


def _broken(suite: Suite, card: Card) -> list[tuple[ImageScore, ImageScore]]:
    """(original, reworded) scores where the original was usable and the reworded one is not, worst fall first."""
    suite.ensure_scored(card)
    scores = suite.recorded[card.id].scores
    originals = {score.original: score for score in scores if not score.edits}
    pairs = [(originals[score.original], score) for score in scores if score.edits and score.original in originals]
    broken = [(before, after) for before, after in pairs if before.usable and not after.usable]
    return sorted(broken, key=lambda pair: (pair[1].normalised - pair[0].normalised, pair[1].pair))


def _shrink(trial: _Trial, original: ImageScore, broken: ImageScore, accidents: Collection[str]) -> bool:
    """Record the smallest part that breaks of a rewording without the accidents that it holds; False where that does not break."""
    from swapgate import wording

    prompts, language = trial.task.prompts, broken.language
    searched = restored(wording_book(trial.suite.setup.config).translated(prompts), prompts[language], language, broken.edits)
    seen: dict[str, ImageScore] = {broken.edits: broken}
    budget = BUDGET

    def breaks(rewording: Rewording) -> bool:
        edits = serialised(rewording)
        score = trial.score(broken.seed, rewording.text, edits)
        if score is None:
            return False
        seen[edits] = score
        return not score.usable

    if accidents:
        searched = wording.reworded(searched.original, language, [one for one in searched.edits if str(one) not in accidents])
        budget -= 1
        if not searched.edits or not breaks(searched):
            return False
    found = wording.smallest(searched, breaks, budget)
    edits = serialised(found)
    _record(trial, original, seen[edits], found, {"pair": broken.pair, "shrunk": edits != broken.edits})
    return True


def _try_again(trial: _Trial, original: ImageScore, rewording: Rewording) -> None:
    """A witness of an earlier run, on the seed of a picture as written and on fresh ones."""
    score = trial.score(original.seed, rewording.text, serialised(rewording))
    if score is not None:
        _record(trial, original, score, rewording, {"pair": f"{original.pair}/{serialised(rewording)}", "shrunk": False, "kept": True})


def _record(trial: _Trial, original: ImageScore, score: ImageScore, rewording: Rewording, more: Mapping[str, Any]) -> None:
    """Journal a witness, after it was tried on fresh seeds."""
    edits = serialised(rewording)
    trial.suite.run.append(
        {
            "event": WITNESS,
            "model": trial.card.id,
            "original": original.pair,
            "prompt": rewording.original,
            "edits": edits,
            "text": rewording.text,
            "kinds": [str(kind) for kind in rewording.kinds],
            "before": original.image,
            "after": score.image,
            "change": round(score.normalised - original.normalised, 6),
            "flip": not score.usable,
            "fresh": _retried(trial, rewording.text, edits),
            **more,
        }
    )


def _trial(suite: Suite, card: Card, like: ImageScore, host: Host, check: Callable[[], None]) -> _Trial:
    return _Trial(suite=suite, card=card, task=suite.task(card, like.task), like=like, host=host, check=check)


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
