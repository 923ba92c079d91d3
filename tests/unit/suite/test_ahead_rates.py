"""Sign flips of prompts and exact bounds of a rate, against the flips themselves, simulation and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from swapgate.gates.resampling import sign_flip
from swapgate.suite import ahead_rates


@given(st.integers(6, 12), st.data())
def test_so_many_clusters_have_to_get_worse(clusters: int, data: st.DataObject) -> None:
    """The sign flips themselves: one cluster fewer is not enough."""
    alpha = data.draw(st.sampled_from([0.05, 0.01, 0.001]))
    needed = ahead_rates.clusters_needed(clusters, alpha, 4000)
    assert needed is not None
    for worse in range(clusters + 1):
        values = [1.0] * worse + [0.0] * (clusters - worse)
        p = sign_flip(values, range(clusters), alpha=0.05, draws=4000, seed=1).p_above
        assert (p <= alpha) is (worse >= needed)


def test_drawn_sign_patterns_need_a_cluster_more_at_most() -> None:
    """Above twelve clusters patterns are drawn, and too few draws show nothing."""
    assert ahead_rates.clusters_needed(20, 0.001, 20_000) in (10, 11)
    assert ahead_rates.clusters_needed(20, 0.0001, 4000) is None


@given(st.integers(1, 6), st.floats(0.05, 0.9), st.floats(0.0, 0.2))
def test_enough_clusters_by_simulation(size: int, fall: float, flips: float) -> None:
    """The exact chance against ten thousand draws."""
    flips = min(flips, (1 - fall) / 2)
    exact = ahead_rates.clusters_power([size] * 8, fall, alpha=0.02, draws=4000, flips=flips)
    drawn = np.random.default_rng(3).random((10_000, 8, size))
    worse, better = drawn < fall + flips, drawn > 1 - flips
    hit = (worse.sum(axis=2) > better.sum(axis=2)).sum(axis=1)
    assert exact == pytest.approx(float(np.mean(hit >= 6)), abs=0.03)


@given(st.integers(1, 300), st.data())
def test_the_rate_of_which_few_are_seen(n: int, data: st.DataObject) -> None:
    """At that rate at most so many of n are seen with 95 %."""
    good = data.draw(st.integers(0, n - 1))
    assert binom.cdf(good, n, ahead_rates.rate_at_most(good, n)) == pytest.approx(0.95, abs=1e-6)


@given(st.floats(0.001, 0.9))
def test_the_smallest_change_is_where_the_chance_turns(edge: float) -> None:
    """By bisection to a ten-thousandth; None where even the largest is missed."""
    found = ahead_rates.smallest_with(lambda change: float(change >= edge), 1.0)
    assert found == pytest.approx(edge, rel=2e-4)
    assert ahead_rates.smallest_with(lambda _: 0.5, 1.0) is None


def test_more_clusters_find_smaller_falls() -> None:
    """The chance rises with the fall and with the pictures of each prompt."""
    chances = [
        [ahead_rates.clusters_power([size] * 12, fall, alpha=0.0005, draws=20_000, flips=0.0) for fall in (0.1, 0.3, 0.6)] for size in (2, 5, 20)
    ]
    assert all(row == sorted(row) for row in chances)
    assert all(list(column) == sorted(column) for column in zip(*chances, strict=True))
    assert ahead_rates.clusters_power([5] * 10, 1.0, alpha=0.0005, draws=20_000, flips=0.0) == 0.0
