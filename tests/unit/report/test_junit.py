"""JUnit properties carry the figures of the deciding claim, as text that XML can hold."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swapgate.gates.verdict import Status
from swapgate.report import junit


def test_properties_say_what_the_verdict_says(report):
    """Every figure in full, under names of our own."""
    verdict = next(one for one in report.verdicts if one.id == "latency/standin-qwen/all")
    found = dict(junit.properties(verdict))
    assert found["swapgate.verdict"] == "REGRESSION"
    assert found["swapgate.cell"] == verdict.id
    assert found["swapgate.reason"] == verdict.reason
    assert found["swapgate.next"] == verdict.next
    assert (found["swapgate.unit"], found["swapgate.n"], found["swapgate.decided"]) == ("%", "24", "true")
    for name in ("effect", "low", "high", "limit", "baseline", "candidate", "confidence"):
        assert float(found[f"swapgate.{name}"]) == getattr(verdict.finding, name)


def test_every_property_of_every_verdict_is_text_and_named_once(report):
    """pytest writes pairs of strings; a name twice would hide one of them."""
    for verdict in report.verdicts:
        found = junit.properties(verdict)
        assert all(isinstance(name, str) and isinstance(value, str) for name, value in found)
        assert len({name for name, _ in found}) == len(found)
        assert all(name.startswith("swapgate.") for name, _ in found)


def test_figures_that_are_absent_have_no_property(sample):
    """None is not a number, and an empty command is none."""
    found = dict(junit.properties(sample.verdict("drift", "t", Status.NEW, "no baseline")))
    assert found.keys() == {f"swapgate.{name}" for name in ("verdict", "cell", "gate", "model", "task", "against", "decided", "reason")}
    assert found["swapgate.decided"] == "false"


def test_a_figure_of_zero_is_a_figure(sample):
    """Zero effect and zero requests are facts."""
    found = dict(junit.properties(sample.verdict("drift", "t", Status.PASS, "same", sample.finding("x", Status.PASS, effect=0.0, n=0))))
    assert (found["swapgate.effect"], found["swapgate.n"]) == ("0.0", "0")


@given(st.text(max_size=60))
@example("\x00\x1b[31mred\ufffe \ud800")
def test_any_reason_makes_xml_that_can_be_read(sample, reason):
    """Control characters are illegal in XML 1.0 even when escaped."""
    for name, value in junit.properties(sample.verdict("drift", "t", Status.ERROR, reason)):
        if "\ufffe" in value or "\uffff" in value:
            pytest.fail("not a character of XML 1.0")
        assert ET.fromstring(f"<property name={quoteattr(name)} value={quoteattr(value)}/>").get("value") == value
