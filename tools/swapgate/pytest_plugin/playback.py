"""Plays the host's clock back into pytest-benchmark, so that its files, comparisons and histograms work, live and in replay.

The seconds were measured in the engine's process with the device synchronised; timing the test here would measure
nothing. `benchmark.pedantic` is given a timer that stands still except when a recorded call is played.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from swapgate.gates.verdict import POOLED
from swapgate.suite.arms import arm
from swapgate.suite.planning import Cell
from swapgate.suite.session import Suite


class PlaybackClock:
    """A timer in seconds that only `advance` moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def play_back(benchmark: Any, suite: Suite, cell: Cell) -> None:
    """One benchmark round per recorded call of the cell; the first call after loading is left out, as in the gate.

    A cell without a measured call records no benchmark.
    """
    card = suite.card(cell.model)
    tasks = [task for task in suite.setup.tasks[card.id] if cell.task in (POOLED, task.id)]
    cost = arm(suite.recorded[card.id], tasks, "").cost
    if cost is None or not cost.seconds:
        # A disabled fixture calls the function and records nothing; a fixture that is not used at all would warn.
        benchmark.disabled = True
        benchmark.pedantic(lambda: None, rounds=1)
        return
    clock = PlaybackClock()
    benchmark._timer = clock  # noqa: SLF001 - pytest-benchmark takes a timer per test only from a marker, which cannot know the cell
    samples: Iterator[float] = iter(cost.seconds)
    benchmark.group = f"{cell.task}: seconds per image"
    benchmark.extra_info.update(
        model=cell.model,
        task=cell.task,
        peak_mib=max(cost.peak_mib, default=None),
        load_seconds=cost.load_seconds,
        first_call_seconds=cost.first_call_seconds,
    )
    benchmark.pedantic(lambda: clock.advance(next(samples)), rounds=len(cost.seconds))
