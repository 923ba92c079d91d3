"""The judgement of paired yes/no answers, shared by usability and by the flips of stability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swapgate.gates.compose import claim, plural, points
from swapgate.gates.futility import hopeless_pairs
from swapgate.gates.policy import Policy
from swapgate.gates.statistics import Discordance, mcnemar, paired_p, paired_upper
from swapgate.gates.verdict import Finding, Status

_FACTORS = (1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What paired answers show at a look: p of harm and of gain, bounds of the change, and the levels they are held against.

    clustered: further p-values of harm and of gain, which have to be small as well.
    """

    harm: float
    gain: float
    low: float
    high: float
    harm_level: float
    alpha: float
    clustered: tuple[float, float]
    clustered_level: tuple[float, float]

    def status(self, change: float, floor: float) -> Status:
        """REGRESSION and IMPROVED need a change beyond the floor, too; PASS a bound within it."""
        if self.harm <= self.harm_level and self.clustered[0] <= self.clustered_level[0] and -change > floor:
            return Status.REGRESSION
        if self.gain <= self.alpha and self.clustered[1] <= self.clustered_level[1] and change > floor:
            return Status.IMPROVED
        return Status.PASS if -self.low < floor else Status.INCONCLUSIVE


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
    planned: int = 0,
    clustered: tuple[float, float] = (0.0, 0.0),
) -> Finding:
    """The finding on a rate of good answers in paired arms; `counts.worse` are pairs that lost their good answer.

    REGRESSION: exact McNemar p <= policy.harm and the rate fell by more than `floor` (a fraction). PASS: the exact upper
    bound of the fall is below `floor`. At an early look both are e-processes (see `shown`). `said` opens the reason ("usable 50/60,
    before 56/60"); baseline and candidate are rates. `clustered` are further p-values of harm and of gain which must be small as well, where
    pairs of one prompt are not independent. planned: pairs of the whole plan, where some are left to make.
    """
    found = shown(counts, policy, clustered)
    status = found.status(counts.change, floor)
    futile = status is Status.INCONCLUSIVE and hopeless_pairs(counts, planned, floor, policy)
    harm = max(found.harm, clustered[0])
    reason = f"{said}: {points(counts.change)} [{points(found.low)}, {points(found.high)}], limit {points(-floor)}"
    if status is Status.REGRESSION:
        reason += f"; {counts.worse} of {plural(counts.n, 'pair')} got worse and {counts.better} better (p = {harm:.2g})"
    if status is Status.INCONCLUSIVE:
        reason += f"; {_would_decide(counts, floor, policy.last, noun)}"
    return claim(
        name,
        status,
        reason,
        effect=100 * counts.change,
        low=100 * found.low,
        high=100 * found.high,
        limit=-100 * floor,
        unit="points",
        n=counts.n,
        confidence=1 - found.alpha,
        baseline=100 * baseline,
        candidate=100 * candidate,
        p=harm,
        futile=futile,
    )


def shown(counts: Discordance, policy: Policy, clustered: tuple[float, float] = (0.0, 0.0)) -> Shown:
    """What the pairs of a look show: by exact fixed-sample tests at the last one, by e-processes at those before.

    The e-processes hold at all early looks together, however many there are (Robbins 1970; Waudby-Smith and Ramdas 2024, see `sequential`),
    so they may spend what those looks have in common.
    """
    worse, better, n = counts.worse, counts.better, counts.n
    levels = (policy.harm, policy.alpha)
    if not policy.early:
        low = -paired_upper(worse, better, n, policy.alpha)
        high = paired_upper(better, worse, n, policy.alpha)
        harm, gain = mcnemar(worse, better), mcnemar(better, worse)
        return Shown(
            harm=harm, gain=gain, low=low, high=high, harm_level=policy.harm, alpha=policy.alpha, clustered=clustered, clustered_level=levels
        )  # fmt: skip
    from swapgate.gates.sequential import anytime_p, fall_bounds, pair_harm

    harm_level, alpha = policy.anytime * policy.harm, policy.anytime * policy.alpha
    harm, gain = (float(anytime_p(np.atleast_1d(pair_harm(*both)))[-1]) for both in ((worse, better), (better, worse)))
    least, most = (float(bound.item()) for bound in fall_bounds(worse, better, n, alpha))
    return Shown(
        harm=harm, gain=gain, low=-most, high=-least, harm_level=harm_level, alpha=alpha, clustered=clustered, clustered_level=levels
    )  # fmt: skip


def more_pairs(counts: Discordance, floor: float, policy: Policy) -> int | None:
    """How many further pairs would decide at the rates seen; None when sixteen times as many would not."""
    for factor in _FACTORS:
        later = counts.times(factor)
        worse = mcnemar(later.worse, later.better) <= policy.harm and -later.change > floor
        if worse or paired_p(later.worse, later.better, later.n, floor) <= policy.alpha:
            return later.n - counts.n
    return None


def _would_decide(counts: Discordance, floor: float, policy: Policy, noun: str) -> str:
    further = more_pairs(counts, floor, policy)
    if further is None:
        return f"the fall lies so near the limit that even {16 * counts.n} {noun}s would not decide"
    return f"about {further} more {noun}s would decide at these rates"
