"""Seconds that a picture of the scripted engine takes: tests that make hundreds of them stay quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swapgate.engines.scripted_pictures import draw

CEILING = 0.005


def test_seconds_for_one_picture(benchmark: Any, say: Callable[[str], None]) -> None:
    """At 256 x 256."""
    picture = benchmark.pedantic(draw, args=("a red cup on a wooden table", 1, 256, 256), rounds=20, warmup_rounds=2)
    assert picture.shape == (256, 256, 3)
    stats = benchmark.stats.stats
    say(f"scripted picture: {stats.median * 1000:.2f} ms, {stats.min * 1000:.2f} to {stats.max * 1000:.2f} n={stats.rounds}")
    assert stats.min < CEILING  # the fastest: other work on the machine only adds
