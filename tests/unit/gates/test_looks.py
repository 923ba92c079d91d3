"""What a look may spend, when there is one, and what unchanged pictures say of those that were not made."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapgate.gates.looks import EARLY, MOST, excluded, fewest, look_rounds, look_share, worst_miss


@pytest.mark.parametrize(("rounds", "looks"), [(1, (1,)), (5, (1, 2, 3, 4, 5)), (6, (1, 2, 3, 4, 5, 6)), (12, (2, 4, 6, 8, 10, 12))])
def test_there_is_a_look_after_each_of_a_few_rounds_and_spread_over_many(rounds: int, looks: tuple[int, ...]) -> None:
    """The last round always has one."""
    assert look_rounds(rounds) == looks


@given(rounds=st.integers(1, 500))
def test_looks_end_with_the_last_round(rounds: int) -> None:
    """However many rounds there are, there are few looks, in order."""
    looks = look_rounds(rounds)
    assert looks[-1] == rounds
    assert len(looks) == min(rounds, MOST)
    assert list(looks) == sorted(set(looks))


@given(looks=st.integers(1, 40))
def test_the_looks_share_each_error_among_them(looks: int) -> None:
    """They add up to the whole, early ones are alike, and a single look has it all."""
    shares = [look_share(look, looks) for look in range(1, looks + 1)]
    assert sum(shares) == pytest.approx(1)
    assert shares[-1] >= 1 - EARLY
    assert len(set(shares[:-1])) <= 1


@pytest.mark.parametrize(("look", "looks"), [(0, 3), (4, 3), (1, 0)])
def test_a_look_out_of_range_is_refused(look: int, looks: int) -> None:
    """There is no such look."""
    with pytest.raises(ValueError, match="out of range"):
        look_share(look, looks)
    with pytest.raises(ValueError, match="at least one round"):
        look_rounds(0)


def by_hand(strata: list[tuple[int, int]], changed: int) -> float:
    """All allocations of the changed units, and all draws of each stratum."""
    worst = 0.0
    for allocation in product(*(range(units + 1) for units, _ in strata)):
        if sum(allocation) != changed:
            continue
        chance = 1.0
        for (units, met), d in zip(strata, allocation, strict=True):
            draws = list(combinations(range(units), met))
            chance *= sum(not any(unit < d for unit in draw) for draw in draws) / len(draws)
        worst = max(worst, chance)
    return worst


@settings(deadline=None, max_examples=40)
@given(
    strata=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)).map(lambda s: (s[0], min(s))), min_size=1, max_size=3), changed=st.integers(1, 6)
)
def test_the_chance_of_missing_all_changes_is_that_of_the_worst_place_for_them(strata: list[tuple[int, int]], changed: int) -> None:
    """Held against counting every case."""
    assert worst_miss(tuple(strata), changed) == pytest.approx(by_hand(strata, changed))


def test_three_of_five_seeds_of_twelve_prompts_exclude_a_fall_of_more_than_five_points() -> None:
    """Four changed requests of sixty would be missed by 36 with a chance of 2.6 %; by 24 with one of 13 %."""
    assert worst_miss(((5, 3),) * 12, 4) == pytest.approx(0.4**4)
    assert excluded([(5, 3)] * 12, 0.05, 0.05)
    assert not excluded([(5, 2)] * 12, 0.05, 0.05)
    assert excluded([(5, 2)] * 12, 0.10, 0.05)


def test_a_prompt_that_was_not_asked_at_all_may_hide_anything() -> None:
    """All seeds of eleven prompts say nothing of the twelfth."""
    assert not excluded([(5, 5)] * 11 + [(5, 0)], 0.05, 0.05)
    assert excluded([(5, 5)] * 12, 0.0, 1e-9)
    assert not excluded([], 0.05, 0.05)


@pytest.mark.parametrize(("limit", "units", "count"), [(0.05, 60, 4), (0.05, 59, 3), (0.15, 48, 8), (0.0, 10, 1), (0.3, 10, 4)])
def test_the_fewest_changes_that_are_more_than_the_limit(limit: float, units: int, count: int) -> None:
    """A change of exactly the limit is within it."""
    assert fewest(limit, units) == count


@pytest.mark.parametrize(("strata", "changed"), [(((5, 6),), 1), (((5, -1),), 1), (((5, 1),), 0)])
def test_what_cannot_be_is_refused(strata: tuple[tuple[int, int], ...], changed: int) -> None:
    """More met than there are, or nothing changed."""
    with pytest.raises(ValueError, match="at least one changed unit"):
        worst_miss(strata, changed)
