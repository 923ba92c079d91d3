"""What a plan can find: the smallest change that n samples show, and the samples that a wanted change needs.

Each function describes one claim of a gate as the gate decides it, practical floor included, so that a plan can say
before anything is generated which cells it cannot decide. Changes count as harm when positive. `chance` is the probability
of the right verdict, 0.95 by default. Where several claims share one budget, give each its own part as `alpha`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from swapgate.gates.statistics import conformal_rank, exceedance_p, paired_p, paired_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST = 100_000  # a plan that needs more samples than this is no plan
_EXACT_PAIRS = 24  # up to here the exact test of non-inferiority is quick enough to plan with
_MOST_COUNTS = 1024  # outcomes an axis that a power is summed over; of more, every second, third, ... is
_MEDIAN_FACTOR = math.sqrt(math.pi / 2)  # a median's standard error over a mean's, of normal noise
_NODES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a plan of n samples can do for one claim.

    smallest: the smallest change that is found with the chance asked for, in `unit`; None when no change is. needed: the samples that the
    wanted change takes (for a claim of no harm: that an unchanged model takes to pass); None when none would do, or
    nothing was wanted. enough: whether n is that many. reason: one sentence for the plan.
    """

    claim: str
    n: int
    unit: str
    smallest: float | None
    needed: int | None
    enough: bool
    reason: str


def paired_harm(n: int, *, alpha: float, floor: float, flips: float, wanted: float | None = None, chance: float = 0.95) -> Reach:
    """Falls of a rate that n pairs show: exact McNemar p <= alpha and more than `floor` seen; rates as fractions.

    flips: the share of pairs that get worse, and as many better, without any change (a repeat of one model has about
    0, another model of rate r and independent pictures r (1 - r)). Exact, by enumeration of the discordant pairs.
    """
    _check(n, alpha, chance)
    _check_rates(floor, flips)

    def power(pairs: int, fall: float) -> float:
        return paired_power(pairs, fall, alpha=alpha, floor=floor, flips=flips)

    smallest = _smallest(lambda fall: power(n, fall), 1.0, chance)
    needed = None if wanted is None or wanted <= floor else _fewest(lambda pairs: power(pairs, wanted), chance)
    return _reach("fall of a rate", n, "points", _scaled(smallest, 100), needed, _scaled(wanted, 100), "pair")


def paired_power(n: int, fall: float, *, alpha: float, floor: float, flips: float) -> float:
    """The chance that n pairs show a fall of `fall` at p <= alpha and above the floor (exact; a fraction). Source: Connett et al., 1987."""
    from swapgate.gates.tails import binom

    better = min(flips, (1 - fall) / 2)  # a model that breaks every picture makes none better
    worse = better + fall
    discordant = np.arange(n + 1)
    critical = binom.isf(alpha, discordant, 0.5) + 1  # the fewest worse pairs whose binomial tail is within alpha
    critical = np.maximum(critical, np.floor((discordant + floor * n) / 2 + 1e-9) + 1)
    share = worse / (worse + better) if worse + better else 0.0
    return float(binom.pmf(discordant, n, worse + better) @ binom.sf(critical - 1, discordant, share))


def paired_pass(n: int, *, alpha: float, margin: float, flips: float, chance: float = 0.95) -> Reach:
    """Whether n pairs of an unchanged model pass (a fall of `margin` is excluded), and how many do; rates as fractions.

    `smallest` is the margin that n pairs exclude with that chance. The test is `paired_p`, exact up to 24 pairs and by its score limit above.
    """
    _check(n, alpha, chance)
    _check_rates(margin, flips)
    smallest = _smallest(lambda limit: paired_pass_power(n, alpha=alpha, margin=limit, flips=flips), 0.999, chance)
    needed = _fewest(lambda pairs: paired_pass_power(pairs, alpha=alpha, margin=margin, flips=flips), chance, start=_zero_pairs(alpha, margin))
    return _reach("no fall of a rate", n, "points", _scaled(smallest, 100), needed, 100 * margin, "pair")


