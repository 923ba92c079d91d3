"""What differs between processes is found where it is, and is never made of what differs between tasks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import t

from swapgate.gates.evidence import Repeat
from swapgate.gates.processes import between, heads, peak_range, widened
from swapgate.gates.resampling import Estimate


def read(cost: Any) -> Any:
    return cost.seconds


def repeat(cost: Any, process: int, task: str = "cat", run: str = "r") -> Repeat:
    return Repeat(run=run, process=process, task=task, cost=cost)


def test_the_spread_is_the_deviation_of_the_log_medians(build: Any) -> None:
    """Four processes of 1, 1.1, 0.9 and 1 seconds."""
    paces = [1.0, 1.1, 0.9, 1.0]
    found = between([repeat(build.cost(pace, calls=6), n) for n, pace in enumerate(paces)], read)
    assert found is not None
    assert found.deviation == pytest.approx(float(np.std(np.log(paces), ddof=1)))
    assert (found.freedom, found.processes, found.calls) == (3, 4, 6)


def test_tasks_of_other_lengths_are_no_spread(build: Any) -> None:
    """A task of one second and one of nine, the same in every process: nothing differs but for the pace of the last."""
    tasks = {"short": 1.0, "long": 9.0}
    alike = [repeat(build.cost(seconds, calls=4), n, task) for task, seconds in tasks.items() for n in range(4)]
    assert between(alike, read).deviation == pytest.approx(0.0, abs=1e-12)
    paced = [repeat(build.cost(seconds * (1.2 if n == 3 else 1.0), calls=4), n, task) for task, seconds in tasks.items() for n in range(4)]
    assert between(paced, read).deviation == pytest.approx(math.log(1.2) / 2)


def test_a_process_that_lacks_a_task_is_no_outlier(build: Any) -> None:
    """Its first call is left out, which may have been the only one of its task."""
    rows = [repeat(build.cost(1.0, calls=3), n, "short") for n in range(4)] + [repeat(build.cost(9.0, calls=3), n, "long") for n in range(3)]
    assert between(rows, read).deviation == pytest.approx(0.0, abs=1e-12)


def test_the_run_counts_with_the_calls_that_its_null_repeats(build: Any) -> None:
    """The run's process gets slower after twelve calls, which the others never made: that is no difference between processes."""
    long = build.cost([3.0] * 12 + [30.0] * 60)
    rows = [repeat(long, 0), *(repeat(build.cost(3.0, calls=12), n) for n in (1, 2, 3))]
    assert between(rows, read).deviation == pytest.approx(0.0, abs=1e-12)
    assert heads(rows)[0].cost.seconds == (3.0,) * 12
    assert heads(rows)[0].cost.peak_mib == (20_000.0,) * 12


def test_a_run_that_was_gone_on_with_counts_with_its_first_process(build: Any) -> None:
    """The count of images starts anew: those calls are another process's."""
    resumed = build.cost([3.0] * 5 + [30.0] * 5, numbers=[1, 2, 3, 4, 5, 1, 2, 3, 4, 5])
    assert heads([repeat(resumed, 0), repeat(build.cost(3.0, calls=5), 1)])[0].cost.seconds == (3.0,) * 5


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_processes_tell_nothing(build: Any, n: int) -> None:
    """Nor do three of three different runs."""
    assert between([repeat(build.cost(1.0 + i), i) for i in range(n)], read) is None
    assert between([repeat(build.cost(1.0), 0, run=str(i)) for i in range(3)], read) is None


def test_runs_are_held_against_themselves(build: Any) -> None:
    """Tasks accepted from two runs, of which one machine was twice as slow: three degrees of freedom each, and no spread."""
    rows = [repeat(build.cost(pace, calls=5), n, task, run) for run, task, pace in (("a", "cat", 1.0), ("b", "cup", 2.0)) for n in range(4)]
    found = between(rows, read)
    assert found.deviation == pytest.approx(0.0, abs=1e-12)
    assert (found.freedom, found.processes) == (6, 8)


def test_times_that_are_none_are_left_out(build: Any) -> None:
    """NaN, nothing and zero seconds."""
    broken = build.cost([math.nan, 0.0, 2.0, 2.0])
    rows = [repeat(broken, 1), repeat(build.cost(2.0, calls=4), 2), repeat(build.cost(2.0, calls=4), 3), repeat(build.cost([]), 4)]
    found = between(rows, read)
    assert (found.processes, found.deviation, found.calls) == (3, pytest.approx(0.0, abs=1e-12), 2)
    assert between([repeat(build.cost([math.nan]), n) for n in range(4)], read) is None


ESTIMATE = Estimate(effect=1.1, low=1.08, high=1.12, deviation=0.01, blocks=9)


