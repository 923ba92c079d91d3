"""What a plan promises, against published sample sizes and against the gates' own tests on simulated samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal, stats

from swapgate.gates import power
from swapgate.gates.power import Reach
from swapgate.gates.resampling import ratio_of_medians, sign_flip
from swapgate.gates.statistics import conformal_limit, conformal_rank, exceedance_p, mcnemar, paired_p, paired_upper

# --- paired rates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flips", "pairs"), [(0.0, 78), (0.01, 102), (0.02, 120), (0.03, 140), (0.05, 177)])
def test_the_pairs_that_ten_points_need_are_the_published_ones(flips: float, pairs: int) -> None:
    """One-sided 0.05 at power 0.9 without a floor; discordance from 10/0 to 15/5 per cent."""
    reach = power.paired_harm(60, alpha=0.05, floor=1e-9, flips=flips, wanted=0.1, chance=0.9)
    assert reach.needed == pairs
    assert not reach.enough
    assert reach.reason.endswith(f"10 points needs {pairs} pairs")


@pytest.mark.parametrize(("n", "alpha", "flips"), [(24, 0.05, 0.02), (60, 0.05, 0.0), (60, 0.001, 0.05), (200, 0.01, 0.1), (300, 0.05, 0.01)])
def test_the_smallest_fall_is_found_with_the_chance_promised(n: int, alpha: float, flips: float) -> None:
    """On 20,000 simulated samples judged as the gate judges them, p or floor binding; three points less are found less often."""
    reach = power.paired_harm(n, alpha=alpha, floor=0.05, flips=flips)
    assert reach.smallest is not None
    shares = [found_falls(n, reach.smallest / 100 - less, alpha, flips) for less in (0.0, 0.03)]
    assert shares[0] == pytest.approx(0.95, abs=0.006)
    assert shares[1] < 0.945


def found_falls(n: int, fall: float, alpha: float, flips: float) -> float:
    drawn = np.random.default_rng(1).multinomial(n, [flips + fall, flips, 1 - 2 * flips - fall], 20_000)
    outcomes, counts = np.unique(drawn, axis=0, return_counts=True)
    red = [mcnemar(int(w), int(b)) <= alpha and w - b > 0.05 * n + 1e-9 for w, b, _ in outcomes]
    return float(counts[red].sum() / counts.sum())


def test_too_few_pairs_find_no_fall_and_the_plan_says_how_many_would() -> None:
    """Four pairs cannot reach 0.05 by McNemar, five can if all of them get worse."""
    short = power.paired_harm(4, alpha=0.05, floor=0.05, flips=0.0, wanted=0.5)
    assert (short.smallest, short.enough) == (None, False)
    assert short.reason == f"4 pairs find nothing, however large; 50 points needs {short.needed} pairs"
    assert power.paired_harm(5, alpha=0.05, floor=0.05, flips=0.0).smallest == pytest.approx(100 * 0.95 ** (1 / 5), abs=0.01)


def test_a_wanted_change_within_the_floor_is_never_found() -> None:
    """However many pairs: the plan says so instead of naming a number."""
    reach = power.paired_harm(60, alpha=0.05, floor=0.05, flips=0.02, wanted=0.04)
    assert reach.needed is None
    assert "cannot be decided by more of them" in reach.reason


@settings(deadline=None, max_examples=25)
@given(st.integers(10, 200), st.floats(0, 0.1), st.sampled_from([0.05, 0.01]))
def test_more_flips_and_less_error_ask_for_larger_falls(n: int, flips: float, alpha: float) -> None:
    """Monotone in noise and in alpha, to within the saw of counts."""
    here = power.paired_harm(n, alpha=alpha, floor=0.05, flips=flips).smallest
    noisier = power.paired_harm(n, alpha=alpha, floor=0.05, flips=flips + 0.05).smallest
    surer = power.paired_harm(n, alpha=alpha / 10, floor=0.05, flips=flips).smallest
    assert here is not None
    assert noisier is None or noisier >= here - 1.5
    assert surer is None or surer >= here - 0.02


@pytest.mark.parametrize(("n", "flips"), [(60, 0.0), (24, 0.02), (60, 0.02), (70, 0.05)])
def test_the_margin_that_an_unchanged_model_passes_is_passed_by_the_gates_exact_test(n: int, flips: float) -> None:
    """Simulated outcomes judged by the exact test; without flips it is the bound that the policy's floors were chosen by."""
    reach = power.paired_pass(n, alpha=0.05, margin=0.05, flips=flips)
    assert reach.smallest is not None
    if flips == 0:
        assert reach.smallest == pytest.approx(100 * paired_upper(0, 0, n, 0.05), abs=0.01)
    drawn = np.random.default_rng(2).multinomial(n, [flips, flips, 1 - 2 * flips], 4000)
    outcomes, counts = np.unique(drawn, axis=0, return_counts=True)
    passed = [paired_p(int(w), int(b), n, reach.smallest / 100 + 1e-6) <= 0.05 for w, b, _ in outcomes]
    assert counts[passed].sum() / 4000 >= 0.94


