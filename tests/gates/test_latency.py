"""Is it slower? Seconds per image, time to the first step and stages, against ceilings and the baseline of the cohort."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from swapgate.pytest_plugin.cells import CellUnderTest


def test_latency(cell: CellUnderTest, benchmark: BenchmarkFixture) -> None:
    """No slower than the ceiling, and no slower than the baseline by more than the practical floor."""
    cell.play_back(benchmark)
    cell.check()
