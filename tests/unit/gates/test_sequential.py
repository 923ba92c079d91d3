"""E-processes against their definitions, scipy's fixed-sample tests, and simulated sequences that are looked at after every pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from swapgate.gates import sequential as anytime
from swapgate.gates.statistics import mcnemar, paired_upper

RUNS = 20_000
COUNTS = st.tuples(st.integers(0, 80), st.integers(0, 80))
CHANGES = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=60)
NUMBERS = st.lists(st.floats(-5, 5, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=1, max_size=60)


def drawn(worse: float, better: float, *, runs: int = RUNS, n: int = 200, seed: int = 1) -> np.ndarray:
    """Sequences of independent pairs, [runs, n]."""
    u = np.random.default_rng(seed).random((runs, n), dtype=np.float32)
    return np.where(u < worse, -1.0, np.where(u < worse + better, 1.0, 0.0))


def ever(e_values: np.ndarray, alpha: float) -> float:
    """The share of sequences that cross 1/alpha at any time."""
    return float(np.mean(e_values.max(axis=1) >= 1 / alpha))


def keeps(e_values: np.ndarray, *alphas: float) -> bool:
    """Whether the upper end of the 99 % interval of the false alarms lies within alpha, for each alpha."""
    runs = len(e_values)
    hits = [(alpha, round(ever(e_values, alpha) * runs)) for alpha in alphas or (0.05, 0.01)]
    return all(stats.beta.ppf(0.995, hit + 1, runs - hit) <= alpha for alpha, hit in hits)


def stop(e_values: np.ndarray, alpha: float = 0.05) -> np.ndarray:
    """The place of the first crossing of 1/alpha, infinite where there is none."""
    crossed = e_values >= 1 / alpha
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1.0, np.inf)


# --- yes/no pairs: harm -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(COUNTS, st.sampled_from([1.0, 0.5, 3.0]))
def test_the_closed_form_of_harm_is_the_integral_of_the_bets(counts: tuple[int, int], prior: float) -> None:
    """The mixture over q in (1/2, 1] of (2q)^worse (2 - 2q)^better, by quadrature."""
    w, b = counts
    scale = w * math.log(2 * (w + b) / 2 / max(w + b, 1)) if w + b else 0.0

    def bet(q: float) -> float:
        return math.exp(w * math.log(2 * q) + b * math.log(2 * max(1 - q, 1e-300)) - scale) * stats.beta.pdf(q, prior, prior) * 2

    end = 1 - 1e-12
    theirs = integrate.quad(bet, 0.5, 0.9, limit=200)[0] + integrate.quad(bet, 0.9, end, limit=400)[0]
    assert math.log(float(anytime.pair_harm(w, b, prior=prior))) == pytest.approx(math.log(theirs) + scale, abs=2e-3)


@pytest.mark.parametrize("discordance", [0.06, 0.15])
def test_harm_is_claimed_in_no_more_than_alpha_of_equal_models_however_often_one_looks(discordance: float) -> None:
    """300 looks at 6/6 and 15/15 discordance; the same holds for gain."""
    found = anytime.pairs(drawn(discordance, discordance, n=300), 0.05)
    assert keeps(found.harm)
    assert keeps(found.gain)
    assert ever(found.harm, 0.05) > 0.015  # and the test is not idle


@pytest.mark.parametrize(("discordance", "expected"), [(0.06, 0.073), (0.15, 0.121)])
def test_a_fixed_test_looked_at_repeatedly_is_what_this_replaces(discordance: float, expected: float) -> None:
    """McNemar after each of 30 rounds of four cries wolf at 7 to 12 % instead of 5 %."""
    changes = drawn(discordance, discordance, n=120, runs=8000, seed=2)
    worse, better = np.cumsum(changes < 0, axis=1)[:, 3::4], np.cumsum(changes > 0, axis=1)[:, 3::4]
    p = stats.binom.sf(worse - 1, worse + better, 0.5)
    assert np.mean(np.where(worse + better > 0, p, 1.0).min(axis=1) <= 0.05) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(("worse", "better", "median", "late"), [(0.12, 0.02, 84, 166), (0.15, 0.05, 112, 280), (0.24, 0.02, 33, 61)])
def test_a_real_fall_is_found_at_the_expected_number_of_pairs(worse: float, better: float, median: int, late: int) -> None:
    """Median and ninth decile of the stop at alpha 0.05, which McNemar of fixed size needs 120 to 177 pairs for at power 0.9."""
    stops = stop(anytime.pairs(drawn(worse, better, n=600, runs=4000, seed=3), 0.05).harm)
    assert np.median(stops) == pytest.approx(median, rel=0.06)
    assert np.quantile(stops, 0.9) == pytest.approx(late, rel=0.1)


@settings(deadline=None)
@given(COUNTS)
def test_harm_shown_at_any_time_is_harm_to_the_fixed_test_too(counts: tuple[int, int]) -> None:
    """At equal alpha the e-process is never surer than exact McNemar, and it never points the other way."""
    w, b = counts
    p = 1 / float(anytime.pair_harm(w, b)) if anytime.pair_harm(w, b) > 0 else 1.0
    assert min(p, 1.0) >= mcnemar(w, b) * 0.999
    if p <= 0.5:
        assert w > b


# --- yes/no pairs: no harm --------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(CHANGES, st.floats(0.01, 0.9))
def test_the_bets_on_no_harm_are_the_products_of_their_definition(changes: list[float], margin: float) -> None:
    """From the counts alone, as from the sequence itself through the test of a bounded mean."""
    found = anytime.pairs(changes, margin).no_harm
    assert found == pytest.approx(anytime.bounded(changes, margin).no_harm, rel=1e-9, abs=1e-12)
    shares, weights = np.array(anytime._BETS), np.array(anytime._BET_WEIGHTS)
    bets = 1 + shares[:, None] * (np.array(changes) + margin) / (1 - margin)
    assert found[-1] == pytest.approx(weights / weights.sum() @ np.prod(bets, axis=1), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("worse", "better", "margin"), [(0.05, 0.0, 0.05), (0.15, 0.1, 0.05), (0.4, 0.1, 0.3)])
def test_a_fall_as_large_as_the_margin_is_passed_in_at_most_alpha(worse: float, better: float, margin: float) -> None:
    """At the edge of the null, over 200 looks."""
    assert keeps(anytime.pairs(drawn(worse, better, n=200, seed=4), margin).no_harm)


@pytest.mark.parametrize(("margin", "fixed", "needed"), [(0.05, 59, 76), (0.1, 29, 37), (0.3, 9, 11)])
def test_pairs_without_a_worse_one_pass_soon_after_the_fixed_test_would(margin: float, fixed: int, needed: int) -> None:
    """The price of looking, in pairs: a quarter more than the rule of three's exact form."""
    assert math.ceil(math.log(0.05) / math.log(1 - margin)) == fixed
    n = np.arange(1, 200)
    assert n[np.argmax(anytime.pair_no_harm(0, 0, n, margin) >= 20)] == needed