def test_the_plan_of_a_pass_continues_past_the_exact_pairs() -> None:
    """120 pairs at 2 % flips by the score limit: the exact test passes as many within two hundredths; needed is enough."""
    n, flips, margin = 120, 0.02, 0.0722
    assert power.paired_pass_power(n, alpha=0.05, margin=margin, flips=flips) == pytest.approx(exact_pass(n, flips, margin), abs=0.02)
    reach = power.paired_pass(60, alpha=0.05, margin=0.05, flips=0.0)
    assert (reach.needed, reach.enough, reach.reason) == (59, True, "60 pairs exclude 4.87 points")
    assert power.paired_pass_power(58, alpha=0.05, margin=0.05, flips=0.0) == 0.0


def exact_pass(n: int, flips: float, margin: float) -> float:
    outcomes = [(w, b) for w in range(10) for b in range(10)]
    weight = [float(stats.multinomial.pmf([w, b, n - w - b], n, [flips, flips, 1 - 2 * flips])) for w, b in outcomes]
    passed = [one for one, (w, b) in zip(weight, outcomes, strict=True) if one > 1e-3 and paired_p(w, b, n, margin) <= 0.05]
    return sum(passed)


# --- times ------------------------------------------------------------------------------------------------------------


def calls(generator: np.random.Generator, n: int, cv: float, correlation: float, median: float = 1.0) -> list[float]:
    """Log-normal AR(1) times."""
    noise = signal.lfilter([math.sqrt(1 - correlation**2)], [1, -correlation], generator.normal(size=n + 50))[50:]
    return list(median * np.exp(math.sqrt(math.log1p(cv**2)) * noise))


@pytest.mark.parametrize(
    ("n", "cv", "correlation", "alpha"), [(20, 0.03, 0.0, 0.05), (40, 0.05, 0.0, 0.01), (20, 0.03, 0.0, 0.001), (60, 0.03, 0.5, 0.01)]
)
def test_the_slowdown_that_calls_show_is_found_by_the_bootstrap(n: int, cv: float, correlation: float, alpha: float) -> None:
    """At least the promised 95 % (less 3.5 % for 200 runs), and a slowdown half as far beyond the floor is found clearly less often."""
    reach = power.time_harm(n, alpha=alpha, floor=0.05, cv=cv, correlation=correlation)
    assert reach.smallest is not None
    assert found_slowdowns(n, reach.smallest / 100, alpha, cv, correlation) >= 0.915
    assert found_slowdowns(n, 0.05 + (reach.smallest / 100 - 0.05) / 2, alpha, cv, correlation) < 0.9


def found_slowdowns(n: int, slowdown: float, alpha: float, cv: float, correlation: float, runs: int = 200) -> float:
    found = 0
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        ours, theirs = calls(generator, n, cv, correlation, 1 + slowdown), calls(generator, n, cv, correlation)
        found += ratio_of_medians(ours, theirs, alpha=alpha, draws=300, seed=seed).p_below(1.05, log=True) <= alpha
    return found / runs


@pytest.mark.parametrize(("n", "cv", "alpha"), [(20, 0.03, 0.05), (40, 0.05, 0.01)])
def test_an_unchanged_model_passes_the_floor_that_its_calls_can_show(n: int, cv: float, alpha: float) -> None:
    """The percentile bound lies below the planned floor in about 95 % of 300 runs."""
    reach = power.time_pass(n, alpha=alpha, floor=0.05, cv=cv)
    assert reach.smallest is not None
    passed = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        found = ratio_of_medians(calls(generator, n, cv, 0.0), calls(generator, n, cv, 0.0), alpha=alpha, draws=600, seed=seed)
        passed += found.high < 1 + reach.smallest / 100
    assert passed / 300 == pytest.approx(0.95, abs=0.04)


