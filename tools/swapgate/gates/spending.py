"""Times at several looks: how much of the error each look may spend, and the ratio of medians judged by it.

A median has no e-process worth its price, so its looks are planned: a run that means to look five times may look less often,
never more. Levels are differences of a spending function and are not corrected for the dependence between looks, so they hold whatever
that is (Bonferroni); at five looks that costs a few per cent more calls than the exact boundaries would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from swapgate.gates.resampling import ratio_of_medians
from swapgate.gates.sequential import Look, check_alpha

_LARGEST = 0.25  # an overall level that nobody would call evidence; O'Brien-Fleming's increments rise with alpha up to it
_BISECTIONS = 40


class Spending(StrEnum):
    """How a look's share of the error grows: late, when an early stop is a rare exception, or about evenly."""

    OBRIEN_FLEMING = "obrien-fleming"
    POCOCK = "pocock"


def spent(share: float, alpha: float, shape: Spending = Spending.POCOCK) -> float:
    """The one-sided error that may be spent once `share` (0 to 1) of the planned calls are in; alpha at 1.

    2 - 2 Phi(z(1 - alpha/2) / sqrt(share)), or alpha ln(1 + (e - 1) share). Source: Lan and DeMets, Biometrika 70 (1983).
    """
    from scipy.stats import norm

    check_alpha(alpha)
    if not 0 <= share <= 1:
        raise ValueError(f"a share of the planned calls lies from 0 to 1, got {share}")
    if share == 0:
        return 0.0
    if shape is Spending.POCOCK:
        return alpha * math.log1p((math.e - 1) * share)
    return float(2 * norm.sf(norm.isf(alpha / 2) / math.sqrt(share)))


def spend(look: int, looks: int, alpha: float, shape: Spending = Spending.POCOCK) -> float:
    """The level of a one-sided claim at the look-th of `looks` evenly spaced looks (1 is the first); they add up to alpha.

    Harm and its absence are claims of different nulls, so both take this level at the same look.
    """
    if not 1 <= look <= looks:
        raise ValueError(f"look {look} of {looks} is out of range")
    return spent(look / looks, alpha, shape) - spent((look - 1) / looks, alpha, shape)


def spent_p(p: float, look: int, looks: int, shape: Spending = Spending.POCOCK) -> float:
    """The smallest overall alpha whose level at this look reaches p; 1 above 0.25. The smallest over the looks is the p of them all."""
    if not 0 <= p <= 1:
        raise ValueError(f"a p-value lies from 0 to 1, got {p}")
    if p > spend(look, looks, _LARGEST, shape):
        return 1.0
    low, high = 0.0, _LARGEST
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if spend(look, looks, middle, shape) >= p else (middle, high)
    return high


def ratio_look(
    candidate: Sequence[float],
    baseline: Sequence[float],
    *,
    look: int,
    looks: int,
    floor: float,
    draws: int,
    seed: int,
    interleaved: bool = False,
    shape: Spending = Spending.POCOCK,
) -> Look:
    """What all calls up to this look say of median(candidate) / median(baseline); `change` is 1 - ratio.

    harm: the ratio lies above 1 + floor; no_harm: below it; gain: below 1 - floor; each as spent p of this look, from the bootstrap
    of `ratio_of_medians` (blocks of neighbouring calls, arms in turn drawn together). Raises ValueError for
    fewer than two calls, times that are not positive, a floor outside (0, 1), and a clock whose times are all alike.
    """
    if not 0 < floor < 1:
        raise ValueError(f"a floor is the smallest change that matters, above 0 and below 1, got {floor}")
    if min(len(candidate), len(baseline)) < 2:
        raise ValueError("a ratio of medians needs at least two calls an arm")
    if len({*candidate}) == len({*baseline}) == 1:
        raise ValueError("all times of an arm are equal: nothing is known of their spread")

    slower = ratio_of_medians(candidate, baseline, alpha=0.05, draws=draws, seed=seed, interleaved=interleaved)
    faster = ratio_of_medians(baseline, candidate, alpha=0.05, draws=draws, seed=seed, interleaved=interleaved)
    ps = (slower.p_below(1 + floor, log=True), faster.p_below(1 / (1 + floor), log=True), faster.p_below(1 / (1 - floor), log=True))
    harm, no_harm, gain = (spent_p(p, look, looks, shape) for p in ps)
    return Look(n=min(len(candidate), len(baseline)), change=1 - slower.effect, harm=harm, no_harm=no_harm, gain=gain)


def together(looks: Sequence[Look]) -> Look:
    """The last of several looks with the p-values of all of them: a claim shown earlier stays shown."""
    if not looks:
        raise ValueError("no look was taken")
    last = looks[-1]
    harm, no_harm, gain = (min(getattr(one, name) for one in looks) for name in ("harm", "no_harm", "gain"))
    return Look(n=last.n, change=last.change, harm=harm, no_harm=no_harm, gain=gain)
