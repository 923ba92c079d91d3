"""What is read off a model against itself is there, and is not where it is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from swapgate.gates.calibration import autocorrelation, below_floor, cold, correlated, intraclass, middles, modes, residuals, seed_deviation, spread

Floats = Any


def share(found: Callable[[np.random.Generator], object], times: int = 300) -> float:
    """How often something is found in drawn samples."""
    generator = np.random.default_rng(11)
    return sum(bool(found(generator)) for _ in range(times)) / times


def two(values: Floats, apart: float = 0.02) -> bool:
    return len(modes(list(values), [""] * len(values), apart)) == 2


def test_two_values_are_two_modes_with_their_labels() -> None:
    """vLLM-Omni's Qwen-Image: SSIM 0.986 or 0.958, and what each came under."""
    values = [0.986, 0.9861, 0.9859, 0.958, 0.9581, 0.986]
    labels = ["fresh process", "fresh process", "fresh process", "1 thread", "1 thread", "fresh process"]
    low, high = modes(values, labels, 0.01)
    assert (low.n, low.middle, low.labels) == (2, pytest.approx(0.95805), (("1 thread", 2),))
    assert (high.n, high.middle, high.labels) == (4, pytest.approx(0.986), (("fresh process", 4),))
    assert (high.low, high.high) == (0.9859, 0.9861)


@pytest.mark.parametrize("n", [20, 60, 150])
def test_one_cloud_is_one_mode(n: int) -> None:
    """Normal, skewed, with stalls, wandering: at most three in a hundred are called two; two clouds nearly always."""
    assert share(lambda g: two(g.normal(0, 0.05, n))) <= 0.01
    assert share(lambda g: two(g.exponential(0.05, n))) <= 0.03
    assert share(lambda g: two(g.normal(0, 0.03, n) + np.where(g.random(n) < 0.02, math.log(1.5), 0))) <= 0.03
    assert share(lambda g: two(np.cumsum(g.normal(0, 0.02, n)))) <= 0.03
    assert share(lambda g: two(g.normal(0, 0.01, n) + 0.1 * (g.random(n) < 0.4))) >= 0.97


def test_modes_nearer_than_what_matters_are_one() -> None:
    """Pictures equal to the pixel, and others rounded once: two values that no gate tells apart."""
    assert len(modes([1.0] * 10 + [0.9998] * 10, ["x"] * 20, 0.01)) == 1
    assert len(modes([1.0] * 10 + [0.95] * 10, ["x"] * 20, 0.01)) == 2


def test_too_few_to_tell_are_one_mode_and_none_is_none() -> None:
    """Constant samples too; NaN is a mistake of the caller."""
    assert modes([], [], 0.01) == ()
    assert len(modes([1.0, 0.5, 0.5], ["x"] * 3, 0.01)) == 1
    assert len(modes([1.0] * 30, ["x"] * 30, 0.01)) == 1
    with pytest.raises(ValueError, match="not finite"):
        modes([1.0, math.nan], ["x", "x"], 0.01)


def test_the_spread_is_that_of_the_middle() -> None:
    """A stall a tenth of the time leaves it where it was."""
    values = np.random.default_rng(1).normal(5, 2, 4000)
    assert spread(list(values)) == pytest.approx(2, rel=0.05)
    assert spread([*values, *[1e6] * 100]) == pytest.approx(2, rel=0.1)
    assert (spread([]), spread([1.0])) == (0.0, 0.0)


def series(generator: np.random.Generator, n: int, correlation: float) -> list[float]:
    values = [float(generator.normal())]
    while len(values) < n:
        values.append(correlation * values[-1] + math.sqrt(1 - correlation**2) * float(generator.normal()))
    return values


def test_neighbours_that_resemble_each_other_are_told_from_chance() -> None:
    """AR(1) of 0.6 in 60 calls; independent ones, also with heavy tails, at most in 2 of 100."""
    assert share(lambda g: correlated(series(g, 60, 0.6))) >= 0.9
    assert share(lambda g: correlated(series(g, 60, 0.0))) <= 0.02
    assert share(lambda g: correlated(list(g.standard_t(2, 60)))) <= 0.02
    assert autocorrelation(series(np.random.default_rng(1), 5000, 0.6)) == pytest.approx(0.58, abs=0.05)
    assert (autocorrelation([1.0, 2.0]), autocorrelation([1.0] * 9)) == (None, None)
    assert not correlated([1.0] * 50)
    assert not correlated(list(range(9)))