@settings(deadline=None)
@given(COUNTS, st.integers(1, 100), st.floats(0.02, 0.5))
def test_a_wider_margin_is_passed_sooner_and_a_worse_pair_never_helps(counts: tuple[int, int], equal: int, margin: float) -> None:
    """Monotone in the margin and in the answers."""
    w, b = counts
    n = w + b + equal
    here = anytime.pair_no_harm(w, b, n, margin)
    assert anytime.pair_no_harm(w, b, n, margin + 0.1) >= here
    assert anytime.pair_no_harm(w + 1, b, n, margin) <= here
    assert anytime.pair_no_harm(w, b + 1, n, margin) >= here


@pytest.mark.parametrize("rates", [(0.06, 0.06), (0.12, 0.02)])
def test_the_bounds_of_a_fall_hold_at_all_times_together(rates: tuple[float, float]) -> None:
    """Each side misses the true fall at any of 120 looks in at most alpha of the runs, and bounds only narrow."""
    changes = drawn(*rates, n=120, runs=500, seed=5)
    low, high = anytime.fall_bounds(np.cumsum(changes < 0, axis=1), np.cumsum(changes > 0, axis=1), np.arange(1, 121), 0.05)
    fall = rates[0] - rates[1]
    assert np.mean((high < fall - 1e-9).any(axis=1)) <= 0.05
    assert np.mean((low > fall + 1e-9).any(axis=1)) <= 0.05
    assert (np.diff(high, axis=1) <= 0).all()
    assert (np.diff(low, axis=1) >= 0).all()


