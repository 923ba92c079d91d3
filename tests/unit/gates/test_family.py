"""A run's decision: red for any red cell, red for nothing decided, and strict about the undecided."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swapgate.gates.compose import claim
from swapgate.gates.family import decide
from swapgate.gates.verdict import DECIDED, RED, Status, Verdict


def cell(status: Status, task: str = "cat") -> Verdict:
    """One verdict."""
    return Verdict(gate="usability", model="m", task=task, status=status, reason="r", next="", finding=claim("c", status, "r"))


@given(st.lists(st.sampled_from(list(Status)), max_size=12), st.booleans())
def test_a_run_is_green_only_if_something_was_decided_and_nothing_is_red(statuses: list[Status], strict: bool) -> None:
    """The rules, stated independently; the counts add up."""
    found = decide([cell(status) for status in statuses], strict=strict)
    undecided = [status for status in statuses if status not in DECIDED | RED | {Status.NOT_APPLICABLE}]
    green = bool(DECIDED.intersection(statuses)) and not RED.intersection(statuses) and not (strict and undecided)
    assert found.red is not green
    assert sum(found.counts.values()) == len(statuses)
    assert set(found.counts) == set(Status)
    assert found.decided == sum(status in DECIDED for status in statuses)
    assert found.undecided == len(undecided)


def test_what_is_no_question_for_a_model_is_not_undecided() -> None:
    """With --strict neither; alone it decides nothing."""
    mixed = [cell(Status.PASS), cell(Status.NOT_APPLICABLE)]
    assert decide(mixed, strict=True).reason == "1 of 1 cell decided, none red"
    assert decide([cell(Status.NOT_APPLICABLE)]).red


def test_the_reason_names_the_red_cells() -> None:
    """Which cells, by id."""
    found = decide([cell(Status.PASS), cell(Status.REGRESSION, task="cup")])
    assert found.reason == "1 cell red: usability/m/cup"


def test_the_reasons_of_runs_without_red_cells() -> None:
    """Nothing judged, nothing decided, strict, and green."""
    assert decide([]).reason == "no cell was judged"
    assert decide([cell(Status.NEW)]).reason == "nothing was decided: a run that measured nothing is not green"
    mixed = [cell(Status.PASS), cell(Status.INCONCLUSIVE)]
    assert decide(mixed, strict=True).reason == "1 cell undecided, and --strict asks for a decision on each"
    assert decide(mixed).reason == "1 of 2 cells decided, none red"


def test_a_run_that_left_cells_out_is_red_and_says_how_many() -> None:
    """Interrupted, or ended at the first failure: "none red" would read as if all had been judged."""
    short = decide([cell(Status.PASS)], planned=4)
    assert (short.red, short.reason) == (True, "1 of 4 planned cells were judged")
    assert decide([], planned=4).reason == "0 of 4 planned cells were judged"
    assert decide([cell(Status.REGRESSION)], planned=4).reason == "1 cell red: usability/m/cat; 1 of 4 planned cells were judged"
    assert decide([cell(Status.PASS)], planned=1) == decide([cell(Status.PASS)])
