"""Exact statistics of the gates: rates, paired rates, conformal limits, and corrections for many claims.

All of them hold at every sample size, because a suite's cells are small. Probabilities and rates lie in [0, 1].
Resampling methods are in `resampling`. scipy is imported where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EXACT_PAIRS = 300  # beyond it the exact bound costs seconds and differs from the asymptotic one by under 0.2 points
_NUISANCE_STEPS = 61
_BISECTIONS = 18


def rate_lower(successes: int, n: int, alpha: float) -> float:
    """Exact one-sided lower bound of a rate at confidence 1 - alpha. Source: Clopper and Pearson, Biometrika 26 (1934)."""
    from swapgate.gates.tails import beta

    _check_counts(successes, n)
    return 0.0 if successes == 0 else float(beta.ppf(alpha, successes, n - successes + 1))


def rate_upper(successes: int, n: int, alpha: float) -> float:
    """Exact one-sided upper bound of a rate at confidence 1 - alpha. Source: Clopper and Pearson (1934)."""
    from swapgate.gates.tails import beta

    _check_counts(successes, n)
    return 1.0 if successes == n else float(beta.ppf(1 - alpha, successes + 1, n - successes))


def clopper_pearson(successes: int, n: int, alpha: float) -> tuple[float, float]:
    """Exact interval whose two ends are each a one-sided bound at 1 - alpha (so 1 - 2 alpha between them)."""
    return rate_lower(successes, n, alpha), rate_upper(successes, n, alpha)


def mcnemar(worse: int, better: int) -> float:
    """Exact one-sided p that pairs get worse no more often than better: a binomial test on the discordant pairs.

    Source: McNemar, Psychometrika 12 (1947), in its exact form. 1.0 without discordant pairs.
    """
    from swapgate.gates.tails import binom

    if worse < 0 or better < 0:
        raise ValueError(f"counts of pairs cannot be negative: worse={worse}, better={better}")
    return float(binom.sf(worse - 1, worse + better, 0.5)) if worse + better else 1.0


def paired_p(worse: int, better: int, n: int, margin: float) -> float:
    """The p of the claim "the rate fell by `margin` or more", from n pairs; small means that the fall is shown to be smaller.

    Exact and unconditional: outcomes are ordered by the score statistic of Tango (Statistics in Medicine 17, 1998),
    and the probability is the largest over all rates of improvement that the margin allows (Chan, 1998).
    Above EXACT_PAIRS pairs the score statistic's normal limit is used. `margin` in (-1, 1).
    """
    _check_counts(worse + better, n)
    if n > EXACT_PAIRS:
        from swapgate.gates.tails import norm

        return float(norm.cdf(paired_score(np.array([worse]), np.array([better]), n, margin)[0]))
    return _exact_paired_p(worse, better, n, margin)


@lru_cache(maxsize=4096)
def paired_upper(worse: int, better: int, n: int, alpha: float) -> float:
    """Upper bound at confidence 1 - alpha of how far a rate fell, (worse - better) / n over n pairs; in [-1, 1].

    The largest margin that `paired_p` does not reject. Without discordant pairs it is 1 - alpha^(1/n)
    up to the grid over rates of improvement: 4.9 points for 60 pairs, 25.9 points for 10 (alpha 0.05).
    """
    low, high = (worse - better) / n, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if paired_p(worse, better, n, middle) > alpha else (low, middle)
    return high


def conformal_limit(null: Sequence[float], alpha: float) -> float:
    """The value that a further draw like `null` exceeds with probability at most alpha; the largest one when n is small.

    The ceil((n + 1)(1 - alpha))-th smallest value. With n < 1/alpha - 1 no finite value has that level: the maximum
    is returned, which is exceeded with probability 1 / (n + 1). Only exchangeability is assumed, so a null with two
    modes is fine. Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005), ch. 2.
    """
    if not null:
        raise ValueError("a conformal limit needs at least one null value")
    return sorted(null)[conformal_rank(len(null), alpha) - 1]


def conformal_rank(n: int, alpha: float) -> int:
    """Which of n ascending null values is the conformal limit (1 = smallest)."""
    return min(n, math.ceil(round((n + 1) * (1 - alpha), 9)))


def exceedance_p(beyond: int, m: int, n: int, rank: int) -> float:
    """The p that at least `beyond` of m new values exceed the `rank`-th smallest of n null values, if all are exchangeable.

    It counts that the m values are held against one and the same measured limit, which a binomial test would not.
    Source: the exceedance tests of Rosenbaum, Annals of Mathematical Statistics 25 (1954).
    """
    from swapgate.gates.tails import hypergeom

    if not 1 <= rank <= n or not 0 <= beyond <= m:
        raise ValueError(f"rank {rank} of {n} or count {beyond} of {m} is out of range")
    if beyond == 0:
        return 1.0
    top = beyond + n - rank
    return float(hypergeom.sf(beyond - 1, n + m, m, top))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that bound the chance of any false alarm. Source: Holm, Scandinavian Journal of Statistics 6 (1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for position, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - position) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that bound the share of false alarms. Source: Benjamini and Hochberg, JRSS B 57 (1995)."""
    n = len(p_values)
    order = sorted(range(n), key=lambda i: p_values[i], reverse=True)
    adjusted, smallest = [0.0] * n, 1.0
    for position, i in enumerate(order):
        smallest = min(smallest, p_values[i] * n / (n - position))
        adjusted[i] = smallest
    return adjusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Discordance:
    """How n pairs of yes/no answers differ: `worse` turned from yes to no, `better` from no to yes."""

    worse: int
    better: int
    n: int

    @property
    def change(self) -> float:
        """The change of the rate in [-1, 1]; negative is worse."""
        return (self.better - self.worse) / self.n

    def times(self, factor: float) -> Discordance:
        """The counts that as many pairs times `factor` would show at the same rates."""
        return Discordance(worse=round(self.worse * factor), better=round(self.better * factor), n=math.ceil(self.n * factor))


