"""Resampling statistics of the gates: medians and their ratio, slopes, and clustered sign flips.

Every generator is seeded by the caller, so that a replay of a run gives the same verdict to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ALL_SUBSETS = 12  # up to 2^12 sign patterns are enumerated, more are drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An effect with two one-sided bounds, each at confidence 1 - alpha.

    deviation: standard deviation of the draws, of a ratio of their logarithms; blocks: independent pieces of the smaller sample.
    """

    effect: float
    low: float
    high: float
    deviation: float
    blocks: int

    def p_below(self, limit: float, *, log: bool = False) -> float:
        """The one-sided p of "the true value is at most `limit`", also where so small a p has no draws beyond it.

        Student's t of the distance in standard deviations of the draws, with one degree of freedom less than blocks (bootstrap
        standard error: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 12). `log` for ratios.
        1.0 with fewer than two blocks; samples without any spread leave no doubt.
        """
        from scipy.stats import t

        distance = math.log(self.effect / limit) if log else self.effect - limit
        if self.blocks < 2 or distance <= 0:
            return 1.0
        return float(t.sf(distance / self.deviation, self.blocks - 1)) if self.deviation > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """Units of y per unit of x, its one-sided bounds, and the one-sided p that y does not rise with x."""

    slope: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SignFlip:
    """A mean difference, its one-sided bounds, the p of "not above zero" and of "not below zero", and the clusters."""

    mean: float
    low: float
    high: float
    p_above: float
    p_below: float
    clusters: int

    def error(self, alpha: float) -> float:
        """The standard error that bounds at this alpha would have of a normal mean; infinite where they are."""
        from swapgate.gates.tails import norm

        return (self.high - self.low) / 2 / float(norm.isf(alpha))


def median_bounds(values: Sequence[float], *, alpha: float, draws: int, seed: int) -> Estimate:
    """The median with percentile-bootstrap bounds; calls keep their neighbours (see `_indices`)."""
    sample = _sample(values)
    medians = np.median(sample[_indices(len(sample), draws, np.random.default_rng(seed))], axis=1)
    return _estimate(float(np.median(sample)), medians, alpha, blocks=_blocks(len(sample)))


def ratio_of_medians(
    candidate: Sequence[float],
    baseline: Sequence[float],
    *,
    alpha: float,
    draws: int,
    seed: int,
    interleaved: bool = False,
) -> Estimate:
    """median(candidate) / median(baseline) with percentile-bootstrap bounds. Values must be positive.

    Blocks of n^(1/3) neighbouring calls are drawn together, because calls that follow each other share clocks and
    temperature (circular block bootstrap: Politis and Romano 1992; for a ratio of medians see Kalibera and Jones, 2013).
    Interleaved arms of equal length are drawn by the same indices, so that what both shared cancels (duet benchmarking).
    """
    ours, theirs = _positive(candidate), _positive(baseline)
    picked, other = _both(len(ours), len(theirs), draws, seed, interleaved)
    ratios = np.median(ours[picked], axis=1) / np.median(theirs[other], axis=1)
    found = _estimate(float(np.median(ours) / np.median(theirs)), ratios, alpha, blocks=_blocks(min(len(ours), len(theirs))))
    return replace(found, deviation=float(np.log(ratios).std()))


def difference_of_medians(
    candidate: Sequence[float],
    baseline: Sequence[float],
    *,
    alpha: float,
    draws: int,
    seed: int,
    interleaved: bool = False,
) -> Estimate:
    """median(candidate) - median(baseline) with bounds, as `ratio_of_medians`; values may be zero."""
    ours, theirs = _sample(candidate), _sample(baseline)
    picked, other = _both(len(ours), len(theirs), draws, seed, interleaved)
    drawn = np.median(ours[picked], axis=1) - np.median(theirs[other], axis=1)
    return _estimate(float(np.median(ours) - np.median(theirs)), drawn, alpha, blocks=_blocks(min(len(ours), len(theirs))))


