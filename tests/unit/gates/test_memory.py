"""The memory gate passes what needs no more, and fails a higher peak, a jump and a leak."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from swapgate.gates.memory import judge
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Finding, Status, Verdict

QUICK = Policy(draws=1000)


def run(build: Any, ours: Any, theirs: Any, accelerator: str = "nvidia-h200", **given: Any) -> Verdict:
    """The verdict on two costs."""
    baseline = build.arm(cost=theirs, accelerator=accelerator) if theirs is not None else None
    return judge(build.evidence(build.arm(cost=ours, accelerator=accelerator), baseline, **given), QUICK)


def named(verdict: Verdict, name: str) -> Finding:
    """One finding by name."""
    return next(one for one in verdict.findings if one.name == name)


def resident(calls: int, leak: float, seed: int) -> np.ndarray:
    """Resident memory in MiB as a CPU process shows it: a warm-up that levels off, arenas in steps, noise, and a leak."""
    generator = np.random.default_rng(seed)
    arenas = 0.3 * np.cumsum(np.where(generator.random(calls) < 0.08, generator.choice([2, 4, 8, 16, 32], calls), 0))
    return 900 + arenas + 120 * (1 - np.exp(-np.arange(calls) / 3)) + generator.normal(0, 6, calls) + leak * np.arange(calls)


def on_cpu(build: Any, calls: int, leak: float, times: int = 25) -> Counter[Status]:
    """Verdicts on simulated processes."""
    level = build.cost(calls=calls, peak_mib=[2000.0] * calls)
    return Counter(
        run(build, build.cost(calls=calls, held_mib=resident(calls, leak, i), peak_mib=[2000.0] * calls), level, "cpu-amd-epyc").status
        for i in range(times)
    )


def test_a_leak_of_five_mib_an_image_is_caught_on_a_noisy_cpu_and_none_is_seen_where_there_is_none(build: Any) -> None:
    """60 calls: 25 of 25 each way."""
    assert on_cpu(build, 60, 5.0) == {Status.REGRESSION: 25}
    assert on_cpu(build, 60, 0.0) == {Status.PASS: 25}


def test_the_warm_up_of_a_short_run_is_no_leak(build: Any) -> None:
    """Caches that fill in the first images are left out: with 24 to 30 calls no process without a leak is red."""
    for calls in (24, 30):
        assert on_cpu(build, calls, 0.0)[Status.REGRESSION] == 0


def test_a_single_arena_of_thirty_mib_is_no_leak(build: Any) -> None:
    """A step is not a slope: Theil and Sen's line forgives it."""
    held = [900.0] * 30 + [930.0] * 30
    verdict = run(build, build.cost(calls=60, held_mib=held, peak_mib=[2000.0] * 60), build.cost(calls=60, peak_mib=[2000.0] * 60), "cpu")
    assert verdict.status is Status.PASS


def test_a_device_leaks_from_half_a_mib_an_image(build: Any) -> None:
    """Allocated bytes carry no noise: 1 MiB an image is red, none is a slope of exactly 0."""
    base = build.cost(calls=30)
    leaking = run(build, build.cost(calls=30, held_mib=18_000 + np.arange(30.0)), base)
    assert leaking.status is Status.REGRESSION
    assert leaking.finding is not None
    assert leaking.finding.name == "growth"
    assert "grows by 1.00 MiB an image" in leaking.reason
    assert named(run(build, base, base), "growth").effect == 0.0


def test_growth_is_per_image_also_when_a_call_makes_four(build: Any) -> None:
    """4 MiB a call of four images are 1 MiB an image, and the card's own limit goes before the policy's."""
    leaking = build.cost(calls=30, held_mib=18_000 + 4 * np.arange(30.0), numbers=4 * np.arange(30), images=[4] * 30)
    assert named(run(build, leaking, build.cost()), "growth").effect == pytest.approx(1.0)
    assert run(build, leaking, build.cost(), limits=build.limits(growth_mib=1.5)).status is Status.PASS


def test_too_few_calls_leave_growth_open_in_the_pooled_cell_and_unmentioned_by_a_task(build: Any) -> None:
    """Twelve calls: the pooled cell stays undecided, a task's cell is decided by its peak and says that growth was not judged."""
    short = build.cost(calls=12)
    pooled, task = (run(build, short, short, task=name) for name in ("all", "cat"))
    assert (pooled.status, task.status) == (Status.INCONCLUSIVE, Status.PASS)
    assert "growth not judged" in named(task, "growth").reason


