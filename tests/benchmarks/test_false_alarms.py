"""The share of red among unchanged runs, in more simulated runs than the test has: `tox run -e bench -- tests/benchmarks/test_false_alarms.py`."""

from __future__ import annotations

from typing import Any

import pytest

from swapgate.drills.nulls import NOISES, false_alarms

RUNS = 50_000


@pytest.mark.parametrize("name", NOISES)
def test_red_among_unchanged_runs(benchmark: Any, name: str) -> None:
    """Printed and kept with the benchmark: red runs, runs, and the upper end of the 99 % interval."""
    tally = benchmark.pedantic(false_alarms, args=(NOISES[name], RUNS), kwargs={"seed": 99}, rounds=1)
    benchmark.extra_info |= {"runs": tally.runs, "red": tally.red, "high": tally.high, "by_gate": dict(tally.by_gate)}
    print(f"\n{name}: {tally.red} of {tally.runs} unchanged runs red, at most {100 * tally.high:.2f} % (99 %)")
    assert tally.high < 0.01
