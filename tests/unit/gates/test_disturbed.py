"""Times of a machine that had other work to do are neither held against a model nor for it."""

from typing import Any

import pytest

from swapgate.gates import memory
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


OTHER = ("python3 (4242)",)


@pytest.mark.parametrize(("ours", "theirs"), [(OTHER, ()), ((), OTHER), (OTHER, OTHER)])
@pytest.mark.parametrize("seconds", [6.0, 3.0, 2.0])
@pytest.mark.parametrize("turns", [False, True])
def test_times_beside_another_process_on_the_device_are_undecided(
    build: Any, seconds: float, ours: tuple[str, ...], theirs: tuple[str, ...], turns: bool
) -> None:
    """Neither slower, nor equal, nor faster; also in turn, and whichever arm it disturbed."""
    calm = compared(build, seconds, interleaved=turns)
    assert calm.status in (Status.REGRESSION, Status.PASS, Status.IMPROVED)
    found = compared(build, seconds, ours, theirs, interleaved=turns)
    assert found.status is Status.INCONCLUSIVE
    assert "shared the device with python3 (4242)" in found.reason
    assert ("run again" if ours else "accept again") in found.reason
    assert all(one.futile for one in found.findings if one.decides), "more calls would be held against the disturbed ones, too"


def test_a_ceiling_is_not_held_against_a_disturbed_model_and_a_disturbed_baseline_has_no_part_in_it(build: Any) -> None:
    assert of_ceiling(build, 6.0, limit=5.0).status is Status.REGRESSION
    assert of_ceiling(build, 3.0, limit=5.0).status is Status.PASS
    assert of_ceiling(build, 6.0, limit=5.0, ours=OTHER).status is Status.INCONCLUSIVE
    assert of_ceiling(build, 3.0, limit=5.0, ours=OTHER).status is Status.INCONCLUSIVE
    disturbed = compared(build, 3.0, (), OTHER, limits=build.limits(seconds_per_image=5.0))
    assert {one.name: one.status for one in disturbed.findings}["total ceiling"] is Status.PASS


def test_a_missing_synchronisation_stays_an_error(build: Any) -> None:
    found = compared(build, 3.0, OTHER, limits=build.limits(compute_floor_seconds=4.0))
    assert found.status is Status.ERROR


@pytest.mark.parametrize(("peak", "status"), [(20_000.0, Status.PASS), (30_000.0, Status.REGRESSION), (10_000.0, Status.IMPROVED)])
def test_memory_is_judged_as_ever_and_names_who_else_was_there(build: Any, peak: float, status: Status) -> None:
    cost = build.cost(peak_mib=[peak] * 30, foreign=OTHER)
    evidence = build.evidence(build.arm(cost=cost), build.arm(cost=build.cost()))
    found = memory.judge(evidence, Policy())
    assert found.status is status
    assert "during calls of: candidate (python3 (4242)); what is judged is this process's own" in found.reason


def compared(build: Any, seconds: float, ours: tuple[str, ...] = (), theirs: tuple[str, ...] = (), **more: Any) -> Any:
    candidate, baseline = build.noisy(seconds, 0.001, 30, 1, foreign=ours), build.noisy(3.0, 0.001, 30, 2, foreign=theirs)
    return judge(build.evidence(build.arm(cost=candidate), build.arm(cost=baseline, processes=build.processes(baseline)), **more), Policy())


def of_ceiling(build: Any, seconds: float, limit: float, ours: tuple[str, ...] = ()) -> Any:
    cost = build.noisy(seconds, 0.001, 30, 1, foreign=ours)
    return judge(build.evidence(build.arm(cost=cost), None, no_cost="none accepted", limits=build.limits(seconds_per_image=limit)), Policy())
