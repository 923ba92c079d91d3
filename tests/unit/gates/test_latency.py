"""The latency gate passes what is as fast, and fails what is slower."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from swapgate.gates.evidence import Repeat
from swapgate.gates.latency import judge
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Finding, Status, Verdict

QUICK = Policy(draws=500)


def run(build: Any, ours: Any, theirs: Any, policy: Policy = QUICK, pipelines: tuple[str, str] = ("P", "P"), **given: Any) -> Verdict:
    """The verdict on two costs; of the second ten processes were measured, unless others are given, that differ by a thousandth."""
    processes = given.pop("processes", None)
    measured = build.processes(theirs) if processes is None else processes
    baseline = build.arm(cost=theirs, pipeline=pipelines[1], processes=measured) if theirs is not None else None
    return judge(build.evidence(build.arm(cost=ours, pipeline=pipelines[0]), baseline, **given), policy)


def named(verdict: Verdict, name: str) -> Finding:
    """One finding by name."""
    return next(one for one in verdict.findings if one.name == name)


def simulated(build: Any, factor: float, spread: float, calls: int, times: int = 30) -> Counter[Status]:
    """Verdicts on noisy arms of which the candidate's takes `factor` as long."""
    return Counter(run(build, build.noisy(3 * factor, spread, calls, 2 * i), build.noisy(3.0, spread, calls, 2 * i + 1)).status for i in range(times))


def test_equal_arms_pass_and_a_planted_slowdown_is_red(build: Any) -> None:
    """A/A at 3 % noise is never red and nearly always PASS; +20 % is always red; -20 % is always IMPROVED."""
    same, slow, fast = (simulated(build, factor, 0.03, 30) for factor in (1.0, 1.2, 0.8))
    assert same[Status.PASS] >= 27
    assert same[Status.REGRESSION] == 0
    assert slow == {Status.REGRESSION: 30}
    assert fast == {Status.IMPROVED: 30}


def test_a_slowdown_at_the_limit_is_neither_green_nor_red_by_luck(build: Any) -> None:
    """Exactly +5 %: either answer would be a claim without evidence."""
    assert simulated(build, 1.05, 0.03, 30, times=20)[Status.INCONCLUSIVE] >= 17


def test_an_undecided_cell_says_how_many_calls_would_decide(build: Any) -> None:
    """The remedy is a number."""
    verdict = run(build, build.noisy(3.09, 0.05, 12, 1), build.noisy(3.0, 0.05, 12, 2))
    assert verdict.status is Status.INCONCLUSIVE
    assert "more calls an arm would decide" in verdict.reason or "would not decide" in verdict.reason
    assert verdict.next == "pytest tests/gates/test_latency.py --model=m"


def test_the_reason_is_a_sentence_with_both_times_the_change_and_the_limit(build: Any) -> None:
    """412 ms vs 310 ms reads so, and the next command accepts with a reason."""
    verdict = run(build, build.noisy(0.412, 0.01, 30, 1), build.noisy(0.310, 0.01, 30, 2))
    assert verdict.reason.startswith("total 41")
    assert " ms vs 31" in verdict.reason
    assert "limit +5.0 %" in verdict.reason
    assert "the arms were not measured in turn" in verdict.reason
    assert verdict.next == 'swapgate baselines accept --run={run} --reason="why it may get worse" latency/m/all'
    assert verdict.finding is not None
    assert verdict.finding.low is not None
    assert verdict.finding.low > 5
    assert verdict.finding.p is not None
    assert verdict.finding.p < 0.01


def test_a_ceiling_holds_without_any_baseline(build: Any) -> None:
    """Over the ceiling is red, under it the cell is still NEW."""
    slow = run(build, build.cost(6.0), None, limits=build.limits(seconds_per_image=5.0))
    fast = run(build, build.cost(4.0), None, limits=build.limits(seconds_per_image=5.0))
    assert slow.status is Status.REGRESSION
    assert "ceiling 5.00 s" in slow.reason
    assert slow.next == "pytest tests/gates/test_latency.py --model=m"
    assert fast.status is Status.NEW
    assert fast.next == "swapgate baselines accept --run={run} latency/m/all"
    assert named(fast, "total ceiling").status is Status.PASS


def test_the_first_step_has_a_ceiling_of_its_own(build: Any) -> None:
    """A first step of 0.3 s over a ceiling of 0.2 s is red although the total is equal to the baseline's."""
    verdict = run(build, build.cost(3.0), build.cost(3.0), limits=build.limits(first_step_seconds=0.2))
    assert verdict.status is Status.REGRESSION
    assert verdict.finding is not None
    assert verdict.finding.name == "first step ceiling"