@lru_cache(maxsize=4096)
def paired_pass_power(n: int, *, alpha: float, margin: float, flips: float) -> float:
    """The chance that n pairs of an unchanged model exclude a fall of `margin`; every likely outcome is asked, of very many an even choice."""
    from scipy.special import gammaln, xlogy

    from swapgate.gates.tails import norm

    if n < _zero_pairs(alpha, margin):
        return 0.0
    counts = _likely_counts(n, flips)
    worse, better = (grid.ravel() for grid in np.meshgrid(counts, counts, indexing="ij"))
    kept = worse + better <= n
    worse, better = worse[kept], better[kept]
    same = n - worse - better
    log_p = gammaln(n + 1) - gammaln(worse + 1) - gammaln(better + 1) - gammaln(same + 1)
    weight = np.exp(log_p + xlogy(worse + better, flips) + xlogy(same, 1 - 2 * flips))
    weight /= weight.sum()
    if n > _EXACT_PAIRS:
        return float(weight[norm.cdf(paired_score(worse, better, n, margin)) <= alpha].sum())
    likely = weight > 1e-4
    passed = [paired_p(int(w), int(b), n, margin) <= alpha for w, b in zip(worse[likely], better[likely], strict=True)]
    return float(weight[likely][passed].sum() / weight[likely].sum())