def test_calls_needed_are_just_enough() -> None:
    """With one call less the wanted slowdown, or the floor, is out of reach (to within the steps of the blocks)."""
    needed = power.time_harm(5, alpha=0.01, floor=0.05, cv=0.03, wanted=0.1).needed
    assert needed is not None
    there = power.time_harm(needed, alpha=0.01, floor=0.05, cv=0.03, wanted=0.1)
    assert there.enough
    assert not power.time_harm(needed - 4, alpha=0.01, floor=0.05, cv=0.03, wanted=0.1).enough
    passes = power.time_pass(5, alpha=0.05, floor=0.05, cv=0.03)
    assert passes.needed is not None
    assert power.time_pass(passes.needed, alpha=0.05, floor=0.05, cv=0.03).enough


def test_correlated_calls_are_worth_fewer() -> None:
    """The variance of the median of AR(1) noise, simulated; without correlation every call counts."""
    assert power.effective(50, 0.0) == 50
    noise = signal.lfilter([0.8], [1, -0.6], np.random.default_rng(3).normal(size=(6000, 250)), axis=1)[:, 50:]
    shuffled = np.random.default_rng(4).normal(size=(6000, 200))
    ratio = np.median(noise, axis=1).var() / np.median(shuffled, axis=1).var()
    assert 200 / power.effective(200, 0.6) == pytest.approx(ratio, rel=0.08)


# --- means ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "alpha", "floor"), [(8, 0.05, 0.1), (12, 0.05, 0.1), (24, 0.01, 0.1), (30, 0.05, 0.8)])
def test_the_fall_of_a_mean_that_clusters_show_is_found_by_sign_flips(n: int, alpha: float, floor: float) -> None:
    """300 runs of normal differences, sd 1: about 95 % are found, and an unchanged model passes about as often."""
    harm = power.mean_harm(n, alpha=alpha, floor=floor, deviation=1.0).smallest
    passes = power.mean_pass(n, alpha=alpha, floor=floor, deviation=1.0).smallest
    assert harm is not None
    assert passes is not None
    found = passed = 0
    for seed in range(300):
        values = np.random.default_rng(seed).normal(0, 1, n)
        fallen = sign_flip(values - harm, range(n), alpha=alpha, draws=2000, seed=seed)
        found += fallen.p_below <= alpha and fallen.mean < -floor
        passed += sign_flip(values, range(n), alpha=alpha, draws=2000, seed=seed).low > -passes
    assert found / 300 == pytest.approx(0.95, abs=0.04)
    assert passed / 300 == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize("effect", [0.3, 0.8])
def test_the_power_of_a_mean_is_the_noncentral_t_of_textbooks(effect: float) -> None:
    """Where the floor does not bind."""
    for n in (6, 20, 60):
        theirs = stats.nct.sf(stats.t.isf(0.05, n - 1), n - 1, effect * math.sqrt(n))
        assert power.mean_power(n, effect, alpha=0.05, floor=1e-9, deviation=1.0) == pytest.approx(theirs, abs=0.003)


def test_five_clusters_are_the_fewest_at_five_per_cent() -> None:
    """Four sign patterns of four clusters cannot be rarer than 1 in 16."""
    assert power.mean_harm(4, alpha=0.05, floor=0.1, deviation=0.3).smallest is None
    assert power.mean_harm(5, alpha=0.05, floor=0.1, deviation=0.3).smallest is not None
    assert power.mean_harm(4, alpha=0.05, floor=0.1, deviation=0.0, wanted=0.2).needed == 5


# --- memory and pictures ----------------------------------------------------------------------------------------------


def test_memory_is_found_beyond_its_floor_alone() -> None:
    """Peaks repeat, so that only the fewest calls are asked for."""
    assert power.memory(12, baseline_mib=20_000, share=0.02, least_mib=128, calls=5).smallest == 400
    assert power.memory(12, baseline_mib=1000, share=0.02, least_mib=128, calls=5).smallest == 128
    short = power.memory(3, baseline_mib=1000, share=0.02, least_mib=128, calls=5)
    assert (short.smallest, short.needed, short.enough) == (None, 5, False)
    assert "needs 5 calls" in short.reason


@pytest.mark.parametrize(("n", "null", "alpha"), [(12, 120, 0.05), (60, 240, 0.001), (30, 60, 0.05)])
def test_the_share_of_changed_pictures_is_found_with_the_chance_promised(n: int, null: int, alpha: float) -> None:
    """Changed pictures lie beyond any null; the tests of exceedance, Holm included, call them in at least 95 % of 5,000 runs."""
    reach = power.drift_exceedance(n, null=null, alpha=alpha)
    assert reach.smallest is not None
    beyond = np.random.default_rng(5).binomial(n, reach.smallest / 100, 5000)
    red = [exceedance_p(int(k), n, null, conformal_rank(null, 0.05)) * 3 <= alpha for k in range(n + 1)]
    assert np.mean(np.array(red)[beyond]) == pytest.approx(0.95, abs=0.012)