@pytest.mark.parametrize(("added", "status"), [(0, Status.PASS), (390, Status.PASS), (410, Status.REGRESSION), (-410, Status.IMPROVED)])
def test_a_peak_may_move_by_two_percent(build: Any, added: float, status: Status) -> None:
    """20,000 MiB: 400 MiB either way."""
    verdict = run(build, build.cost(peak_mib=[20_000.0 + added] * 30), build.cost())
    assert verdict.status is status
    assert named(verdict, "peak").effect == added
    assert "limit +400 MiB" in verdict.reason


def test_a_small_model_may_move_by_128_mib(build: Any) -> None:
    """Both floors must be exceeded: +100 MiB of 300 pass, +2 GiB are red."""
    base = build.cost(peak_mib=[300.0] * 30)
    assert run(build, build.cost(peak_mib=[400.0] * 30), base).status is Status.PASS
    assert run(build, build.cost(peak_mib=[2348.0] * 30), base).status is Status.REGRESSION


def test_resident_memory_of_a_cpu_process_may_move_by_256_mib() -> None:
    """It holds allocator arenas and libraries as well, so its floor is twice that of a device; the device's stays."""
    policy = Policy()
    assert policy.memory_limit_mib("cpu-amd-epyc") == 256.0
    assert policy.memory_limit_mib("nvidia-h200") == 128.0


def test_the_ceiling_counts_the_highest_call(build: Any) -> None:
    """One call over the ceiling would have run out of memory, with or without a baseline."""
    once = build.cost(peak_mib=[20_000.0] * 29 + [24_600.0])
    for theirs in (None, once):
        verdict = run(build, once, theirs, limits=build.limits(memory_mib=24_564.0))
        assert verdict.status is Status.REGRESSION
        assert named(verdict, "memory ceiling").status is Status.REGRESSION


def test_jumping_peaks_are_red_in_a_task_and_only_reported_where_tasks_differ(build: Any) -> None:
    """A range of 2.5 GiB over equal requests is a fault; over different tasks it may be their nature."""
    jumps = build.cost(peak_mib=[19_100.0, 21_800.0] * 15)
    single, pooled = (run(build, jumps, jumps, task=name) for name in ("cat", "all"))
    assert (single.status, pooled.status) == (Status.REGRESSION, Status.PASS)
    assert "peaks range over 2700 MiB" in single.reason
    assert (named(pooled, "jitter").status, named(pooled, "jitter").decides) == (Status.INCONCLUSIVE, False)
    assert single.next == "pytest tests/gates/test_memory.py --model=m --task=cat"


def test_a_small_model_may_jump_by_128_mib(build: Any) -> None:
    """100 MiB are a tenth of a small model and still nothing that runs out of memory."""
    jumps = build.cost(peak_mib=[1000.0, 1100.0] * 15)
    assert run(build, jumps, jumps, task="cat").status is Status.PASS


def test_the_jitter_of_few_calls_is_not_judged(build: Any) -> None:
    """A warm-up must not redden a small cell."""
    rising = build.cost(peak_mib=np.linspace(1000, 1400, 10))
    verdict = run(build, rising, rising, "cpu", task="cat")
    assert verdict.status is Status.PASS
    assert "jitter not judged" in named(verdict, "jitter").reason


def test_without_a_cost_baseline_the_ceiling_decides(build: Any) -> None:
    """PASS and the command that makes a baseline; NEW where no ceiling is set, and where nothing was accepted at all."""
    given = {"no_cost": "no cost baseline for cpu-amd-epyc"}
    capped = run(build, build.cost(), build.cost(), limits=build.limits(memory_mib=30_000.0), **given)
    assert capped.status is Status.PASS
    assert "no comparison was possible: no cost baseline for cpu-amd-epyc" in capped.reason
    assert capped.next == "swapgate baselines accept --run={run} memory/m/all"
    assert run(build, build.cost(), build.cost(), **given).status is Status.NEW
    assert run(build, build.cost(), None, limits=build.limits(memory_mib=30_000.0)).status is Status.NEW
    bare = run(build, build.cost(), build.cost(calls=0), limits=build.limits(memory_mib=30_000.0))
    assert bare.status is Status.PASS


