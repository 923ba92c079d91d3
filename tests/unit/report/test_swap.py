"""The swap view says who is better at what, by how much and how sure, shows the first seed of each prompt, and what an image costs."""

from __future__ import annotations

import pytest

from swapgate.gates.evidence import Cost
from swapgate.gates.verdict import Status
from swapgate.report import model, swap, view
from swapgate.report.pictures import Album

NOTHING = Album(pictures={}, differences={})


def row(gate, task, claim, better, **more):
    """A row of the comparison as a run writes it."""
    figures = {"a": 0.5, "b": 0.4, "effect": -20.0, "low": -23.0, "high": -17.0, "unit": "%", "n": 24, "confidence": 0.99}
    return {"gate": gate, "task": task, "model": "standin-qwen", "claim": claim, "better": better, **figures, **more}


@pytest.fixture
def swapped(data):
    data["against"] = "standin-flux"
    data["comparison"] = [
        row("latency", "all", "total", "b"),
        row("latency", "all", "first step", "same"),
        row("latency", "orange-cat", "total", "b"),
        row("latency", "orange-cat", "decode", "a"),
        row("drift", "orange-cat", "alignment", "a", a=None, b=None, effect=-1.5, low=-2.0, high=-1.0, unit="seed sd", decides=False),
        row("usability", "orange-cat", "difference", "unclear"),
    ]
    return model.parse(data)


def test_each_cell_says_who_is_better_by_its_deciding_claims(swapped):
    """Better in one thing and worse in another is not better; alignment counts although it decides only harm."""
    (found,) = swap.swaps(swapped, NOTHING, "en", one_page=False)
    sides = {(row.task, side.gate): side for row in found.rows for side in row.sides if side}
    assert sides["all", "latency"].better == "b"
    assert sides["orange-cat", "latency"].better == "a"
    assert sides["orange-cat", "drift"].better == "a"
    assert sides["orange-cat", "usability"].better == "unclear"
    assert sides["white-cup", "usability"].row is None
    assert sides["orange-cat", "latency"].row.claim == "total"
    assert sum(found.won.values()) == len(sides) == len(swapped.verdicts)
    assert found.rows[0].task == "all"


def test_pictures_are_the_first_seed_of_each_language_never_the_best(swapped):
    """The same place in every row, as written."""
    (found,) = swap.swaps(swapped, NOTHING, "en", one_page=False)
    cat = next(row for row in found.rows if row.task == "orange-cat")
    assert [(pair.row.language, pair.row.seed) for pair in cat.pairs] == [("en", 1), ("zh", 1)]
    assert next(row for row in found.rows if row.task == "all").pairs == ()


def test_costs_are_medians_over_all_tasks_with_images_per_hour(sample, swapped):
    """Seconds, images an hour, first step, the highest peak, what is held, loading; of both models."""
    (found,) = swap.swaps(swapped, NOTHING, "en", one_page=False)
    costs = {cost.key: cost for cost in found.costs}
    assert list(costs) == ["seconds", "hour", "first_step", "peak", "held", "load"]
    assert costs["hour"].a == pytest.approx(3600 / costs["seconds"].a)
    assert costs["peak"].b == max(max(pair.candidate.peak_mib) for pair in swapped.costs if pair.task == "all")
    assert costs["load"].a == 1.8


def test_a_run_against_baselines_has_no_swap_view(report):
    """There is no other model."""
    assert swap.swaps(report, NOTHING, "en", one_page=False) == ()
    assert view.page(report, NOTHING).swaps == ()


def test_tasks_are_joined_in_the_order_of_the_images(sample):
    """A memory trace of all tasks runs over the images as they were made, not task after task."""

    def cost(numbers):
        raw = sample.cost(calls=len(numbers))
        raw.update(numbers=numbers, held_mib=[100.0 + n for n in numbers])
        return Cost(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})

    both = swap.joined([cost([1, 3, 5]), None, cost([2, 4])])
    assert both.numbers == (1, 2, 3, 4, 5)
    assert both.held_mib == (101.0, 102.0, 103.0, 104.0, 105.0)
    assert both.calls == 5
    assert swap.joined([None, cost([])]) is None


def test_the_pool_of_a_run_that_states_none_is_made_of_its_tasks(data):
    """A real run writes costs by task."""
    data["costs"] = [entry for entry in data["costs"] if entry["task"] != "all"]
    before, after = swap.costs_of(model.parse(data), "standin-qwen", "all")
    assert before.calls == 24
    assert after.calls == 27
    assert swap.costs_of(model.parse(data), "standin-qwen", "unknown") == (None, None)


def test_several_models_against_one_are_several_views(sample, data):
    """Each with its own table."""
    data["against"] = "x"
    data["verdicts"].append(sample.verdict("latency", "all", Status.PASS, "fine", model="other").as_json())
    assert [one.model for one in view.page(model.parse(data), NOTHING).swaps] == ["standin-qwen", "other"]
