"""Resampling statistics against scipy and by simulation of their error rates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from swapgate.gates import resampling


def ratio(ours: np.ndarray, theirs: np.ndarray, *, interleaved: bool = False, alpha: float = 0.05) -> resampling.Estimate:
    """The ratio with few draws, for simulations."""
    return resampling.ratio_of_medians(ours, theirs, alpha=alpha, draws=400, seed=0, interleaved=interleaved)


def test_the_bootstrap_of_a_ratio_agrees_with_scipys() -> None:
    """On independent calls the bounds are near scipy's percentile bootstrap of the same statistic."""
    generator = np.random.default_rng(0)
    ours, theirs = generator.lognormal(0.1, 0.05, 60), generator.lognormal(0, 0.05, 60)
    found = resampling.ratio_of_medians(ours, theirs, alpha=0.05, draws=4000, seed=0)
    scipys = stats.bootstrap(
        (ours, theirs),
        lambda a, b, axis: np.median(a, axis=axis) / np.median(b, axis=axis),
        method="percentile",
        confidence_level=0.9,
        n_resamples=4000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.effect == pytest.approx(np.median(ours) / np.median(theirs))
    assert (found.low, found.high) == pytest.approx((scipys.low, scipys.high), abs=0.008)


@pytest.mark.parametrize(("n", "spread"), [(10, 0.03), (30, 0.05)])
def test_the_ratios_lower_bound_errs_about_as_often_as_it_says(n: int, spread: float) -> None:
    """Under A/A the 5 % lower bound exceeds 1 in 5 %, give or take what blocks cost in small samples."""
    generator = np.random.default_rng(n)
    above = [ratio(*np.exp(generator.normal(0, spread, (2, n)))).low > 1 for _ in range(300)]
    assert 0.01 <= np.mean(above) <= 0.11


def test_interleaved_arms_are_spared_a_common_drift() -> None:
    """A drift of 10 % that both arms share widens separate bounds and leaves those of arms in turn narrow."""
    generator = np.random.default_rng(4)
    slow = np.linspace(1, 1.1, 40)
    ours, theirs = slow * np.exp(generator.normal(0, 0.005, 40)), slow * np.exp(generator.normal(0, 0.005, 40))
    apart, turns = ratio(ours, theirs), ratio(ours, theirs, interleaved=True)
    assert turns.high - turns.low < 0.5 * (apart.high - apart.low)


def test_blocks_keep_autocorrelated_calls_honest() -> None:
    """With AR(1) noise of 0.6 the block bootstrap errs less often than drawing single calls would."""
    generator = np.random.default_rng(5)
    noise = np.zeros((2, 300, 64))
    for step in range(1, 64):
        noise[..., step] = 0.6 * noise[..., step - 1] + generator.normal(0, 0.02, (2, 300))
    times = np.exp(noise)
    blocks = np.mean([ratio(a, b).low > 1 for a, b in zip(*times, strict=True)])
    single = generator.integers(0, 64, (2, 300, 64))
    plain = np.mean([np.quantile(np.median(a[single[0]], axis=1) / np.median(b[single[1]], axis=1), 0.05) > 1 for a, b in zip(*times, strict=True)])
    assert blocks < plain
    assert blocks <= 0.13


def test_the_ratios_p_is_small_only_when_slower() -> None:
    """Far below any draw for +20 %, one for -20 %; and against a limit above the effect there is no evidence."""
    generator = np.random.default_rng(6)
    fast, slow = generator.lognormal(0, 0.02, 20), generator.lognormal(0.18, 0.02, 20)
    assert ratio(slow, fast).p_below(1.0, log=True) < 1e-4
    assert ratio(fast, slow).p_below(1.0, log=True) == 1.0
    assert ratio(slow, fast).p_below(1.5, log=True) == 1.0


def test_two_calls_prove_nothing_and_samples_without_spread_leave_no_doubt() -> None:
    """One block has no spread to speak of; a clock that shows the same every time is taken at its word."""
    assert ratio([2.0], [1.0]).p_below(1.05, log=True) == 1.0
    assert ratio([2.0] * 12, [1.0] * 12).p_below(1.05, log=True) < 1e-12
    assert ratio([1.0] * 12, [1.0] * 12).p_below(1.05, log=True) == 1.0


@pytest.mark.parametrize("level", [0.05, 0.01, 0.001])
def test_the_ratios_p_keeps_its_level(level: float) -> None:
    """2,000 pairs of equal samples of 30: p falls below the level no more often than that, but for what 2,000 can show."""
    generator = np.random.default_rng(11)
    made = generator.lognormal(0, 0.05, (2000, 2, 30))
    found = [resampling.ratio_of_medians(a, b, alpha=0.05, draws=200, seed=1).p_below(1.0, log=True) for a, b in made]
    allowed = level * 2000
    assert sum(p <= level for p in found) <= allowed + 3 * allowed**0.5 + 3


def test_a_ratio_of_times_refuses_what_no_clock_shows() -> None:
    """Zero, negative and missing times are a broken meter."""
    for bad in ([0.0, 1.0], [-1.0, 1.0], [], [float("nan"), 1.0]):
        with pytest.raises(ValueError, match=r"positive|at least one"):
            resampling.ratio_of_medians(bad, [1.0, 1.0], alpha=0.05, draws=500, seed=0)


def test_a_seed_repeats_every_digit() -> None:
    """A replayed run gives the same verdict."""
    values = list(np.random.default_rng(7).lognormal(0, 0.1, 25))
    first, second = (resampling.median_bounds(values, alpha=0.01, draws=500, seed=3) for _ in range(2))
    assert first == second
    assert first.low <= first.effect == np.median(values) <= first.high


def test_the_difference_of_medians_covers_its_truth() -> None:
    """The 5 % bounds lie on the right side of a true difference of 2 in about 95 %."""
    generator = np.random.default_rng(8)
    found = [
        resampling.difference_of_medians(generator.normal(5, 1, 30), generator.normal(3, 1, 30), alpha=0.05, draws=400, seed=1) for _ in range(200)
    ]
    assert np.mean([one.low > 2 for one in found]) <= 0.1
    assert np.mean([one.high < 2 for one in found]) <= 0.1


def test_theil_sen_is_scipys_slope_with_its_bounds() -> None:
    """Slope and Sen's bounds as scipy's, and the median of all pairwise slopes by hand."""
    generator = np.random.default_rng(9)
    x = np.arange(30.0)
    y = 0.4 * x + generator.normal(0, 3, 30)
    found = resampling.theil_sen(x, y, alpha=0.05, draws=1000, seed=0)
    slopes = [(y[j] - y[i]) / (x[j] - x[i]) for i, j in itertools.combinations(range(30), 2)]
    theirs = stats.theilslopes(y, x, alpha=0.9)
    assert found.slope == pytest.approx(np.median(slopes))
    assert (found.low, found.high) == pytest.approx((theirs.low_slope, theirs.high_slope))


def test_the_slopes_permutation_p_is_that_of_spearmans_test() -> None:
    """The same statistic, so about the same p as scipy's exact-by-permutation Spearman test."""
    generator = np.random.default_rng(10)
    x, y = np.arange(20.0), np.arange(20.0) * 0.05 + generator.normal(0, 1, 20)
    theirs = stats.permutation_test(
        (y,),
        lambda v: stats.spearmanr(x, v).statistic,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=999,
        rng=np.random.default_rng(1),
    ).pvalue
    assert resampling.theil_sen(x, y, alpha=0.05, draws=4000, seed=0).p == pytest.approx(theirs, abs=0.05)


def test_a_level_line_has_no_slope_and_no_doubt() -> None:
    """Allocated bytes that repeat exactly have slope 0 within [0, 0]."""
    found = resampling.theil_sen(range(20), [7.0] * 20, alpha=0.05, draws=500, seed=0)
    assert (found.slope, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_a_slope_needs_two_different_x() -> None:
    """All calls at the same count of images say nothing of growth."""
    with pytest.raises(ValueError, match="two different x"):
        resampling.theil_sen([3, 3], [1, 2], alpha=0.05, draws=500, seed=0)


def test_sign_flips_of_single_pairs_are_scipys_paired_permutation_test() -> None:
    """With every pair its own cluster all sign patterns are enumerated, as scipy does."""
    values = np.random.default_rng(11).normal(0.4, 1, 10)
    theirs = stats.permutation_test(
        (values, np.zeros(10)), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", alternative="greater", n_resamples=np.inf
    ).pvalue
    found = resampling.sign_flip(values, range(10), alpha=0.05, draws=1000, seed=0)
    assert found.p_above == pytest.approx(theirs)
    assert found.mean == pytest.approx(values.mean())


def test_the_bounds_of_sign_flips_agree_with_their_test() -> None:
    """A shift to just inside a bound is not rejected, and to just outside it is."""
    values, clusters = np.random.default_rng(12).normal(0.4, 1, 20), np.repeat(range(10), 2)
    found = resampling.sign_flip(values, clusters, alpha=0.05, draws=1000, seed=0)
    inside = resampling.sign_flip(values - found.low - 1e-6, clusters, alpha=0.05, draws=1000, seed=0)
    outside = resampling.sign_flip(values - found.low + 1e-6, clusters, alpha=0.05, draws=1000, seed=0)
    assert inside.p_above > 0.05 >= outside.p_above


@pytest.mark.parametrize("clusters", [10, 20])
def test_flipping_whole_clusters_keeps_the_error_rate_where_pairs_are_alike(clusters: int) -> None:
    """Four pairs share a prompt's effect: clustered flips err in 5 %, flips of single pairs far more often."""
    generator = np.random.default_rng(13)
    owner = np.repeat(np.arange(clusters), 4)
    rejected = {"prompts": 0, "pairs": 0}
    for _ in range(300):
        values = generator.normal(0, 1, clusters)[owner] + generator.normal(0, 0.5, len(owner))
        rejected["prompts"] += resampling.sign_flip(values, owner, alpha=0.05, draws=500, seed=0).p_above <= 0.05
        rejected["pairs"] += resampling.sign_flip(values, range(len(owner)), alpha=0.05, draws=500, seed=0).p_above <= 0.05
    assert rejected["prompts"] <= 0.085 * 300
    assert rejected["pairs"] > 1.5 * rejected["prompts"]


def test_too_few_clusters_leave_the_bounds_open() -> None:
    """Four clusters have sixteen sign patterns, which cannot show anything at 5 %."""
    found = resampling.sign_flip([1.0, 2.0, 3.0, 4.0], range(4), alpha=0.05, draws=500, seed=0)
    assert (found.low, found.high, found.p_above) == (-np.inf, np.inf, 1 / 16)


def test_differences_of_zero_are_bounded_at_zero() -> None:
    """Equal arms have an exact answer."""
    found = resampling.sign_flip([0.0] * 8, range(8), alpha=0.05, draws=500, seed=0)
    assert (found.mean, found.low, found.high, found.p_above, found.p_below) == (0.0, 0.0, 0.0, 1.0, 1.0)


def test_every_difference_needs_its_cluster() -> None:
    """A list of labels of another length is a caller's mistake."""
    with pytest.raises(ValueError, match="cluster labels"):
        resampling.sign_flip([1.0, 2.0], ["a"], alpha=0.05, draws=500, seed=0)
