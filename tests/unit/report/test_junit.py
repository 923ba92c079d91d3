"""JUnit properties carry the figures of the deciding claim, as text that XML can hold."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swapgate.gates.verdict import Status
from swapgate.report import junit, phrases


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


CASE = '<testcase classname="c" name="{name}" time="0.1">{inside}</testcase>'
SUITE = '<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="1" failures="{failures}" skipped="0" tests="9">{cases}</testsuite></testsuites>'


def case(name, *properties, failure=None, skipped=False):
    """A test case as pytest writes it."""
    rows = "".join(f"<property name={quoteattr(key)} value={quoteattr(value)} />" for key, value in properties)
    inside = f"<properties>{rows}</properties>" if rows else ""
    inside += f"<failure message={quoteattr(failure[:20])}>{failure}</failure>" if failure else ""
    return CASE.format(name=name, inside=inside + ("<skipped message='x' />" if skipped else ""))


def marked(tmp_path, *cases, data=None, exit_status=1):
    path = tmp_path / "junit.xml"
    path.write_text(SUITE.format(failures=sum("<failure" in one for one in cases), cases="".join(cases)), encoding="utf-8")
    junit.mark(path, data or {}, exit_status=exit_status)
    return ET.parse(path).getroot().find("testsuite")


def judged(status, reason="so it is"):
    return [("swapgate.verdict", status), ("swapgate.cell", "drift/m/t"), ("swapgate.reason", reason)]


def test_a_regression_is_a_failure_with_its_whole_reason(tmp_path):
    """pytest shortens the message; the reason is what a reader of CI sees first."""
    reason = "much slower, " * 200
    failure = marked(tmp_path, case("a", *judged("REGRESSION", reason), failure=f"REGRESSION: {reason}")).find("testcase/failure")
    assert (failure.get("type"), failure.get("message")) == ("REGRESSION", f"REGRESSION: {reason}")


@pytest.mark.parametrize(
    ("properties", "kind"), [(judged("ERROR"), "ERROR"), ([("swapgate.cell", "drift/m/t"), ("swapgate.reason", "no judge")], "NO_VERDICT")]
)
def test_what_was_not_measured_is_an_error(tmp_path, properties, kind):
    """Also of a test that ended before its verdict; the counts of the suite follow."""
    suite = marked(tmp_path, case("a", *properties, failure="x"), case("b", *judged("REGRESSION"), failure="x"))
    assert [(one.tag, one.get("type")) for one in suite.iter() if one.tag in ("error", "failure")] == [("error", kind), ("failure", "REGRESSION")]
    assert (suite.get("errors"), suite.get("failures")) == ("2", "1")


def test_an_undecided_cell_fails_under_strict_by_that_name(tmp_path):
    """Nobody takes it for a regression."""
    failure = marked(tmp_path, case("a", *judged("INCONCLUSIVE"), failure="x")).find("testcase/failure")
    assert (failure.get("type"), failure.get("message")) == ("INCONCLUSIVE", "--strict: INCONCLUSIVE: so it is")


def test_other_tests_are_left_as_they_are(tmp_path):
    """A plain test that failed, an assertion beside a green verdict, and what passed or is undecided."""
    cases = [case("a", failure="plain"), case("b", *judged("PASS"), failure="own assertion"), case("c", *judged("NEW"), skipped=True), case("d")]
    suite = marked(tmp_path, *cases)
    assert [one.get("message") for one in suite.iter("failure")] == ["plain", "own assertion"]
    assert [one.get("type") for one in suite.iter("failure")] == [None, None]
    assert (suite.get("errors"), suite.get("failures")) == ("1", "2")


def test_the_suite_tells_of_the_run(tmp_path, report, data):
    """Its first child, as the format asks for; beside properties of the user's own."""
    suite = marked(tmp_path, case("a"), data=data, exit_status=3)
    assert suite[0].tag == "properties"
    told = {one.get("name"): one.get("value") for one in suite[0]}
    assert told["swapgate.exit_status"] == "3"
    assert told["swapgate.run"] == report.run
    assert told["swapgate.answer"].startswith("Do not upgrade")
    own = marked(tmp_path, "<properties><property name='mine' value='1' /></properties>")
    assert [one.get("name") for one in own.find("properties")] == ["mine", "swapgate.exit_status"]


def test_a_run_that_could_not_be_written_down_is_marked_without_it(tmp_path):
    """The exit status is known all the same."""
    told = {one.get("name") for one in marked(tmp_path, case("a"), exit_status=4)[0]}
    assert told == {"swapgate.exit_status"}


@given(st.text(max_size=60))
@example("\x00\x1b[31mred\ufffe \ud800 ]]> <script>")
def test_any_reason_leaves_a_file_that_can_be_read(tmp_path_factory, sample, reason):
    """Markup, controls and half characters."""
    found = junit.properties(sample.verdict("drift", "t", Status.ERROR, reason))
    error = marked(tmp_path_factory.mktemp("x"), case("a", *found, failure="x")).find("testcase/error")
    assert error.get("message") == f"ERROR: {phrases.tidy(reason)}"
