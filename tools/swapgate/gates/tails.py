"""Tails of the common distributions, from scipy.special alone.

scipy.stats has them all, and takes a second to import; a plan and the judging of a recorded run would wait for it. Names, argument
order and meaning are those of scipy.stats, against which each is tested. Arguments may be arrays where scipy.stats takes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Values = Any  # a number, or an array of them


class binom:  # noqa: N801 - the names of scipy.stats
    """The number of successes in n tries of probability p."""

    @staticmethod
    def pmf(k: Values, n: Values, p: Values) -> Any:
        """The chance of exactly k."""
        from scipy.special import gammaln, xlog1py, xlogy

        count, tries = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
        ways = gammaln(tries + 1) - gammaln(count + 1) - gammaln(tries - count + 1)
        return np.exp(ways + xlogy(count, p) + xlog1py(tries - count, -np.asarray(p)))

    @staticmethod
    def sf(k: Values, n: Values, p: Values) -> Any:
        """The chance of more than k: the incomplete beta function of k + 1 and n - k."""
        from scipy.special import betainc

        count, tries = np.floor(np.asarray(k, dtype=np.float64)), np.asarray(n, dtype=np.float64)
        inside = betainc(np.maximum(count + 1, 1), np.maximum(tries - count, 1), p)
        return np.where(count < 0, 1.0, np.where(count >= tries, 0.0, inside))

    @staticmethod
    def isf(q: float, n: Values, p: float) -> Any:
        """The fewest k that are exceeded with a chance of q at most; q in (0, 1)."""
        from scipy.special import bdtrik

        tries = np.asarray(n, dtype=np.float64)
        guess = np.ceil(np.nan_to_num(bdtrik(1 - q, np.maximum(tries, 1), p)))
        guess = np.clip(guess, 0, tries)
        fewer = np.maximum(guess - 1, 0)
        guess = np.where((guess > 0) & (binom.sf(fewer, tries, p) <= q), fewer, guess)
        return np.where(binom.sf(guess, tries, p) > q, guess + 1, guess)


class norm:  # noqa: N801
    """The standard normal distribution."""

    @staticmethod
    def cdf(x: Values) -> Any:
        """The chance of at most x."""
        from scipy.special import ndtr

        return ndtr(x)

    @staticmethod
    def sf(x: Values) -> Any:
        """The chance of more than x."""
        from scipy.special import ndtr

        return ndtr(-np.asarray(x))

    @staticmethod
    def isf(q: Values) -> Any:
        """The value that is exceeded with chance q."""
        from scipy.special import ndtri

        return -ndtri(q)


class t:  # noqa: N801
    """Student's t with `df` degrees of freedom."""

    @staticmethod
    def sf(x: Values, df: Values) -> Any:
        """The chance of more than x."""
        from scipy.special import stdtr

        return stdtr(df, -np.asarray(x))

    @staticmethod
    def isf(q: Values, df: Values) -> Any:
        """The value that is exceeded with chance q."""
        from scipy.special import stdtrit

        return -stdtrit(df, q)


class chi2:  # noqa: N801
    """The sum of `df` squared normal values."""

    @staticmethod
    def ppf(q: Values, df: Values) -> Any:
        """The value that is not exceeded with chance q."""
        from scipy.special import gammaincinv

        return 2 * gammaincinv(np.asarray(df) / 2, q)


class beta:  # noqa: N801
    """The beta distribution on (0, 1)."""

    @staticmethod
    def ppf(q: Values, a: Values, b: Values) -> Any:
        """The value that is not exceeded with chance q."""
        from scipy.special import betaincinv

        return betaincinv(a, b, q)


class hypergeom:  # noqa: N801
    """How many of N drawn without putting back are among the n marked of M."""

    @staticmethod
    def sf(k: int, M: int, n: int, N: int) -> float:  # noqa: N803
        """The chance of more than k, summed over the counts above it."""
        from scipy.special import gammaln

        counts = np.arange(max(k + 1, 0, N + n - M), min(n, N) + 1, dtype=np.float64)

        def ways(all_of: float, some: Floats) -> Floats:
            return np.asarray(gammaln(all_of + 1) - gammaln(some + 1) - gammaln(all_of - some + 1))

        drawn = ways(M, np.array(float(N)))
        return float(min(1.0, np.exp(ways(n, counts) + ways(M - n, N - counts) - drawn).sum()))
