"""Drafts: what a run would become as baselines."""

from __future__ import annotations

from typing import Any

import pytest

from swapgate.baselines import draft
from swapgate.baselines.record import Baseline, problems
from swapgate.suite.drafts import write_drafts


def drafts_of(bench: Any, run: str = "here") -> dict[str, Baseline]:
    return {one.task: one for one in draft.read(bench.root / run)}


def test_a_whole_run_offers_a_draft_of_every_task_that_can_be_accepted(bench: Any) -> None:
    """Nothing is wrong with it but that nobody has signed it."""
    bench.whole()
    found = drafts_of(bench)
    assert set(found) == {"cup", "cat"}
    for one in found.values():
        assert problems(one) == []
        assert (one.provenance.reason, one.provenance.accepted_by) == ("", "")


def test_a_draft_holds_scores_references_cost_and_the_null_of_its_task(bench: Any) -> None:
    """Samples, not only means."""
    suite, _ = bench.whole(null=2)
    cat = drafts_of(bench)["cat"]
    own = [score for score in suite.recorded["toy"].scores if score.task == "cat"]
    assert [score.pair for score in cat.quality.scores] == sorted(score.pair for score in own)
    assert cat.quality.references == {score.pair: score.image for score in own}
    assert cat.cost is not None
    assert cat.cost.calls == 5
    assert cat.quality.null is not None
    assert len(cat.quality.null.drifts) == 2
    assert [(one.run, one.process, one.task, one.cost.calls) for one in cat.repeats] == [("here", 1, "cat", 2)]


def test_a_draft_says_where_it_comes_from(bench: Any) -> None:
    """Run, environment without packages and git, versions, card, weights."""
    suite, _ = bench.whole()
    cat = drafts_of(bench)["cat"]
    assert cat.provenance.run == suite.run.id == "here"
    assert cat.provenance.environment == {"python": "3.11", "platform": "x", "cpu": "y"}
    assert cat.provenance.versions == {"torch": "2.0"}
    assert cat.provenance.card["engine"] == "scripted"
    assert cat.weights == suite.recorded["toy"].loaded.weights
    assert cat.cohort.startswith("cpu-scripted-")


def test_a_task_with_a_missing_image_gets_no_draft(bench: Any) -> None:
    """The other task does."""
    bench.card("toy", raise_at="3")
    bench.whole()
    assert set(drafts_of(bench)) == {"cup"}


def test_planted_faults_are_written_into_the_draft(bench: Any) -> None:
    """So that accepting refuses it."""
    bench.card("toy", more='faults = ["slow:1.2"]')
    bench.whole()
    assert drafts_of(bench)["cat"].provenance.faults == ("slow:1.2",)
    assert problems(drafts_of(bench)["cat"])


@pytest.mark.parametrize("kind", ["against", "not loaded", "not made"])
def test_there_is_no_draft_of_what_was_not_measured_alone(bench: Any, kind: str) -> None:
    """Arms that share a machine, a model that did not load, a run that was only planned."""
    if kind == "against":
        bench.card("other", weights="other")
        bench.whole(models=("other",), against="toy")
    elif kind == "not loaded":
        bench.hosts.refuse["toy"] = bench.failed("toy")
        bench.whole()
    else:
        write_drafts(bench.open())
    assert not list((bench.root / "here").rglob("drafts/**/*.json"))


def test_a_replay_leaves_the_drafts_alone(bench: Any) -> None:
    """Reviewing may have begun."""
    bench.whole()
    path = next((bench.root / "here" / "drafts").rglob("cat.json"))
    path.write_text("reviewed", encoding="utf-8")
    bench.whole(replay=bench.root / "here")
    assert path.read_text(encoding="utf-8") == "reviewed"
