"""A verdict's own word, letter and colour in pytest's output."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from swapgate.gates.verdict import DECIDED, RED, Status
from swapgate.pytest_plugin.status import _LETTERS, pytest_report_teststatus

When = Literal["setup", "call", "teardown"]


def report(word: Any, outcome: Literal["passed", "failed", "skipped"] = "passed", when: When = "call") -> pytest.TestReport:
    properties = [] if word is None else [("swapgate.verdict", word)]
    return pytest.TestReport("id", ("f", 1, "t"), {}, outcome, None, when, user_properties=properties)


def test_every_status_has_a_letter_of_its_own() -> None:
    """Two verdicts that look alike in a row of letters would be one."""
    assert set(_LETTERS) == set(Status)
    assert len(set(_LETTERS.values())) == len(Status)


@pytest.mark.parametrize("status", sorted(Status))
def test_a_verdict_is_shown_by_its_own_word(status: Status) -> None:
    """Red, yellow and green follow the rules of judgement."""
    shown = pytest_report_teststatus(report(status.value, "failed" if status in RED else "passed" if status in DECIDED else "skipped"))
    assert shown is not None
    category, letter, (word, colour) = shown
    assert (letter, word) == (_LETTERS[status], status.value)
    own = {Status.NOT_APPLICABLE: "light"}
    assert list(colour) == [own.get(status, "red" if status in RED else "green" if status in DECIDED else "yellow")]
    assert (category == "failed") == (status in RED)


def test_what_is_no_question_for_a_model_is_counted_apart() -> None:
    """It is neither passed nor undecided."""
    shown = pytest_report_teststatus(report("NOT_APPLICABLE", "skipped"))
    assert shown is not None
    assert shown[0] == "not applicable"


@pytest.mark.parametrize("status", sorted(set(Status) - DECIDED - RED - {Status.NOT_APPLICABLE}))
def test_undecided_is_never_called_passed_or_skipped(status: Status) -> None:
    """Rule 1 of the design."""
    shown = pytest_report_teststatus(report(status.value, "skipped"))
    assert shown is not None
    assert shown[0] == "undecided"


@pytest.mark.parametrize("status", sorted(set(Status) - DECIDED - RED))
def test_undecided_that_failed_under_strict_is_counted_as_failed_by_its_own_letter(status: Status) -> None:
    """The word still says why."""
    shown = pytest_report_teststatus(report(status.value, "failed"))
    assert shown is not None
    assert (shown[0], shown[1]) == ("failed", _LETTERS[status])


def test_a_red_verdict_that_the_update_of_baselines_lets_through_stays_red_to_the_eye() -> None:
    """The test passes so that the run can be accepted; its word does not change."""
    shown = pytest_report_teststatus(report("REGRESSION", "passed"))
    assert shown is not None
    assert shown[0] == "failed"


@pytest.mark.parametrize("one", [report(None), report(3), report("PASS", when="setup"), report("PASS", when="teardown")])
def test_tests_that_judge_no_cell_are_left_to_pytest(one: pytest.TestReport) -> None:
    """Also the set-up and tear-down of those that do."""
    assert pytest_report_teststatus(one) is None


def test_a_collection_report_is_left_to_pytest() -> None:
    """It has no verdict."""
    assert pytest_report_teststatus(pytest.CollectReport("id", "passed", None, [])) is None
