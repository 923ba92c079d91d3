"""The smallest rewording that broke the model: searched while the model is still loaded, and kept in the run.

Searching selects, so these pictures never enter the figures of the stability gate; they are shown as evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from swapgate.cards import Card
from swapgate.gates.evidence import ImageScore
from swapgate.hosts.process import Host
from swapgate.plan import round_call
from swapgate.suite.generate import record
from swapgate.suite.planning import restored, serialised, wording_book
from swapgate.suite.scoring import Wanted

if TYPE_CHECKING:
    from swapgate.suite.session import Suite
    from swapgate.wording import Rewording

MOST = 2  # witnesses a model: each costs up to BUDGET images
BUDGET = 4
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
            for original, broken in _left(suite, card):
                _shrink(suite, card, original, broken, hosts[card.id], check)
            suite.run.append({"event": DONE, "model": card.id})


def cut_off(suite: Suite, card: Card) -> bool:
    """Whether a model whose images are all made still lacks witnesses, because its run ended before or in the search."""
    if "stability" not in suite.setup.options.gates:
        return False
    if any(event["event"] == DONE and event["model"] == card.id for event in suite.run.events()):
        return False
    return bool(_left(suite, card))


def _left(suite: Suite, card: Card) -> list[tuple[ImageScore, ImageScore]]:
    """The worst breaking rewordings that have no witness yet."""
    found = {event["pair"] for event in suite.run.events() if event["event"] == "witness" and event["model"] == card.id}
    return [(original, broken) for original, broken in _broken(suite, card)[:MOST] if broken.pair not in found]


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
    book = wording_book(suite.setup.config)
    whole = restored(book, task.prompts[broken.language], broken.language, broken.edits)
    seen: dict[str, ImageScore] = {broken.edits: broken}

    def breaks(rewording: Rewording) -> bool:
        edits = serialised(rewording)
        call = round_call(card, task, broken.language, broken.seed, prompt=rewording.text, edits=edits)
        results = host.make(call)
        check()
        record(suite.run, results)
        image = suite.run.generations()[call.requests[broken.index].key].image
        if image is None:
            return False
        seen[edits] = suite.score(card, [Wanted(request=call.requests[broken.index], image=image, task=task)])[0]
        return not seen[edits].usable

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
        }
    )
