"""What a run could have seen: for every gate the smallest change that its samples find with a chance of 95 %.

The arithmetic is that of the look ahead (`suite.ahead_cost`, `suite.ahead_quality`), fed with what this run itself measured, so that a
replay tells the same: the requests that were made, their spread, the baseline that was compared with and its null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from swapgate.cards import Card
from swapgate.gates.evidence import Arm, Evidence, ImageScore
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import POOLED
from swapgate.plan import Call
from swapgate.suite import ahead_cost, ahead_quality
from swapgate.suite.earlier import Earlier
from swapgate.suite.judging import evidence
from swapgate.suite.prospect import ClaimAhead, GateAhead, Prospect, shares_of

if TYPE_CHECKING:
    from swapgate.suite.session import Suite

_COST: Mapping[str, Callable[[Prospect], GateAhead]] = {"latency": ahead_cost.latency, "memory": ahead_cost.memory}
_QUALITY: Mapping[str, Callable[[Prospect], GateAhead]] = {
    "usability": ahead_quality.usability,
    "drift": ahead_quality.drift,
    "stability": ahead_quality.stability,
}
_MAIN = ("total", "peak", "difference", "pictures", "change", "alignment")  # of each gate the claim that its question is about


def sight(suite: Suite, card: Card) -> Iterator[dict[str, Any]]:
    """A row a gate of the pooled cells: the claim, the smallest change in its unit (None: none, and `why`), the limit, and how many samples.

    A model of which nothing was loaded saw nothing, and has no rows.
    """
    if suite.recorded[card.id].loaded is None:
        return
    found = evidence(suite, card.id, POOLED)
    asks = {**_COST, **({} if found.dry else _QUALITY)}
    policy = _policy(suite, card)
    for share in shares_of(policy.false_alarms, len(suite.setup.models), suite.setup.options.gates):
        if share.gate in asks:
            yield _seen(share.gate, asks[share.gate], _prospect(suite, card, found, policy.at_most(share.each)))


def _policy(suite: Suite, card: Card) -> Policy:
    """The policy of the look that said the last word: a run that stopped early has spent less of its budget."""
    looks, until = suite.schedules[card.id].looks, suite.judged[card.id].until
    return suite.policy.at_look(looks.index(until) + 1, len(looks)) if len(looks) > 1 and until in looks else suite.policy


def _seen(gate: str, ask: Callable[[Prospect], GateAhead], prospect: Prospect) -> dict[str, Any]:
    """The row of a gate; samples that the arithmetic has no answer for (every picture flipped without a change) have seen nothing."""
    try:
        return _row(ask(prospect))
    except ValueError as error:
        return {"gate": gate, "model": prospect.card.id, **_figures(None), "why": str(error)}


def _row(ahead: GateAhead) -> dict[str, Any]:
    claims = [one for one in ahead.claims if one.name != "comparison"]
    main = next((one for name in _MAIN for one in claims if one.name == name and one.smallest is not None), None)
    main = main or next((one for one in claims if one.smallest is not None), None)
    return {"gate": ahead.gate, "model": ahead.model, **_figures(main), "why": "" if main else ahead.undecided}


def _figures(claim: ClaimAhead | None) -> dict[str, Any]:
    if claim is None:
        return {"claim": "", "smallest": None, "limit": None, "unit": "", "n": 0}
    return {"claim": claim.name, "smallest": claim.smallest, "limit": claim.limit, "unit": claim.unit, "n": claim.n}


def _prospect(suite: Suite, card: Card, found: Evidence, policy: Policy) -> Prospect:
    other, theirs = suite.setup.against, found.baseline
    apart = other is None
    known = theirs.scores if theirs else ()
    return Prospect(
        card=card,
        tasks=suite.setup.tasks[card.id],
        calls=_made(suite, card),
        policy=policy,
        known=_measured(found, found.candidate, known if apart else found.candidate.scores),
        theirs=_made(suite, other) if other else None,
        other=_measured(found, theirs, theirs.scores) if other and theirs else None,
        pairs=frozenset(score.pair for score in known),
    )


def _made(suite: Suite, card: Card) -> list[Call]:
    return [call for calls in suite.asked(card) for call in calls]


def _measured(found: Evidence, arm: Arm, scores: Sequence[ImageScore]) -> Earlier:
    """What this run knows of an arm, in the shape in which a look ahead reads what earlier runs know."""
    theirs = found.baseline
    ours = {score.pair: score for score in found.candidate.scores}
    same = theirs is not None and found.same_weights and found.against == "baseline"
    return Earlier(
        model=arm.model,
        accelerator=arm.accelerator,
        cohort=arm.cohort,
        seconds={},
        cost=arm.cost,
        cost_source="this run",
        accepted_cost=theirs.cost if theirs and not found.no_cost else None,
        processes=(theirs.processes if theirs else ()) or found.candidate.processes,
        no_cost=found.no_cost,
        scores=tuple(scores),
        pipeline=arm.pipeline,
        quality_source=found.accepted,
        incomparable=found.incomparable,
        null=found.null,
        repeated=tuple((old, ours[old.pair]) for old in theirs.scores if old.pair in ours) if same and theirs else (),
    )
