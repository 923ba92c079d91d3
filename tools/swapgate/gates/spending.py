"""Times at several looks: how much of the error each look may spend, and the ratio of medians judged by it.

A median has no e-process worth its price, so its looks are planned: a run that means to look five times may look less often, never
more. The levels take the scores of successive looks as those of a sum that grows (independent increments), as all
calls so far are judged at each look.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

import numpy as np

from swapgate.gates.resampling import ratio_of_medians
from swapgate.gates.sequential import Look, check_alpha

_ALPHAS = tuple(float(alpha) for alpha in np.geomspace(1e-9, 0.25, 73))  # a quarter: nobody would call that evidence
_NODES = 160
_FAR = -8.0  # standard deviations below zero that no score reaches


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
    """The level of a one-sided claim at the look-th of `looks` evenly spaced looks (1 is the first); over all of them alpha is spent.

    Harm and its absence are claims of different nulls, so both take this level at the same look. The levels
    add up to more than alpha, because looks share calls; see `levels`.
    """
    if not 1 <= look <= looks:
        raise ValueError(f"look {look} of {looks} is out of range")
    return levels(looks, check_alpha(alpha), shape)[look - 1]


@lru_cache(maxsize=1024)
def levels(looks: int, alpha: float, shape: Spending = Spending.POCOCK) -> tuple[float, ...]:
    """The one-sided level of every look: each spends what `spent` has grown by since the last, on runs that did not stop before.

    By recursion over the density of the score that has not crossed. Sources: Armitage, McPherson and Rowe, JRSS A 132 (1969);
    Jennison and Turnbull, Group Sequential Methods (2000), ch. 19.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    places, mass, step, found = np.zeros(1), np.ones(1), 1 / math.sqrt(looks), list[float]()
    for look in range(1, looks + 1):
        due = spent(look / looks, alpha, shape) - spent((look - 1) / looks, alpha, shape)
        start, scale = (places, mass), math.sqrt(look / looks)
        limit = brentq(lambda at, due=due, start=start: float(start[1] @ norm.sf((at - start[0]) / step)) - due, 0.0, 40.0)
        found.append(float(norm.sf(limit / scale)))
        half = (limit - _FAR) / 2
        places = _FAR + half * (nodes + 1)
        mass = half * weights * (norm.pdf((places[:, None] - start[0]) / step) / step @ start[1])
    return tuple(found)


def spent_p(p: float, look: int, looks: int, shape: Spending = Spending.POCOCK) -> float:
    """The smallest overall alpha whose level at this look reaches p, from 1e-9 to 0.25, else 1.

    The smallest over the looks is the p of them all.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"a p-value lies from 0 to 1, got {p}")
    if not 1 <= look <= looks:
        raise ValueError(f"look {look} of {looks} is out of range")
    reached = _levels_by_alpha(looks, shape)[look - 1]
    if p > reached[-1]:
        return 1.0
    return float(np.exp(np.interp(np.log(max(p, 1e-300)), np.log(np.maximum(reached, 1e-300)), np.log(_ALPHAS))))


@lru_cache(maxsize=64)
def _levels_by_alpha(looks: int, shape: Spending) -> tuple[tuple[float, ...], ...]:
    """For every look its level at each of _ALPHAS."""
    return tuple(zip(*(levels(looks, alpha, shape) for alpha in _ALPHAS), strict=True))


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
