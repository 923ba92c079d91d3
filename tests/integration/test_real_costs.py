"""Planted faults in the cost of the real bundled pipeline, run as a user runs the gates: each turns its own gate red and no other."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_leak_is_growth_of_memory_and_nothing_else(real: Any) -> None:
    """Five MiB an image, seen within twenty images."""
    real.seeds(3)
    real.card("leaky", "leak:5")
    faulty = real.run("leaky", "--model=leaky")
    verdict = faulty.verdict("memory", "leaky")
    assert verdict["status"] == "REGRESSION", faulty.output
    growth = faulty.finding("memory", "leaky", "growth")
    assert growth["status"] == "REGRESSION"
    assert growth["low"] > growth["limit"]
    assert growth["effect"] == pytest.approx(5.0, abs=0.5)
    assert faulty.red("leaky") == {"memory"}, faulty.output


def test_a_slow_down_of_thirty_per_cent_is_latency_and_nothing_else(real: Any) -> None:
    """Against the honest model on the same machine, arms in turn; the pictures are the same."""
    real.seeds(5)
    real.card("slow", "slow:1.3")
    run = real.run("slower", "--model=slow", "--against=standin-qwen")
    verdict = run.verdict("latency", "slow")
    assert run.status == pytest.ExitCode.TESTS_FAILED, run.output
    assert verdict["status"] == "REGRESSION", run.output
    assert run.finding("latency", "slow", "denoise")["status"] == "REGRESSION", run.output
    assert run.finding("latency", "slow", "denoise")["low"] > 5.0
    assert run.red("slow") == {"latency"}, run.output
    assert min(run.images("slow", "ssim")) > 0.9999
