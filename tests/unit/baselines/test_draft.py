"""Drafts in a run folder, the patterns that choose them, and the journal of the review."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.baselines import draft
from swapgate.errors import RunBroken, UserError


def test_a_draft_is_written_under_the_run_and_read_back(tmp_path: Path, made: Any) -> None:
    """Same layout as the store, no name and no reason yet."""
    path = draft.write(tmp_path, made.draft())
    assert path == tmp_path / "drafts" / "standin" / made.COHORT / "cup.json"
    (back,) = draft.read(tmp_path)
    assert back.id == made.draft().id
    assert back.provenance.accepted_by == ""
    assert back.cost == made.draft().cost


def test_cost_without_a_call_is_left_out(tmp_path: Path, made: Any) -> None:
    """A run of a single call measured only the first, which is kept apart."""
    draft.write(tmp_path, made.draft(cost=made.cost()))
    assert draft.read(tmp_path)[0].cost is None


def test_a_run_without_drafts_says_how_to_get_them(tmp_path: Path) -> None:
    """Interrupted runs offer nothing."""
    with pytest.raises(UserError, match="--resume="):
        draft.read(tmp_path)
    with pytest.raises(UserError, match="a run is a folder"):
        draft.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [("standin/cup", True), ("standin/*", True), ("*", True), ("*/cup", True), ("drift/standin/cup", True), ("latency/*/cup", True),
     ("usability/standin/all", True), ("standin/nvidia-h200-1a2b3c4d/cup", True), ("standin/c?p", True),
     ("standin/mug", False), ("other/*", False), ("taste/standin/cup", False), ("cup", False), ("standin", False), ("STANDIN/cup", False)],
)  # fmt: skip
def test_patterns_name_tasks_and_gate_cells(made: Any, pattern: str, hit: bool) -> None:
    """What the report and the terminal print can be pasted."""
    assert draft.matches(made.baseline(), pattern) is hit


def test_a_pattern_that_matches_nothing_is_reported_beside_those_that_do(made: Any) -> None:
    """With every name that could have been meant."""
    drafts = [made.baseline(), made.baseline(task="mug")]
    selection = draft.select(drafts, ["*/cup", "*/jug"])
    assert [one.task for one in selection.chosen] == ["cup"]
    assert selection.unmatched == ("*/jug",)
    assert selection.names == ("standin/cup", "standin/mug")
    assert draft.select(drafts, []).chosen == tuple(drafts)


def test_the_last_review_of_a_draft_counts(tmp_path: Path) -> None:
    """The journal is append-only."""
    assert draft.reviews(tmp_path) == {}
    for action in ("reject", "accept"):
        draft.note_review(tmp_path, {"action": action, "draft": "a/b/c", "reason": "因为"})
    assert draft.reviews(tmp_path)["a/b/c"]["action"] == "accept"
    assert len((tmp_path / "review.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_a_line_cut_off_by_a_crash_is_left_out_and_one_in_the_middle_is_not(tmp_path: Path) -> None:
    """Only the end of the file can be the trace of a crash."""
    draft.note_review(tmp_path, {"action": "reject", "draft": "a/b/c"})
    path = tmp_path / "review.jsonl"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + '{"action": "rej', encoding="utf-8")
    assert set(draft.reviews(tmp_path)) == {"a/b/c"}
    path.write_text('{"action": "rej\n' + whole, encoding="utf-8")
    with pytest.raises(RunBroken, match=r"review\.jsonl:1"):
        draft.reviews(tmp_path)


def test_a_draft_of_a_broken_run_can_still_be_written(tmp_path: Path, made: Any) -> None:
    """A NaN must not end a session of an hour in a traceback."""
    baseline = made.draft()
    scores = (replace(baseline.quality.scores[0], alignment=float("nan")),)
    draft.write(tmp_path, replace(baseline, quality=replace(baseline.quality, scores=scores)))
    assert draft.read(tmp_path)[0].quality.scores[0].alignment is None
