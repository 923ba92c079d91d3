"""Checks that a task requires and that nothing at hand could judge: they are never taken as held, and never as failed.

What was not judged in one arm is left out of a comparison on both sides; and the cell stays undecided, whatever the other checks say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from swapgate.gates.compose import claim, plural
from swapgate.gates.evidence import Arm, Evidence, ImageScore
from swapgate.gates.verdict import Finding, Status

OPTIONAL = "text:"
"""Beginning of the names of bits that only a run with the extra for them has."""
REMEDY = 'pip install "swapgate[text]", then pytest --replay=RUN: no image is made again'


def unjudged(evidence: Evidence) -> list[Finding]:
    """The finding that keeps a cell undecided; none where every required check was judged, in both arms."""
    ours = _named([name for score in evidence.candidate.scores for name in score.unjudged])
    if ours:
        said = f"{ours} of {plural(len(evidence.candidate.scores), 'picture')} here: {REMEDY}"
        return [claim("unjudged", Status.INCONCLUSIVE, f"not judged: {said}", n=len(evidence.candidate.scores), futile=True)]
    if evidence.baseline is None or evidence.incomparable:
        return []
    theirs = {score.pair: score for score in evidence.baseline.scores}
    lost = _named([name for score in evidence.candidate.scores if score.pair in theirs for name in _odd(score, theirs[score.pair])])
    if not lost:
        return []
    said = f"not judged in {evidence.against}'s pictures of the same requests and so not compared: {lost}; accept this run, which has it"
    return [claim("unjudged", Status.INCONCLUSIVE, said, n=len(evidence.candidate.scores), futile=True)]


def alike(evidence: Evidence) -> Evidence:
    """The evidence with both arms held against the same checks: what was judged in one of two pictures only is left out."""
    if evidence.baseline is None:
        return evidence
    ours, theirs = evidence.candidate, evidence.baseline
    known = {score.pair: score for score in theirs.scores}
    odd = {score.pair: names for score in ours.scores if score.pair in known and (names := _odd(score, known[score.pair]))}
    return replace(evidence, candidate=_without(ours, odd), baseline=_without(theirs, odd)) if odd else evidence


def _odd(one: ImageScore, other: ImageScore) -> set[str]:
    return {name for name in one.bits.keys() ^ other.bits.keys() if name.startswith(OPTIONAL)}


def _without(arm: Arm, odd: dict[str, set[str]]) -> Arm:
    return replace(arm, scores=tuple(_stripped(score, odd.get(score.pair, set())) for score in arm.scores))


def _stripped(score: ImageScore, names: set[str]) -> ImageScore:
    bits = {name: held for name, held in score.bits.items() if name not in names}
    return replace(score, bits=bits, usable=all(bits.values())) if len(bits) < len(score.bits) else score


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"{name} in {count}" for name, count in sorted(Counter(names).items()))