def test_other_hardware_is_decided_by_its_ceilings(build: Any) -> None:
    """Without a cost baseline the ceilings pass or fail, and the reason says that nothing was compared."""
    no_cost = "no cost baseline for cpu-amd-epyc"
    for seconds, status in ((4.0, Status.PASS), (6.0, Status.REGRESSION)):
        verdict = run(build, build.cost(seconds), build.cost(1.0), no_cost=no_cost, limits=build.limits(seconds_per_image=5.0))
        assert verdict.status is status
        assert f"no comparison was possible: {no_cost}" in verdict.reason
    unlimited = run(build, build.cost(4.0), build.cost(1.0), no_cost=no_cost)
    assert unlimited.status is Status.NEW


def test_another_recipe_cannot_be_compared_unless_a_ceiling_is_broken(build: Any) -> None:
    """INCOMPARABLE with the reason; red stays red."""
    limits = build.limits(seconds_per_image=5.0)
    held = run(build, build.cost(4.0), build.cost(4.0), incomparable="30 steps instead of 20", limits=limits)
    broken = run(build, build.cost(6.0), build.cost(4.0), incomparable="30 steps instead of 20", limits=limits)
    assert (held.status, broken.status) == (Status.INCOMPARABLE, Status.REGRESSION)
    assert "30 steps instead of 20" in held.reason


def test_calls_without_guidance_are_not_called_faster(build: Any) -> None:
    """Half the forwards take half the time, which is other work and no improvement."""
    candidate = build.arm(cost=build.cost(1.5), forwards=((16, 8),) * 30)
    verdict = judge(build.evidence(candidate, build.arm(cost=build.cost(3.0))), QUICK)
    assert verdict.status is Status.INCOMPARABLE
    assert "8 forwards a call where its card expects 16" in verdict.reason


def test_a_small_stage_cannot_redden_a_long_image(build: Any) -> None:
    """Text encoding that doubles from 1 ms to 2 ms in a 3 s image passes; one that adds a second is red."""
    base = build.noisy(3.0, 0.01, 30, 1)
    small = replace(base, text=tuple(np.full(30, 0.002)))
    large = replace(base, text=tuple(np.full(30, 1.0)))
    theirs = replace(base, text=tuple(np.full(30, 0.001)))
    assert run(build, small, theirs).status is Status.PASS
    red = run(build, large, theirs)
    assert red.status is Status.REGRESSION
    assert red.finding is not None
    assert red.finding.name == "text"


def test_stages_of_another_pipeline_are_only_reported(build: Any) -> None:
    """A slower stage does not decide when stages begin and end elsewhere."""
    base = build.noisy(3.0, 0.01, 30, 1)
    verdict = run(build, replace(base, decode=tuple(np.full(30, 2.0))), base, pipelines=("P", "Q"))
    assert verdict.status is Status.PASS
    assert not named(verdict, "decode").decides
    assert named(verdict, "decode").status is Status.REGRESSION


def test_ten_milliseconds_before_the_first_step_pass(build: Any) -> None:
    """+8 ms of 40 ms is +20 %, but nobody waits for it."""
    base = build.noisy(3.0, 0.01, 30, 1)
    ours, theirs = replace(base, first_step=(0.048,) * 30), replace(base, first_step=(0.040,) * 30)
    assert run(build, ours, theirs).status is Status.PASS
    assert run(build, replace(base, first_step=(0.080,) * 30), theirs).status is Status.REGRESSION


def test_few_calls_decide_nothing(build: Any) -> None:
    """Four calls are not enough for a comparison nor for a ceiling."""
    verdict = run(build, build.cost(9.0, calls=4), build.cost(3.0), limits=build.limits(seconds_per_image=5.0))
    assert verdict.status is Status.INCONCLUSIVE
    assert "only 4 calls after the first, 5 are needed" in verdict.reason


def test_first_call_and_loading_are_shown_and_never_decide(build: Any) -> None:
    """A tenfold load time is reported beside a PASS."""
    verdict = run(build, build.cost(3.0, load_seconds=200.0, first_call_seconds=90.0), build.cost(3.0))
    assert verdict.status is Status.PASS
    assert named(verdict, "load").effect == pytest.approx(900.0)
    assert not named(verdict, "load").decides
    assert not named(verdict, "first call").decides


def test_throttling_is_named_in_the_reason(build: Any) -> None:
    """A red cell on a hot device says so, because the device and not the code may be slow."""
    verdict = run(build, build.noisy(4.0, 0.01, 30, 1, throttled=("sw_thermal",)), build.noisy(3.0, 0.01, 30, 2))
    assert verdict.status is Status.REGRESSION
    assert "the device throttled during samples of: candidate (sw_thermal)" in verdict.reason


