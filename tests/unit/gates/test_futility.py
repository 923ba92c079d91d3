"""Going on is given up only where the rest of the plan would hardly decide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapgate.gates.futility import HOPELESS, hopeless_mean, hopeless_pairs, hopeless_rate
from swapgate.gates.paired import shown
from swapgate.gates.policy import Policy
from swapgate.gates.statistics import Discordance
from swapgate.gates.verdict import Status

EARLY = Policy().at_most(0.001).at_look(2, 5)


def pairs(worse: int, better: int, n: int) -> Discordance:
    return Discordance(worse=worse, better=better, n=n)


@pytest.mark.parametrize(
    ("counts", "planned", "hopeless"),
    [
        (pairs(0, 0, 24), 60, False),  # nothing differs: the end passes with nine chances in ten
        (pairs(8, 0, 24), 60, False),  # a third is lost: the end is red
        (pairs(2, 1, 24), 60, True),  # neither: 60 pairs show no fall of 5 points with two worse, nor harm
        (pairs(2, 1, 24), 2400, False),  # a plan as long as that would
        (pairs(0, 0, 60), 60, False),  # nothing is left to give up
    ],
)
def test_pairs_are_given_up_where_neither_end_is_in_reach(counts: Discordance, planned: int, hopeless: bool) -> None:
    """By the predictive chance of the last look."""
    assert hopeless_pairs(counts, planned, 0.05, EARLY) is hopeless


def test_the_last_look_gives_nothing_up() -> None:
    """Its verdict is what it is."""
    last = Policy().at_most(0.001).at_look(5, 5)
    assert not hopeless_pairs(pairs(2, 1, 24), 60, 0.05, last)
    assert not hopeless_rate(17, 24, 60, 0.7, last)
    assert not hopeless_mean(0.05, 0.02, 24, 60, 0.05, last)


@settings(deadline=None, max_examples=10)
@given(rate=st.floats(0.02, 0.3), seed=st.integers(0, 10_000))
def test_what_was_given_up_would_seldom_have_been_decided(rate: float, seed: int) -> None:
    """Two hundred runs of 60 pairs: of those given up after 24, few end decided."""
    generator, last = np.random.default_rng(seed), Policy().at_most(0.001).at_look(5, 5)
    given_up = decided = 0
    for _ in range(200):
        worse, better = (generator.random((2, 60)) < rate / 2).astype(int)
        early = pairs(int(worse[:24].sum()), int(better[:24].sum()), 24)
        if hopeless_pairs(early, 60, 0.05, EARLY):
            given_up += 1
            end = pairs(int(worse.sum()), int(better.sum()), 60)
            decided += shown(end, last).status(end.change, 0.05) is not Status.INCONCLUSIVE
    assert decided <= max(3, 3 * HOPELESS * given_up)


@pytest.mark.parametrize(("good", "n", "limit", "hopeless"), [(24, 24, 0.7, False), (2, 24, 0.7, False), (17, 24, 0.7, True)])
def test_a_rate_beside_its_floor_is_given_up(good: int, n: int, limit: float, hopeless: bool) -> None:
    """Well above and well below it, the end decides."""
    assert hopeless_rate(good, n, 60, limit, EARLY) is hopeless


def test_a_mean_at_its_floor_is_given_up_and_others_are_not() -> None:
    """0.05 seen with an error of 0.02 at a floor of 0.05; far from it either end is in reach, and with many more values, too."""
    assert hopeless_mean(0.05, 0.02, 24, 60, 0.05, EARLY)
    assert not hopeless_mean(0.0, 0.02, 24, 60, 0.05, EARLY)
    assert not hopeless_mean(0.2, 0.02, 24, 60, 0.05, EARLY)
    assert not hopeless_mean(0.05, 0.02, 60, 60, 0.05, EARLY)
    assert not hopeless_mean(0.05, float("inf"), 24, 60, 0.05, EARLY)
    assert not hopeless_mean(0.05, 0.0, 24, 60, 0.05, EARLY)
