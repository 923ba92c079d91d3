"""Numbers read as people say them, in both languages, and other people's text steers nothing."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swapgate.gates.compose import claim
from swapgate.gates.verdict import GATES, Status
from swapgate.report import model, phrases, words


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
    for lang in words.LANGUAGES:
        said = words.words(lang)
        assert all(said.table[f"meaning.{status}"] and said.table[f"status.{status}"] for status in Status)
        assert all(said.table[f"question.{gate}"] for gate in GATES)
    assert set(phrases.GLYPHS) == set(Status)
    assert len(set(phrases.GLYPHS.values())) == len(Status)


def test_a_verdict_is_said_in_another_language_by_its_figures(sample):
    """What the gate's English sentence says in figures: claim, both sides, effect, interval, limit and n; nothing where there is no figure."""
    claim = sample.finding(
        "total", Status.REGRESSION, effect=18.3, low=14.9, high=21.6, limit=5.0, unit="%", confidence=0.99, baseline=0.412, candidate=0.487, n=24
    )
    chinese = words.words("zh")
    said = phrases.said(sample.verdict("latency", "all", Status.REGRESSION, "slower", claim), words=chinese).replace("\u202f", " ")
    assert said == "总耗时差于限值，由 0.412 s 变为 0.487 s，效应 +18.3 %，区间 14.9 至 21.6 % (99 %)，限值 5 %，n = 24"
    assert phrases.said(sample.verdict("latency", "all", Status.NEW, "new", sample.finding("comparison", Status.NEW)), words=chinese) == ""


def test_units_are_said_in_the_language_of_the_page():
    """A unit that the catalogue has no word for stands as it is."""
    chinese = words.words("zh")
    assert phrases.number(-3.0, "points", words=chinese) == "−3\u202f个百分点"
    assert phrases.span(1.0, 2.0, "MiB", words=chinese) == "1 至 2\u202fMiB"
    assert phrases.bare(-3.25, "points", words=chinese) == "−3.2"


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


def test_an_accident_is_told_as_one_and_after_the_witnesses(data):
    """What broke one picture and no fresh seed is not called what breaks the model."""
    row = next(row for row in data["wording"] if row["smallest"])
    data["wording"] = [{**row, "tried": 5, "broke": 0, "low": 0.0, "high": 0.5}, row]
    lines = [line for line in phrases.wording_lines(model.as_report(data)) if "fresh seed" in line]
    assert ["(broke one picture alone)" in line for line in lines] == [False, True]


def test_a_kept_witness_is_told_apart_and_few_are_told(data):
    """What broke an earlier version; the rest stands in the report."""
    row = next(row for row in data["wording"] if row["smallest"])
    data["wording"] = [{**row, "kept": True, "broke": 0, "tried": n, "low": 0.0, "high": 0.5} for n in range(phrases.MOST_WITNESSES + 3)]
    lines = [line for line in phrases.wording_lines(model.as_report(data)) if "fresh seed" in line]
    assert len(lines) == phrases.MOST_WITNESSES
    assert all("(broke an earlier version)" in line for line in lines)
    assert lines[0].endswith("no fresh seed gave a usable picture of the prompt as written")
    assert "breaks 0 of 1 fresh seeds" in lines[1]
