"""The answer follows from the verdicts alone, and says what broke, by how much and where, in both languages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.gates.verdict import DECIDED, GATES, RED, Status
from swapgate.report import answer, model
from swapgate.report.words import words


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
    found = answer.headline(run_of(sample, *statuses))
    assert (found.tone, str(found)) == (tone, said)


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
    assert str(answer.headline(report)) == f"Safe to upgrade: {said}"


@given(st.lists(st.sampled_from(list(Status)), min_size=1, max_size=12))
def test_safe_is_only_said_when_every_cell_is_decided_and_none_is_worse(sample, statuses):
    """Whatever the mixture, one undecided or red cell keeps the word from being said."""
    found = answer.headline(run_of(sample, *statuses))
    beside, statuses = Status.NOT_APPLICABLE in statuses, [status for status in statuses if status is not Status.NOT_APPLICABLE]
    if beside and statuses and set(statuses) <= {Status.PASS, Status.IMPROVED}:
        assert (found.tone, found.answer) == ("open", "Time and memory hold")
        return
    if not statuses:
        assert found.tone == "open"
        return
    assert (found.tone == "yes") == (set(statuses) <= {Status.PASS, Status.IMPROVED})
    assert (found.tone == "no") == bool(RED.intersection(statuses))
    assert (found.tone == "changed") == (set(statuses) <= DECIDED - RED and Status.CHANGED in statuses)


def test_what_regressed_is_named_in_the_order_of_the_gates(sample):
    """A reader hears slower, larger, less usable before any count."""
    verdicts = [sample.verdict(gate, "t", Status.REGRESSION, "because").as_json() for gate in reversed(GATES)]
    why = answer.headline(run_of(sample, verdicts=verdicts)).why
    assert why.startswith("slower, larger, less usable, further off in its pictures and more easily upset by wording (all 5 cells")


def test_a_cell_that_was_planned_and_not_measured_keeps_it_open(sample):
    """An interrupted run is not safe, however good what it measured was."""
    found = answer.headline(run_of(sample, Status.PASS, planned={"cells": 4, "images": 4}))
    assert str(found) == "Not decided: 3 cells planned but not measured; nothing regressed"


def test_a_run_that_is_red_for_another_reason_says_that_reason(sample):
    """A dead gate colours no cell, but the run."""
    found = answer.headline(run_of(sample, Status.PASS, outcome={"red": True, "reason": "gate drift is DEAD"}))
    assert str(found) == "Not decided: gate drift is DEAD"


def test_against_a_model_the_question_is_replacement(sample):
    """With --against the reader does not upgrade but swaps."""
    assert str(answer.headline(run_of(sample, Status.PASS, against="flux"))).startswith("Safe to replace flux")


def points(sample, effect, low, high, task="all", model="standin-qwen"):
    claim = sample.finding(
        "difference", Status.REGRESSION, effect=effect, low=low, high=high, limit=-5.0, unit="points", baseline=90.0, candidate=79.0
    )
    return sample.verdict("usability", task, Status.REGRESSION, "worse", claim, model=model)


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "Do not upgrade: usability −11 points [−18, −4] in 2 of 3 tasks"),
        ("zh", "不要升级：可用率 −11 个百分点 [−18, −4]，3 个任务中有 2 个"),
    ],
)
def test_a_regression_is_told_with_its_figures(sample, lang, said):
    """The pooled cell's effect and interval, and in how many of the tasks it shows."""
    verdicts = [points(sample, -11.0, -18.0, -4.0), *(points(sample, -20.0, -40.0, -6.0, task) for task in ("cup", "cat"))]
    verdicts.append(sample.verdict("usability", "sea", Status.PASS, "fine"))
    found = answer.headline(run_of(sample, verdicts=[one.as_json() for one in verdicts]), words(lang))
    assert f"{found.answer}{words(lang)('answer.colon')}{found.why}".replace("\u202f", " ") == said


def test_two_gates_are_told_with_figures_and_the_others_by_name(sample):
    """The line stays one line, and says that there is more; of several models it says which."""
    slow = sample.finding("total", Status.REGRESSION, effect=36.5, low=34.8, high=38.0, limit=5.0, unit="%", baseline=0.2, candidate=0.28)
    large = sample.finding("peak", Status.REGRESSION, effect=600.0, limit=128.0, unit="MiB", baseline=1000.0, candidate=1600.0)
    verdicts = [
        sample.verdict("latency", "all", Status.REGRESSION, "slower", slow),
        sample.verdict("memory", "all", Status.REGRESSION, "larger", large),
        points(sample, -11.0, -18.0, -4.0, model="other"),
        sample.verdict("drift", "all", Status.ERROR, "no picture"),
    ]
    why = answer.headline(run_of(sample, verdicts=[one.as_json() for one in verdicts])).why.replace("\u202f", " ")
    assert why == (
        "latency +36.5 % [34.8, 38] over all tasks together (standin-qwen); memory +600 MiB over all tasks together (standin-qwen); "
        "usability worse, too; 1 cell could not be measured"
    )


def test_a_reason_that_is_not_of_the_page_is_marked_as_english(sample):
    """The gates speak English; a page in another language has to say so to a screen reader."""
    report = run_of(sample, Status.PASS, outcome={"red": True, "reason": "gate drift is DEAD"})
    assert answer.headline(report, words("zh")).foreign
    assert not answer.headline(run_of(sample, Status.PASS), words("zh")).foreign


def test_a_run_that_stopped_early_says_what_the_whole_plan_would_have_taken(report: model.Report) -> None:
    """In images and seconds of calls; nothing of it where everything was made."""
    early = replace(
        report, planned=model.Amount(cells=10, images=108, seconds=36.2), measured=model.Amount(cells=10, images=60, decided=10, seconds=20.1)
    )
    assert answer.measured_line(early).endswith("60 of 108 images, 20 s of about 36 s that the whole plan takes")
    assert "whole plan" not in answer.measured_line(replace(early, measured=model.Amount(cells=10, images=108, decided=10, seconds=36.2)))
