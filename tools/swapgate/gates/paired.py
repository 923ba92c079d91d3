"""The judgement of paired yes/no answers, shared by usability and by the flips of stability."""

from __future__ import annotations

from swapgate.gates.compose import claim, plural, points
from swapgate.gates.policy import Policy
from swapgate.gates.statistics import Discordance, mcnemar, paired_p, paired_upper
from swapgate.gates.verdict import Finding, Status

_FACTORS = (1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)


def judge_pairs(
    name: str,
    counts: Discordance,
    *,
    floor: float,
    policy: Policy,
    said: str,
    noun: str,
    baseline: float,
    candidate: float,
    clustered: tuple[float, float] = (0.0, 0.0),
) -> Finding:
    """The finding on a rate of good answers in paired arms; `counts.worse` are pairs that lost their good answer.

    REGRESSION: exact McNemar p <= policy.harm and the rate fell by more than `floor` (a fraction). PASS: the exact upper
    bound of the fall is below `floor`. `said` opens the reason ("usable 50/60, before 56/60"); baseline and candidate
    are rates. `clustered` are further p-values of harm and of gain which must be small as well, where pairs of one
    prompt are not independent.
    """
    harm, gain = max(mcnemar(counts.worse, counts.better), clustered[0]), max(mcnemar(counts.better, counts.worse), clustered[1])
    low = -paired_upper(counts.worse, counts.better, counts.n, policy.alpha)
    high = paired_upper(counts.better, counts.worse, counts.n, policy.alpha)
    status = _status(counts.change, -low, harm, gain, floor, policy)
    reason = f"{said}: {points(counts.change)} [{points(low)}, {points(high)}], limit {points(-floor)}"
    if status is Status.REGRESSION:
        reason += f"; {counts.worse} of {plural(counts.n, 'pair')} got worse and {counts.better} better (p = {harm:.2g})"
    if status is Status.INCONCLUSIVE:
        reason += f"; {_would_decide(counts, floor, policy, noun)}"
    return claim(
        name,
        status,
        reason,
        effect=100 * counts.change,
        low=100 * low,
        high=100 * high,
        limit=-100 * floor,
        unit="points",
        n=counts.n,
        confidence=1 - policy.alpha,
        baseline=100 * baseline,
        candidate=100 * candidate,
        p=harm,
    )


def more_pairs(counts: Discordance, floor: float, policy: Policy) -> int | None:
    """How many further pairs would decide at the rates seen; None when sixteen times as many would not."""
    for factor in _FACTORS:
        later = counts.times(factor)
        worse = mcnemar(later.worse, later.better) <= policy.harm and -later.change > floor
        if worse or paired_p(later.worse, later.better, later.n, floor) <= policy.alpha:
            return later.n - counts.n
    return None


def _status(change: float, largest_fall: float, harm: float, gain: float, floor: float, policy: Policy) -> Status:
    if harm <= policy.harm and -change > floor:
        return Status.REGRESSION
    if gain <= policy.alpha and change > floor:
        return Status.IMPROVED
    return Status.PASS if largest_fall < floor else Status.INCONCLUSIVE


def _would_decide(counts: Discordance, floor: float, policy: Policy, noun: str) -> str:
    further = more_pairs(counts, floor, policy)
    if further is None:
        return f"the fall lies so near the limit that even {16 * counts.n} {noun}s would not decide"
    return f"about {further} more {noun}s would decide at these rates"