def test_missing_images_and_missing_times_are_no_pass(build: Any) -> None:
    """ERROR with count and first reason; INCONCLUSIVE when nothing was measured."""
    gone = judge(build.evidence(build.arm(cost=build.cost(), missing=build.missing(3)), None), QUICK)
    assert gone.status is Status.ERROR
    assert gone.reason.startswith("3 requests of this cell gave no image; the first is cat/en/0/0: time-out")
    assert run(build, None, build.cost()).status is Status.INCONCLUSIVE
    assert run(build, build.cost(calls=0), build.cost()).status is Status.INCONCLUSIVE
    assert run(build, build.cost(), None).status is Status.NEW


def test_a_clock_that_stands_still_is_no_evidence(build: Any) -> None:
    """Zero seconds cannot be compared."""
    verdict = run(build, build.cost([0.0] * 10), build.cost(3.0))
    assert verdict.status is Status.INCONCLUSIVE
    assert "not positive" in verdict.reason


def test_an_engine_that_sees_no_stages_is_judged_on_the_total(build: Any) -> None:
    """Stages it cannot see are left out."""
    blind = build.cost(3.0, first_step=[], text=[], denoise=[], decode=[])
    verdict = run(build, blind, blind)
    assert verdict.status is Status.PASS
    assert {one.name for one in verdict.findings} == {"total", "first call", "load"}


def test_slower_beyond_doubt_but_not_within_the_budget_says_so(build: Any) -> None:
    """Eight calls that are clearly slower cannot clear a share of one in ten thousand: undecided, with both figures."""
    accepted = build.noisy(3.0, 0.05, 8, 2)
    ours, theirs = build.arm(cost=build.noisy(4.5, 0.05, 8, 1)), build.arm(cost=accepted, processes=build.processes(accepted))
    verdict = judge(build.evidence(ours, theirs), build.policy.at_most(1e-4))
    assert verdict.status is Status.INCONCLUSIVE
    assert "slower at p = " in verdict.reason
    assert "share of the run's false-alarm budget is 0.0001: more calls, or more processes in the baseline's null, would tell" in verdict.reason
    assert judge(build.evidence(ours, theirs), build.policy).status is Status.REGRESSION


def test_neighbours_measured_in_turn_are_witnesses_of_their_own(build: Any) -> None:
    """Twenty pairs, each a third slower than its neighbour, on a machine whose speed wanders by half: red in turn, undecided apart."""
    generator = np.random.default_rng(5)
    machine = np.exp(np.cumsum(generator.normal(0, 0.15, 20)))
    ours, theirs = (build.arm(cost=build.cost(machine * pace * np.exp(generator.normal(0, 0.03, 20)))) for pace in (1.33, 1.0))
    policy = build.policy.at_most(1e-4)
    assert judge(build.evidence(ours, theirs, interleaved=True), policy).status is Status.REGRESSION
    assert judge(build.evidence(ours, theirs), policy).status is Status.INCONCLUSIVE


def test_a_baseline_of_one_process_decides_nothing_on_time(build: Any) -> None:
    """Whatever the change: no claim, with the remedy, and the next command measures it. Ceilings stay what they are."""
    for seconds in (3.0, 9.0, 1.0):
        verdict = run(build, build.noisy(seconds, 0.01, 30, 1), build.noisy(3.0, 0.01, 30, 2), processes=())
        assert verdict.status is Status.INCONCLUSIVE
        assert "nothing was measured of how much the time differs from process to process: accept again with --null=8" in verdict.reason
        assert verdict.next == "swapgate calibrate --model=m"
        assert all(one.p is None and one.low is None for one in verdict.findings)
    theirs, limits = build.noisy(3.0, 0.01, 30, 2), build.limits(seconds_per_image=5.0)
    assert run(build, build.noisy(9.0, 0.01, 30, 1), theirs, processes=(), limits=limits).status is Status.REGRESSION
    assert run(build, build.noisy(3.0, 0.01, 30, 1), theirs, processes=(), limits=limits).status is Status.INCONCLUSIVE


@pytest.mark.parametrize("n", [2, 3])
def test_three_processes_are_the_fewest(build: Any, n: int) -> None:
    """The baseline's own and two more."""
    theirs = build.noisy(3.0, 0.01, 30, 2)
    verdict = run(build, build.noisy(3.0, 0.01, 30, 1), theirs, processes=build.processes(theirs, n=n))
    assert ("nothing was measured" in verdict.reason) is (n < 3)


def test_processes_that_differ_as_much_as_the_candidate_does_are_no_alarm(build: Any) -> None:
    """Ten per cent slower, and ten processes of the baseline differ by six: undecided; where they differ by a thousandth it is red."""
    ours, theirs = build.noisy(3.3, 0.01, 60, 1), build.noisy(3.0, 0.01, 60, 2)
    wide = run(build, ours, theirs, processes=build.processes(theirs, spread=0.06))
    assert wide.status is Status.INCONCLUSIVE
    assert "10 processes are too few, or differ too much" in wide.reason
    assert "and 10 processes differ by" in wide.reason
    assert run(build, ours, theirs).status is Status.REGRESSION


