"""Spending of error over looks, against published boundaries and simulated runs that stop at the first clear look."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from swapgate.gates.sequential import Look, Outcome
from swapgate.gates.spending import Spending, levels, ratio_look, spend, spent, spent_p, together

SHAPES = list(Spending)
ALPHAS = st.floats(1e-4, 0.25)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 10), ALPHAS, st.sampled_from(SHAPES))
def test_levels_spend_alpha_and_no_more(looks: int, alpha: float, shape: Spending) -> None:
    """Each look has a level of its own below alpha, and together they are worth at least alpha (Bonferroni would spend it in full)."""
    found = [spend(look, looks, alpha, shape) for look in range(1, looks + 1)]
    assert all(0 < level <= alpha * (1 + 1e-6) for level in found)
    assert sum(found) >= alpha * (1 - 1e-6)
    assert found[0] == pytest.approx(spent(1 / looks, alpha, shape), rel=1e-6)


def test_spending_is_that_of_the_published_functions() -> None:
    """Cumulative one-sided 0.025 at five looks: Lan and DeMets' O'Brien-Fleming-like and Pocock-like values, as in textbooks."""
    late = [spent(i / 5, 0.025, Spending.OBRIEN_FLEMING) for i in range(1, 6)]
    assert late == pytest.approx([0.00000054, 0.00039, 0.0038, 0.0122, 0.025], rel=0.06)
    even = [spent(i / 5, 0.025, Spending.POCOCK) for i in range(1, 6)]
    assert even == pytest.approx([0.0074, 0.0131, 0.0177, 0.0216, 0.025], rel=0.01)
    assert spent(0.0, 0.05, Spending.OBRIEN_FLEMING) == 0.0


@pytest.mark.parametrize(
    ("shape", "published"),
    [(Spending.OBRIEN_FLEMING, [4.877, 3.357, 2.680, 2.290, 2.031]), (Spending.POCOCK, [2.438, 2.427, 2.410, 2.397, 2.386])],
)
def test_boundaries_are_the_published_ones(shape: Spending, published: list[float]) -> None:
    """Normal scores at five looks, one-sided 0.025, to the third digit."""
    assert [stats.norm.isf(level) for level in levels(5, 0.025, shape)] == pytest.approx(published, abs=0.0015)


@settings(deadline=None, max_examples=60)
@given(st.floats(1e-5, 0.24), st.sampled_from([(1, 1), (1, 5), (3, 5), (5, 5)]), st.sampled_from(SHAPES))
def test_a_spent_p_is_the_alpha_whose_level_it_meets(alpha: float, at: tuple[int, int], shape: Spending) -> None:
    """Asking "p within this look's level" and "spent p within alpha" is the same question."""
    level = spend(*at, alpha, shape)
    if level > 1e-12:
        assert spent_p(level, *at, shape) == pytest.approx(alpha, rel=0.01)
        assert spent_p(level / 2, *at, shape) < alpha < spent_p(min(1.0, 2 * level), *at, shape)


def test_a_p_without_evidence_is_one() -> None:
    """What no level up to a quarter would take is no evidence at all; a p of nothing stays next to nothing."""
    assert spent_p(0.9, 1, 5) == 1.0
    assert spent_p(0.0, 1, 5) <= 1.01e-9
    assert spent_p(0.03, 1, 1) == pytest.approx(0.03, rel=1e-3)


def stopped(effect: float, alpha: float, shape: Spending, looks: int = 5, runs: int = 40_000) -> np.ndarray:
    """Whether and where cumulative normal scores (drift `effect` at the last look) first cross their look's level; [runs], 0 for never."""
    steps = np.random.default_rng(1).normal(effect / math.sqrt(looks), 1, (runs, looks))
    scores = np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, looks + 1))
    limits = np.array([stats.norm.isf(spend(look, looks, alpha, shape)) for look in range(1, looks + 1)])
    crossed = scores > limits
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, 0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_five_looks_spend_the_level_and_no_more(shape: Spending, alpha: float) -> None:
    """On the scores that a statistic with independent increments has; alpha lies within the 99 % interval of the false alarms."""
    hits = int((stopped(0.0, alpha, shape) > 0).sum())
    assert stats.beta.ppf(0.005, hits, 40_001 - hits) <= alpha <= stats.beta.ppf(0.995, hits + 1, 40_000 - hits)


def test_looking_less_often_than_planned_spends_less() -> None:
    """Two of five planned looks."""
    steps = np.random.default_rng(2).normal(size=(40_000, 5))
    scores = np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, 6))
    crossed = [scores[:, look - 1] > stats.norm.isf(spend(look, 5, 0.05)) for look in (2, 5)]
    assert np.mean(crossed[0] | crossed[1]) < 0.04


