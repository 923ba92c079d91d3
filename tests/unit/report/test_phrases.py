"""The answer follows from the verdicts alone, and numbers read as people say them."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swapgate.gates.compose import claim
from swapgate.gates.verdict import DECIDED, GATES, RED, Status
from swapgate.report import model, phrases


def run_of(sample, *statuses, gate="latency", **more):
    """A report with one verdict a status; `outcome` is red as the family of gates would say."""
    verdicts = [sample.verdict(gate, f"t{n}", status, "because", next_="do this") for n, status in enumerate(statuses)]
    red = any(status in RED for status in statuses) or not any(status in DECIDED for status in statuses)
    n = len(statuses)
    return model.parse(
        {
            "schema": 1,
            "run": "r",
            "planned": {"cells": n, "images": n},
            "measured": {"cells": n, "images": n},
            "outcome": {"red": red, "reason": "nothing was decided" if red else ""},
            "verdicts": [verdict.as_json() for verdict in verdicts],
            **more,
        }
    )


@pytest.mark.parametrize(
    ("statuses", "tone", "said"),
    [
        ((Status.PASS,), "yes", "Safe to upgrade: the only cell held"),
        ((Status.PASS, Status.IMPROVED), "yes", "Safe to upgrade: all 2 cells held, 1 of them better"),
        ((Status.PASS, Status.CHANGED), "changed", "Changed, not shown worse: 1 of 2 cells changed"),
        ((Status.CHANGED, Status.CHANGED), "changed", "Changed, not shown worse: all 2 cells changed"),
        ((Status.REGRESSION, Status.PASS), "no", "Do not upgrade: slower (1 of 2 cells regressed)"),
        ((Status.ERROR, Status.PASS), "no", "Do not upgrade: 1 of 2 cells could not be measured"),
        ((Status.ERROR, Status.REGRESSION, Status.PASS), "no", "Do not upgrade: slower (1 of 3 cells regressed, 1 could not be measured)"),
        ((Status.PASS, Status.INCONCLUSIVE), "open", "Not decided: 1 of 2 cells inconclusive; nothing regressed"),
        ((Status.CHANGED, Status.NEW), "open", "Not decided: 1 of 2 cells without a baseline; nothing regressed"),
        ((Status.INCOMPARABLE,), "open", "Not decided: the only cell incomparable; nothing regressed"),
        ((), "open", "Not decided: nothing was decided"),
    ],
)
def test_the_headline_answers_in_one_line(sample, statuses, tone, said):
    """Yes, no, changed or open: the four answers a reader can get."""
    answer = phrases.headline(run_of(sample, *statuses))
    assert (answer.tone, str(answer)) == (tone, said)


@pytest.mark.parametrize(
    ("gates", "compared", "said"),
    [
        (("latency", "memory", "drift"), (), "all 3 cells held (time and memory by their ceilings only)"),
        (("latency", "drift"), (), "all 2 cells held (time by its ceilings only)"),
        (("latency", "memory", "drift"), ("memory",), "all 3 cells held"),
        (("drift",), (), "the only cell held"),
    ],
)
def test_safe_says_when_cost_was_held_against_ceilings_only(sample, gates, compared, said):
    """A model ten times slower within its ceiling is not shown to be as fast as before."""
    verdicts = []
    for gate in gates:
        made = sample.verdict(gate, "t", Status.PASS, "because")
        if gate in ("latency", "memory") and gate not in compared:
            made = replace(made, findings=(*made.findings, sample.finding("comparison", Status.NEW, decides=False)))
        verdicts.append(made.as_json())
    n = {"cells": len(verdicts), "images": 1}
    report = run_of(sample, planned=n, measured=n, outcome={"red": False, "reason": ""}, verdicts=verdicts)
    assert str(phrases.headline(report)) == f"Safe to upgrade: {said}"


@given(st.lists(st.sampled_from(list(Status)), min_size=1, max_size=12))
def test_safe_is_only_said_when_every_cell_is_decided_and_none_is_worse(sample, statuses):
    """Whatever the mixture, one undecided or red cell keeps the word from being said."""
    answer = phrases.headline(run_of(sample, *statuses))
    beside, statuses = Status.NOT_APPLICABLE in statuses, [status for status in statuses if status is not Status.NOT_APPLICABLE]
    if beside and statuses and set(statuses) <= {Status.PASS, Status.IMPROVED}:
        assert (answer.tone, answer.answer) == ("open", "Time and memory hold")
        return
    if not statuses:
        assert answer.tone == "open"
        return
    assert (answer.tone == "yes") == (set(statuses) <= {Status.PASS, Status.IMPROVED})
    assert (answer.tone == "no") == bool(RED.intersection(statuses))
    assert (answer.tone == "changed") == (set(statuses) <= DECIDED - RED and Status.CHANGED in statuses)


def test_what_regressed_is_named_in_the_order_of_the_gates(sample):
    """A reader hears slower, larger, less usable before any count."""
    verdicts = [sample.verdict(gate, "t", Status.REGRESSION, "because").as_json() for gate in reversed(GATES)]
    why = phrases.headline(run_of(sample, verdicts=verdicts)).why
    assert why.startswith("slower, larger, less usable, further off in its pictures and more easily upset by wording (all 5 cells")


def test_a_cell_that_was_planned_and_not_measured_keeps_it_open(sample):
    """An interrupted run is not safe, however good what it measured was."""
    answer = phrases.headline(run_of(sample, Status.PASS, planned={"cells": 4, "images": 4}))
    assert str(answer) == "Not decided: 3 cells planned but not measured; nothing regressed"


def test_a_run_that_is_red_for_another_reason_says_that_reason(sample):
    """A dead gate colours no cell, but the run."""
    answer = phrases.headline(run_of(sample, Status.PASS, outcome={"red": True, "reason": "gate drift is DEAD"}))
    assert str(answer) == "Not decided: gate drift is DEAD"


def test_against_a_model_the_question_is_replacement(sample):
    """With --against the reader does not upgrade but swaps."""
    assert str(phrases.headline(run_of(sample, Status.PASS, against="flux"))).startswith("Safe to replace flux")


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (None, "s", "—"),
        (math.nan, "s", "—"),
        (math.inf, "", "—"),
        (0.0, "%", "0 %"),
        (-0.0, "", "0"),
        (0.4123, "s", "0.412 s"),
        (-37.46, "points", "−37.5 points"),
        (1.0634, "ratio", "×1.06"),
        (0.931, "share", "93.1 %"),
        (18841.0, "MiB", "18 841 MiB"),
        (5.0, "%", "5 %"),
        (4.04, "%", "4 %"),
        (1.0, "SSIM", "1 SSIM"),
        (0.9984, "SSIM", "0.998 SSIM"),
        (3.0, "requests", "3 requests"),
        (0.00001, "", "1.00e-05"),
        (99.97, "s", "100 s"),
        (2.5e9, "", "2.50e+09"),
    ],
)
def test_numbers_read_as_people_say_them(value, unit, said):
    """Three digits, a real minus sign, a thin space before the unit."""
    assert phrases.number(value, unit).replace("\u202f", " ") == said.replace("e-05", "e−05")


@given(st.floats(min_value=-1e8, max_value=1e8), st.sampled_from(["", "s", "%", "points", "MiB", "SSIM"]))
@example(-1e-3, "%")
def test_a_number_is_never_further_off_than_its_last_digit(value, unit):
    """Reading the text back gives the value within half a unit of what is shown."""
    text = phrases.number(value, unit).replace("−", "-").replace("\u202f", "").removesuffix(unit)
    mantissa, _, exponent = text.partition("e")
    whole = "." not in mantissa and abs(value) < 99.95  # trailing zeros are left off, the digits behind them are not made up
    places = (1 if unit in ("%", "points") or abs(value) >= 9.995 else 2 if abs(value) >= 0.9995 else 3) if whole else len(mantissa.partition(".")[2])
    assert abs(float(text) - value) <= 0.5 * 10 ** (int(exponent or 0) - places) * (1 + 1e-6) + 1e-12
    assert not re.match(r"-0(\.0*)?$", text)


def test_a_sign_is_shown_on_a_change_only():
    """+ stands before a change, never before a level or a ratio."""
    assert phrases.number(3.2, "%", signed=True).startswith("+")
    assert phrases.number(-3.2, "%", signed=True).startswith("−")
    assert phrases.number(1.2, "ratio", signed=True) == "×1.20"
    assert not phrases.number(0.0, "%", signed=True).startswith("+")


def test_an_interval_says_its_unit_once(sample):
    """Both ends keep their sign; the confidence stands behind."""
    one = sample.finding("x", Status.PASS, low=-1.5, high=2.25, unit="%", confidence=0.95)
    assert phrases.interval(one).replace("\u202f", " ") == "−1.5 to 2.2 % (95 %)"
    assert phrases.span(1.02, 1.06, "ratio") == "×1.02 to ×1.06"
    assert phrases.span(0.5, 0.75, "share").replace("\u202f", " ") == "50 to 75 %"
    assert phrases.span(None, None, "s") == "—"
    assert phrases.span(None, 2.0) == "— to 2"


def test_a_side_has_the_unit_that_was_measured():
    """A relative change of latency is one of seconds; points are differences of percentages."""
    assert phrases.side(0.4, "%", "latency") == "0.400\u202fs"
    assert phrases.side(95.8, "points", "usability") == "95.8\u202f%"
    assert phrases.side(1180.0, "MiB", "memory").endswith("MiB")


@given(st.lists(st.text(min_size=1), min_size=3, max_size=3), st.lists(st.text(min_size=1), min_size=3, max_size=3))
@example(["a.b", "c", "d"], ["a b", "c", "d"])
@example(["a!", "b", "c"], ["a", "!b", "c"])
def test_anchors_are_plain_and_do_not_collide(one, other):
    """Whatever a model or task is called, its anchor is a safe fragment; names that need replacing stay apart."""
    assert re.fullmatch(r"[A-Za-z0-9_-]+", phrases.anchor(*one))
    plain = all(re.fullmatch(r"[A-Za-z0-9_]+", part) for part in [*one, *other])
    if one != other and plain:
        assert phrases.anchor(*one) != phrases.anchor(*other)


def test_anchors_of_ordinary_names_can_be_typed():
    """The contract with whoever links to a cell."""
    assert phrases.anchor("cell", "latency", "standin-qwen", "orange-cat") == "cell-latency-standin-qwen-orange-cat"
    assert phrases.anchor("a.b") != phrases.anchor("a b")


@given(st.text())
@example("a\x1b[31mred\x07\nb\u202egnp.exe\ud800")
def test_foreign_text_becomes_one_harmless_line(text):
    """No escape sequence, line break or change of direction survives."""
    line = phrases.tidy(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", line)
    assert line == line.strip()


def test_every_status_has_a_sign_of_its_own_and_a_meaning():
    """Status is told by word and sign as well as by colour."""
    assert set(phrases.GLYPHS) == set(phrases.MEANINGS) == set(Status)
    assert len(set(phrases.GLYPHS.values())) == len(Status)
    assert set(phrases.QUESTIONS) == set(GATES)


def test_a_run_that_stopped_early_says_what_the_whole_plan_would_have_taken(report: model.Report) -> None:
    """In images and seconds of calls; nothing of it where everything was made."""
    early = replace(
        report, planned=model.Amount(cells=10, images=108, seconds=36.2), measured=model.Amount(cells=10, images=60, decided=10, seconds=20.1)
    )
    assert phrases.measured_line(early).endswith("60 of 108 images, 20 s of about 36 s that the whole plan takes")
    assert "whole plan" not in phrases.measured_line(replace(early, measured=model.Amount(cells=10, images=108, decided=10, seconds=36.2)))


def told(sample, task, *names):
    """A stability verdict with findings of those names."""
    made = sample.verdict("stability", task, Status.PASS, "because")
    findings = tuple(claim(name, Status.INCONCLUSIVE, f"{name} is \x1b[31mtold", decides=False) for name in names)
    return replace(made, findings=findings).as_json()


def test_wording_is_told_of_the_pool_alone_with_its_controls_and_witnesses(sample, data):
    """Quantiles, placebo, spread and control in the words of their findings; a witness by its fresh seeds."""
    names = ("change quantiles", "placebo", "wording spread", "negative control", "flip rate")
    data["verdicts"] = [told(sample, "all", *names), told(sample, "cup", *names)]
    lines = phrases.wording_lines(model.as_report(data))
    assert [line.partition(": ")[2] for line in lines[:-1]] == [f"{name} is [31mtold" for name in names[:-1]]
    assert lines[-1].endswith("(the smallest edit that breaks it) breaks 4 of 5 fresh seeds (28.4 to 99.5\u202f%)")
    assert "\x1b" not in "".join(lines)


def test_a_kept_witness_is_told_apart_and_few_are_told(data):
    """What broke an earlier version; the rest stands in the report."""
    row = next(row for row in data["wording"] if row["smallest"])
    data["wording"] = [{**row, "kept": True, "broke": 0, "tried": n, "low": 0.0, "high": 0.5} for n in range(phrases.MOST_WITNESSES + 3)]
    lines = [line for line in phrases.wording_lines(model.as_report(data)) if "fresh seed" in line]
    assert len(lines) == phrases.MOST_WITNESSES
    assert all("(broke an earlier version)" in line for line in lines)
    assert lines[0].endswith("no fresh seed gave a usable picture of the prompt as written")
    assert "breaks 0 of 1 fresh seeds" in lines[1]
