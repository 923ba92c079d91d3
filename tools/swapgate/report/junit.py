"""JUnit properties of a test that judged a cell: the same facts as the page, one (name, value) pair each.

They are appended to `item.user_properties`; pytest writes them into the <properties> of the test case.
"""

from __future__ import annotations

from swapgate.gates.verdict import Verdict
from swapgate.report.phrases import tidy


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


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return tidy(str(value))  # XML 1.0 has no control characters, escaped or not
