"""The host's clock played back into pytest-benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.gates.evidence import Cost
from swapgate.pytest_plugin import playback
from swapgate.pytest_plugin.playback import PlaybackClock, play_back
from swapgate.suite.planning import Cell


@dataclass
class Benchmark:
    """What of pytest-benchmark's fixture is used, measuring as it does: by its timer, around each round."""

    _timer: Callable[[], float] = field(default=lambda: 0.0)
    group: str | None = None
    extra_info: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def pedantic(self, target: Callable[[], object], *, rounds: int) -> None:
        for _ in range(rounds):
            begun = self._timer()
            target()
            self.seconds.append(self._timer() - begun)


def cost(*seconds: float) -> Cost:
    n = len(seconds)
    return Cost(
        seconds=seconds,
        first_step=(),
        text=(),
        denoise=(),
        decode=(),
        peak_mib=tuple(100.0 + i for i in range(n)),
        held_mib=(1.0,) * n,
        images=(1,) * n,
        numbers=tuple(range(n)),
        first_call_seconds=9.0,
        load_seconds=3.0,
    )


def played(monkeypatch: pytest.MonkeyPatch, found: Cost | None, task: str = "all") -> tuple[Benchmark, list[list[str]]]:
    """What a benchmark records of a cell whose arm costs `found`, and the tasks that the arm was asked for."""
    asked: list[list[str]] = []

    def arm(recorded: object, tasks: list[Any], source: str) -> Any:
        asked.append([one.id for one in tasks])
        return SimpleNamespace(cost=found)

    monkeypatch.setattr(playback, "arm", arm)
    tasks = tuple(SimpleNamespace(id=name) for name in ("cup", "cat"))
    suite: Any = SimpleNamespace(card=lambda name: SimpleNamespace(id=name), recorded={"toy": None}, setup=SimpleNamespace(tasks={"toy": tasks}))
    benchmark = Benchmark()
    play_back(benchmark, suite, Cell(gate="latency", model="toy", task=task))
    return benchmark, asked


def test_the_clock_stands_still_until_it_is_moved() -> None:
    """Time of the test itself is not measured."""
    clock = PlaybackClock()
    assert [clock(), clock()] == [0.0, 0.0]
    clock.advance(1.5)
    assert clock() == 1.5


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20))
def test_every_recorded_call_is_one_round_of_its_own_length(seconds: list[float]) -> None:
    """In order, to the rounding of a sum."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        benchmark, _ = played(monkeypatch, cost(*seconds))
    assert benchmark.seconds == pytest.approx(seconds, rel=1e-6, abs=1e-9)


def test_a_benchmark_says_what_it_was_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Group, model, task and what stands beside the samples."""
    benchmark, _ = played(monkeypatch, cost(1.0, 2.0), "cup")
    assert benchmark.group == "cup: seconds per image"
    assert benchmark.extra_info == {"model": "toy", "task": "cup", "peak_mib": 101.0, "load_seconds": 3.0, "first_call_seconds": 9.0}


@pytest.mark.parametrize(("task", "tasks"), [("all", ["cup", "cat"]), ("cat", ["cat"])])
def test_the_pool_plays_every_task_and_a_task_its_own(monkeypatch: pytest.MonkeyPatch, task: str, tasks: list[str]) -> None:
    """The samples that the gate judges."""
    _, asked = played(monkeypatch, cost(1.0), task)
    assert asked == [tasks]


INNER = """
from types import SimpleNamespace
import pytest
from swapgate.gates.evidence import Cost
from swapgate.pytest_plugin import playback
from swapgate.suite.planning import Cell

def cost(*seconds):
    n = len(seconds)
    return Cost(seconds=seconds, first_step=(), text=(), denoise=(), decode=(), peak_mib=(100.0,) * n, held_mib=(1.0,) * n,
                images=(1,) * n, numbers=tuple(range(n)), first_call_seconds=9.0, load_seconds=3.0)

@pytest.mark.parametrize("found", [None, cost(), cost(1.0, 2.0)], ids=["none", "empty", "two"])
def test_one(found, benchmark, monkeypatch):
    monkeypatch.setattr(playback, "arm", lambda recorded, tasks, source: SimpleNamespace(cost=found))
    suite = SimpleNamespace(card=lambda name: SimpleNamespace(id=name), recorded={"toy": None}, setup=SimpleNamespace(tasks={"toy": ()}))
    playback.play_back(benchmark, suite, Cell(gate="latency", model="toy", task="all"))
"""


def test_a_cell_without_a_cost_records_no_benchmark_and_warns_of_nothing(pytester: pytest.Pytester) -> None:
    """By pytest-benchmark itself: its file holds the measured cell alone."""
    pytester.makepyfile(INNER)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--benchmark-json=out.json")
    result.assert_outcomes(passed=3, warnings=0)
    (only,) = json.loads((pytester.path / "out.json").read_text(encoding="utf-8"))["benchmarks"]
    assert only["name"] == "test_one[two]"
    assert only["stats"]["rounds"] == 2