def test_unchanged_pictures_exceed_their_null_no_more_often_than_alpha() -> None:
    """The same rule on pictures that differ as the null does."""
    n, null, alpha, generator = 30, 60, 0.05, np.random.default_rng(6)
    fewest = power._exceedances(n, null, alpha / 3, alpha)
    assert fewest is not None
    drawn = generator.random((3000, n + null))
    limits = np.array([conformal_limit(list(row), alpha) for row in drawn[:, n:]])
    assert np.mean((drawn[:, :n] > limits[:, None]).sum(axis=1) >= fewest) <= alpha / 3 + 0.007


def test_a_null_that_is_too_small_says_how_many_repeats_are_needed() -> None:
    """Three pictures against nothing; and one picture that no null could make rare enough."""
    short = power.drift_exceedance(3, null=0, alpha=0.01)
    assert short.smallest is None
    assert short.needed is not None
    assert f"needs {short.needed} repeats" in short.reason
    assert power.drift_exceedance(3, null=short.needed, alpha=0.01).enough
    assert not power.drift_exceedance(3, null=short.needed - 1, alpha=0.01).enough
    assert "whatever the null" in power.drift_exceedance(1, null=10, alpha=1e-6).reason


# --- mistakes ---------------------------------------------------------------------------------------------------------

GOOD = {
    power.paired_harm: {"alpha": 0.05, "floor": 0.05, "flips": 0.02},
    power.paired_pass: {"alpha": 0.05, "margin": 0.3, "flips": 0.02},
    power.time_harm: {"alpha": 0.05, "floor": 0.05, "cv": 0.03},
    power.time_pass: {"alpha": 0.05, "floor": 0.05, "cv": 0.03},
    power.mean_harm: {"alpha": 0.05, "floor": 0.05, "deviation": 0.1},
    power.mean_pass: {"alpha": 0.05, "floor": 0.05, "deviation": 0.1},
    power.drift_exceedance: {"alpha": 0.05, "null": 100},
}


@pytest.mark.parametrize("plan", GOOD, ids=lambda plan: plan.__name__)
def test_every_plan_says_what_it_finds_and_refuses_what_is_no_plan(plan) -> None:
    """Figures and a sentence for good arguments; a ValueError that names the rule for others."""
    reach = plan(20, **GOOD[plan])
    assert isinstance(reach, Reach)
    assert reach.n == 20
    assert "20" in reach.reason
    for wrong, rule in (({"alpha": 0.0}, "alpha"), ({"alpha": math.nan}, "alpha"), ({"alpha": 0.5}, "alpha"), ({"chance": 1.0}, "chance")):
        with pytest.raises(ValueError, match=rule):
            plan(20, **{**GOOD[plan], **wrong})
    with pytest.raises(ValueError, match="at least one sample"):
        plan(0, **GOOD[plan])


@pytest.mark.parametrize(
    ("plan", "wrong"),
    [
        (power.paired_harm, {"floor": 1.0}),
        (power.paired_harm, {"flips": 0.5}),
        (power.paired_pass, {"margin": math.nan}),
        (power.time_harm, {"cv": -0.1}),
        (power.time_pass, {"correlation": 1.0}),
        (power.time_pass, {"floor": 0.0}),
        (power.mean_harm, {"deviation": math.nan}),
        (power.drift_exceedance, {"null": -1}),
    ],
)
def test_noise_and_floors_out_of_range_are_refused(plan, wrong) -> None:
    """Each by its own rule."""
    with pytest.raises(ValueError, match="got"):
        plan(20, **{**GOOD[plan], **wrong})


def test_samples_without_noise_find_whatever_lies_beyond_the_floor() -> None:
    """Zero spread is no division by zero."""
    assert power.time_harm(20, alpha=0.01, floor=0.05, cv=0.0).smallest == pytest.approx(5, abs=0.01)
    assert power.mean_harm(20, alpha=0.01, floor=0.05, deviation=0.0).smallest == pytest.approx(0.05, abs=0.001)
    with pytest.raises(ValueError, match="negative"):
        power.memory(5, baseline_mib=math.nan, share=0.02, least_mib=128, calls=5)
