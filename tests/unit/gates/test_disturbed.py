"""Times of a machine that had other work to do are neither held against a model nor for it."""

from typing import Any

import pytest

from swapgate.gates.latency import judge
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status
from swapgate.gates.warning import busy

BUSY = (0.3,) * 30


def seen(build: Any, ours: float, theirs: float, waited: tuple[float, ...] = (), theirs_waited: tuple[float, ...] = (), **more: Any) -> Any:
    candidate, baseline = build.noisy(ours, 0.01, 30, 1, waited=waited), build.noisy(theirs, 0.01, 30, 2, waited=theirs_waited)
    return judge(build.evidence(build.arm(cost=candidate), build.arm(cost=baseline, processes=build.processes(baseline)), **more), Policy())


def test_a_slow_run_on_a_busy_machine_is_undecided_and_says_why(build: Any) -> None:
    assert seen(build, 6.0, 3.0).status is Status.REGRESSION
    found = seen(build, 6.0, 3.0, BUSY)
    assert found.status is Status.INCONCLUSIVE
    assert "for 30 % of the time other work on the machine kept it waiting for a processor: run again on a quiet machine" in found.reason


@pytest.mark.parametrize(("ours", "theirs"), [(BUSY, BUSY), ((0.02,) * 30, ()), ((0.0,) * 30, BUSY)])
def test_waiting_that_explains_nothing_hides_no_slow_down(build: Any, ours: tuple[float, ...], theirs: tuple[float, ...]) -> None:
    assert seen(build, 6.0, 3.0, ours, theirs).status is Status.REGRESSION


def test_arms_in_turn_were_disturbed_alike(build: Any) -> None:
    assert seen(build, 6.0, 3.0, BUSY, interleaved=True).status is Status.REGRESSION


@pytest.mark.parametrize(("ours", "undisturbed"), [(3.0, Status.PASS), (2.0, Status.IMPROVED)])
def test_a_baseline_of_a_busy_machine_makes_nothing_pass(build: Any, ours: float, undisturbed: Status) -> None:
    assert seen(build, ours, 3.0).status is undisturbed
    found = seen(build, ours, 3.0, (), BUSY)
    assert found.status is Status.INCONCLUSIVE
    assert "kept baseline waiting for a processor: accept again on a quiet machine" in found.reason


def test_a_calibration_on_a_busy_machine_is_warned_of(build: Any) -> None:
    assert busy([build.cost(), build.cost(waited=(0.02,) * 30)], 0.025) is None
    found = busy([build.cost(), build.cost(waited=BUSY)], 0.025)
    assert found is not None
    assert found.line.startswith("BUSY_MACHINE: other work on the machine kept calls waiting for a processor for 30 % of their time")
