"""Exact statistics against scipy, full enumeration and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from swapgate.gates import statistics as exact

COUNTS = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, st.sampled_from([0.01, 0.05, 0.1]))
def test_clopper_pearson_is_scipys_exact_interval(counts: tuple[int, int], alpha: float) -> None:
    """Our two one-sided bounds are the ends of scipy's exact interval at 1 - 2 alpha."""
    k, n = counts
    theirs = stats.binomtest(k, n).proportion_ci(confidence_level=1 - 2 * alpha, method="exact")
    assert exact.clopper_pearson(k, n, alpha) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_rate_of_nothing_is_refused() -> None:
    """Zero images have no rate, and more successes than images neither."""
    for k, n in [(0, 0), (3, 2), (-1, 5)]:
        with pytest.raises(ValueError, match="a rate needs"):
            exact.rate_upper(k, n, 0.05)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test_on_discordant_pairs(worse: int, better: int) -> None:
    """One-sided and exact; 1 when no pair differs."""
    theirs = stats.binomtest(worse, worse + better, 0.5, alternative="greater").pvalue if worse + better else 1.0
    assert exact.mcnemar(worse, better) == pytest.approx(theirs)


def test_mcnemar_refuses_negative_counts() -> None:
    """A negative count is a caller's mistake, not a probability."""
    with pytest.raises(ValueError, match="negative"):
        exact.mcnemar(-1, 2)


@pytest.mark.parametrize(("n", "bound"), [(60, 4.87), (10, 25.89), (48, 6.05)])
def test_pairs_without_a_discordant_one_bound_a_fall_as_a_rate_of_zero_does(n: int, bound: float) -> None:
    """The figures that the floors of the policy were chosen by."""
    assert 100 * exact.paired_upper(0, 0, n, 0.05) == pytest.approx(bound, abs=0.01)
    assert bound == pytest.approx(100 * (1 - 0.05 ** (1 / n)), abs=0.01)


@pytest.mark.parametrize("truth", [(0.1, 0.0), (0.15, 0.05), (0.3, 0.3), (0.02, 0.2), (0.5, 0.1), (0.05, 0.05)])
def test_the_bound_of_a_paired_fall_covers_its_truth_at_every_sample(truth: tuple[float, float]) -> None:
    """By enumeration of all outcomes of 25 pairs the bound lies below the truth in at most alpha of the cases."""
    n, (p_worse, p_better) = 25, truth
    missed = sum(
        stats.multinomial.pmf([b, c, n - b - c], n, [p_worse, p_better, 1 - p_worse - p_better])
        for b in range(n + 1)
        for c in range(n + 1 - b)
        if exact.paired_upper(b, c, n, 0.05) < p_worse - p_better
    )
    assert missed <= 0.0502  # two ten-thousandths for the grid over the nuisance rate


def test_improvements_narrow_the_bound_of_a_fall() -> None:
    """Discordance in both directions speaks for equality; ignoring the better half would give 15.7 points for 12 and 12 of 120."""
    assert exact.paired_upper(12, 12, 120, 0.05) < 0.08 < exact.rate_upper(12, 120, 0.05)
    assert exact.paired_upper(0, 5, 24, 0.05) < 0


def test_the_asymptotic_bound_continues_the_exact_one() -> None:
    """Where enumeration ends, the bound jumps by less than two tenths of a point."""
    n = exact.EXACT_PAIRS
    assert exact.paired_upper(6, 6, n, 0.05) == pytest.approx(exact.paired_upper(6, 6, n + 1, 0.05), abs=0.002)


def test_the_score_statistic_maximises_the_likelihood() -> None:
    """Tango's closed form of the nuisance rate agrees with a search of the likelihood."""
    b, c, n, margin = 7, 4, 40, 0.1
    grid = np.linspace(1e-6, (1 - margin) / 2 - 1e-6, 200_001)
    best = grid[np.argmax(b * np.log(grid + margin) + c * np.log(grid) + (n - b - c) * np.log(1 - 2 * grid - margin))]
    theirs = (b - c - n * margin) / math.sqrt(n * (2 * best + margin * (1 - margin)))
    assert float(exact.paired_score(np.array([b]), np.array([c]), n, margin)[0]) == pytest.approx(theirs, abs=1e-4)


