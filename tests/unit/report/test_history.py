"""Figures over past runs: only what can be compared is one line, changes of the set-up and steps are marked, and a damaged run costs nothing."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.report import history


@pytest.fixture
def runs(data, tmp_path):
    """Writes a past run: `put(n, seconds)` is the sample run of day n with that candidate's time."""

    def put(day, seconds, *, torch="2.15.0", name=None, **more):
        copy = json.loads(json.dumps(data))
        copy.update(run=f"run-{day:02}", created=f"2026-10-{day:02}T00:00:00+00:00", **more)
        copy["models"][0]["versions"]["torch"] = torch
        for verdict in copy["verdicts"]:
            if (verdict["gate"], verdict["task"]) == ("latency", "all"):
                for one in verdict["findings"]:
                    one["candidate"] = seconds
        folder = tmp_path / (name or f"run-{day:02}")
        folder.mkdir()
        (folder / "verdicts.json").write_text(json.dumps(copy), encoding="utf-8")
        return folder

    put.root = tmp_path
    return put


def line(found, run, gate="latency"):
    return next((one for one in history.lines(found, run) if one.gate == gate), None)


def test_runs_become_a_line_oldest_first(runs):
    """The run itself is the last point, and each says its figure, its status and what had changed."""
    for day, seconds in ((2, 0.41), (1, 0.4)):
        runs(day, seconds)
    now = runs(3, 0.5, torch="2.16.0")
    found = line(history.read(runs.root, now), "run-03")
    assert [point.run for point in found.points] == ["run-01", "run-02", "run-03"]
    assert [point.text.replace("\u202f", " ") for point in found.points] == ["0.400 s", "0.410 s", "0.500 s"]
    assert [point.changed for point in found.points] == [(), (), ("torch 2.15.0 → 2.16.0",)]
    assert found.points[0].y > found.points[2].y, "slower is higher up"
    assert all(0 <= point.x <= 100 and 0 <= point.y <= 100 for point in found.points)


def test_a_first_run_has_no_history(runs):
    """One point is no line."""
    now = runs(1, 0.4)
    assert history.lines(history.read(runs.root, now), "run-01") == ()


def test_only_what_can_be_compared_is_one_line(runs, data):
    """Other tasks, another accelerator, an A/B run and planted faults are not this model's past."""
    runs(1, 0.4, verdicts=[one for one in data["verdicts"] if one["task"] != "butterfly"])
    runs(2, 0.4, models=[{**data["models"][0], "accelerator": "nvidia-h200"}])
    runs(3, 0.4, against="standin-flux")
    runs(4, 0.4, models=[{**data["models"][0], "faults": ["slow:2"]}])
    now = runs(5, 0.4)
    found = history.read(runs.root, now)
    assert line(found, "run-05") is None
    usability = line(found, "run-05", "usability")
    assert [point.run for point in usability.points] == ["run-01", "run-02", "run-05"], "quality is one line on every hardware"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 99}', '{"schema": 1, "verdicts": [{}]}', '{"schema": 1, "verdicts": 3}'])
def test_a_run_that_cannot_be_read_is_passed_over(runs, content):
    """Somebody's damaged folder must not cost today's report."""
    runs(1, 0.4)
    bad = runs.root / "bad"
    bad.mkdir()
    (bad / "verdicts.json").write_text(content, encoding="utf-8")
    now = runs(2, 0.4)
    assert len(line(history.read(runs.root, now), "run-02").points) == 2


def test_a_run_outside_the_projects_runs_is_its_own_last_point(runs, tmp_path_factory):
    """--run-dir may lie anywhere; the past is still that of the project."""
    runs(1, 0.4)
    elsewhere = runs(2, 0.5).rename(tmp_path_factory.mktemp("elsewhere") / "run")
    assert [point.run for point in line(history.read(runs.root, elsewhere), "run-02").points] == ["run-01", "run-02"]


def test_the_newest_runs_are_shown(runs, monkeypatch):
    """A folder of hundreds of runs is not read to the end."""
    monkeypatch.setattr(history, "MOST_RUNS", 3)
    folders = [runs(day, 0.4) for day in range(1, 6)]
    assert len(line(history.read(runs.root, folders[-1]), "run-05").points) == 3


def test_a_step_is_marked_where_it_is():
    """From one level to another, and back."""
    noise = random.Random(1)
    values = [level + noise.gauss(0, 0.01) for level in (1.0,) * 8 + (1.3,) * 7 + (1.0,) * 6]
    assert history.steps(values) == [8, 15]
    assert history.steps([1.0, 1.0, 1.0, 2.0, 2.0, 2.0]) == [3]


@given(st.integers(0, 10_000), st.integers(0, 30))
def test_noise_is_hardly_ever_a_step(seed, n):
    """Short series have none at all; every mark lies inside with room on both sides."""
    noise = random.Random(seed)
    found = history.steps([1 + noise.gauss(0, 0.02) for _ in range(n)])
    assert found == sorted(set(found))
    assert all(3 <= place <= n - 3 for place in found)


def test_noise_is_a_step_in_few_series():
    """Of 400 series of twenty unchanged runs."""
    noise = random.Random(7)
    marked = sum(bool(history.steps([1 + noise.gauss(0, 0.02) for _ in range(20)])) for _ in range(400))
    assert marked <= 12
