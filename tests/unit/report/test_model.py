"""verdicts.json is read strictly where the views depend on it and kindly where they do not."""

from __future__ import annotations

import dataclasses

import pytest

from swapgate.errors import RunBroken
from swapgate.gates.verdict import WORST_FIRST, Status
from swapgate.report import model

LEAST = {"schema": 1, "run": "r", "planned": {"cells": 0, "images": 0}, "measured": {"cells": 0, "images": 0}, "outcome": {"red": True}}


def test_a_run_reads_back_with_every_fact_in_place(report, data):
    """Lists become tuples, statuses become enum members, nothing is lost on the way."""
    assert report.run == data["run"]
    assert [verdict.as_json() for verdict in report.verdicts] == [{**entry, "findings": tuple(entry["findings"])} for entry in data["verdicts"]]
    assert report.measured.decided == data["measured"]["decided"]
    assert report.images[0].failed == ("facet:colour",)
    assert report.costs[0].candidate.seconds == tuple(data["costs"][0]["candidate"]["seconds"])
    assert report.costs[2].baseline is None
    assert report.models[0].usable["en"] == (9, 12)


def test_a_run_folder_is_loaded_from_its_file(built, report):
    """`load` reads the same as `parse`."""
    assert model.load(built) == report


def test_everything_optional_may_be_absent():
    """A run that judged nothing has no lists at all, and is still shown."""
    report = model.parse(LEAST)
    assert report.verdicts == report.images == report.costs == report.wording == report.comparison == ()
    assert report.against == "baseline"
    assert report.counts == {}


def test_null_counts_as_absent():
    """JSON null in an optional place stands for the default."""
    report = model.parse({**LEAST, "images": None, "models": [{"id": "m", "title": None, "versions": None}], "policy": None})
    assert report.models[0].title == ""
    assert report.models[0].versions == {}
    assert report.policy == {}


def test_keys_of_a_later_producer_are_ignored(data):
    """New facts must not break the views of an older version."""
    data["weather"] = "fine"
    data["images"][0]["mood"] = "calm"
    assert model.parse(data).images[0].seed == 1


def test_counts_are_counted_when_the_file_has_none(data, report):
    """Without `counts` the verdicts themselves are counted, worst first."""
    del data["counts"]
    assert model.parse(data).counts == report.counts
    assert list(report.counts) == [status for status in WORST_FIRST if status in report.counts]


def test_statuses_that_do_not_occur_are_left_out_of_the_counts(data):
    """Zeros in the file make no chips."""
    data["counts"] = {status.value: int(status is Status.PASS) for status in Status}
    assert model.parse(data).counts == {Status.PASS: 1}


@pytest.mark.parametrize(
    ("bent", "key"),
    [
        ({"schema": 2}, "schema"),
        ({"schema": None}, "schema"),
        ({"planned": None}, "planned"),
        ({"planned": {"cells": 1}}, "planned.images"),
        ({"outcome": []}, "outcome"),
        ({"images": "none"}, "images"),
        ({"images": [{"model": "m"}]}, "images[0].task"),
        ({"run": None}, "run"),
        ({"verdicts": [{"gate": "latency"}]}, "verdicts[0]"),
        ({"verdicts": [7]}, "verdicts[0]"),
        ({"counts": {"GREAT": 3}}, "counts"),
        ({"counts": [1]}, "counts"),
        ({"costs": [3]}, "costs[0]"),
        ({"costs": [{"model": "m", "task": "t", "candidate": {"seconds": []}}]}, "costs[0].candidate.first_step"),
        ({"tasks": [None]}, "tasks[0]"),
    ],
)
def test_a_file_that_cannot_be_shown_names_file_and_key(bent, key):
    """The error says which file and which key, and how to get a good file."""
    with pytest.raises(RunBroken) as caught:
        model.parse({**LEAST, **bent}, where="runs/x/verdicts.json")
    assert caught.value.key == key
    assert caught.value.where == "runs/x/verdicts.json"
    assert "--replay" in caught.value.remedy


@pytest.mark.parametrize("name", ["../../etc/passwd", "ABCDEF0123456789", "", "deadbeef.png", 7, "a" * 65])
@pytest.mark.parametrize(("rows", "field"), [("images", "baseline"), ("images", "candidate"), ("wording", "before"), ("wording", "after")])
def test_only_a_hash_can_name_a_picture(data, rows, field, name):
    """Names become file names below report/data, so nothing else may come through."""
    data[rows][0][field] = name
    with pytest.raises(RunBroken, match="hexadecimal"):
        model.parse(data)


def test_a_folder_without_verdicts_says_how_to_judge_it(tmp_path):
    """A run that was interrupted before judging is replayed, not generated again."""
    with pytest.raises(RunBroken, match="--replay"):
        model.load(tmp_path)


def test_verdicts_are_ordered_worst_first_and_stable(report):
    """Among equals the order of the file stays."""
    ranks = [WORST_FIRST.index(verdict.status) for verdict in report.worst_first]
    assert ranks == sorted(ranks)
    passed = [verdict.id for verdict in report.verdicts if verdict.status is Status.PASS]
    assert [verdict.id for verdict in report.worst_first if verdict.status is Status.PASS] == passed


def test_callers_may_hand_over_json_or_a_report(report, data):
    """Both give the same report; a report is not parsed again."""
    assert model.as_report(report) is report
    assert model.as_report(data) == report


def test_a_report_cannot_be_changed(report):
    """Views share one report, so none may alter it."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.run = "other"