@lru_cache(maxsize=65536)
def _exact_paired_p(worse: int, better: int, n: int, margin: float) -> float:
    from scipy.special import xlogy

    b, c, coefficient = _outcomes(n)
    chosen = paired_score(b, c, n, margin) <= paired_score(np.array([worse]), np.array([better]), n, margin)[0] + 1e-9
    b, c, coefficient = b[chosen], c[chosen], coefficient[chosen]
    q = np.linspace(max(0.0, -margin), (1 - margin) / 2, _NUISANCE_STEPS)[:, None]
    same = np.clip(1 - 2 * q - margin, 0.0, 1.0)
    log_p = coefficient + xlogy(b, np.clip(q + margin, 0.0, 1.0)) + xlogy(c, q) + xlogy(n - b - c, same)
    return float(np.exp(log_p).sum(axis=1).max())


@lru_cache(maxsize=8)
def _outcomes(n: int) -> tuple[Floats, Floats, Floats]:
    """Every (worse, better) that n pairs can show, with the log of its multinomial coefficient."""
    from scipy.special import gammaln

    b, c = (grid.ravel().astype(np.float64) for grid in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"))
    kept = b + c <= n
    b, c = b[kept], c[kept]
    return b, c, gammaln(n + 1) - gammaln(b + 1) - gammaln(c + 1) - gammaln(n - b - c + 1)


def paired_score(worse: Floats, better: Floats, n: int, margin: float) -> Floats:
    """Tango's score statistic of "the rate fell by exactly margin", with the improvement rate at its likelihood maximum."""
    linear = -worse - better + (2 * n - worse + better) * margin
    constant = -better * margin * (1 - margin)
    q = (np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * q + margin * (1 - margin))
    return np.asarray((worse - better - n * margin) / np.sqrt(np.maximum(variance, 1e-12)))


def _check_counts(successes: int, n: int) -> None:
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a rate needs 0 <= count <= n and n >= 1, got {successes} of {n}")
