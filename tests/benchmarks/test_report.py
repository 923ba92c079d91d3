"""Seconds that the report of a run of 240 pictures takes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swapgate import report

CEILING = 5.0


@pytest.fixture
def sample() -> Any:
    """The made-up run of the report's own tests."""
    path = Path(__file__).parents[1] / "unit" / "report" / "sample.py"
    spec = importlib.util.spec_from_file_location("swapgate_report_sample", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_seconds_for_a_report(benchmark: Any, sample: Any, tmp_path: Path, say: Callable[[str], None]) -> None:
    """Reading and shrinking the pictures, and the page."""
    shelf = sample.Shelf(tmp_path / "images")
    data = sample.data(shelf)
    made = [
        {**data["images"][0], "seed": n, "baseline": shelf.add(sample.scene(n, "a")), "candidate": shelf.add(sample.scene(n, "a", shift=3))}
        for n in range(120)
    ]
    (tmp_path / "verdicts.json").write_text(sample.dumps({**data, "images": made}), encoding="utf-8")
    benchmark.pedantic(report.build, args=(tmp_path, shelf), rounds=3, warmup_rounds=1)
    stats = benchmark.stats.stats
    say(f"report of 240 pictures: {stats.median:.2f} s, {stats.min:.2f} to {stats.max:.2f} n={stats.rounds}")
    assert stats.min < CEILING  # the fastest: other work on the machine only adds
