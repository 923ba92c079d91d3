"""The plan: requests, their keys and pairs, and the order in which images are made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.cards import Card, read_card
from swapgate.plan import Request, build, round_call
from swapgate.tasks import Protocol, Task, read_family

CARD = 'engine = "scripted"\nsource = "scripted"\ntasks = ["toys"]\njudge = { source = "scripted" }\ncall = { steps = 4 }\nnegative_prompt = { zh = "坏" }\n'
TASKS = """
width = 64
height = 48
seeds = [1, 2, 3]
reworded_seeds = [1, 2]
rewordings = 1
[[task]]
id = "cup"
prompts = { en = "a cup", zh = "杯子" }
[[task]]
id = "cat"
prompts = { en = "a cat" }
seeds = [5]
reworded_seeds = []
"""
TEXT = st.text(max_size=20)


@pytest.fixture
def card(tmp_path: Path) -> Card:
    path = tmp_path / "toy.toml"
    path.write_text(CARD, encoding="utf-8")
    return read_card(path, root=tmp_path, engines=("scripted",))


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    path = tmp_path / "toys.toml"
    path.write_text(TASKS, encoding="utf-8")
    return read_family(path)


def request(**changes: object) -> Request:
    whole = Request(model="m", task="t", language="en", seed=1, index=0, prompt="p", negative_prompt=None, width=16, height=16, call=(("a", 1),))
    return replace(whole, **changes)  # type: ignore[arg-type]


@given(prompt=TEXT, negative=st.none() | TEXT, seed=st.integers(0, 2**31 - 1), edits=TEXT)
def test_a_request_survives_json(prompt: str, negative: str | None, seed: int, edits: str) -> None:
    """What the journal holds is the request again, with the same key."""
    before = request(prompt=prompt, negative_prompt=negative, seed=seed, edits=edits)
    after = Request.from_json(before.as_json())
    assert after == before
    assert after.key == before.key


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"task": "u"},
        {"language": "zh"},
        {"seed": 2},
        {"index": 1},
        {"prompt": "q"},
        {"negative_prompt": ""},
        {"width": 32},
        {"height": 32},
        {"call": (("a", 2),)},
        {"edits": "e"},
        {"repeat": 1},
    ],
)
def test_every_field_is_part_of_the_key(change: dict[str, object]) -> None:
    """Two requests that differ in anything are two images."""
    assert request(**change).key != request().key


def test_the_pair_is_the_same_across_models_and_recipes() -> None:
    """Pairs connect arms; whether they were asked alike is the recipe's business."""
    other = request(model="n", prompt="q", call=(("a", 2),))
    assert other.pair == request().pair
    assert other.recipe != request().recipe
    assert request(model="n").recipe == request().recipe
    assert request(edits="e").pair != request().pair


def test_a_round_is_one_call_with_seeds_of_its_own(card: Card, tasks: list[Task]) -> None:
    """Image 0 is drawn from the seed itself; the others never meet another round's seeds."""
    four = replace(tasks[0], protocol=Protocol(images_per_round=4))
    calls = [round_call(card, four, "zh", seed) for seed in four.seeds]
    seeds = [one.image_seed for call in calls for one in call.requests]
    assert seeds[0] == 1
    assert len(set(seeds)) == 12
    assert calls[0].first.negative_prompt == "坏"
    assert (calls[0].first.width, calls[0].first.height, calls[0].first.call) == (64, 48, (("steps", 4),))


def test_seeds_go_round_before_tasks_and_rewordings_come_last(card: Card, tasks: list[Task]) -> None:
    """A run that is cut short has measured every task a little."""
    plan = build([card], {"toy": tasks}, {("cup", "en"): [("edit", "the cup")]})
    order = [(r.task, r.language, r.seed, r.edits) for r in plan.requests("toy")]
    assert order == [
        ("cup", "en", 1, ""),
        ("cup", "zh", 1, ""),
        ("cat", "en", 5, ""),
        ("cup", "en", 2, ""),
        ("cup", "zh", 2, ""),
        ("cup", "en", 3, ""),
        ("cup", "zh", 3, ""),
        ("cup", "en", 1, "edit"),
        ("cup", "en", 2, "edit"),
    ]
    assert plan.images() == 9
    assert len({r.key for r in plan.requests("toy")}) == 9