def _likely_counts(n: int, flips: float) -> Floats:
    """How many of n pairs may get worse (or better), but for one in 10^9; evenly thinned to at most `_MOST_COUNTS` of them."""
    from swapgate.gates.tails import binom

    if not flips:
        return np.zeros(1)
    low, high = int(binom.isf(1 - 1e-9, n, flips)), int(binom.isf(1e-9, n, flips)) + 1
    return np.arange(low, high + 1, 1 + (high - low) // _MOST_COUNTS).astype(np.float64)


def time_harm(
    n: int,
    *,
    alpha: float,
    floor: float,
    cv: float,
    correlation: float = 0.0,
    between: tuple[float, int] | None = None,
    wanted: float | None = None,
    chance: float = 0.95,
) -> Reach:
    """Slowdowns that n calls an arm show: the ratio of medians lies above 1 + floor with p <= alpha; fractions.

    cv: standard deviation of a call's time over its mean; correlation: of a call with the next (AR(1), in [0, 1)), which leaves
    `effective` many of them. Normal limit of the median's logarithm, whose standard error is 1.25 cv / sqrt(n), and
    Student's t over the blocks of the bootstrap, as `Estimate.p_below` has it. between: of arms that are two processes, how much processes
    differ (relative deviation) and the degrees of freedom it is known with; as `processes.widened` has it.
    """
    _check(n, alpha, chance)
    _check_time(floor, cv, correlation)
    _check_between(between)

    def power(calls: int, slowdown: float) -> float:
        return _time_power(calls, math.log1p(slowdown) - math.log1p(floor), alpha, cv, correlation, between, student=True)

    smallest = _smallest(lambda slowdown: power(n, slowdown), floor + 1000 * max(cv, between[0] if between else 0.0, 1e-9), chance)
    needed = None if wanted is None or wanted <= floor else _fewest(lambda calls: power(calls, wanted), chance)
    return _reach("slower", n, "%", _scaled(smallest, 100), needed, _scaled(wanted, 100), "call")


def time_pass(
    n: int,
    *,
    alpha: float,
    floor: float,
    cv: float,
    correlation: float = 0.0,
    between: tuple[float, int] | None = None,
    chance: float = 0.95,
) -> Reach:
    """Whether n calls an arm of an unchanged model pass: the percentile bound of the ratio lies below 1 + floor.

    `smallest` is the floor that they pass; the model of the noise is that of `time_harm`.
    """
    _check(n, alpha, chance)
    _check_time(floor, cv, correlation)
    _check_between(between)

    def power(calls: int, limit: float) -> float:
        return _time_power(calls, math.log1p(limit), alpha, cv, correlation, between, student=between is not None)

    smallest = _smallest(lambda limit: power(n, limit), 1000 * max(cv, between[0] if between else 0.0, 1e-9), chance)
    needed = _fewest(lambda calls: power(calls, floor), chance)
    return _reach("not slower", n, "%", _scaled(smallest, 100), needed, 100 * floor, "call")


def mean_harm(n: int, *, alpha: float, floor: float, deviation: float, wanted: float | None = None, chance: float = 0.95) -> Reach:
    """Falls of a mean that n clusters show by sign flips: p <= alpha and more than `floor` seen; in the data's unit.

    deviation: standard deviation of a cluster's mean difference between clusters. By the one-sided t test, which sign flips equal but for
    small terms (Lehmann and Romano, Testing Statistical Hypotheses, 2005, ch. 15); with under log2(1/alpha) clusters nothing is shown.
    """
    _check(n, alpha, chance)
    _check_mean(floor, deviation)

    def power(clusters: int, fall: float) -> float:
        return mean_power(clusters, fall, alpha=alpha, floor=floor, deviation=deviation)

    smallest = _smallest(lambda fall: power(n, fall), floor + 1000 * max(deviation, 1e-12), chance)
    needed = None if wanted is None or wanted <= floor else _fewest(lambda clusters: power(clusters, wanted), chance)
    return _reach("fall of a mean", n, "", smallest, needed, wanted, "cluster")


def mean_pass(n: int, *, alpha: float, floor: float, deviation: float, chance: float = 0.95) -> Reach:
    """Whether n clusters of an unchanged model pass (a fall of `floor` is excluded); as `mean_harm`. smallest: the floor they exclude."""
    _check(n, alpha, chance)
    _check_mean(floor, deviation)

    def power(clusters: int, limit: float) -> float:
        return mean_power(clusters, limit, alpha=alpha, floor=0.0, deviation=deviation)

    smallest = _smallest(lambda limit: power(n, limit), 1000 * max(deviation, 1e-12), chance)
    return _reach("no fall of a mean", n, "", smallest, _fewest(lambda clusters: power(clusters, floor), chance), floor, "cluster")


def mean_power(n: int, fall: float, *, alpha: float, floor: float, deviation: float) -> float:
    """The chance that a mean over n clusters falls by more than the floor and clears the t test; normal differences."""
    from swapgate.gates.tails import norm, t

    if n < 2 or 2.0**-n > alpha:
        return 0.0
    if deviation == 0:
        return float(fall > floor)
    error = deviation / math.sqrt(n)
    needed = np.maximum(floor, t.isf(alpha, n - 1) * _spreads(n - 1) * error)
    return float(norm.sf((needed - fall) / error).mean())


def memory(n: int, *, baseline_mib: float, share: float, least_mib: float, calls: int) -> Reach:
    """Growth of the peak that is red: the larger of share x baseline and least_mib, at any n from `calls` on, since peaks repeat."""
    if n < 0 or not (baseline_mib >= 0 and share >= 0 and least_mib >= 0):
        raise ValueError("calls, MiB and shares cannot be negative or NaN")
    limit = max(share * baseline_mib, least_mib)
    return _reach("peak memory", n, "MiB", limit if n >= calls else None, calls, limit, "call")


def drift_exceedance(n: int, *, null: int, alpha: float, limit: float = 0.05, metrics: int = 3, chance: float = 0.95) -> Reach:
    """The share of n pictures that must lie beyond the null's limit and the floor to be found; null: the repeats it holds.

    So many exceedances must be rarer than alpha by `exceedance_p`, after Holm over `metrics`. limit: the level of
    the conformal limit (the policy's alpha, where alpha here is its harm). `needed` counts repeats, not pictures.
    """
    _check(n, alpha, chance)
    _check(n, limit, chance)
    if null < 0 or metrics < 1:
        raise ValueError(f"a null has repeats and a run has metrics, got {null} and {metrics}")
    fewest = _exceedances(n, null, alpha / metrics, limit)
    smallest = None if fewest is None else _share(fewest, n, chance)
    needed: int | None = null
    if smallest is None:
        needed = _fewest(lambda repeats: float(_exceedances(n, repeats, alpha / metrics, limit) is not None), 1.0, most=10_000)
    said = f"with {null} repeats no number of changed pictures is rarer than chance; needs {needed} repeats"
    if smallest is not None:
        said = f"{fewest} of {n} pictures beyond the limit are a change: found when {100 * smallest:.3g} % of pictures change"
    elif needed is None:
        said = f"{n} pictures are too few to show a share of changed ones, whatever the null"
    found = _scaled(smallest, 100)
    return Reach(claim="changed pictures", n=n, unit="%", smallest=found, needed=needed, enough=smallest is not None, reason=said)


def effective(n: int, correlation: float) -> float:
    """How many independent calls the median of n calls with AR(1) correlation in [0, 1) is worth (normal noise).

    n / (1 + 2 sum of (2 / pi) arcsin(r^k)). Source: Gastwirth and Rubin, Annals of Statistics 3 (1975).
    """
    lags = np.arange(1, n)
    return float(n / (1 + 2 * np.sum((1 - lags / n) * np.arcsin(correlation**lags)) * 2 / math.pi))


def _time_power(n: int, distance: float, alpha: float, cv: float, correlation: float, between: tuple[float, int] | None, *, student: bool) -> float:
    """The chance that the log of a ratio of medians clears a limit `distance` below its true value."""
    from swapgate.gates.tails import norm, t

    freedom = n // max(1, round(n ** (1 / 3))) - 1
    if freedom < 1:
        return 0.0
    inside = _MEDIAN_FACTOR**2 * math.log1p(cv**2) * 2 / effective(n, correlation)
    if between:
        more = 2 * between[0] ** 2
        pooled = (inside + more) ** 2 / (inside**2 / freedom + more**2 / between[1]) if inside + more else freedom
        inside, freedom = inside + more, max(1, math.floor(pooled + 1e-9))
    if inside == 0:
        return float(distance > 0)
    error = math.sqrt(inside)
    quantile = t.isf(alpha, freedom) if student else norm.isf(alpha)
    return float(norm.cdf(distance / error - quantile * _spreads(freedom)).mean())


def _spreads(freedom: int) -> Floats:
    """Equally likely values of an estimated standard deviation over the true one."""
    from swapgate.gates.tails import chi2

    return np.asarray(np.sqrt(chi2.ppf((np.arange(_NODES) + 0.5) / _NODES, freedom) / freedom))


def _exceedances(n: int, null: int, alpha: float, limit: float) -> int | None:
    """The fewest pictures beyond the limit that are significant; None when even all are not."""
    rank = conformal_rank(null, limit) if null else 0
    found = (k for k in range(1, n + 1) if exceedance_p(k, n, null, rank) <= alpha)
    return next(found, None) if null else None


def _share(fewest: int, n: int, chance: float) -> float:
    """The share of changed pictures of which at least `fewest` of n are seen with that chance: a quantile of Beta(k, n - k + 1)."""
    from swapgate.gates.tails import beta

    return float(beta.ppf(chance, fewest, n - fewest + 1))


def _zero_pairs(alpha: float, margin: float) -> int:
    """Pairs that exclude the margin when none of them differs; fewer never do."""
    return max(1, math.ceil(math.log(alpha) / math.log1p(-margin)))


def _smallest(power: Callable[[float], float], most: float, chance: float) -> float | None:
    """The smallest change with that chance, by bisection; None when the largest has less."""
    if power(most) < chance:
        return None
    low, high = 0.0, most
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle) >= chance else (middle, high)
        if high - low < 1e-4 * high:
            break
    return high


