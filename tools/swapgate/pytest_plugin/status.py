"""A verdict's own word in pytest's output: undecided is never shown as passed or merely skipped."""

from __future__ import annotations

from typing import Any

import pytest

from swapgate.gates.verdict import DECIDED, RED, Status

_LETTERS = {
    Status.PASS: ".",
    Status.IMPROVED: "+",
    Status.CHANGED: "~",
    Status.REGRESSION: "R",
    Status.ERROR: "E",
    Status.INCONCLUSIVE: "?",
    Status.NEW: "n",
    Status.INCOMPARABLE: "i",
    Status.NOT_APPLICABLE: "-",
}


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, Any] | None:
    """(category, letter, word) by verdict; None for tests that judge no cell."""
    if not isinstance(report, pytest.TestReport) or report.when != "call":
        return None
    word = dict(report.user_properties).get("swapgate.verdict")
    if not isinstance(word, str):
        return None
    status = Status(word)
    if report.failed or status in RED:
        return ("failed", _LETTERS[status], (status.value, {"red": True}))
    if status is Status.NOT_APPLICABLE:
        return ("not applicable", _LETTERS[status], (status.value, {"light": True}))
    if status not in DECIDED:
        return ("undecided", _LETTERS[status], (status.value, {"yellow": True}))
    category = "passed" if status is Status.PASS else status.value.lower()
    return (category, _LETTERS[status], (status.value, {"green": True}))
