"""A run's decision: red for any red cell, red for nothing decided, and strict about the undecided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.gates.compose import claim
from swapgate.gates.family import decide
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import DECIDED, RED, Status, Verdict

POLICY = Policy()


def cell(status: Status, p: float | None = None, task: str = "cat", name: str = "c") -> Verdict:
    """One verdict; p is that of its deciding claim."""
    return Verdict(gate="usability", model="m", task=task, status=status, reason="r", next="", finding=claim(name, status, "r", p=p))


@given(st.lists(st.sampled_from(list(Status)), max_size=12), st.booleans())
def test_a_run_is_green_only_if_something_was_decided_and_nothing_is_red(statuses: list[Status], strict: bool) -> None:
    """The rules, stated independently; the counts add up."""
    found = decide([cell(status) for status in statuses], POLICY, strict=strict)
    undecided = [status for status in statuses if status not in DECIDED | RED]
    green = bool(DECIDED.intersection(statuses)) and not RED.intersection(statuses) and not (strict and undecided)
    assert found.red is not green
    assert sum(found.counts.values()) == len(statuses)
    assert set(found.counts) == set(Status)
    assert found.decided == sum(status in DECIDED for status in statuses)
    assert found.undecided == len(undecided)


def test_the_reason_names_the_red_cells() -> None:
    """Which cells, by id."""
    found = decide([cell(Status.PASS), cell(Status.REGRESSION, task="cup")], POLICY)
    assert found.reason == "1 cell red: usability/m/cup"


def test_the_reasons_of_runs_without_red_cells() -> None:
    """Nothing judged, nothing decided, strict, and green."""
    assert decide([], POLICY).reason == "no cell was judged"
    assert decide([cell(Status.NEW)], POLICY).reason == "nothing was decided: a run that measured nothing is not green"
    mixed = [cell(Status.PASS), cell(Status.INCONCLUSIVE)]
    assert decide(mixed, POLICY, strict=True).reason == "1 cell undecided, and --strict asks for a decision on each"
    assert decide(mixed, POLICY).reason == "1 of 2 cells decided, none red"


def test_red_cells_are_held_against_the_budget_of_the_whole_run() -> None:
    """One of 20 tested cells at p = 0.02 is what chance gives; at 0.0001, or by an exact limit, it stands."""
    quiet = [cell(Status.PASS, p=0.5, task=f"t{i}") for i in range(19)]
    chance, sure = (cell(Status.REGRESSION, p=p, task="x") for p in (0.02, 0.0001))
    assert decide([*quiet, chance], POLICY).confirmed == ()
    assert decide([*quiet, sure], POLICY).confirmed == ("usability/m/x",)
    assert decide([*quiet, chance], POLICY).red


@pytest.mark.parametrize(
    ("name", "exact"),
    [("absolute:health", True), ("forwards", True), ("identity", True), ("images", True), ("floor", False), ("peak", False), ("total", False)],
)
def test_without_a_test_only_an_exact_claim_is_confirmed(name: str, exact: bool) -> None:
    """An interval without a p is an estimate, and estimates err."""
    red = cell(Status.REGRESSION, name=name, task="x")
    assert decide([red], POLICY).confirmed == (("usability/m/x",) if exact else ())


def test_a_run_that_left_cells_out_is_red_and_says_how_many() -> None:
    """Interrupted, or ended at the first failure: "none red" would read as if all had been judged."""
    short = decide([cell(Status.PASS)], POLICY, planned=4)
    assert (short.red, short.reason) == (True, "1 of 4 planned cells were judged")
    assert decide([], POLICY, planned=4).reason == "0 of 4 planned cells were judged"
    assert decide([cell(Status.REGRESSION)], POLICY, planned=4).reason == "1 cell red: usability/m/cat; 1 of 4 planned cells were judged"
    assert decide([cell(Status.PASS)], POLICY, planned=1) == decide([cell(Status.PASS)], POLICY)
