"""The detection matrix: what each gate's part in a drill comes to, on how many samples, and which gates are dead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from swapgate.canonical import dumps, rounded
from swapgate.drills.catalogue import CATALOGUE, drill
from swapgate.drills.jobs import Job, Skipped, controls
from swapgate.drills.matrix import ALL, QUALITY, Entry, Mark, Matrix, expectation, tabulate
from swapgate.drills.outcome import Outcome, Seen
from swapgate.gates.verdict import GATES


def matrix_of(*outcomes: Outcome, skipped: tuple[Skipped, ...] = (), usable: tuple[int, int] = (9, 10), whole: bool = False) -> Matrix:
    return tabulate(outcomes, skipped, model="m", tasks=("cup",), false_alarms=0.01, usable=usable, whole=whole)


def entry_of(matrix: Matrix, gate: str, row: int = 0) -> Entry:
    return next(entry for entry in matrix.rows[row].entries if entry.gate == gate)


@pytest.mark.parametrize(
    ("red", "gate", "mark"),
    [
        ({"drift"}, "drift", Mark.CAUGHT),
        (set(), "drift", Mark.MISSED),
        ({"memory"}, "memory", Mark.UNEXPECTED),
        (set(), "memory", Mark.QUIET),
        ({"usability"}, "usability", Mark.ALSO),
        (set(), "usability", Mark.OPEN),
    ],
)
def test_a_gate_is_marked_by_what_was_asked_and_what_it_said(an_outcome: Any, red: set[str], gate: str, mark: Mark) -> None:
    """Drift must fire, memory must not, nothing is asked of usability."""
    assert entry_of(matrix_of(an_outcome(red)), gate).mark is mark


def test_every_gate_has_an_entry_in_order(an_outcome: Any) -> None:
    """So that a table has a column for each."""
    assert [entry.gate for entry in matrix_of(an_outcome()).rows[0].entries] == list(GATES)


def test_one_miss_among_repeats_is_a_miss_and_shows_the_run_that_missed(an_outcome: Any) -> None:
    """The status and reason are those of the run that tells it."""
    entry = entry_of(matrix_of(an_outcome({"drift"}), an_outcome(set(), repeat=2)), "drift")
    assert (entry.mark, entry.hits, entry.n, entry.status) == (Mark.MISSED, 1, 2, "PASS")


def test_one_alarm_among_repeats_is_unexpected_and_shows_that_run(an_outcome: Any) -> None:
    """Quiet is asked of every run."""
    entry = entry_of(matrix_of(an_outcome(set()), an_outcome({"memory"}, repeat=2)), "memory")
    assert (entry.mark, entry.hits, entry.n, entry.status) == (Mark.UNEXPECTED, 1, 2, "REGRESSION")


def test_a_gate_that_could_not_decide_was_not_quiet_on_purpose(an_outcome: Any) -> None:
    """It is marked as undecided with its reason, which is no fault of the gate; one that fired in another run is unexpected."""
    unsure = an_outcome({"drift"}, repeat=2)
    unsure.seen["memory"] = Seen(status="INCONCLUSIVE", red=False, decided=False, cell="memory/m/all", reason="too few calls")
    matrix = matrix_of(an_outcome({"drift"}), unsure)
    entry = entry_of(matrix, "memory")
    assert (entry.mark, entry.status, entry.reason, matrix.red) == (Mark.UNDECIDED, "INCONCLUSIVE", "too few calls", False)
    assert entry_of(matrix_of(unsure, an_outcome({"drift", "memory"})), "memory").mark is Mark.UNEXPECTED


def test_the_same_pictures_are_one_sample_of_quality_and_each_run_one_of_cost(an_outcome: Any) -> None:
    """A model that repeats itself to the pixel says nothing new by being judged again."""
    runs = [an_outcome({"drift", "latency"}, repeat=n, pictures="same") for n in (1, 2, 3)]
    matrix = matrix_of(*runs, an_outcome({"drift"}, repeat=4, pictures="other"))
    assert [(gate, entry_of(matrix, gate).n) for gate in GATES] == [(gate, 2 if gate in QUALITY else 4) for gate in GATES]
    assert entry_of(matrix, "latency").hits == 3


@given(hits=st.lists(st.booleans(), min_size=1, max_size=20))
def test_the_interval_is_the_exact_one(hits: list[bool]) -> None:
    """Held against scipy's Clopper and Pearson interval."""
    one = drill("leak")
    job = Job(drill=one, dose="severe", spec="leak:32", repeat=1)
    seen = [{gate: Seen(status="", red=hit, decided=True, cell="", reason="") for gate in GATES} for hit in hits]
    entry = entry_of(matrix_of(*(Outcome(job=job, run="", proof="x", pictures=str(n), seen=one) for n, one in enumerate(seen))), "memory")
    exact = binomtest(sum(hits), len(hits)).proportion_ci(0.95, method="exact")
    assert (entry.hits, entry.n) == (sum(hits), len(hits))
    assert (entry.low, entry.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert entry.mark is (Mark.CAUGHT if all(hits) else Mark.MISSED)


def test_a_run_that_proves_nothing_is_not_counted(an_outcome: Any) -> None:
    """Its line stands in the row, the other repeats count."""
    row = matrix_of(an_outcome({"drift"}), an_outcome(set(), repeat=2, error="the fault did not act: 0 calls")).rows[0]
    assert row.errors == ("repeat 2: the fault did not act: 0 calls",)
    assert row.failed
    assert {entry.gate: (entry.hits, entry.n) for entry in row.entries}["drift"] == (1, 1)


def test_a_row_without_a_proven_run_has_no_figures(an_outcome: Any) -> None:
    """Nor does it trip a gate."""
    matrix = matrix_of(an_outcome({"drift"}, error="no"))
    assert {(entry.mark, entry.hits, entry.n, entry.low) for entry in matrix.rows[0].entries} == {(Mark.ERROR, 0, 0, None)}
    assert matrix.tripped == ()


@pytest.mark.parametrize("one", [pytest.param(one, id=one.id) for one in CATALOGUE])
def test_what_the_catalogue_asks_is_asked(one: Any) -> None:
    """At a mild dose no alarm is asked, and no quiet gate may fire at any; a drill of specificity forbids quality."""
    for gate in GATES:
        mild, severe = (expectation(one, dose, gate, can_lose=True) for dose in ("mild", "severe"))
        assert (severe == "fires") is (gate in one.fires)
        assert mild != "fires"
        assert (mild == "quiet") is (severe == "quiet")
        if gate in one.quiet or (one.specific and gate in QUALITY and gate not in one.fires):
            assert severe == "quiet"


def test_a_model_without_usable_pictures_has_none_to_lose(an_outcome: Any, a_drill: Any) -> None:
    """Then neither usability nor stability is asked; drift still is."""
    one = a_drill(fires=frozenset({"usability", "drift", "stability"}))
    matrix = matrix_of(an_outcome({"drift"}, drill=one), usable=(0, 10))
    assert [entry_of(matrix, gate).mark for gate in ("usability", "drift", "stability")] == [Mark.OPEN, Mark.CAUGHT, Mark.OPEN]
    assert entry_of(matrix_of(an_outcome({"drift"}, drill=one)), "usability").mark is Mark.MISSED


def test_an_alarm_that_was_forbidden_does_not_bring_a_gate_to_life(an_outcome: Any, a_drill: Any) -> None:
    """A clock that fires on anything proves nothing; one that fires unasked does."""
    matrix = matrix_of(an_outcome({"memory", "drift", "latency"}), whole=True)
    assert matrix.tripped == ("latency", "drift")
    assert matrix.dead == ("memory", "usability", "stability")


def test_an_error_for_want_of_pictures_brings_no_gate_to_life_unless_it_is_asked_for(an_outcome: Any, a_drill: Any) -> None:
    """Without pictures every gate is an ERROR; that is how usability and drift see a picture of the wrong size, and no clock."""
    one = a_drill(fires=frozenset({"usability", "drift"}), quiet=frozenset())
    error = an_outcome(set(GATES), drill=one)
    for gate in GATES:
        error.seen[gate] = Seen(status="ERROR", red=True, decided=False, cell=gate, reason="10 images missing")
    matrix = matrix_of(error, whole=True)
    assert matrix.tripped == ("usability", "drift")
    assert entry_of(matrix, "latency").mark is Mark.ALSO


def test_gates_are_dead_after_the_whole_catalogue_only(an_outcome: Any) -> None:
    """A choice of drills may leave some out."""
    assert matrix_of(an_outcome({"drift"})).dead == ()
    assert matrix_of(an_outcome({"drift"})).untripped == ("latency", "memory", "usability", "stability")


@pytest.mark.parametrize(
    ("red", "changes", "is_red"),
    [
        ({"drift"}, {}, False),
        (set(), {}, True),
        ({"drift", "memory"}, {}, True),
        ({"drift"}, {"error": "no"}, True),
        ({"drift", "usability"}, {}, False),
    ],
)
def test_the_matrix_is_red_when_a_reader_must_look(an_outcome: Any, red: set[str], changes: dict[str, Any], is_red: bool) -> None:
    """Missed, unexpected, unproven; not by an alarm that nothing was asked of."""
    assert matrix_of(an_outcome(red, **changes)).red is is_red


def test_dead_gates_and_nothing_drilled_are_red(an_outcome: Any) -> None:
    """A drill that drilled nothing is not green."""
    assert matrix_of(an_outcome({"drift"}), whole=True).red
    assert matrix_of().red
    assert not matrix_of(an_outcome(set(GATES) - {"memory"}), an_outcome({"memory"}, drill=drill("leak")), whole=True).red


def test_the_json_holds_everything_and_can_be_read_back(an_outcome: Any) -> None:
    """Plain data with the counts of the summary."""
    matrix = matrix_of(an_outcome({"drift", "memory"}), an_outcome(set(), dose="moderate"), skipped=(Skipped(drill="x", reason="y"),))
    found = json.loads(dumps(rounded(matrix.as_json())))
    assert found["counts"] == {
        "caught": 1,
        "missed": 1,
        "unexpected": 1,
        "quiet": 1,
        "undecided": 0,
        "also": 0,
        "open": 6,
        "errors": 0,
        "not_applicable": 1,
    }
    assert (found["schema"], found["model"], found["red"], found["dead"]) == (1, "m", True, [])
    row = found["rows"][0]
    assert (row["drill"], row["dose"], row["spec"], row["sources"]) == ("black", "severe", "black-decoder", ["diffusers #1"])
    assert row["proof"] == "2 decodings made black"
    assert row["entries"][3]["mark"] == "CAUGHT"
    assert row["entries"][3]["reason"] == "drift says so"


def test_power_is_summed_by_dose_and_gate(an_outcome: Any, a_drill: Any) -> None:
    """Over the drills that had to trip the gate: hits, distinct samples and the exact interval; mild doses ask for nothing."""
    both = a_drill("both", fires=frozenset({"drift", "latency"}), mild="noise:0.1")
    matrix = matrix_of(
        *(an_outcome({"drift"}, drill=both, repeat=n, pictures=f"p{n}") for n in (1, 2)),
        an_outcome(set(), repeat=3, pictures="p3"),
        an_outcome({"drift"}, drill=both, dose="moderate"),
        an_outcome({"drift"}, drill=both, dose="mild"),
    )
    found = {(one.dose, one.gate): (one.drills, one.hits, one.n) for one in matrix.power}
    assert found == {
        ("moderate", "latency"): (1, 0, 1), ("moderate", "drift"): (1, 1, 1), ("moderate", ALL): (1, 1, 2),
        ("severe", "latency"): (1, 0, 2), ("severe", "drift"): (2, 2, 3), ("severe", ALL): (2, 2, 5),
    }  # fmt: skip
    severe = next(one for one in matrix.power if (one.dose, one.gate) == ("severe", "drift"))
    exact = binomtest(2, 3).proportion_ci(0.95, method="exact")
    assert (severe.low, severe.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_power_counts_no_run_that_proves_nothing_and_no_control(an_outcome: Any) -> None:
    """Nor a gate that had to be quiet."""
    (control,) = controls(1)
    assert matrix_of(an_outcome({"drift"}, error="no"), an_outcome(set(), job=control)).power == ()


def test_unchanged_runs_are_in_the_matrix_and_its_json(an_outcome: Any) -> None:
    """One of two was red anywhere."""
    jobs = controls(2)
    matrix = matrix_of(an_outcome({"drift"}), an_outcome({"memory"}, job=jobs[0], run="r", alarms=("memory/m/all",)), an_outcome(set(), job=jobs[1]))
    found = json.loads(dumps(rounded(matrix.as_json())))
    assert (found["unchanged"]["anywhere"]["red"], found["unchanged"]["anywhere"]["n"]) == (1, 2)
    assert found["unchanged"]["alarms"] == [{"run": "r", "cells": ["memory/m/all"]}]
    assert [one["gate"] for one in found["power"]] == ["drift", "all"]
    assert matrix_of(an_outcome({"drift"})).as_json()["unchanged"] is None