def test_unchanged_processes_are_red_within_the_budget_and_bare_bounds_are_not(build: Any) -> None:
    """Processes with a pace of their own (8 %) at p <= 0.05: below one in twenty with their spread, many without it."""
    generator, policy = np.random.default_rng(9), build.policy.at_most(0.05)
    red = Counter()
    for i in range(60):
        paces = np.exp(generator.normal(0, 0.08, 8))
        ours, theirs = build.noisy(3.0 * paces[0], 0.01, 30, 2 * i), build.noisy(3.0 * paces[1], 0.01, 30, 2 * i + 1)
        again = [build.paced(theirs, float(pace / paces[1])) for pace in paces[1:]]
        measured = tuple(replace(build.processes(theirs)[0], process=n, cost=theirs if n == 0 else one) for n, one in enumerate(again))
        spread = run(build, ours, theirs, replace(policy, draws=500), processes=measured)
        bare = run(build, ours, theirs, replace(policy, draws=500))  # as if processes differed by a thousandth
        red["with"] += spread.status is Status.REGRESSION
        red["without"] += bare.status is Status.REGRESSION
    assert red["with"] <= 3
    assert red["without"] >= 10


def test_the_same_time_to_the_last_digit_is_no_clock(build: Any) -> None:
    """Constant samples in every process: nothing is known, and nothing is green."""
    constant = build.cost(3.0, calls=12)
    verdict = run(build, build.cost(3.0), constant, processes=build.processes(constant, spread=0.0))
    assert verdict.status is Status.INCONCLUSIVE
    assert "10 processes took the same time to the last digit, which no clock measures" in verdict.reason


def test_arms_in_turn_need_no_other_process(build: Any) -> None:
    """What both processes shared cancels, and what they did not is in every pair alike: nothing changes there."""
    ours, theirs = build.noisy(3.0, 0.01, 30, 1), build.noisy(3.0, 0.01, 30, 2)
    assert run(build, ours, theirs, processes=(), interleaved=True).status is Status.PASS
    other = run(build, ours, theirs, processes=build.processes(theirs, spread=0.3), interleaved=True)
    assert other.findings == run(build, ours, theirs, processes=(), interleaved=True).findings


def test_the_candidates_own_null_serves_where_the_baseline_has_none(build: Any) -> None:
    """A run with --null=8 against a baseline of before."""
    ours, theirs = build.noisy(3.0, 0.01, 30, 1), build.noisy(3.0, 0.01, 30, 2)
    candidate = build.arm(cost=ours, processes=build.processes(ours))
    assert judge(build.evidence(candidate, build.arm(cost=theirs)), QUICK).status is Status.PASS


def test_a_time_below_the_compute_floor_voids_the_verdict(build: Any) -> None:
    """Whatever else there is to say: ERROR. A baseline below it cannot be compared with."""
    limits = build.limits(compute_floor_seconds=2.0, seconds_per_image=5.0)
    void = run(build, build.noisy(1.0, 0.01, 30, 1), build.noisy(3.0, 0.01, 30, 2), limits=limits)
    assert void.status is Status.ERROR
    assert "below the compute floor of 2.00 s: a synchronisation is missing" in void.reason
    assert len(void.findings) == 1
    theirs = run(build, build.noisy(3.0, 0.01, 30, 1), build.noisy(1.0, 0.01, 30, 2), limits=limits)
    assert theirs.status is Status.INCOMPARABLE
    assert "took 1.00 s, below the compute floor" in theirs.reason
    held = run(build, build.noisy(3.0, 0.01, 30, 1), build.noisy(3.0, 0.01, 30, 2), limits=limits)
    assert held.status is Status.PASS


def test_calls_are_not_made_for_what_differs_between_processes(build: Any) -> None:
    """Processes that differ by a tenth hide a limit of a twentieth from any number of calls; where they hardly differ, more calls may tell."""
    for pace, futile in ((0.10, True), (0.001, False)):
        paces = np.random.default_rng(4).normal(0, pace, 6)
        known = tuple(Repeat(run="r", process=n, task="t", cost=build.noisy(3.0 * float(np.exp(one)), 0.002, 12, n)) for n, one in enumerate(paces))
        ours, theirs = build.noisy(3.13, 0.08, 24, 1), build.noisy(3.0, 0.08, 90, 2)
        found = judge(build.evidence(build.arm(cost=ours), build.arm(cost=theirs, processes=known)), build.policy.at_look(1, 5))
        total = next(one for one in found.findings if one.name == "total")
        assert (total.status, total.futile) == (Status.INCONCLUSIVE, futile), total.reason
