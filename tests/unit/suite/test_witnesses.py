"""The smallest rewording that broke the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swapgate import wording
from swapgate.engines.scripted_options import Options
from swapgate.suite.witnesses import BUDGET, FRESH, MOST, search
from swapgate.wording import Rewording

BOOK = wording.load(Path(__file__).parents[3] / "fixtures" / "wording")


def witnesses(suite: Any) -> list[dict[str, Any]]:
    return [event for event in suite.run.events() if event["event"] == "witness"]


def test_a_steady_model_has_no_witness_and_costs_no_extra_image(bench: Any) -> None:
    """Nothing broke, nothing is searched."""
    suite, _ = bench.whole()
    assert witnesses(suite) == []
    assert len(bench.hosts.asked) == 15


def test_the_worst_breaking_rewordings_are_shrunk_within_the_budget(bench: Any) -> None:
    """At most two a model, at most six images each and two for every fresh seed, all asked of the host that is still loaded."""
    bench.card("toy", wrong_rewording=1.0)
    suite, data = bench.whole()
    found = witnesses(suite)
    assert len(found) == MOST
    assert 15 <= len(bench.hosts.asked) <= 15 + MOST * (BUDGET + 2 * FRESH)
    assert bench.hosts.started == [("toy", None)]
    assert sum(row["smallest"] for row in data["wording"]) == MOST


def test_a_witness_names_both_pictures_the_edits_and_the_change(bench: Any) -> None:
    """Enough for the report to show it, also in a replay."""
    bench.card("toy", wrong_rewording=1.0)
    suite, _ = bench.whole()
    scores = {score.pair: score for score in suite.recorded["toy"].scores}
    for one in witnesses(suite):
        assert one["before"] == scores[one["original"]].image
        assert suite.image_path(one["after"]) is not None
        assert one["change"] < 0
        assert one["shrunk"] == (one["edits"] != scores[one["pair"]].edits)
        assert one["kinds"]


def test_pictures_of_the_search_never_enter_the_figures(bench: Any) -> None:
    """Searching selects."""
    bench.card("toy", wrong_rewording=1.0)
    suite, data = bench.whole()
    assert len(suite.recorded["toy"].scores) == 15
    assert data["measured"]["images"] == 15


def test_a_witness_is_searched_once(bench: Any) -> None:
    """A resumed run has it already."""
    bench.card("toy", wrong_rewording=1.0)
    suite, _ = bench.whole()
    before, made = len(witnesses(suite)), len(bench.hosts.asked)
    again, _ = bench.whole(resume=bench.root / "here")
    assert len(witnesses(again)) == before
    assert len(bench.hosts.asked) == made


@pytest.mark.parametrize("witnesses_kept", [0, 1])
def test_a_search_that_was_cut_off_is_gone_on_with(bench: Any, witnesses_kept: int) -> None:
    """All images are there, so nothing but the search needs the model; it is loaded for that once, and the images are not made again."""
    bench.card("toy", wrong_rewording=1.0)
    suite, whole = bench.whole()
    found = witnesses(suite)
    journal = bench.root / "here" / "journal.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    generated = [place for place, line in enumerate(lines) if json.loads(line)["event"] == "generation"]
    searched = [place for place, line in enumerate(lines) if json.loads(line)["event"] == "witness"]
    end = generated[14] + 1 if witnesses_kept == 0 else searched[0] + 1
    journal.write_text("".join(lines[:end]), encoding="utf-8")
    for time in (1, 2):
        again, data = bench.whole(resume=bench.root / "here")
        assert [(one["pair"], one["edits"]) for one in witnesses(again)] == [(one["pair"], one["edits"]) for one in found]
        assert len(bench.hosts.started) == 2, time
    assert data["wording"] == whole["wording"]
    made = [event["generation"]["request"] for event in again.run.events() if event["event"] == "generation"]
    assert all(made.count(request.key) == 1 for request in again.plan.requests("toy"))


@pytest.mark.parametrize("how", ["no stability", "no host"])
def test_nothing_is_searched_where_it_cannot_or_need_not_be(bench: Any, how: str) -> None:
    """No stability cell was asked for, or the model is gone."""
    bench.card("toy", wrong_rewording=1.0)
    suite, _ = bench.whole(gates=("usability",)) if how == "no stability" else bench.whole()
    before = len(witnesses(suite))
    search(suite, suite.setup.models, {})
    assert len(witnesses(suite)) == before == (0 if how == "no stability" else MOST)


def test_an_original_that_was_unusable_itself_is_no_witness(bench: Any) -> None:
    """The wording broke nothing there."""
    bench.card("toy", wrong_prompt=1.0)
    suite, _ = bench.whole()
    assert witnesses(suite) == []


BRITTLE = """
width = 32
height = 32
seeds = [1, 2]
reworded_seeds = [1]
rewordings = 32
[[task]]
id = "cups"
prompts = { en = "two red cups on a wooden table (film grain)" }
[[task]]
id = "other"
rewordings = 0
prompts = { en = "an orange cat by a sunlit window" }
"""
TEXT = "two red cups on a wooden table (film grain)"
SYNONYM, MARK = "synonym: cups→mugs @1", "punctuation: brackets→comma @1"
PLANTED = {SYNONYM, MARK}


def test_planted_brittleness_is_found_shrunk_and_told_on_fresh_seeds(bench: Any) -> None:
    """It breaks on one synonym and on one mark; both are named, each alone, and each breaks every fresh seed."""
    (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(BRITTLE, encoding="utf-8")
    bench.card("toy", breaks_on="mugs|table, film")
    suite, data = bench.whole()
    assert {one["edits"] for one in witnesses(suite)} == PLANTED
    rows = [row for row in data["wording"] if row["smallest"]]
    assert [(row["tried"], row["broke"]) for row in rows] == [(FRESH, FRESH)] * MOST
    assert all(row["change"] < 0 for row in rows)


def test_a_witness_of_one_seed_is_told_from_one_of_all(bench: Any) -> None:
    """A model that breaks by chance breaks on few fresh seeds, and that is what is reported."""
    bench.card("toy", wrong_rewording=0.3)
    suite, data = bench.whole()
    rows = [row for row in data["wording"] if row["smallest"]]
    assert rows
    assert [row["broke"] for row in rows] == [one["fresh"]["broke"] for one in witnesses(suite)]
    assert all(row["broke"] < row["tried"] == FRESH for row in rows)


@pytest.fixture(scope="module")
def draws() -> list[tuple[Rewording, ...]]:
    """32 rewordings for each of 20 seeds, made once."""
    return [wording.draw(TEXT, "en", BOOK, n=32, seed_text=f"seed {seed}") for seed in range(20)]


def smallest(drawn: tuple[Rewording, ...], breaks_on: str) -> set[tuple[str, ...]]:
    """What the search makes, within its budget, of every rewording that breaks a model that breaks on that."""
    options = Options(breaks_on=breaks_on)

    def breaks(one: Rewording) -> bool:
        return options.broken_by(one.text)

    return {wording.smallest(one, breaks, BUDGET).labels for one in drawn if breaks(one)}


@pytest.mark.parametrize(
    ("breaks_on", "planted"),
    [("mugs|table, film", {(label,) for label in PLANTED}), ("mugs", {(SYNONYM,)}), ("table, film", {(MARK,)})],
)
def test_a_planted_brittleness_is_shrunk_to_exactly_that_edit_for_nearly_every_seed(
    draws: list[tuple[Rewording, ...]], breaks_on: str, planted: set[tuple[str, ...]]
) -> None:
    """In at least 19 of 20 draws every planted edit is found, and nothing but it."""
    assert sum(smallest(drawn, breaks_on) == planted for drawn in draws) >= 19


def test_what_breaks_only_together_is_found_as_both(draws: list[tuple[Rewording, ...]]) -> None:
    """Never one of the two alone."""
    found = [smallest(drawn, "mugs&table, film") for drawn in draws]
    assert {labels for one in found for labels in one} == {(MARK, SYNONYM)}


def test_a_model_that_ignores_wording_breaks_in_no_draw(draws: list[tuple[Rewording, ...]]) -> None:
    """Nothing is found where nothing was planted."""
    assert all(smallest(drawn, "") == set() for drawn in draws)
