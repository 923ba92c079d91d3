"""The placebo, and the negative control that voids a verdict which shows nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from swapgate.gates.policy import Policy
from swapgate.gates.stability import judge, reworded
from swapgate.gates.verdict import Status, Verdict
from swapgate.gates.wording_controls import FEWEST, NEGATIVE, controlled, placebo, relative

POLICY = Policy(draws=500)
GUARD = POLICY.stability_guard


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_a_relative_change_stays_between_minus_one_and_one(now: float, before: float) -> None:
    """Whatever it is a share of; with the sign of what happened."""
    change = relative(now, before, GUARD)
    assert -1 <= change <= 1
    assert (change > 0) == (now > before) or change == 0


def test_a_share_of_next_to_nothing_is_one_of_the_guard() -> None:
    """0.05 more than 0.01 is a fifth of the guard, not five times as much; of a full scale it is 5 %."""
    assert relative(0.06, 0.01, 0.25) == pytest.approx(0.2)
    assert relative(1.05, 1.0, 0.25) == pytest.approx(0.05)


def arm(build: Any, *, seeds: dict[int, tuple[float, bool]], edits: str = "synonym: a→b @1") -> Any:
    """Pictures as written by seed (normalised alignment, usable), of which seed 1 is reworded without a change."""
    written = [build.score(task="cup", seed=seed, normalised=value, usable=usable, image=f"s{seed}") for seed, (value, usable) in seeds.items()]
    return build.arm(scores=(*written, build.score(task="cup", seed=1, edits=edits, normalised=1.0, image="r")))


def test_the_placebo_is_the_same_wording_with_other_seeds(build: Any) -> None:
    """Seed 1 at 1.0, beside 0.8 and 0.9 of which one is not usable; seeds that were not reworded are compared with none."""
    found = arm(build, seeds={1: (1.0, True), 2: (0.8, False), 3: (0.9, True)})
    told = placebo(found, reworded(found, GUARD), GUARD)
    assert told.n == 2
    assert told.effect == pytest.approx(-15)
    assert (told.low, told.high) == pytest.approx((-19.5, -10.5))
    assert "1 of 2 became unusable" in told.reason
    assert not told.decides


def test_seeds_of_another_prompt_or_of_an_unusable_original_are_no_placebo(build: Any) -> None:
    """Another task is another wording; what was not usable could not be lost."""
    found = arm(build, seeds={1: (1.0, False), 2: (0.9, False)})
    found = replace(found, scores=(*found.scores, build.score(task="cat", seed=2, normalised=0.1)))
    told = placebo(found, reworded(found, GUARD), GUARD)
    assert told.n == 1
    assert "0 of 0 became unusable" in told.reason


def test_one_seed_has_no_placebo(build: Any) -> None:
    """Said, and without a figure."""
    found = arm(build, seeds={1: (1.0, True)})
    told = placebo(found, reworded(found, GUARD), GUARD)
    assert (told.n, told.effect) == (0, None)
    assert "no placebo" in told.reason


@pytest.fixture
def passed(build: Any) -> Verdict:
    """A verdict that passes by identity."""
    found = arm(build, seeds={1: (1.0, True), 2: (0.9, True)})
    verdict = judge(build.evidence(found, found), POLICY)
    assert verdict.status is Status.PASS
    return verdict


@pytest.mark.parametrize(
    ("noticed", "asked", "void"), [(0, FEWEST, True), (1, 3, True), (2, 3, False), (3, 6, False), (2, 6, True), (0, 2, False), (6, 6, False)]
)
def test_a_pass_is_void_where_most_changes_of_meaning_go_unnoticed(passed: Verdict, noticed: int, asked: int, void: bool) -> None:
    """Of three or more; the figure and its exact interval stand in the verdict either way."""
    found = controlled(passed, noticed, asked, POLICY)
    assert found.status is (Status.INCONCLUSIVE if void else Status.PASS)
    told = next(one for one in found.findings if one.name == NEGATIVE)
    exact = binomtest(noticed, asked).proportion_ci(1 - POLICY.alpha, method="exact")
    assert (told.effect, told.low, told.high) == pytest.approx((100 * noticed / asked, 100 * exact.low, 100 * exact.high))
    assert told.decides is void
    assert f"{noticed} of {asked} changed meanings were noticed" in told.reason
    assert ("shows nothing" in found.reason) is void
    assert (found.finding == told) is void


@pytest.mark.parametrize("status", [Status.REGRESSION, Status.ERROR, Status.NEW, Status.INCONCLUSIVE])
def test_what_is_no_pass_is_not_made_any_milder(passed: Verdict, status: Status) -> None:
    """A control can only take away."""
    found = controlled(replace(passed, status=status), 0, 6, POLICY)
    assert found.status is status
    assert NEGATIVE in {one.name for one in found.findings}


@pytest.mark.parametrize(("change", "asked"), [({"status": Status.NOT_APPLICABLE}, 6), ({}, 0)])
def test_without_pictures_or_questions_there_is_no_control(passed: Verdict, change: dict[str, Any], asked: int) -> None:
    """Random weights draw nothing, and tasks without facets have no counterfactual."""
    verdict = replace(passed, **change)
    assert controlled(verdict, 0, asked, POLICY) is verdict


def test_a_control_is_told_once(passed: Verdict) -> None:
    """However often the run's last word is said."""
    once = controlled(passed, 3, 6, POLICY)
    assert controlled(once, 3, 6, POLICY) is once
