"""Figures that are no numbers: a judge or a file that gives nan or infinity says nothing, and a comparison with it would pass in silence."""

from __future__ import annotations

import math
from collections.abc import Iterable

from swapgate.gates.compose import claim, plural, verdict
from swapgate.gates.evidence import Drift, Evidence, ImageScore
from swapgate.gates.verdict import Status, Verdict


def unreadable(gate: str, evidence: Evidence) -> Verdict | None:
    """The ERROR verdict of a cell of quality whose scores, drifts or null hold a figure that is not finite; None when none does."""
    baseline = evidence.baseline.scores if evidence.baseline else ()
    null = evidence.null.drifts if evidence.null else ()
    found = [
        (what, pairs)
        for what, pairs in (
            ("of the candidate's scores", _scores(evidence.candidate.scores)),
            (f"of the scores of {evidence.against}", _scores(baseline)),
            ("of the comparisons of pictures", _drifts(evidence.drifts)),
            ("of the null's repeats", _drifts(null)),
        )
        if pairs
    ]
    if not found:
        return None
    said = "; ".join(f"{len(pairs)} {what} {'is' if len(pairs) == 1 else 'are'} no number, {pairs[0]} for one" for what, pairs in found)
    n = sum(len(pairs) for _, pairs in found)
    reason = f"{said}: nothing can be said of {plural(n, 'picture')} that a judge could not score, so mend the judge's weights or accept the baseline again"
    return verdict(gate, evidence, [claim("figures", Status.ERROR, reason, n=n, unit="pictures", effect=float(n), limit=0.0)])


def _scores(scores: Iterable[ImageScore]) -> list[str]:
    return [one.pair for one in scores if not all(map(math.isfinite, (one.alignment, one.normalised)))]


def _drifts(drifts: Iterable[Drift]) -> list[str]:
    """Pairs of unlike pictures with a figure that is none; of equal ones no figure is read."""
    return [one.pair for one in drifts if not one.identical and not all(map(math.isfinite, (one.ssim, one.psnr, one.clip)))]