def test_residuals_are_in_the_order_of_calls_and_without_their_tasks(build: Any) -> None:
    """Two tasks in turn, of which one takes ten times as long: what is left is the call's own."""
    short = build.cost([1.0, 1.1, 1.0], numbers=[1, 3, 5])
    long = build.cost([10.0, 10.0, 12.0], numbers=[2, 4, 6])
    costs = {"short": short, "long": long}
    assert residuals(costs, middles(costs)) == pytest.approx([0, 0, math.log(1.1), 0, 0, math.log(1.2)])
    broken = build.cost([math.nan, 0.0])
    assert middles({"a": broken}) == {}
    assert residuals({"a": broken}, {"a": 0.0}) == []
    assert residuals({"a": short}, {}) == []


def starts(generator: np.random.Generator, processes: int, calls: int, slower: float) -> list[list[float]]:
    return [list(generator.normal(0, 0.02, calls) + np.array([slower] * 2 + [0.0] * (calls - 2))) for _ in range(processes)]


def test_cold_starts_are_found_in_several_processes_or_one_long_one() -> None:
    """A tenth slower at first; nothing is said of processes that start as they go on, or of too few calls."""
    assert share(lambda g: cold(starts(g, 5, 11, 0.1))) >= 0.99
    assert share(lambda g: cold(starts(g, 1, 60, 0.1))) >= 0.9
    assert share(lambda g: cold(starts(g, 5, 11, 0.0))) <= 0.02
    assert share(lambda g: cold(starts(g, 1, 60, 0.0))) <= 0.02
    assert cold(starts(np.random.default_rng(1), 5, 11, 0.1)) == pytest.approx(0.1, abs=0.03)
    assert cold([]) is None
    assert cold([[0.1, 0.1, 0.0]]) is None
    assert cold([[0.0] * 12] * 4) is None
    assert cold([[0.01, 0.01, *[0.0] * 30]] * 9) is None, "one per cent is nothing"


def test_a_time_below_its_arithmetic_is_none() -> None:
    """10 TFLOP at 1,000 TFLOP/s take 10 ms."""
    assert below_floor(0.009, 1e13, 1e15)
    assert not below_floor(0.011, 1e13, 1e15)
    for flops, rate in ((0.0, 1.0), (1.0, 0.0), (math.nan, 1.0)):
        with pytest.raises(ValueError, match="above 0"):
            below_floor(1.0, flops, rate)


def test_the_deviation_between_seeds_is_inside_a_prompt() -> None:
    """Prompts that differ are no seeds that do."""
    generator = np.random.default_rng(2)
    values = {prompt: list(prompt + generator.normal(0, 0.03, 200)) for prompt in range(5)}
    assert seed_deviation(values) == pytest.approx(0.03, rel=0.1)
    assert seed_deviation({"a": [1.0], "b": [2.0]}) is None
    assert seed_deviation({}) is None


def rounds(generator: np.random.Generator, between: float, within: float, images: int = 4) -> dict[int, dict[int, list[float]]]:
    """Forty rounds of each of five prompts, which lie far apart."""
    return {p: {r: list(10.0 * p + generator.normal(0, between) + generator.normal(0, within, images)) for r in range(40)} for p in range(5)}


@pytest.mark.parametrize(("between", "within", "expected"), [(1.0, 1.0, 0.5), (2.0, 1.0, 0.8), (0.0, 1.0, 0.0)])
def test_images_of_a_round_resemble_each_other_as_far_as_they_do(between: float, within: float, expected: float) -> None:
    """ICC(1) is the share of the rounds in the variance; prompts that differ do not count."""
    assert intraclass(rounds(np.random.default_rng(3), between, within)) == pytest.approx(expected, abs=0.08)


def test_a_known_correlation_is_worked_out() -> None:
    """Two rounds of two images: mean squares 16 between and 1 within, so 15 / 17."""
    assert intraclass({"p": {1: [1 - math.sqrt(0.5), 1 + math.sqrt(0.5)], 2: [5 - math.sqrt(0.5), 5 + math.sqrt(0.5)]}}) == pytest.approx(15 / 17)


@pytest.mark.parametrize(
    "values", [{}, {"p": {1: [0.1], 2: [0.2]}}, {"p": {1: [0.1, 0.2]}}, {"p": {1: [], 2: []}}, {"p": {1: [0.1, 0.1], 2: [0.1, 0.1]}}]
)
def test_what_has_no_rounds_to_compare_is_not_measured(values: Any) -> None:
    """One image a round, one round, none, or no variance at all."""
    assert intraclass(values) is None