@settings(deadline=None, max_examples=50)
@given(COUNTS, st.integers(0, 60))
def test_the_bounds_of_a_fall_are_where_its_test_turns(counts: tuple[int, int], equal: int) -> None:
    """The upper bound is the margin that is just passed; it is wider than that of a fixed sample, and contains the estimate."""
    w, b = counts
    n = max(1, w + b + equal)
    low, high = anytime.fall_bounds(w, b, n, 0.05)
    assert low[0] - 1e-6 <= (w - b) / n <= high[0] + 1e-6
    if 0.02 < high[0] < 0.98:
        assert anytime.pair_no_harm(w, b, n, float(high[0]) + 1e-6) >= 20 * 0.999
        assert anytime.pair_no_harm(w, b, n, float(high[0]) - 1e-3) < 20
    if n <= 40:
        assert high[0] >= paired_upper(w, b, n, 0.05) - 0.01


# --- means in [-1, 1] and clusters ------------------------------------------------------------------------------------


def one_sided_answers(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Mean -0.1, skewed: a tenth of the pairs carries all of the harm."""
    return np.where(generator.random(shape) < 0.1, -1.0, 0.0)


def test_a_bounded_mean_needs_no_symmetry_and_signs_do() -> None:
    """Harm in every tenth pair: `bounded` keeps its level at a mean of -0.1, while signs pass half of the runs."""
    changes = one_sided_answers(np.random.default_rng(6), (RUNS, 100))
    assert keeps(anytime.mean_above(changes, -0.1))
    assert ever(anytime.flips(changes[:500], 0.1).no_harm, 0.05) > 0.4


def test_answers_of_one_prompt_are_one_observation() -> None:
    """Prompts of four seeds that fail together: as single pairs they cry wolf, as block means they do not."""
    generator = np.random.default_rng(7)
    prompts = generator.choice([-1.0, 0.0, 1.0], p=[0.15, 0.7, 0.15], size=(RUNS, 40))
    alone = np.repeat(prompts, 4, axis=1)
    assert ever(anytime.pairs(alone, 0.05).harm, 0.05) > 0.08
    assert keeps(anytime.mean_above(-prompts, 0.0))
    assert keeps(anytime.centre_above(-4 * prompts))


def test_rounds_over_fixed_prompts_keep_the_level_where_prompts_gain_and_lose() -> None:
    """Six of twelve prompts got worse in 30 % of their seeds and six better: the rate stayed, and 30 rounds say so, as blocks and in turn."""
    lot = np.random.default_rng(16).random((RUNS, 30, 12), dtype=np.float32)
    rounds = np.where(lot < 0.3, np.resize([-1.0, 1.0], 12), 0.0)
    assert keeps(anytime.centre_above(-rounds.sum(axis=2)))
    assert keeps(anytime.pairs(rounds[:5000].reshape(5000, 360), 0.05).harm, 0.05)


def test_blocks_of_answers_find_a_fall_by_their_signs_nearly_as_soon_as_pairs() -> None:
    """12/2 discordance in rounds of four: in pairs, signs of block sums stop at about 90, single pairs at 84, bets on block means late."""
    changes = drawn(0.12, 0.02, runs=2000, n=480, seed=17).reshape(2000, 120, 4)
    assert 4 * np.median(stop(anytime.centre_above(-changes.sum(axis=2)))) == pytest.approx(90, abs=8)
    assert 4 * np.median(stop(anytime.mean_above(-changes.mean(axis=2), 0.0))) > 150


def test_blocks_are_sums_of_clusters_in_the_order_of_their_first_value() -> None:
    """Labels of any kind; the floor of unequal blocks counts their sizes."""
    sums, sizes = anytime.blocks([1.0, 2.0, 3.0, -1.0], ["b", "a", "b", "c"])
    assert sums.tolist() == [4.0, 2.0, -1.0]
    assert sizes.tolist() == [2.0, 1.0, 1.0]
    assert anytime.flips(sums, 0.5, sizes).change[-1] == pytest.approx(5 / 4)
    with pytest.raises(ValueError, match="cluster labels"):
        anytime.blocks([1.0], [1, 2])


# --- signs ------------------------------------------------------------------------------------------------------------

SYMMETRIC = {
    "normal": lambda g, shape: g.normal(size=shape),
    "cauchy": lambda g, shape: g.standard_cauchy(shape),
    "three degrees of freedom": lambda g, shape: g.standard_t(3, shape),
    "two modes": lambda g, shape: g.choice([-1.0, 1.0], size=shape) + 0.01 * g.normal(size=shape),
    "growing scale": lambda g, shape: g.normal(size=shape) * np.exp(np.linspace(0, 5, shape[1])),
    "mostly equal": lambda g, shape: np.where(g.random(shape) < 0.7, 0.0, g.normal(size=shape)),
}


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_signs_keep_their_level_for_every_symmetric_law(kind: str) -> None:
    """80 looks; tails, modes and scale do not matter, and neither does a centre on the harmless side."""
    values = SYMMETRIC[kind](np.random.default_rng(8), (RUNS, 80))
    assert keeps(anytime.centre_above(values))
    assert ever(anytime.centre_above(values[:4000] - 0.3), 0.05) <= ever(anytime.centre_above(values[:4000]), 0.05) + 1e-9


def test_correlated_clusters_are_flipped_as_wholes() -> None:
    """Intra-cluster correlation of 0.5 over four seeds: single differences cry wolf, block sums do not."""
    generator = np.random.default_rng(9)
    single = generator.normal(size=(RUNS, 40, 4)) + generator.normal(size=(RUNS, 40, 1))
    assert ever(anytime.centre_above(single[:4000].reshape(4000, 160)), 0.05) > 0.08
    assert keeps(anytime.centre_above(single.sum(axis=2)))


def test_differences_that_follow_each_other_are_outside_the_model() -> None:
    """AR(1) of 0.6 foretells the sign, and three in ten runs cry wolf; blocks much longer than the memory keep the level."""
    noise = np.random.default_rng(10).normal(size=(4000, 150))
    for i in range(1, 150):
        noise[:, i] = 0.6 * noise[:, i - 1] + 0.8 * noise[:, i]
    assert ever(anytime.centre_above(noise), 0.05) == pytest.approx(0.3, abs=0.04)
    assert ever(anytime.centre_above(noise.reshape(4000, 15, 10).sum(axis=2)), 0.05) <= 0.05


def test_no_harm_of_differences_is_claimed_in_no_more_than_alpha_at_the_floor() -> None:
    """Centre at -floor exactly."""
    values = np.random.default_rng(12).standard_t(4, (RUNS, 80)) - 0.25
    assert keeps(anytime.centre_above(values + 0.25))
    assert anytime.flips(values[:9], 0.25).no_harm == pytest.approx(anytime.centre_above(values[:9] + 0.25))


@pytest.mark.parametrize(("shift", "median"), [(0.25, 123), (0.5, 31), (1.0, 10), (2.0, 6)])
def test_a_shift_of_normal_differences_is_found_at_the_expected_number(shift: float, median: int) -> None:
    """Shift in standard deviations; a one-sided t test of fixed size needs 139, 36, 11 and 5 at power 0.9."""
    stops = stop(anytime.centre_above(np.random.default_rng(13).normal(shift, 1, (3000, 400))))
    assert np.median(stops) == pytest.approx(median, rel=0.1, abs=1)


@settings(deadline=None)
@given(NUMBERS, st.floats(1e-6, 1e6))
def test_signs_have_no_scale(values: list[float], scale: float) -> None:
    """Seconds or milliseconds, the e-value is the same."""
    theirs = anytime.centre_above(np.array(values) * scale)
    assert anytime.centre_above(values) == pytest.approx(theirs, rel=1e-6)


@settings(deadline=None)
@given(NUMBERS, st.integers(0, 10), st.integers(0, 60))
def test_equal_pairs_change_nothing(values: list[float], many: int, where: int) -> None:
    """Pairs without a difference, inserted anywhere, leave harm and gain as they were, of answers and of differences."""
    padded = [*values[:where], *[0.0] * many, *values[where:]]
    ours, theirs = anytime.flips(values, 0.1), anytime.flips(padded, 0.1)
    assert (ours.harm[-1], ours.gain[-1]) == pytest.approx((theirs.harm[-1], theirs.gain[-1]), rel=1e-9)
    ours, theirs = anytime.pairs(np.sign(values), 0.1), anytime.pairs(np.sign(padded), 0.1)
    assert (ours.harm[-1], ours.gain[-1]) == pytest.approx((theirs.harm[-1], theirs.gain[-1]), rel=1e-9)


def test_evidence_points_where_wilcoxons_test_points() -> None:
    """Of 200 samples, those that either test calls harmful at 0.05 have a mean below zero, and the fixed test finds no fewer."""
    values = np.random.default_rng(14).normal(-0.4, 1, (200, 40))
    ours = anytime.flips(values, 0.1).harm[:, -1] >= 20
    theirs = stats.wilcoxon(values, axis=1, alternative="less").pvalue <= 0.05
    assert (values.mean(axis=1)[ours | theirs] < 0).all()
    assert 0.25 < ours.mean() < theirs.mean()
    assert np.mean(theirs[ours]) > 0.95
