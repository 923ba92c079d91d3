"""`swapgate standins validate`: the tables, their intervals, and the exit status when a check falls short."""

from __future__ import annotations

import json

import numpy as np
import pytest

from swapgate.cli import validation
from swapgate.cli.main import main
from swapgate.metrics import known, open_clip_judge
from swapgate.metrics.counts import Answers, Count
from swapgate.standins import known as world

KEPT = [Count(bit="not_black", right=500, n=500), Count(bit="size", right=500, n=500)]
FOUND = [
    Count(bit="not_black", fault="black", dose="mild", right=20, n=500),
    Count(bit="not_black", fault="black", dose="severe", right=499, n=500),
    Count(bit="size", fault="size", dose="mild", right=500, n=500),
    Count(bit="size", fault="size", dose="severe", right=500, n=500),
]
FACETS = [Answers(language="zh", attribute="colour", held=480, refused=490, n=500)]


def test_intervals_are_exact():
    """Clopper and Pearson, two-sided at 95 %: 500 of 500 is at least 99.26 %."""
    low, high = validation.interval(500, 500)
    assert low == pytest.approx(0.025 ** (1 / 500))
    assert high == 1.0


def test_the_table_has_a_row_for_every_fault_with_its_check_and_all_doses():
    """Markdown, so that it can be committed as it is printed."""
    told = list(validation.lines(KEPT, FOUND, FACETS))
    assert told[0] == "| check | healthy pictures kept | planted fault | found, mild | found, severe |"
    assert "| not_black | 500/500 = 100.0 % [99.3, 100.0] | black | 20/500 = 4.0 % [2.5, 6.1] | 499/500 = 99.8 % [98.9, 100.0] |" in told
    assert "| colour | zh | 480/500 = 96.0 % [93.9, 97.5] | 490/500 = 98.0 % [96.4, 99.0] |" in told
    assert told[-1].startswith("Every check of health reaches")


def test_what_falls_short_is_named():
    """A specificity below 99 %, a sensitivity below 97 % at the severe dose; milder doses have no bar."""
    kept = [KEPT[0], Count(bit="size", right=490, n=500)]
    found = [*FOUND[:3], Count(bit="size", fault="size", dose="severe", right=480, n=500)]
    assert validation.short(KEPT, FOUND) == []
    assert [one.partition(" = ")[0] for one in validation.short(kept, found)] == ["size: specificity 490/500", "size: sensitivity 480/500"]
    assert list(validation.lines(kept, found, []))[-1].startswith("Falls short")
    assert validation.as_json(kept, found, FACETS)["reached"] is False


@pytest.fixture
def measured(monkeypatch):
    """The command with its measuring replaced: what it was asked for is kept."""
    asked = {}

    def sensitivity(healthy, n, *, seed):
        asked.update(n=n, seed=seed, healthy=len(healthy))
        return asked.get("found", FOUND)

    monkeypatch.setattr(open_clip_judge, "OpenClipJudge", lambda source: asked.setdefault("judge", source))
    monkeypatch.setattr(known, "photographs", lambda seed: iter([np.zeros((8, 8, 3), np.uint8)] * 2))
    monkeypatch.setattr(known, "pictures_in", lambda folder: asked.setdefault("folder", folder) and iter([np.zeros((8, 8, 3), np.uint8)]))
    monkeypatch.setattr(known, "specificity", lambda healthy: KEPT)
    monkeypatch.setattr(known, "sensitivity", sensitivity)
    monkeypatch.setattr(world, "scenes", lambda n, seed: ([], [np.zeros((8, 8, 3), np.uint8)] * n))
    monkeypatch.setattr(world, "answers", lambda judge, n, seed: FACETS)
    return asked


def test_the_command_measures_on_photographs_references_and_renders(measured, capsys):
    """Exit status 0 when everything is reached; JSON with the same figures."""
    assert main(["standins", "validate", "-n", "5", "--seed=3"]) == 0
    assert "| not_black |" in capsys.readouterr().out
    assert (measured["n"], measured["seed"], measured["healthy"]) == (5, 3, 2 + 1 + 5)
    assert measured["judge"].endswith("fixtures/weights/standin-clip")
    assert measured["folder"].name == "baselines"
    assert main(["standins", "validate", "-n", "5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["reached"] is True
    assert told["facets"][0]["specificity"]["right"] == 490


def test_a_check_that_falls_short_is_exit_status_1(measured, capsys):
    """And is named."""
    measured["found"] = [Count(bit="size", fault="size", dose="severe", right=0, n=500)]
    assert main(["standins", "validate"]) == 1
    assert "size: sensitivity 0/500" in capsys.readouterr().out


def test_no_pictures_is_a_mistake(capsys):
    """Explained on stderr."""
    assert main(["standins", "validate", "-n", "0"]) == 2
    assert "-n" in capsys.readouterr().err
