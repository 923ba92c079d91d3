"""Which drills a model gets, and why it does not get the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swapgate.cards import Card, Judge
from swapgate.drills.catalogue import CATALOGUE, FLUX, QWEN
from swapgate.drills.jobs import DOSES, asked_doses, choose, controls, pipeline_of, share_of


def card(**changes: Any) -> Card:
    given = {
        "id": "m", "title": "", "engine": "diffusers", "source": "weights", "revision": None, "pipeline": QWEN, "device": "auto", "dtype": {}, "call": {},
        "negative_prompt": {}, "expected_forwards": None, "tasks": ("f",), "judge": Judge(source="scripted"), "ceilings": {}, "usability_floor": 0.0,
        "timeout_seconds": 1.0, "licence": "",
    }  # fmt: skip
    return Card(**{**given, **changes})


@pytest.mark.parametrize(
    ("doses", "asked", "found"),
    [
        (("noise:1", "noise:2", "noise:3"), ("severe",), ("severe",)),
        ((None, "noise:2", None), ("severe",), ("moderate",)),
        ((None, "noise:2", None), ("mild",), ()),
        (("noise:1", "noise:2", None), DOSES, ("mild", "moderate")),
        ((None, "noise:2", "noise:3"), ("severe", "moderate"), ("moderate", "severe")),
    ],
)
def test_severe_is_the_heaviest_dose_there_is(a_drill: Any, doses: Any, asked: Any, found: Any) -> None:
    """The others are taken by their name, mildest first and once each."""
    mild, moderate, severe = doses
    assert asked_doses(a_drill(mild=mild, moderate=moderate, severe=severe), asked) == found


@pytest.mark.parametrize("pipeline", [QWEN, FLUX])
def test_every_drill_of_the_catalogue_is_either_run_or_listed(pipeline: str) -> None:
    """None is lost, none is both."""
    jobs, skipped = choose(CATALOGUE, ("severe",), 1, card(pipeline=pipeline), images=1)
    assert [one.id for one in CATALOGUE if one.id in {job.drill.id for job in jobs} | {one.drill for one in skipped}] == [one.id for one in CATALOGUE]
    assert len(jobs) + len(skipped) == len(CATALOGUE)
    assert all(job.spec == list(job.drill.doses.values())[-1] for job in jobs)


def test_a_drill_of_another_pipeline_does_not_apply(a_drill: Any) -> None:
    """The reason names both."""
    jobs, (skipped,) = choose([a_drill(pipelines=(QWEN,))], ("severe",), 1, card(pipeline=FLUX), images=1)
    assert jobs == ()
    assert QWEN in skipped.reason
    assert FLUX in skipped.reason


def test_a_drill_of_batches_needs_a_batch(a_drill: Any) -> None:
    """One image a call cannot show it, two can."""
    drills = [a_drill(images=2)]
    assert "a call of these tasks makes 1" in choose(drills, ("severe",), 1, card(), images=1)[1][0].reason
    assert len(choose(drills, ("severe",), 1, card(), images=2)[0]) == 1


def test_a_dose_that_a_drill_lacks_is_said(a_drill: Any) -> None:
    """With those that it has."""
    assert choose([a_drill()], ("mild",), 1, card(), images=1)[1][0].reason == "it has no such dose, only moderate, severe"


def test_the_scripted_engine_acts_some_faults_only(a_drill: Any) -> None:
    """By the kinds of the doses that were asked for."""
    drills = [a_drill(), a_drill("theta", moderate="rope-theta:9", severe="rope-theta:8")]
    jobs, skipped = choose(drills, ("severe",), 1, card(engine="scripted", pipeline=None), images=1)
    assert [job.drill.id for job in jobs] == ["black"]
    assert "nothing that rope-theta damages" in skipped[0].reason


def test_a_card_without_a_pipeline_takes_that_of_its_folder(tmp_path: Path) -> None:
    """And one that says nothing anywhere gets no drill."""
    one = card(pipeline=None, root=tmp_path)
    assert pipeline_of(one) == ""
    assert "a pipeline without a name" in choose(CATALOGUE, ("severe",), 1, one, images=1)[1][0].reason
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model_index.json").write_text('{"_class_name": "FluxPipeline"}', encoding="utf-8")
    assert pipeline_of(one) == FLUX
    (tmp_path / "weights" / "model_index.json").write_text("[broken", encoding="utf-8")
    assert pipeline_of(one) == ""


def test_runs_of_a_drill_have_names_of_their_own(a_drill: Any) -> None:
    """Which are folders, so no two may be equal."""
    jobs, _ = choose([a_drill(), a_drill("other")], ("moderate", "severe"), 3, card(), images=1)
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names) == 12
    assert names[:4] == ["black/moderate-1", "black/moderate-2", "black/moderate-3", "black/severe-1"]


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_shares_are_disjoint_and_whole(n: int) -> None:
    """Whatever the number of runs and of shares, every run is in exactly one of them, and they are as large as they can be."""
    jobs = controls(10)
    shares = [share_of(jobs, (k, n)) for k in range(1, n + 1)]
    assert sorted(job.name for share in shares for job in share) == sorted(job.name for job in jobs)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_share_is_the_same_every_time() -> None:
    """So that it can be gone on with after an interruption."""
    assert [job.repeat for job in share_of(controls(7), (2, 3))] == [2, 5]
    assert share_of(controls(2), (3, 3)) == ()