def test_the_conformal_limit_is_exceeded_no_more_often_than_promised() -> None:
    """Over null and new draws together the exceedance is alpha at n = 19 and 99, for one mode and for two."""
    generator = np.random.default_rng(1)
    for n in (19, 99):
        modes = np.where(generator.random((20_000, n + 1)) < 0.3, 5.0, 0.0) + generator.normal(0, 1, (20_000, n + 1))
        limit = np.sort(modes[:, :n], axis=1)[:, exact.conformal_rank(n, 0.05) - 1]
        assert np.mean(modes[:, n] > limit) == pytest.approx(0.05, abs=0.006)


def test_the_conformal_limit_of_a_small_null_is_its_maximum() -> None:
    """With fewer than 19 repeats no finite limit has 5 %."""
    assert exact.conformal_limit([3.0, 1.0, 2.0], 0.05) == 3.0
    assert exact.conformal_limit([float(i) for i in range(1, 20)], 0.05) == 19.0
    assert exact.conformal_limit([float(i) for i in range(1, 31)], 0.05) == 30.0
    assert exact.conformal_limit([float(i) for i in range(1, 40)], 0.05) == 38.0
    with pytest.raises(ValueError, match="at least one"):
        exact.conformal_limit([], 0.05)


def test_exceedances_of_one_measured_limit_have_their_simulated_probability() -> None:
    """Rosenbaum's probability is the share of simulated samples, and beyond the maximum it is a ratio of binomials."""
    generator, m, n, rank = np.random.default_rng(2), 12, 25, 24
    drawn = generator.random((40_000, m + n))
    limit = np.sort(drawn[:, :n], axis=1)[:, rank - 1]
    beyond = (drawn[:, n:] > limit[:, None]).sum(axis=1)
    for k in (1, 3, 6):
        assert exact.exceedance_p(k, m, n, rank) == pytest.approx(np.mean(beyond >= k), abs=0.01)
    assert exact.exceedance_p(4, m, n, n) == pytest.approx(math.comb(m, 4) / math.comb(m + n, 4))
    assert exact.exceedance_p(0, m, n, n) == 1.0
    with pytest.raises(ValueError, match="out of range"):
        exact.exceedance_p(13, m, n, n)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_benjamini_hochberg_is_scipys(p_values: list[float]) -> None:
    """The adjusted p-values agree with scipy's false discovery control."""
    assert exact.benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_its_step_down_rule_rejects(p_values: list[float]) -> None:
    """Independent form: reject the smallest while p <= alpha / (tests left), then stop."""
    alpha, left, rejected = 0.05, len(p_values), set()
    for i in sorted(range(len(p_values)), key=lambda i: p_values[i]):
        if p_values[i] * left > alpha:
            break
        rejected.add(i)
        left -= 1
    assert {i for i, p in enumerate(exact.holm(p_values)) if p <= alpha} == rejected


def test_holm_keeps_the_chance_of_any_false_alarm() -> None:
    """Ten true nulls a family: at least one rejection in 5 % of families."""
    drawn = np.random.default_rng(3).random((2000, 10))
    alarms = np.mean([min(exact.holm(list(row))) <= 0.05 for row in drawn])
    assert alarms == pytest.approx(0.05, abs=0.015)


@settings(deadline=None)
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n))))
def test_a_bound_of_a_fall_lies_above_the_fall(counts: tuple[int, int, int]) -> None:
    """The estimate is inside its own bounds, and more certainty widens them."""
    worse, better, n = counts[0], min(counts[1], counts[2] - counts[0]), counts[2]
    upper = exact.paired_upper(worse, better, n, 0.05)
    assert (worse - better) / n <= upper <= exact.paired_upper(worse, better, n, 0.01) + 1e-6


def test_discordance_scales_at_the_same_rates() -> None:
    """Planning further samples keeps the rates seen."""
    later = exact.Discordance(worse=2, better=1, n=20).times(3)
    assert (later.worse, later.better, later.n, later.change) == (6, 3, 60, -0.05)
