"""What early stopping saved, counted over the runs of a drill."""

from __future__ import annotations

import pytest

from swapgate.drills.early import DRILLS, UNCHANGED, EarlyGate, EarlyRun, lines, saved


def run(kind: str, images: int, *gates: tuple[str, str, str, int]) -> EarlyRun:
    """A run of 100 planned images and as many seconds; gates as (name, fixed, early, images)."""
    made = tuple(EarlyGate(gate=name, fixed=fixed, early=early, images=at) for name, fixed, early, at in gates)
    return EarlyRun(run="r", kind=kind, planned=100, images=images, answer=images, gates=made, seconds=(float(images), 100.0))


RUNS = (
    run(DRILLS, 60, ("drift", "REGRESSION", "REGRESSION", 20), ("usability", "PASS", "INCONCLUSIVE", 60)),
    run(DRILLS, 100, ("drift", "INCONCLUSIVE", "REGRESSION", 40), ("usability", "PASS", "REGRESSION", 100)),
    run(UNCHANGED, 50, ("drift", "PASS", "PASS", 30), ("usability", "PASS", "PASS", 50)),
)


def test_medians_are_of_gates_and_of_runs() -> None:
    """Of the runs with a fault, the unchanged ones, and all together."""
    faults, unchanged, every = saved(RUNS)
    assert (faults.kind, unchanged.kind, every.kind) == (DRILLS, UNCHANGED, "all")
    assert (faults.runs, faults.verdicts, faults.gate, faults.run, faults.seconds) == (2, 4, 0.5, 0.8, 0.8)
    assert (unchanged.gate, unchanged.run) == (pytest.approx(0.4), 0.5)
    assert every.gates == {"usability": 0.6, "drift": 0.3}


def test_verdicts_that_differ_from_those_at_the_end_are_counted_apart() -> None:
    """Lost ones decide only at the end, won ones only on the way, and changed ones decide otherwise."""
    faults = saved(RUNS)[0]
    assert (faults.lost, faults.won, faults.changed) == (1, 1, 1)
    assert saved(RUNS)[1].changed == 0


def test_nothing_drilled_saves_nothing() -> None:
    """And is no line."""
    assert saved([]) == ()
    assert lines([]) == []
    assert len(lines(RUNS)) == 3
    assert "50 % of the planned images to a gate's verdict (median of 4)" in lines(RUNS)[0]