def test_a_clear_effect_needs_little_more_than_half_of_the_planned_calls() -> None:
    """At the effect that a fixed test finds with 95 %: power, and the mean share of the calls that were used."""
    effect = stats.norm.isf(0.01) + stats.norm.isf(0.05)
    for shape, power, used in ((Spending.POCOCK, 0.91, 0.59), (Spending.OBRIEN_FLEMING, 0.948, 0.727)):
        look = stopped(effect, 0.01, shape)
        assert np.mean(look > 0) == pytest.approx(power, abs=0.01)
        assert np.mean(np.where(look > 0, look, 5)) / 5 == pytest.approx(used, abs=0.01)


def calls(generator: np.random.Generator, n: int, median: float = 1.0) -> list[float]:
    """Log-normal times of 3 % with 2 % of calls half as long again."""
    return list(median * np.exp(generator.normal(0, 0.03, n)) * np.where(generator.random(n) < 0.02, 1.5, 1.0))


def outcome(ratio: float, seed: int, shape: Spending = Spending.POCOCK) -> tuple[Outcome, int]:
    """The first answer of a run with looks at 10, 20, 30 and 40 calls an arm, floor 5 %, alpha 0.05, and its calls."""
    generator = np.random.default_rng(seed)
    ours, theirs, seen = calls(generator, 40, ratio), calls(generator, 40), []
    for look in range(1, 5):
        n = 10 * look
        seen.append(ratio_look(ours[:n], theirs[:n], look=look, looks=4, floor=0.05, draws=300, seed=seed, shape=shape))
        said = together(seen).decided(0.05, 0.05)
        if said is not Outcome.UNDECIDED:
            return said, n
    return Outcome.UNDECIDED, 40


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, Outcome.NO_HARM), (1.15, Outcome.HARM), (0.85, Outcome.GAIN)])
def test_clear_ratios_are_called_by_their_name_before_the_last_look(ratio: float, expected: Outcome) -> None:
    """Equal speed passes, 15 % slower is harm, 15 % faster gain, mostly with half of the calls."""
    found = [outcome(ratio, seed) for seed in range(40)]
    assert np.mean([said is expected for said, _ in found]) >= 0.95
    assert np.median([n for _, n in found]) <= 20


@pytest.mark.parametrize("floor_side", [1.05, 0.95])
def test_at_the_floor_itself_false_claims_stay_within_the_level(floor_side: float) -> None:
    """A ratio of exactly 1 + floor is neither harm nor its absence (1 - floor: no gain): at most 5 % each over four looks, 99 % interval."""
    found = [outcome(floor_side, seed)[0] for seed in range(1000, 1300)]
    wrong = (Outcome.HARM, Outcome.NO_HARM) if floor_side > 1 else (Outcome.GAIN,)
    for claim in wrong:
        hits = sum(said is claim for said in found)
        assert stats.binomtest(hits, len(found), 0.05, alternative="greater").pvalue > 0.005


def test_looks_together_keep_what_any_of_them_showed() -> None:
    """The smallest p of each claim, the last look's effect and calls."""
    first = Look(n=10, change=-0.1, harm=0.01, no_harm=1.0, gain=1.0)
    later = Look(n=20, change=-0.08, harm=0.04, no_harm=0.6, gain=1.0)
    assert together([first, later]) == Look(n=20, change=-0.08, harm=0.01, no_harm=0.6, gain=1.0)
    with pytest.raises(ValueError, match="no look"):
        together([])


def test_the_unit_of_time_and_the_order_of_the_claims_do_not_matter() -> None:
    """Milliseconds give the p-values of seconds; the arms' exchange turns the change's sign."""
    generator = np.random.default_rng(3)
    ours, theirs = calls(generator, 20, 1.1), calls(generator, 20)
    kept = {"look": 1, "looks": 2, "floor": 0.05, "draws": 300, "seed": 1}
    here = ratio_look(ours, theirs, **kept)
    scaled = ratio_look([1000 * x for x in ours], [1000 * x for x in theirs], **kept)
    assert (here.harm, here.no_harm) == pytest.approx((scaled.harm, scaled.no_harm), rel=1e-6)
    assert here.change < 0 < ratio_look(theirs, ours, **kept).change


def test_mistakes_are_said_plainly() -> None:
    """Looks, shares, levels and samples out of range."""
    for look, looks in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="out of range"):
            spend(look, looks, 0.05)
        with pytest.raises(ValueError, match="out of range"):
            spent_p(0.01, look, looks)
    for share in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="share"):
            spent(share, 0.05)
    for alpha in (0.0, 0.5, math.nan):
        with pytest.raises(ValueError, match="alpha"):
            spend(1, 5, alpha)
    for p in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="p-value"):
            spent_p(p, 1, 5)
    kept = {"look": 1, "looks": 2, "draws": 100, "seed": 1}
    for ours, rule in (([1.0], "two calls"), ([], "two calls"), ([1.0, 1.0], "equal"), ([1.0, math.nan], "finite"), ([1.0, -2.0], "positive")):
        with pytest.raises(ValueError, match=rule):
            ratio_look(ours, ours, floor=0.05, **kept)
    for floor in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="floor"):
            ratio_look([1.0, 1.1], [1.0, 1.1], floor=floor, **kept)
