"""Each warning is given of samples that it was planted in, and of clean ones none is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from swapgate.gates.evidence import Null, Repeat
from swapgate.gates.policy import Policy
from swapgate.gates.warning import Name, Warn, warnings

POLICY = Policy()


def sample(build: Any, seed: int = 1, *, tasks: int = 3, processes: int = 6, pace: float = 0.01, shape: Any = None) -> dict[str, Any]:
    """Three tasks in turn, thirty calls each in the run and eight in every further process; `shape(number, process)` lengthens a call."""
    generator = np.random.default_rng(seed)
    rows, costs = [], {}
    for process in range(processes):
        speed = float(np.exp(generator.normal(0, pace)))
        for task in range(tasks):
            numbers = [1 + task + tasks * i for i in range(8 if process else 30)]
            longer = np.array([shape(number, process) if shape else 1.0 for number in numbers])
            times = speed * (1 + task) * np.exp(generator.normal(0, 0.01, len(numbers))) * longer
            cost = build.cost(times, numbers=numbers)
            rows.append(Repeat(run="r", process=process, task=f"t{task}", cost=cost))
            if not process:
                costs[f"t{task}"] = cost
    null = Null(drifts=tuple(build.drift(0.999) for _ in range(24)), processes=processes - 1, variations=())
    return {"costs": costs, "processes": rows, "null": null}


def names(found: tuple[Warn, ...]) -> list[Name]:
    return [one.name for one in found]


def test_clean_samples_are_warned_of_by_chance_alone(build: Any) -> None:
    """Eighty calibrations without anything amiss: each warning in two of a hundred at most (and two by luck)."""
    seen = Counter(name for seed in range(80) for name in names(warnings(**sample(build, seed), policy=POLICY, floor=0.5)))
    assert all(n <= 3 for n in seen.values()), seen
    assert sum(seen.values()) <= 6, seen


@pytest.mark.parametrize(("processes", "said"), [(1, "measured in 1 process as"), (2, "measured in 2 processes as")])
def test_too_few_processes(build: Any, processes: int, said: str) -> None:
    """Fewer than three cannot tell how much they differ."""
    given = sample(build, processes=processes)
    given["processes"] = given["processes"] if processes > 1 else []
    (found,) = warnings(**given, policy=POLICY)
    assert found.name is Name.TOO_FEW_SAMPLES
    assert said in found.said
    assert "--null=8" in found.remedy


def test_too_few_repeats(build: Any) -> None:
    """Eighteen pictures give no limit of five per cent, nineteen do."""
    given = sample(build)
    for n, few in ((18, True), (19, False)):
        null = replace(given["null"], drifts=given["null"].drifts[:n])
        found = warnings(**{**given, "null": null}, policy=POLICY)
        assert (Name.TOO_FEW_SAMPLES in names(found)) is few
    assert "a limit of 5 % takes 19" in warnings(**{**given, "null": replace(given["null"], drifts=given["null"].drifts[:18])}, policy=POLICY)[0].said


def test_too_few_calls_in_a_process(build: Any) -> None:
    """One call after the first is as noisy as a call."""
    given = sample(build)
    given["processes"] = [
        replace(one, cost=build.cost(one.cost.seconds[:1], numbers=one.cost.numbers[:1])) if one.process else one for one in given["processes"]
    ]
    found = warnings(**given, policy=POLICY)
    assert any("made 3 calls after its first" in one.said for one in found)


def test_pictures_in_two_modes_name_the_variations(build: Any) -> None:
    """0.986 in fresh processes and 0.958 with one thread, as vLLM-Omni's Qwen-Image."""
    drifts = [build.drift(0.986, pair=f"p#{i}") for i in range(12)] + [
        replace(build.drift(0.958, pair=f"q#{i}"), variation="1 thread") for i in range(12)
    ]
    given = {**sample(build), "null": Null(drifts=tuple(drifts), processes=4, variations=())}
    (found,) = warnings(**given, policy=POLICY)
    assert found.name is Name.BIMODAL_NULL
    assert "SSIM 0.958 in 12 (12 of 1 thread) and SSIM 0.986 in 12 (12 of unnamed)" in found.said


def test_times_in_two_modes(build: Any) -> None:
    """Every second process has the slower kernel; or every second call the other clock."""
    by_process = warnings(**sample(build, shape=lambda number, process: 1.3 if process in (0, 3) else 1.0), policy=POLICY)
    assert Name.BIMODAL_NULL in names(by_process)
    half = warnings(**sample(build, shape=lambda number, process: 1.3 if (number * number) % 7 in (1, 2) else 1.0), policy=POLICY)
    assert Name.BIMODAL_NULL in names(half)
    assert any("calls take two times" in one.said and "% longer than the others" in one.said for one in half), half
    few = sample(build, tasks=1, shape=lambda number, process: 1.3 if number % 3 == 1 else 1.0)
    short = {**few, "processes": [], "costs": {"t0": build.cost(few["costs"]["t0"].seconds[:12])}}
    assert Name.BIMODAL_NULL not in names(warnings(**short, policy=POLICY)), "a dozen calls fall into two groups by a stall or two"


def test_calls_that_follow_each_other(build: Any) -> None:
    """A machine that wanders slowly."""
    found = warnings(**sample(build, shape=lambda number, process: 1 + 0.05 * np.sin(number / 9)), policy=POLICY)
    assert Name.AUTOCORRELATED in names(found)


@pytest.mark.parametrize("process", [0, 2])
def test_a_device_that_slowed_down(build: Any, process: int) -> None:
    """In the run itself, or in a process of the null."""
    given = sample(build)
    given["processes"] = [
        replace(one, cost=replace(one.cost, throttled=("software-thermal",))) if one.process == process else one for one in given["processes"]
    ]
    (found,) = warnings(**given, policy=POLICY)
    assert (found.name, "software-thermal" in found.said) == (Name.THROTTLED, True)


def test_a_cold_device(build: Any) -> None:
    """The first two warm calls of every process take an eighth longer."""
    found = warnings(**sample(build, shape=lambda number, process: 1.12 if number <= 2 else 1.0), policy=POLICY)
    assert Name.COLD_GPU in names(found)
    assert any("% slower than its others" in one.said for one in found)


def test_times_below_the_compute_floor_come_first(build: Any) -> None:
    """Tasks of one to three seconds, whose arithmetic takes four."""
    found = warnings(**sample(build, processes=2), policy=POLICY, floor=4.0)
    assert names(found)[:2] == [Name.BELOW_COMPUTE_FLOOR, Name.TOO_FEW_SAMPLES]
    assert "synchronisation is missing" in found[0].line


def test_nothing_measured_is_no_traceback(build: Any) -> None:
    """No cost, no null, NaN, constant samples."""
    assert warnings({}, [], None, POLICY) == ()
    (few,) = warnings({}, [], Null(drifts=(), processes=0, variations=()), POLICY)
    assert few.name is Name.TOO_FEW_SAMPLES
    broken = build.cost([float("nan")] * 4)
    assert warnings({"a": broken}, [Repeat(run="r", process=0, task="a", cost=broken)], None, POLICY)[0].name is Name.TOO_FEW_SAMPLES
    constant = build.cost(1.0, calls=30)
    rows = [Repeat(run="r", process=n, task="a", cost=constant) for n in range(4)]
    assert warnings({"a": constant}, rows, None, POLICY) == ()
    nan = Null(drifts=tuple(build.drift(float("nan")) for _ in range(30)), processes=2, variations=())
    assert warnings({}, [], nan, POLICY) == ()
