"""The plan: requests, their keys and pairs, and the order in which images are made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.cards import Card, read_card
from swapgate.errors import UserError
from swapgate.plan import REFINER_PROMPT, Request, build, order_of_seeds, round_call, rounds
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


def test_seeds_go_round_before_tasks_and_rewordings_come_with_them(card: Card, tasks: list[Task]) -> None:
    """A run that is cut short has measured every task and every gate a little."""
    plan = build([card], {"toy": tasks}, {("cup", "en"): [("edit", "the cup"), ("other", "one cup")]})
    order = [(r.task, r.language, r.edits) for r in plan.requests("toy")]
    first = [("cup", "en", ""), ("cup", "zh", ""), ("cat", "en", "")]
    assert order[:3] == first
    assert [len(made) for made in rounds(plan.calls["toy"])] == [4, 4, 3]
    assert sorted(order) == sorted([*first, *first[:2], *first[:2], *[("cup", "en", "edit")] * 2, *[("cup", "en", "other")] * 2])
    assert plan.images() == 11
    assert len({r.key for r in plan.requests("toy")}) == 11


def test_a_rewording_comes_with_or_after_the_picture_of_its_original(card: Card, tasks: list[Task]) -> None:
    """Without that picture it says nothing; and both reworded seeds are asked once before one is asked again."""
    plan = build([card], {"toy": tasks}, {("cup", "en"): [("edit", "the cup"), ("other", "one cup")]})
    made: set[tuple[str, str, int]] = set()
    reworded = []
    for one in plan.requests("toy"):
        if one.edits:
            assert (one.task, one.language, one.seed) in made
            reworded.append((one.seed, one.edits))
        made.add((one.task, one.language, one.seed))
    assert {seed for seed, _ in reworded[:2]} == {1, 2}
    assert len({edits for _, edits in reworded[:2]}) == 2
    assert len(set(reworded)) == 4


def test_the_seeds_of_a_prompt_are_in_an_order_of_its_own(tasks: list[Task]) -> None:
    """Reworded ones first; a fault of the third seed is not always met in the third round."""
    many = replace(tasks[0], seeds=tuple(range(20)), reworded_seeds=(7, 9))
    orders = {language: order_of_seeds(many, language) for language in ("en", "zh")}
    for order in orders.values():
        assert sorted(order) == list(range(20))
        assert set(order[:2]) == {7, 9}
    assert orders["en"] != orders["zh"]
    assert orders["en"] == order_of_seeds(many, "en")


def test_rounds_of_a_plan_that_was_recorded_in_another_order(card: Card, tasks: list[Task]) -> None:
    """All prompts as written, then all rewordings: those are part of the last round."""
    written = [round_call(card, tasks[0], "en", seed) for seed in (1, 2, 3)]
    reworded = [round_call(card, tasks[0], "en", 1, prompt="the cup", edits="edit")]
    assert [len(made) for made in rounds([*written, *reworded])] == [1, 1, 2]
    assert rounds([]) == ()
    assert [len(made) for made in rounds(reworded)] == [1]


REFINED = (
    CARD.replace('engine = "scripted"', 'engine = "diffusers"').replace('source = "scripted"\n', 'source = "a/b"\n')
    + """
[refiner]
source = "c/d"
pipeline = "FluxImg2ImgPipeline"
prompt = "en"
call = { strength = 0.5, guidance_scale = 3.5 }
"""
)


def test_a_refiner_of_one_language_gets_that_prompt_as_written(tmp_path: Path, tasks: list[Task]) -> None:
    """Beside a Chinese prompt, and a Chinese rewording, stands the English one; an English request, reworded or not, is its own."""
    path = tmp_path / "hybrid.toml"
    path.write_text(REFINED, encoding="utf-8")
    card = read_card(path, root=tmp_path, engines=("diffusers",))
    cup = tasks[0]
    assert dict(round_call(card, cup, "zh", 1).first.call) == {"steps": 4, REFINER_PROMPT: "a cup"}
    assert dict(round_call(card, cup, "zh", 1, prompt="杯", edits="x").first.call)[REFINER_PROMPT] == "a cup"
    assert dict(round_call(card, cup, "en", 1, prompt="one cup", edits="x").first.call) == {"steps": 4}
    again = round_call(card, cup, "zh", 1).first
    assert Request.from_json(again.as_json()) == again
    with pytest.raises(UserError, match=r"refiner\.prompt"):
        round_call(card, replace(cup, prompts={"zh": "杯子"}), "zh", 1)
