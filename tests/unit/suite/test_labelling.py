"""The queue of `swapgate label`: everything as written, once and some twice, shuffled, and blind."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from swapgate.errors import UserError
from swapgate.runs.folder import RunFolder
from swapgate.suite.labelling import AGAIN, Shown, Sitting, pictures, queue


@pytest.fixture(scope="module")
def sample() -> ModuleType:
    place = Path(__file__).parents[1] / "cli" / "labelled_run.py"
    spec = importlib.util.spec_from_file_location("swapgate_labelled_run_for_suite", place)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(sample: ModuleType, tmp_path: Path) -> RunFolder:
    made: RunFolder = sample.make(tmp_path / "run")
    return made


def some(n: int) -> list[Shown]:
    return [Shown(image=f"{number:064x}", pair=f"cup/en/{number}/0", prompt="a cup", language="en") for number in range(n)]


def test_every_picture_as_written_is_in_it_once(run: RunFolder, sample: ModuleType) -> None:
    """Both arms; what the arms share once; no rewording, no repeat, nothing that was not made."""
    found = pictures(run)
    assert len(found) == 2 * 2 * 12 - 2
    assert {one.pair for one in found} == {f"cup/{language}/{seed}/0" for seed in range(12) for language in sample.PROMPTS}
    assert all(one.prompt == sample.PROMPTS[one.language] for one in found)


def test_a_picture_whose_file_is_gone_is_not_shown(run: RunFolder) -> None:
    """It could not be judged; a run without any picture is refused."""
    first = pictures(run)[0]
    run.image_path(first.image).unlink()
    assert first not in pictures(run)
    for one in pictures(run):
        run.image_path(one.image).unlink(missing_ok=True)
    with pytest.raises(UserError, match="images to label"):
        pictures(run)


@pytest.mark.parametrize("n", [1, 2, 5, 40, 300])
def test_one_in_twenty_comes_again_and_not_at_once(n: int) -> None:
    """As look 1, behind its first showing, with at least 20 others (or half of a small queue) between."""
    order = queue("run-1", some(n))
    looks = Counter(one.look for one in order)
    assert looks == {0: n, 1: -(-n // 20)}
    assert pytest.approx(0.05) == AGAIN
    places = {(one.image, one.look): place for place, one in enumerate(order)}
    for image, look in places:
        if look:
            assert places[image, 1] - places[image, 0] > min(20, n // 2) - 1


def test_the_order_is_shuffled_and_everybody_s(run: RunFolder, sample: ModuleType) -> None:
    """The same whatever the order of the plan; other for another run; and the arms are mixed."""
    found = pictures(run)
    assert queue(run.id, found) == queue(run.id, found[::-1])
    assert queue(run.id, found) != queue("another", found)
    made = run.generations()
    arm = {made[one.key].image: one.model for one in run.requests() if not one.edits and not one.repeat and one.key in made}
    models = [arm[one.image] for one in queue(run.id, found) if one.look == 0]
    changes = sum(before != after for before, after in itertools.pairwise(models))
    assert changes > len(models) / 4, "as mixed as a shuffle makes them; in blocks there would be one change"


def test_nothing_that_the_page_is_told_tells_models_apart(run: RunFolder, sample: ModuleType) -> None:
    """No name of a model, no call, no seed or verdict: the hash, the prompt, the language, and how far one is."""
    sitting = Sitting(run, "ann")
    states = [sitting.state(number) for number in [*range(len(sitting.shown)), None]]
    said = json.dumps(states, ensure_ascii=False)
    assert sample.OLD not in said
    assert sample.NEW not in said
    assert {key for state in states for key in state} == {
        "total", "done", "number", "image", "prompt", "language", "answered", "usable", "ahead",
    }  # fmt: skip


def test_what_a_prompt_hides_is_shown(run: RunFolder) -> None:
    """A person judges by the prompt that the model got: what cannot be seen, or turns what is seen round, is written out."""
    sitting = Sitting(run, "ann")
    sitting.shown[0] = replace(sitting.shown[0], prompt="a red\u200b cup\u202e 猫")
    assert sitting.state(0)["prompt"] == "a red\\u200b cup\\u202e 猫"


def test_a_sitting_goes_on_where_it_ended(run: RunFolder) -> None:
    """The next one without an answer, over all numbers; another person begins at the first."""
    sitting = Sitting(run, "ann")
    assert sitting.upcoming() == 0
    assert sitting.answer(0, usable=True, seconds=1.0) == 1
    assert sitting.answer(2, usable=None, seconds=None) == 3
    again = Sitting(run, "ann")
    assert (again.done, again.upcoming(), again.upcoming(after=1)) == (2, 1, 3)
    assert (again.state(0)["answered"], again.state(0)["usable"]) == (True, True)
    assert (again.state(2)["answered"], again.state(2)["usable"]) == (True, None)
    assert Sitting(run, "bo").upcoming() == 0


def test_the_end_and_what_is_beyond_it(run: RunFolder) -> None:
    """All answered is None; a correction counts once; a number that there is not is refused."""
    sitting = Sitting(run, "ann")
    for number in range(len(sitting.shown)):
        sitting.answer(number, usable=True, seconds=0.5)
    assert sitting.upcoming() is None
    assert sitting.answer(0, usable=False, seconds=0.5) is None
    assert sitting.done == len(sitting.shown)
    assert sitting.state(None)["number"] is None
    for number in (-1, len(sitting.shown)):
        with pytest.raises(IndexError):
            sitting.state(number)
        with pytest.raises(IndexError):
            sitting.answer(number, usable=True, seconds=None)
