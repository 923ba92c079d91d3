"""Runs in which nothing was planted: every run counts, whatever its pictures, and what failed is not called green."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scipy.stats import binomtest

from swapgate.drills.jobs import controls
from swapgate.drills.outcome import Outcome, Seen
from swapgate.drills.unchanged import Unchanged, rate, unchanged_runs
from swapgate.gates.verdict import GATES


def runs(an_outcome: Any, *red: set[str], **changes: Any) -> list[Outcome]:
    """A control run for each set of gates that cried wolf in it; all made the same pictures."""
    found = []
    for job, gates in zip(controls(len(red)), red, strict=True):
        alarms = tuple(f"{gate}/m/all" for gate in sorted(gates))
        found.append(an_outcome(gates, **{"job": job, "run": f"runs/{job.name}", "pictures": "same", "alarms": alarms, **changes}))
    return found


def seen(found: list[Outcome]) -> Unchanged:
    known = unchanged_runs(found)
    assert known is not None
    return known


def test_a_run_counts_once_however_many_of_its_gates_are_red(an_outcome: Any) -> None:
    """And each gate has its own count."""
    found = seen(runs(an_outcome, set(), {"latency", "memory"}, {"latency"}, set()))
    assert (found.anywhere.red, found.anywhere.n) == (2, 4)
    assert {one.gate: (one.rate.red, one.rate.n) for one in found.gates} == {
        "latency": (2, 4), "memory": (1, 4), "usability": (0, 4), "drift": (0, 4), "stability": (0, 4),
    }  # fmt: skip


def test_a_red_task_is_red_even_where_the_pool_is_green(an_outcome: Any) -> None:
    """The user's run would be red, so it counts; the cell is named."""
    (one,) = runs(an_outcome, {"memory"})
    found = seen([replace(one, alarms=("memory/m/cup",))])
    assert (found.anywhere.red, found.alarms[0].run, found.alarms[0].cells) == (1, "runs/nothing/moderate-1", ("memory/m/cup",))


def test_equal_pictures_are_runs_of_their_own(an_outcome: Any) -> None:
    """Power counts distinct pictures; a false-alarm rate is one of runs. How many differ is said beside it."""
    assert (seen(runs(an_outcome, *[set()] * 9)).anywhere.n, seen(runs(an_outcome, *[set()] * 9)).different) == (9, 1)


@pytest.mark.parametrize(("red", "n"), [(0, 100), (1, 100), (3, 100), (7, 7), (2, 30)])
def test_the_interval_is_the_exact_one(red: int, n: int) -> None:
    """Held against scipy's; the upper end of no alarm in a hundred is 5.16 %, not nothing."""
    exact = binomtest(red, n).proportion_ci(0.99, method="exact")
    assert (rate(red, n).low, rate(red, n).high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert rate(0, 100).high == pytest.approx(0.0516, abs=5e-5)


def test_of_no_run_nothing_is_known(an_outcome: Any) -> None:
    """All controls failed: that is no rate of zero."""
    found = seen(runs(an_outcome, set(), error="it broke"))
    assert (found.anywhere.n, found.anywhere.low, found.anywhere.high) == (0, 0.0, 1.0)
    assert found.failed == ("runs/nothing/moderate-1: it broke",)


def test_a_gate_that_could_not_decide_is_counted_as_such(an_outcome: Any) -> None:
    """A hundred undecided runs without an alarm say little of the gate."""
    one, other = runs(an_outcome, set(), {"drift"})
    for found in (one, other):
        found.seen["drift"] = Seen(status="", red=found is other, decided=False, cell="", reason="")
    undecided = {gate.gate: gate.undecided for gate in seen([one, other]).gates}
    assert undecided == {**dict.fromkeys(GATES, 0), "drift": 1}


def test_faulty_runs_are_not_unchanged_ones(an_outcome: Any) -> None:
    """Without a control there is nothing to say."""
    assert unchanged_runs([an_outcome({"drift"})]) is None
    assert seen([an_outcome({"drift"}), *runs(an_outcome, set())]).anywhere.n == 1