def test_bounds_hold_twice_the_variance_of_a_process() -> None:
    """Two processes differ: Student's t with Satterthwaite's degrees of freedom, worked out by hand."""
    found = widened(ESTIMATE, 0.02, 4, alpha=0.01, log=True)
    variance = 0.01**2 + 2 * 0.02**2
    freedom = math.floor(variance**2 / (0.01**4 / 8 + (2 * 0.02**2) ** 2 / 4))
    reach = float(t.isf(0.01, freedom)) * math.sqrt(variance)
    assert found.low == pytest.approx(1.1 * math.exp(-reach))
    assert found.high == pytest.approx(1.1 * math.exp(reach))
    assert found.blocks == freedom + 1
    assert found.p_below(1.05, log=True) == pytest.approx(float(t.sf(math.log(1.1 / 1.05) / math.sqrt(variance), freedom)))


def test_bounds_are_never_nearer_than_those_of_the_draws() -> None:
    """Without a spread they are the draws' own, or the normal ones where those are wider."""
    found = widened(replace(ESTIMATE, low=0.5, high=2.0), 0.0, 4, alpha=0.01, log=True)
    assert (found.low, found.high) == (0.5, 2.0)
    still = widened(replace(ESTIMATE, deviation=0.0), 0.0, 4, alpha=0.01, log=False)
    assert (still.low, still.high) == (1.08, 1.12)


def test_a_claim_of_unchanged_processes_is_false_no_more_often_than_it_says() -> None:
    """Six processes with a pace of their own (2 %), candidate and baseline two more: p <= 0.01 in at most 1 % of 4,000 pairs."""
    generator = np.random.default_rng(3)
    wrong = 0
    for _ in range(4000):
        paces = generator.normal(0, 0.02, 6)
        calls = generator.normal(0, 0.005)  # what the draws see of the calls of two arms
        spread, effect = float(np.std(paces[1:], ddof=1)), math.exp(generator.normal(0, 0.02) - paces[1] + calls)
        seen = Estimate(effect=effect, low=effect, high=effect, deviation=0.005, blocks=15)
        wrong += widened(seen, spread, 4, alpha=0.01, log=True).p_below(1.0, log=True) <= 0.01
    assert wrong <= 40 + 3 * math.sqrt(40)
    assert wrong > 5, "as often as it may, and not never"


def test_a_candidate_is_held_against_the_centre_of_the_processes(build: Any) -> None:
    """The run's own process was 3 % slow by chance: that is taken off, and one process differs from six less than from another one."""
    paces = (0.03, -0.006, -0.006, -0.006, -0.006, -0.006)
    found = between([repeat(build.cost(math.exp(pace), calls=8), n) for n, pace in enumerate(paces)], read)
    assert found is not None
    assert (found.offset, found.about) == (pytest.approx(0.03), 6)
    assert found.apart == pytest.approx(found.deviation * math.sqrt((1 + 1 / 6) / 2))
    without = between([repeat(build.cost(math.exp(pace), calls=8), n + 1) for n, pace in enumerate(paces)], read)
    assert without is not None
    assert (without.offset, without.about, without.apart) == (0.0, 1, pytest.approx(without.deviation))


def test_claims_against_the_centre_are_false_no_more_often_than_they_say(build: Any) -> None:
    """A candidate and six processes of one pace (2 %): a ratio above 1 is claimed at p <= 0.01 in about 1 % of 4,000 runs."""
    generator, wrong = np.random.default_rng(5), 0
    for _ in range(4000):
        paces, candidate = generator.normal(0, 0.02, 6), generator.normal(0, 0.02)
        spread, offset = float(np.std(paces, ddof=1)), float(paces[0] - paces.mean())
        effect = math.exp(candidate - paces[0] + offset)
        seen = Estimate(effect=effect, low=effect, high=effect, deviation=1e-6, blocks=15)
        wrong += widened(seen, spread * math.sqrt((1 + 1 / 6) / 2), 5, alpha=0.01, log=True).p_below(1.0, log=True) <= 0.01
    assert 40 - 3 * math.sqrt(40) < wrong < 40 + 3 * math.sqrt(40)


def test_peaks_range_over_processes_at_the_same_calls(build: Any) -> None:
    """Of the tasks that are asked for; a later peak of the run is not in it."""
    peak = lambda *mib: build.cost(1.0, calls=len(mib), peak_mib=mib)  # noqa: E731
    rows = [repeat(peak(100, 110, 900), 0), repeat(peak(100, 130), 1), repeat(peak(90, 95), 2), repeat(peak(5000), 1, "cup")]
    assert peak_range(rows, {"cat"}) == (35.0, 3)
    assert peak_range(rows, {"cup"}) == (0.0, 1)
    assert peak_range([], {"cat"}) == (0.0, 0)