def test_few_calls_cannot_pass_and_can_fail(build: Any) -> None:
    """A peak once seen is a fact; its absence in three calls is not."""
    few = build.cost(calls=3)
    assert run(build, few, build.cost(), task="cat").status is Status.INCONCLUSIVE
    assert run(build, build.cost(calls=3, peak_mib=[25_000.0] * 3), build.cost(), task="cat").status is Status.REGRESSION


def test_missing_images_are_an_error_and_missing_figures_undecided(build: Any) -> None:
    """Never a PASS."""
    gone = judge(build.evidence(build.arm(cost=build.cost(), missing=build.missing(1)), None), QUICK)
    assert gone.status is Status.ERROR
    assert gone.reason.startswith("1 request of this cell")
    assert run(build, None, build.cost()).status is Status.INCONCLUSIVE


def test_times_do_not_matter_to_memory(build: Any) -> None:
    """A slowdown leaves this gate green."""
    assert run(build, build.cost(9.0), build.cost(3.0)).status is Status.PASS


def two_processes(build: Any, leak: float, shift: float) -> Any:
    """40 calls, then 60 of another process whose memory starts `shift` MiB higher; the count of images starts anew."""
    numbers = [*range(1, 41), *range(1, 61)]
    held = [18_000.0 + leak * made + (shift if place >= 40 else 0.0) for place, made in enumerate(numbers)]
    return build.cost(calls=100, numbers=numbers, held_mib=held)


@pytest.mark.parametrize("shift", [-400.0, 0.0, 400.0])
def test_growth_is_read_within_the_longest_process(build: Any, shift: float) -> None:
    """A resumed run: where its second process starts is no growth, and hides none."""
    level = build.cost(calls=100)
    steady, leaking = (named(run(build, two_processes(build, leak, shift), level), "growth") for leak in (0.0, 5.0))
    assert (steady.status, steady.effect, steady.n) == (Status.PASS, 0.0, 48)
    assert (leaking.status, leaking.effect) == (Status.REGRESSION, pytest.approx(5.0))


@pytest.mark.parametrize(("jitter", "status"), [(0.0, Status.REGRESSION), (200.0, Status.REGRESSION), (600.0, Status.PASS)])
def test_the_limit_is_never_below_what_the_baselines_processes_differ_by(build: Any, jitter: float, status: Status) -> None:
    """500 MiB more where 20 GiB allow 400: a change, unless the accepted model differs from itself by as much."""
    accepted = build.cost(3.0)
    again = build.cost(3.0, calls=10, peak_mib=[20_000.0 - jitter] * 10)
    rows = [replace(one, cost=accepted if one.process == 0 else again) for one in build.processes(accepted, n=4)]
    baseline = build.arm(cost=accepted, processes=tuple(rows))
    verdict = judge(build.evidence(build.arm(cost=build.cost(3.0, peak_mib=[20_500.0] * 30)), baseline), QUICK)
    assert named(verdict, "peak").status is status
    assert named(verdict, "peak").limit == max(400.0, jitter)
    assert f"peaks of 4 processes of baseline range over {jitter:.0f} MiB" in named(verdict, "peak").reason
    assert ("which is the limit" in named(verdict, "peak").reason) is (jitter > 400)


def test_a_task_is_held_against_its_own_peaks(build: Any) -> None:
    """What processes differ by in another task is no excuse for this one; the pool counts the highest of all tasks."""
    accepted = build.cost(3.0)
    other = [
        replace(one, task="dog", cost=build.cost(3.0, calls=10, peak_mib=[20_000.0 + 300 * one.process] * 10)) for one in build.processes(accepted)
    ]
    baseline = build.arm(cost=accepted, processes=(*build.processes(accepted), *other))
    ours = build.arm(cost=build.cost(3.0, peak_mib=[20_500.0] * 30))
    assert named(judge(build.evidence(ours, baseline, task="cat"), QUICK), "peak").limit == 400.0
    assert named(judge(build.evidence(ours, baseline), QUICK), "peak").limit == 2700.0


def test_peaks_of_one_process_are_decided_by_the_floor(build: Any) -> None:
    """As ever: nothing is said of processes that were not measured."""
    verdict = run(build, build.cost(3.0, peak_mib=[20_500.0] * 30), build.cost(3.0))
    assert named(verdict, "peak").status is Status.REGRESSION
    assert "processes" not in named(verdict, "peak").reason
