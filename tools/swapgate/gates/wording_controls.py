"""The two controls of stability: what a new seed alone does (placebo), and whether a changed meaning is noticed at all (negative).

The placebo is read from pictures that are there anyhow: the same wording with the other seeds. The negative needs pictures of its own,
which a model is asked for after its plan; who passes every rewording and notices no change of meaning has shown nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from swapgate.gates.compose import claim, percent, plural
from swapgate.gates.evidence import Arm
from swapgate.gates.policy import Policy
from swapgate.gates.statistics import clopper_pearson
from swapgate.gates.verdict import Finding, Status, Verdict

if TYPE_CHECKING:
    from swapgate.gates.stability import Reworded

LEVELS = (0.05, 0.5, 0.95)
NEGATIVE = "negative control"
FEWEST = 3  # changed meanings; of fewer, one bad picture would void a verdict
_VOID = frozenset({Status.PASS, Status.IMPROVED})


def relative(now: float, before: float, guard: float) -> float:
    """A change of normalised alignment as a share of what it was, in [-1, 1].

    A share of next to nothing would be huge, hence the guard; and one ruined picture must not outweigh a prompt, hence the cap.
    """
    return max(-1.0, min(1.0, (now - before) / max(before, guard)))


def placebo(arm: Arm, ours: Mapping[str, Reworded], guard: float) -> Finding:
    """The same wording with every other seed, beside each picture that was reworded: what rewordings are to be compared with."""
    written = [score for score in arm.scores if not score.edits]
    reworded = {one.original for one in ours.values()}
    pairs = [
        (one, other)
        for one in written
        if one.original in reworded
        for other in written
        if (other.task, other.language, other.index) == (one.task, one.language, one.index) and other.seed != one.seed
    ]
    if not pairs:
        return told("placebo", "no wording was asked with another seed, so there is no placebo", n=0)
    changes = [relative(other.normalised, one.normalised, guard) for one, other in pairs]
    low, middle, high = (float(level) for level in np.quantile(changes, LEVELS))
    kept = [other for one, other in pairs if one.usable]
    reason = (
        f"placebo: the same wording with another seed changes alignment by {percent(low)} at the 5 % quantile, {percent(middle)} at the median, "
        f"{percent(high)} at the 95 % quantile ({plural(len(pairs), 'pair')}); {sum(not one.usable for one in kept)} of {len(kept)} became unusable"
    )
    return told("placebo", reason, effect=100 * middle, low=100 * low, high=100 * high, n=len(pairs))


def controlled(found: Verdict, noticed: int, asked: int, policy: Policy) -> Verdict:
    """The verdict with its negative control, where one was asked and the verdict is of pictures.

    A PASS or IMPROVED beside fewer than half of at least FEWEST changed meanings noticed is void, and INCONCLUSIVE instead.
    """
    if not asked or not found.applies or any(one.name == NEGATIVE for one in found.findings):
        return found
    low, high = clopper_pearson(noticed, asked, policy.alpha / 2)
    share = 100 * noticed / asked
    reason = (
        f"{noticed} of {plural(asked, 'changed meaning')} were noticed (the picture is not usable for the prompt as written): "
        f"{share:.0f} % [{100 * low:.0f} %, {100 * high:.0f} %]"
    )
    void = found.status in _VOID and asked >= FEWEST and 2 * noticed < asked
    finding = told(NEGATIVE, reason, effect=share, low=100 * low, high=100 * high, n=asked, confidence=1 - policy.alpha, decides=void)
    if not void:
        return replace(found, findings=(*found.findings, finding))
    said = f"{reason}, so that what changes with no rewording shows nothing: the model does not follow its prompts, or the judge does not see it"
    finding = replace(finding, reason=said)
    return replace(found, status=Status.INCONCLUSIVE, reason=said, finding=finding, findings=(*found.findings, finding))


def told(
    name: str,
    reason: str,
    *,
    n: int,
    effect: float | None = None,
    low: float | None = None,
    high: float | None = None,
    confidence: float | None = None,
    decides: bool = False,
) -> Finding:
    """A finding in per cent that is told beside the verdict, without a limit to break."""
    return claim(
        name, Status.INCONCLUSIVE, reason, effect=effect, low=low, high=high, unit="%", n=n, confidence=confidence, candidate=effect, decides=decides
    )
