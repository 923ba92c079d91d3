"""Seconds that the meters of a CPU add to one call: the peak of resident memory, what the process has in use, and all together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from swapgate.hosts.board import Board
from swapgate.meters.clock import StageClock
from swapgate.meters.gpu import meters_for
from swapgate.meters.in_use import held_here
from swapgate.meters.memory import HighWater, ResidentPeak, Sampler, high_water_works

CEILING = 0.002  # seconds a call: a thousandth of what an image of the bundled models takes


def ways() -> list[ResidentPeak]:
    """The ways that work on this machine."""
    return [HighWater(), Sampler()] if high_water_works() else [Sampler()]


@pytest.mark.parametrize("peak", ways(), ids=lambda peak: type(peak).__name__)
def test_seconds_for_the_peak_of_one_call(benchmark: Any, peak: ResidentPeak, say: Callable[[str], None]) -> None:
    """Reset before the call and read after it."""

    def call() -> float:
        peak.reset()
        return peak.peak()

    assert benchmark.pedantic(call, rounds=50, warmup_rounds=2) > 0
    _report(benchmark, f"peak by {type(peak).__name__}", say)


def test_seconds_for_what_is_held_after_one_call(benchmark: Any, say: Callable[[str], None]) -> None:
    """With as many free blocks between used ones as a real pipeline leaves: malloc counts them one by one."""
    read = held_here()[0]
    blocks = [bytearray(100_000) for _ in range(3000)]
    del blocks[::2]
    assert benchmark.pedantic(read, rounds=50, warmup_rounds=2) > 0
    _report(benchmark, f"held by {read.__name__}", say)


def test_seconds_for_all_meters_of_one_call(benchmark: Any, say: Callable[[str], None]) -> None:
    """Fifty steps of two forwards, all stages, memory and health."""
    meters, board = meters_for("cpu"), Board.create()
    clock = StageClock(now=meters.now, synchronise=meters.synchronise, tell=board.write)

    def call() -> float:
        meters.memory.begin()
        clock.start()
        with clock.text():
            pass
        for _ in range(50):
            clock.forward()
            clock.forward()
            clock.step_end()
        with clock.decode():
            pass
        clock.stop()
        meters.memory.end()
        meters.health()
        return clock.times(queue=0.0).total

    assert benchmark.pedantic(call, rounds=30, warmup_rounds=2) > 0
    board.close()
    _report(benchmark, "all meters", say)


def _report(benchmark: Any, name: str, say: Callable[[str], None]) -> None:
    stats = benchmark.stats.stats
    benchmark.extra_info.update(meter=name)
    say(f"{name}: {stats.median * 1000:.2f} ms a call, {stats.min * 1000:.2f} to {stats.max * 1000:.2f} n={stats.rounds}")
    assert stats.min < CEILING  # the fastest: other work on the machine only adds
