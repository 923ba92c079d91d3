"""The budget holds: of ten thousand simulated runs in which nothing changed, hardly more than one in a hundred may be red anywhere."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from swapgate.drills.nulls import NOISES, SEEDS, Noise, Tally, autocorrelated, false_alarms, log_normal, normal, part
from swapgate.gates.policy import Policy

RUNS = 10_000
POLICY = Policy()


@pytest.mark.parametrize("looks", [1, SEEDS], ids=["judged once", "looked at after every round"])
@pytest.mark.parametrize("name", NOISES)
def test_an_unchanged_run_is_red_no_more_often_than_the_budget_says(name: str, looks: int) -> None:
    """The upper end of the 99 % interval of the share lies below 1.3 times the budget, in each noise model, however often the run is looked at."""
    tally = false_alarms(NOISES[name], RUNS, looks=looks)
    assert tally.high < 1.3 * POLICY.false_alarms, tally


@pytest.mark.parametrize("looks", [1, SEEDS])
def test_the_simulation_sees_red_where_something_changed(looks: int) -> None:
    """A device that slows down by a third between the runs: latency says so in most of them, five processes of a pace of 1 % notwithstanding."""
    tally = false_alarms(Noise(times=normal, warming=0.60), 20, looks=looks, policy=Policy(draws=1000))
    assert tally.by_gate["latency"] > 13, tally


def test_looking_at_every_round_with_the_whole_error_each_time_would_break_the_budget() -> None:
    """What holds it is the sharing: the same policy asked five times as if each were the only look is red more often than asked once."""
    noise, loose = Noise(times=autocorrelated, turned=0.15, together=0.5), Policy(draws=500, false_alarms=0.25, usability_drop=0.0)
    drawn = [false_alarms(noise, 150, looks=looks, policy=policy).red for looks, policy in ((1, loose), (SEEDS, loose), (SEEDS, Unshared.of(loose)))]
    assert drawn[2] > 1.5 * drawn[0], drawn
    assert drawn[1] < 1.3 * drawn[0] + 5, drawn


class Unshared(Policy):
    """A policy that gives every look the whole of its errors."""

    @staticmethod
    def of(policy: Policy) -> Policy:
        return Unshared(**{field.name: getattr(policy, field.name) for field in fields(policy)})

    def at_look(self, look: int, looks: int) -> Policy:
        return self


def test_the_parts_of_a_run_are_those_that_a_plan_asks() -> None:
    """A seed more of every prompt a round, and a rewording of every prompt in each of the first four."""
    sizes = [(len(part(rounds).written), len(part(rounds).reworded)) for rounds in range(1, SEEDS + 1)]
    assert sizes == [(12, 12), (24, 24), (36, 36), (48, 48), (60, 48)]
    for rounds in range(1, SEEDS):
        assert set(part(rounds).written) < set(part(rounds + 1).written)
        assert set(part(rounds).reworded) <= set(part(rounds + 1).reworded)
    with pytest.raises(ValueError, match="as many looks at most"):
        false_alarms(NOISES["normal"], 10, looks=SEEDS + 1)


def test_without_floors_and_with_a_large_budget_the_same_runs_are_red() -> None:
    """What holds the budget is the policy and not a simulation that cannot be red."""
    loose = Policy(draws=500, false_alarms=0.25, latency_floor=0.001, latency_pad_seconds=0.0, usability_drop=0.0)
    tally = false_alarms(Noise(times=autocorrelated, warming=0.04, turned=0.15, together=0.5), 200, policy=loose)
    assert tally.share > 0.015, tally


def test_a_model_with_two_modes_is_told_from_a_changed_one_by_its_null() -> None:
    """More of the second mode is no alarm as long as the null shows as much of it."""
    for share in (0.01, 0.2, 0.5):
        assert false_alarms(replace(NOISES["bistable images"], second_mode=share), 200).red <= 8


@pytest.mark.parametrize("times", [normal, log_normal, autocorrelated])
def test_the_noises_are_what_they_are_called(times: object) -> None:
    """Median 1, some three percent; neighbours alike only where that is the point."""
    drawn = times(np.random.default_rng(3), 400, 200)  # type: ignore[operator]
    assert np.median(drawn) == pytest.approx(1, abs=0.005)
    middle = np.percentile(drawn, 75) - np.percentile(drawn, 25)
    assert middle / 1.349 == pytest.approx(0.03, rel=0.1)
    alike = np.corrcoef(drawn[:, :-1].ravel(), drawn[:, 1:].ravel())[0, 1]
    assert alike == pytest.approx(0.6 if times is autocorrelated else 0, abs=0.05)


def test_the_same_seed_gives_the_same_tally() -> None:
    """And chunks do not matter to how many runs there are."""
    noise = NOISES["clustered usability"]
    assert false_alarms(noise, 200, seed=7) == false_alarms(noise, 200, seed=7)
    assert false_alarms(noise, 250, chunk=100).runs == 250


@pytest.mark.parametrize(
    ("noise", "runs"), [(NOISES["normal"], 0), (Noise(times=normal, turned=1.5), 10), (Noise(times=normal, second_mode=-0.1), 10)]
)
def test_a_simulation_of_nothing_is_refused(noise: Noise, runs: int) -> None:
    """No runs, or chances that are none."""
    with pytest.raises(ValueError, match="at least one run"):
        false_alarms(noise, runs)


def test_the_interval_of_no_red_run_is_not_nothing() -> None:
    """Ten thousand green runs bound the chance at five in ten thousand, not at zero."""
    assert Tally(runs=RUNS, red=0, by_gate={}).high == pytest.approx(0.00053, abs=2e-5)