def _fewest(power: Callable[[int], float], chance: float, start: int = 1, most: int = MOST) -> int | None:
    """The fewest samples with that chance: doubled until enough, then bisected. Counts make power a saw, so it may be a few too many."""
    high = start
    while power(high) < chance:
        if high >= most:
            return None
        high = min(2 * high, most)
    low = max(start - 1, high // 2) if high > start else start - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= chance else (middle, high)
    return high


def _reach(claim: str, n: int, unit: str, smallest: float | None, needed: int | None, wanted: float | None, noun: str) -> Reach:
    enough = smallest is not None and (wanted is None or smallest <= wanted)
    verb = "exclude" if claim.startswith("no") else "find"
    found = f"{n} {noun}s {verb} {smallest:.3g} {unit}".rstrip() if smallest is not None else f"{n} {noun}s {verb} nothing, however large"
    short = "" if enough or wanted is None else f"; {wanted:.3g} {unit}".rstrip()
    if short:
        short += f" needs {needed} {noun}s" if needed is not None else " cannot be decided by more of them"
    return Reach(claim=claim, n=n, unit=unit, smallest=smallest, needed=needed, enough=enough, reason=found + short)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def _check(n: int, alpha: float, chance: float) -> None:
    if n < 1:
        raise ValueError(f"a plan has at least one sample, got {n}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is the chance of a false claim, above 0 and below 0.5, got {alpha}")
    if not 0.5 <= chance < 1:
        raise ValueError(f"the chance of finding a change lies from 0.5 to below 1, got {chance}")


def _check_rates(limit: float, flips: float) -> None:
    if not 0 < limit < 1:
        raise ValueError(f"a floor of a rate lies above 0 and below 1, got {limit}")
    if not 0 <= flips < 0.5:
        raise ValueError(f"at most half of the pairs can get worse without a change, got {flips}")


def _check_time(floor: float, cv: float, correlation: float) -> None:
    if not (0 < floor < math.inf and 0 <= cv < math.inf and 0 <= correlation < 1):
        raise ValueError(f"floor above 0, cv from 0 and correlation in [0, 1) are needed, got {floor}, {cv}, {correlation}")


def _check_between(between: tuple[float, int] | None) -> None:
    if between is not None and not (0 <= between[0] < math.inf and between[1] >= 1):
        raise ValueError(f"a spread between processes from 0 and a degree of freedom at least are needed, got {between}")


def _check_mean(floor: float, deviation: float) -> None:
    if not (0 < floor < math.inf and 0 <= deviation < math.inf):
        raise ValueError(f"a floor above 0 and a deviation from 0 are needed, got {floor} and {deviation}")
