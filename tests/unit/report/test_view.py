"""What stands on the page, in which order, and which pictures speak for a cell."""

from __future__ import annotations

import pytest

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


def test_stability_shows_wording_of_its_task(page):
    """The rows come worst first from the run, and stay so."""
    assert [item.row.change for item in cell_of(page, "stability", "all").reworded] == [-0.41, -0.18]
    assert [item.row.task for item in cell_of(page, "stability", "butterfly").reworded] == ["butterfly"]


def test_long_lists_of_wording_are_cut_and_the_rest_is_counted(data):
    """The page stays readable; the number left out is said."""
    data["wording"] = data["wording"][1:2] * (view.MOST_WORDING + 5)
    page = view.page(model.parse(data), NOTHING)
    assert (len(page.wording), page.wording_more) == (view.MOST_WORDING, 5)


def test_the_smallest_edits_stand_apart(page):
    """A witness is what a reader can try at once."""
    assert [item.row.smallest for item in page.witnesses] == [True]
    assert not any(item.row.smallest for item in page.wording)


def test_passing_cells_say_how_much_is_left(page):
    """The margin to the limit, for cells that hold; those that need a look have a reason instead."""
    assert cell_of(page, "latency", "orange-cat").margin.replace("\u202f", " ") == "2.1 % to spare"
    assert cell_of(page, "memory", "all").margin.replace("\u202f", " ") == "122 MiB to spare"
    assert cell_of(page, "latency", "all").margin == ""
    assert cell_of(page, "drift", "white-cup").margin == ""


def test_cells_whose_next_step_is_to_accept_can_be_chosen(page):
    """With the run and what else their own command says; the others have other work to do."""
    accept = page.accept
    assert accept.run == "--run=.swapgate/runs/2026-11-22-a1b2c3"
    chosen = {one.cell.verdict.id: one.options for one in accept.cells}
    assert chosen["drift/standin-qwen/orange-cat"] == ()
    assert chosen["latency/standin-qwen/all"] == ("--reason=why it may get worse",)
    assert "latency/standin-qwen/butterfly" not in chosen


@pytest.mark.parametrize("command", ["", "swapgate baselines accept 'unfinished", "swapgate baselines accept --run=r other/cell/x", "pytest"])
def test_what_is_no_command_to_accept_makes_no_check_box(sample, data, command):
    """Nor does a command that names another cell."""
    data["verdicts"] = [sample.verdict("drift", "t", Status.CHANGED, "changed", next_=command).as_json()]
    assert view.page(model.parse(data), NOTHING).accept is None


def test_filters_offer_what_there_is(page):
    """Nothing can be chosen that would show nothing."""
    assert page.filters.gates == ("latency", "memory", "usability", "drift", "stability")
    assert page.filters.statuses[0] is Status.ERROR
    assert set(page.filters.tasks) == {"all", "orange-cat", "white-cup", "butterfly"}
    assert page.filters.languages == ("en", "zh")


def test_pictures_of_a_cell_are_a_link_away(page):
    """To its own task's, of a pooled cell to all; cost has none."""
    assert cell_of(page, "drift", "orange-cat").pictures == "#pictures-standin-qwen-orange-cat"
    assert cell_of(page, "usability", "all").pictures == "#pictures"
    assert cell_of(page, "latency", "all").pictures == ""


def test_commands_are_told_once_with_the_number_of_cells(sample, data):
    """Ten cells that ask for the same command make one line."""
    data["verdicts"] = [sample.verdict("drift", f"t{n}", Status.NEW, "new", next_="swapgate accept").as_json() for n in range(10)]
    assert view.page(model.parse(data), NOTHING).commands == (("swapgate accept", 10),)


def test_pictures_that_nobody_has_are_counted(page, report):
    """With an empty album every named picture is missing."""
    assert page.missing == len({sha for row in report.images for sha in (row.baseline, row.candidate) if sha})


def test_nested_settings_become_rows():
    """Tables are descended into, lists joined, None is empty."""
    assert view.leaves({"a": {"b": 1, "c": [1, 2]}, "d": None}) == [("a.b", "1"), ("a.c", "1, 2"), ("d", "")]
