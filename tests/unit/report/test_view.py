"""What stands on the page, in which order, and which pictures speak for a cell."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swapgate.gates.verdict import WORST_FIRST, Status
from swapgate.report import model, pictures, view

NOTHING = pictures.Album(pictures={}, differences={})


@pytest.fixture
def page(report):
    return view.page(report, NOTHING)


def cell_of(page, gate, task):
    return next(cell for cell in page.cells if (cell.verdict.gate, cell.verdict.task) == (gate, task))


def test_cells_stand_worst_first_and_all_are_there(page, report):
    """Nothing is hidden, and the reader meets the worst first."""
    ranks = [WORST_FIRST.index(cell.verdict.status) for cell in page.cells]
    assert ranks == sorted(ranks)
    assert len(page.cells) == len(report.verdicts)
    assert len({cell.anchor for cell in page.cells}) == len(page.cells)


def test_the_brief_shows_what_needs_a_look_and_counts_the_rest(page):
    """Passed and improved cells are not in the way of what broke."""
    assert [cell.verdict.status for cell in page.broken][:3] == [Status.ERROR, Status.REGRESSION, Status.REGRESSION]
    assert len(page.broken) == view.MOST_BROKEN
    looked = sum(cell.verdict.status not in (Status.PASS, Status.IMPROVED) for cell in page.cells)
    assert page.broken_more == looked - view.MOST_BROKEN


def test_tasks_of_a_model_are_rows_with_the_worst_on_top(page):
    """A row with an error stands before one with a regression before one that only passed."""
    (heat,) = page.heats
    assert heat.gates == ("latency", "memory", "usability", "drift", "stability")
    assert [row.task for row in heat.rows] == ["butterfly", "all", "orange-cat", "white-cup"]
    assert all(len(row.cells) == len(heat.gates) for row in heat.rows)
    assert sum(cell is not None for row in heat.rows for cell in row.cells) == len(page.cells)


def test_a_model_without_facts_and_a_gate_not_known_are_still_shown(sample, data):
    """The table follows the verdicts, not the list of models."""
    data["verdicts"].append(sample.verdict("colour", "t", Status.ERROR, "odd", model="other").as_json())
    heats = view.page(model.parse(data), NOTHING).heats
    other = next(heat for heat in heats if heat.model.id == "other")
    assert other.gates == ("colour",)


def test_a_usability_regression_is_shown_by_what_it_lost(page):
    """Usable before and not now, the largest fall first."""
    pairs = cell_of(page, "usability", "orange-cat").pairs
    assert len(pairs) == 2
    assert all(pair.row.baseline_usable and pair.row.usable is False for pair in pairs)


def test_drift_is_shown_by_the_least_alike(page, report):
    """The lowest SSIM of the task, never an identical pair."""
    shown = cell_of(page, "drift", "orange-cat").pairs[0].row
    assert shown.ssim == min(row.ssim for row in report.images if row.task == "orange-cat" and row.ssim is not None)
    assert cell_of(page, "drift", "white-cup").pairs == ()


def test_an_error_is_shown_by_the_picture_that_is_not_there(page):
    """The request that failed comes before pictures that are merely different."""
    assert "out-of-memory" in cell_of(page, "drift", "butterfly").pairs[0].row.failure


def test_pooled_cells_draw_on_all_tasks_and_others_only_on_their_own(page):
    """A pool's exhibit may come from any task of its model."""
    assert cell_of(page, "usability", "all").pairs[0].row.task == "orange-cat"
    assert {pair.row.task for pair in cell_of(page, "usability", "orange-cat").pairs} == {"orange-cat"}


def test_cost_gates_show_their_own_chart(page):
    """Latency its bars, memory its trace, nothing else either."""
    latency, memory = cell_of(page, "latency", "all"), cell_of(page, "memory", "all")
    assert [bar.side for bar in latency.bars] == ["baseline", "candidate"]
    assert latency.memory is None
    assert memory.memory
    assert memory.bars == ()
    assert len(page.costs) == 4


def test_stability_shows_wording_of_its_task(page):
    """The rows come worst first from the run, and stay so."""
    assert [item.row.change for item in cell_of(page, "stability", "all").reworded] == [-0.41, -0.18]
    assert [item.row.task for item in cell_of(page, "stability", "butterfly").reworded] == ["butterfly"]


def test_every_request_is_in_the_gallery_of_its_task_once(page, report):
    """Seeds in order, one strip a prompt, and only galleries that need a look are open."""
    shown = [pair.row for gallery in page.pictures for strip in gallery.strips for pair in strip.pairs]
    assert sorted(map(repr, shown)) == sorted(map(repr, report.images))
    for gallery in page.pictures:
        for strip in gallery.strips:
            assert [pair.row.seed for pair in strip.pairs] == [1, 2, 3, 4]
    assert {gallery.task: gallery.open for gallery in page.pictures} == {"orange-cat": True, "white-cup": False, "butterfly": True}
    assert {gallery.task: gallery.lost for gallery in page.pictures} == {"orange-cat": 3, "white-cup": 0, "butterfly": 0}


def test_rewordings_stand_after_the_prompt_as_written(data):
    """Edits make strips of their own below the original's."""
    data["images"].insert(0, {**data["images"][0], "edits": "synonym", "prompt": "other words"})
    gallery = view.page(model.parse(data), NOTHING).pictures[0]
    assert [strip.edits for strip in gallery.strips] == ["", "", "synonym"]
    assert gallery.strips[-1].original != gallery.strips[-1].prompt


def test_long_lists_of_wording_are_cut_and_the_rest_is_counted(data):
    """The page stays readable; the number left out is said."""
    data["wording"] = data["wording"][:1] * (view.MOST_WORDING + 5)
    page = view.page(model.parse(data), NOTHING)
    assert (len(page.wording), page.wording_more) == (view.MOST_WORDING, 5)


def test_commands_are_told_once_with_the_number_of_cells(sample, data):
    """Ten cells that ask for the same command make one line."""
    data["verdicts"] = [sample.verdict("drift", f"t{n}", Status.NEW, "new", next_="swapgate accept").as_json() for n in range(10)]
    assert view.page(model.parse(data), NOTHING).commands == (("swapgate accept", 10),)


def test_pictures_that_nobody_has_are_counted(page, report):
    """With an empty album every named picture is missing."""
    assert page.missing == len({sha for row in report.images for sha in (row.baseline, row.candidate) if sha})


words = st.text(alphabet="ab c一只猫，。.<>&\n", max_size=30)


@given(words, words)
@example("a red cup", "a blue cup")
@example("一只橘猫坐在窗台", "一只橙色的猫坐在窗台")
def test_marks_give_back_both_prompts(before, after):
    """Nothing of either wording is lost: same and gone make the old one, same and come the new one."""
    marks = view.word_marks(before, after)
    assert "".join(text for kind, text in marks if kind != "come") == before
    assert "".join(text for kind, text in marks if kind != "gone") == after


def test_marks_follow_words_in_english_and_characters_in_chinese():
    """A changed word is marked whole; a changed character alone."""
    assert view.word_marks("a red cup", "a blue cup") == (("same", "a "), ("gone", "red"), ("come", "blue"), ("same", " cup"))
    assert view.word_marks("橘猫坐着", "白猫坐着") == (("gone", "橘"), ("come", "白"), ("same", "猫坐着"))


def test_nested_settings_become_rows():
    """Tables are descended into, lists joined, None is empty."""
    assert view.leaves({"a": {"b": 1, "c": [1, 2]}, "d": None}) == [("a.b", "1"), ("a.c", "1, 2"), ("d", "")]