def theil_sen(x: Sequence[float], y: Sequence[float], *, alpha: float, draws: int, seed: int) -> Slope:
    """Median of the slopes of all pairs, Sen's bounds, and a permutation p of the rank correlation.

    Sources: Theil 1950; Sen, JASA 63 (1968). A single step in y moves the median slope little, which a least-squares
    line would not forgive. Needs two different x; raises ValueError otherwise.
    """
    from scipy.stats import rankdata, theilslopes

    across, up = _sample(x), _sample(y)
    if len(across) != len(up) or np.ptp(across) == 0:
        raise ValueError("a slope needs as many y as x and at least two different x")
    if np.ptp(up) == 0:  # scipy divides by the ties' variance; a level line needs no bounds
        return Slope(slope=0.0, low=0.0, high=0.0, p=1.0)
    slope, _, low, high = theilslopes(up, across, alpha=1 - 2 * alpha)
    centred, ranks = rankdata(across) - (len(across) + 1) / 2, rankdata(up)
    shuffled = np.random.default_rng(seed).permuted(np.tile(ranks, (draws, 1)), axis=1)
    reached = int(np.count_nonzero(shuffled @ centred >= ranks @ centred - 1e-9))
    return Slope(slope=float(slope), low=float(low), high=float(high), p=(1 + reached) / (1 + draws))


def sign_flip(differences: Sequence[float], clusters: Sequence[Hashable], *, alpha: float, draws: int, seed: int) -> SignFlip:
    """Test and bounds of a mean of paired differences, flipping the sign of whole clusters.

    Under "the difference is symmetric about d" a cluster's sum less d is as likely negated, so the rank of d among
    the means of all subsets of clusters is uniform: tests and bounds are quantiles of subset means (Hartigan, JASA 64,
    1969; cluster version as in Canay, Romano and Shaikh, Econometrica 85, 2017). Subsets are enumerated up to
    12 clusters. With fewer clusters than alpha can resolve (under 5 at 0.05) the bounds are infinite.
    """
    values = _sample(differences)
    labels = {label: i for i, label in enumerate(dict.fromkeys(clusters))}
    owner = np.array([labels[label] for label in clusters])
    if len(owner) != len(values):
        raise ValueError(f"{len(values)} differences but {len(owner)} cluster labels")
    sums, sizes = np.bincount(owner, weights=values), np.bincount(owner)
    subsets = _subsets(len(labels), draws, np.random.default_rng(seed))
    means = np.sort(subsets @ sums / (subsets @ sizes))
    total, tiny = len(means) + 1, 1e-12
    cut = int(alpha * total + 1e-9)  # with the mean itself, `cut` of `total` values lie beyond the bound
    return SignFlip(
        mean=float(values.mean()),
        clusters=len(labels),
        low=float(means[cut - 1]) if cut else -np.inf,
        high=float(means[-cut]) if cut else np.inf,
        p_above=(1 + int(np.count_nonzero(means <= tiny))) / total,
        p_below=(1 + int(np.count_nonzero(means >= -tiny))) / total,
    )


def _subsets(n: int, draws: int, generator: np.random.Generator) -> Floats:
    """Rows of 0 and 1, none empty: every subset of n clusters, or `draws` random ones."""
    if n <= _ALL_SUBSETS:
        numbers = np.arange(1, 2**n)
        return ((numbers[:, None] >> np.arange(n)) & 1).astype(np.float64)
    drawn = generator.integers(0, 2, size=(draws, n)).astype(np.float64)
    return drawn[drawn.any(axis=1)]


def _both(ours: int, theirs: int, draws: int, seed: int, interleaved: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    picked = _indices(ours, draws, generator)
    return picked, picked if interleaved and ours == theirs else _indices(theirs, draws, generator)


def _indices(n: int, draws: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Positions, draws x n: blocks of round(n^(1/3)) neighbours from random starts, wrapped round at the end."""
    block = _block(n)
    starts = generator.integers(0, n, size=(draws, -(-n // block)))
    return ((starts[:, :, None] + np.arange(block)) % n).reshape(draws, -1)[:, :n]


def _block(n: int) -> int:
    return max(1, round(float(n ** (1 / 3))))


def _blocks(n: int) -> int:
    return n // _block(n)


def _estimate(effect: float, drawn: Floats, alpha: float, *, blocks: int) -> Estimate:
    low, high = np.quantile(drawn, [alpha, 1 - alpha])
    return Estimate(effect=effect, low=float(low), high=float(high), deviation=float(drawn.std()), blocks=blocks)


def _sample(values: Sequence[float]) -> Floats:
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError("a sample needs at least one value, all of them finite")
    return sample


def _positive(values: Sequence[float]) -> Floats:
    sample = _sample(values)
    if (sample <= 0).any():
        raise ValueError("a ratio needs positive values")
    return sample
