"""The smallest rewording that broke the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from swapgate import wording
from swapgate.baselines.review import reject
from swapgate.baselines.store import Store
from swapgate.baselines.witnesses import Witness, keep
from swapgate.engines.scripted import Scripted
from swapgate.engines.scripted_options import Options
from swapgate.plan import Request
from swapgate.suite.planning import EDITS_SEPARATOR, serialised
from swapgate.suite.witnesses import BUDGET, FRESH, MOST, MOST_KEPT, MOST_TRIED, MOST_WITHOUT, search
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
    """Two that fresh seeds confirm, at most six images each and two for every fresh seed, all asked of the host that is still loaded."""
    bench.card("toy", wrong_rewording=1.0)
    suite, data = bench.whole()
    found = witnesses(suite)
    assert len(found) == MOST
    assert 15 < len(bench.hosts.asked) <= 15 + MOST * (BUDGET + 2 * FRESH)
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


SPACE = "spacing: space doubled @6"  # of 32 rewordings of the cups one holds the planted synonym, and this


@pytest.fixture
def chance(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[set[str]], bool]], Any]:
    """A toy that breaks on one synonym and one mark, and on the seed of its plan also where `broken` says so of the edits asked."""

    def toy(broken: Callable[[set[str]], bool]) -> Any:
        (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(BRITTLE, encoding="utf-8")
        bench.card("toy", breaks_on="mugs|table, film")
        picture = Scripted._picture

        def drawn(engine: Scripted, request: Request) -> Any:
            edits = set(request.edits.split(EDITS_SEPARATOR)) if request.edits else set()
            return picture(engine, replace(request, prompt="mugs") if request.seed == 1 and broken(edits) else request)

        monkeypatch.setattr(Scripted, "_picture", drawn)
        return bench

    return toy


def test_an_accident_takes_the_place_of_no_witness(chance: Any) -> None:
    """It is told as one, and the planted synonym is found beside it, though its only rewording holds the accident, too."""
    bench = chance(lambda edits: SPACE in edits)
    suite, data = bench.whole()
    assert {one["edits"]: one["fresh"]["broke"] for one in witnesses(suite)} == {SYNONYM: FRESH, MARK: FRESH, SPACE: 0}
    planned = len(list(suite.plan.requests("toy")))
    assert planned < len(bench.hosts.asked) <= planned + (MOST + 1) * (BUDGET + 2 * FRESH) + MOST_WITHOUT
    assert [row["edits"] for row in data["wording"] if row["smallest"] and not row["broke"]] == [SPACE]


def test_no_more_accidents_than_a_few_are_tried(chance: Any) -> None:
    """A model that breaks on anything by chance costs what the limits say, and a resumed run makes nothing more."""
    bench = chance(lambda edits: bool(edits - PLANTED))
    suite, _ = bench.whole()
    found, made = [one["edits"] for one in witnesses(suite)], len(bench.hosts.asked)
    assert len(found) == len(set(found)) <= MOST_TRIED
    assert sum(not one["fresh"]["broke"] for one in witnesses(suite)) > MOST
    assert made <= len(list(suite.plan.requests("toy"))) + MOST_TRIED * (BUDGET + 2 * FRESH) + MOST_WITHOUT
    again, _ = bench.whole(resume=bench.root / "here")
    assert [one["edits"] for one in witnesses(again)] == found
    assert len(bench.hosts.asked) == made


def known(bench: Any, **changes: Any) -> Witness:
    """A kept witness of the toy: cups of another word."""
    found = Witness(task="cups", language="en", prompt=TEXT, edits=SYNONYM, text=TEXT.replace("cups", "mugs"), tried=5, broke=5, run="r")
    found = replace(found, **changes)
    keep(bench.root / "baselines", "toy", [found])
    return found


@pytest.mark.parametrize(("breaks_on", "broke"), [("mugs", FRESH), ("", 0)])
def test_what_broke_an_earlier_version_is_tried_first(bench: Any, breaks_on: str, broke: int) -> None:
    """Told either way, on fresh seeds; what it explains is not searched again, and it takes the place of no new witness."""
    (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(BRITTLE, encoding="utf-8")
    bench.card("toy", breaks_on=f"{breaks_on}|table, film" if breaks_on else "table, film")
    known(bench)
    suite, data = bench.whole()
    first, *others = witnesses(suite)
    assert (first["kept"], first["edits"], first["fresh"]["broke"], first["flip"]) == (True, SYNONYM, broke, bool(broke))
    assert [one["edits"] for one in others] == [MARK]
    row = next(row for row in data["wording"] if row.get("kept"))
    assert (row["broke"], row["tried"], row["flip"]) == (broke, FRESH, bool(broke))
    exact = binomtest(broke, FRESH).proportion_ci(1 - suite.policy.alpha / 2, method="exact")  # two witnesses share the error
    assert (row["low"], row["high"]) == pytest.approx((exact.low, exact.high), abs=1e-5)


@pytest.mark.parametrize("change", [{"prompt": "another"}, {"edits": "synonym: gone→away @1"}, {"task": "gone"}, {"language": "zh"}])
def test_a_kept_witness_that_cannot_be_asked_any_more_is_passed_over(bench: Any, change: dict[str, Any]) -> None:
    """Another prompt, an edit that was taken out, a task or a language that is gone: nothing is made, and nothing is searched for ever."""
    (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(BRITTLE, encoding="utf-8")
    known(bench, **change)
    suite, _ = bench.whole()
    assert witnesses(suite) == []
    bench.whole(resume=bench.root / "here")
    assert len(bench.hosts.started) == 1


def test_a_run_that_was_cut_off_before_it_tried_them_does(bench: Any) -> None:
    """And no second time after that."""
    (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(BRITTLE, encoding="utf-8")
    suite, _ = bench.whole()
    known(bench)
    journal = bench.root / "here" / "journal.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"witnesses-done"' not in line), encoding="utf-8")
    for _ in range(2):
        suite, _ = bench.whole(resume=bench.root / "here")
        assert [one["kept"] for one in witnesses(suite)] == [True]
    assert len(bench.hosts.started) == 2


def test_no_more_kept_witnesses_than_a_few_are_tried(bench: Any) -> None:
    """Each costs eleven images."""
    (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(BRITTLE, encoding="utf-8")
    drawn = wording.draw(TEXT, "en", BOOK, n=MOST_KEPT + 2, seed_text="x")
    for one in drawn:
        known(bench, edits=serialised(one), text=one.text)
    suite, _ = bench.whole()
    assert len(witnesses(suite)) == MOST_KEPT


def test_a_witness_that_a_review_kept_is_tried_by_the_next_run(bench: Any) -> None:
    """From the search over the rejection to the next version, which is mended."""
    (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(BRITTLE, encoding="utf-8")
    bench.card("toy", breaks_on="mugs")
    bench.whole(run_dir=bench.root / "first")
    reject(bench.root / "first", store=Store(bench.root / "baselines"), reason="brittle", environ={})
    bench.card("toy", weights="next")
    suite, data = bench.whole()
    assert [(one["kept"], one["edits"], one["fresh"]["broke"]) for one in witnesses(suite)] == [(True, SYNONYM, 0)]
    before = (bench.root / "here" / "verdicts.json").read_bytes()
    bench.whole(replay=bench.root / "here")
    assert (bench.root / "here" / "verdicts.json").read_bytes() == before
    assert [row["kept"] for row in data["wording"] if row["smallest"]] == [True]


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


SEEDS = 20
IGNORED = f"""
width = 32
height = 32
seeds = {list(range(1, SEEDS + 1))}
reworded_seeds = {list(range(1, SEEDS + 1))}
rewordings = 4
[[task]]
id = "cups"
prompts = {{ en = "{TEXT}", zh = "木桌上两只红色的杯子，水彩" }}
[[task]]
id = "other"
rewordings = 0
prompts = {{ en = "an orange cat by a sunlit window", zh = "窗边一只橙色的猫" }}
"""


@pytest.mark.parametrize(("options", "red"), [({"deaf": "wording"}, False), ({"wrong_rewording": 0.5}, True)])
def test_nothing_is_reported_on_a_model_that_ignores_wording(bench: Any, options: dict[str, Any], red: bool) -> None:
    """In four rewordings with each of 20 seeds, in two languages; the same run says so of a model that does not ignore it."""
    (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(IGNORED, encoding="utf-8")
    bench.card("toy", **options)
    bench.card("steady", deaf="wording")
    suite, data = bench.whole(models=("toy",), against="steady", gates=("stability",))
    rows = [row for row in data["wording"] if not row["smallest"]]
    assert len(rows) == 2 * 4 * SEEDS
    assert bool(witnesses(suite)) is red
    assert any(one["status"] == "REGRESSION" for one in data["verdicts"]) is red
    assert any(row["flip"] for row in rows) is red
    assert any(row["change"] for row in rows) is red
