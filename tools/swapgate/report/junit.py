"""JUnit: the facts of a verdict as properties of its test case, and verdicts told apart in the file that pytest wrote.

Properties are appended to `item.user_properties`; pytest writes them into the <properties> of the test case. pytest calls every test that fails
in its call a failure; `mark` makes of an ERROR an <error>, gives each its verdict as type and its whole reason as message, and tells of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from swapgate.canonical import write_atomic
from swapgate.gates.verdict import DECIDED, RED, Status, Verdict
from swapgate.report import answer, model
from swapgate.report.phrases import tidy

NO_VERDICT = "NO_VERDICT"  # type of the error of a gate test that ended before its verdict


def properties(verdict: Verdict) -> list[tuple[str, str]]:
    """("swapgate.verdict", "PASS"), the cell, the reason, and every figure the deciding claim has; numbers in full."""
    found: list[tuple[str, object]] = [
        ("verdict", verdict.status.value),
        ("cell", verdict.id),
        ("gate", verdict.gate),
        ("model", verdict.model),
        ("task", verdict.task),
        ("against", verdict.against),
        ("images", verdict.images),
        ("decided", verdict.decided),
        ("reason", verdict.reason),
        ("next", verdict.next or None),
    ]
    one = verdict.finding
    if one is not None:
        found += [
            ("claim", one.name),
            ("baseline", one.baseline),
            ("candidate", one.candidate),
            ("effect", one.effect),
            ("low", one.low),
            ("high", one.high),
            ("confidence", one.confidence),
            ("limit", one.limit),
            ("unit", one.unit or None),
            ("n", one.n),
            ("p", one.p),
        ]
    return [(f"swapgate.{name}", _text(value)) for name, value in found if value is not None]


def unjudged(cell: str, reason: str) -> list[tuple[str, str]]:
    """Properties of a test that ended before a verdict was reached: the cell, and why."""
    return [("swapgate.cell", tidy(cell)), ("swapgate.reason", tidy(reason))]


def mark(path: Path, data: Mapping[str, Any], *, exit_status: int) -> None:
    """Rewrite the JUnit file at `path`: ERROR as <error>, verdict and reason on each failure, and the run's facts as properties of its suite.

    Args:
        path: what pytest wrote; any of its JUnit families.
        data: what is in verdicts.json; empty where it could not be written.
        exit_status: of the session.
    """
    tree = ET.parse(path)  # noqa: S314 - pytest wrote it a moment ago
    for suite in tree.iter("testsuite"):
        errors = sum(_told_apart(case) for case in suite.iter("testcase"))
        for name, more in (("failures", -errors), ("errors", errors)):
            suite.set(name, str(int(suite.get(name, "0")) + more))
        _describe(suite, data, exit_status)
    write_atomic(path, f'<?xml version="1.0" encoding="utf-8"?>{ET.tostring(tree.getroot(), encoding="unicode")}')


def _told_apart(case: ET.Element) -> bool:
    """Give the failure of a gate test its verdict and reason; whether it became an error."""
    told = {str(one.get("name")): str(one.get("value")) for one in case.iter("property")}
    failure = case.find("failure")
    if failure is None or "swapgate.cell" not in told:
        return False
    word, reason = told.get("swapgate.verdict", NO_VERDICT), told.get("swapgate.reason", "")
    if word in DECIDED - RED:
        return False  # an assertion of the test's own, beside its verdict
    failure.set("type", word)
    failure.set("message", f"{'' if word in {*RED, NO_VERDICT} else '--strict: '}{word}: {reason}")
    if word in (NO_VERDICT, Status.ERROR):
        failure.tag = "error"
    return failure.tag == "error"


def _describe(suite: ET.Element, data: Mapping[str, Any], exit_status: int) -> None:
    found = suite.find("properties")
    if found is None:
        found = ET.Element("properties")
        suite.insert(0, found)
    rows = [("exit_status", str(exit_status))]
    if data:
        report = model.as_report(data)
        rows += [
            ("run", report.run),
            ("against", report.against),
            ("answer", str(answer.headline(report))),
            ("verdicts", answer.counts_line(report)),
        ]
        rows += [("measured", answer.measured_line(report))]
    for name, value in rows:
        ET.SubElement(found, "property", name=f"swapgate.{name}", value=tidy(value))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return tidy(str(value))  # XML 1.0 has no control characters, escaped or not
