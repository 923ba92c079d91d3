"""Scripted pictures: different for different prompts, readable from their pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from swapgate.engines.scripted_pictures import PALETTE, alignment, colour_of, draw, meaning_words, read_cells
from swapgate.runs.pixels import pixel_hash

PROMPTS = [
    "a red cup on a blue table",
    "two green cars in the snow",
    "an old woman reads a newspaper under a street lamp",
    "一只红色的杯子放在桌上",
    "海边的日落，两只海鸥",
    "the word EXIT painted on a brick wall",
]
SIDES = st.integers(4, 40).map(lambda side: side * 16)
VOCABULARY = ("red", "green", "blue", "cup", "car", "house", "tree", "woman", "dog", "cat", "lamp", "snow", "night", "glass", "wall", "door")
WORDS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=10, unique=True)


@given(prompt=st.text(max_size=60), seed=st.integers(0, 2**31), width=SIDES, height=SIDES)
def test_any_prompt_gives_the_same_picture_every_time(prompt: str, seed: int, width: int, height: int) -> None:
    """Of the size asked, not empty."""
    picture = draw(prompt, seed, width, height)
    assert (picture.shape, picture.dtype) == ((height, width, 3), np.uint8)
    assert np.array_equal(picture, draw(prompt, seed, width, height))
    assert picture.std() > 0


def test_prompts_and_seeds_give_different_pictures() -> None:
    """All of them."""
    hashes = {pixel_hash(draw(prompt, seed, 64, 64)) for prompt, seed in itertools.product(PROMPTS, range(5))}
    assert len(hashes) == len(PROMPTS) * 5


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (1024, 768), (16, 32)])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_picture_aligns_with_its_prompt_and_not_with_others(prompt: str, size: tuple[int, int]) -> None:
    """Read from the pixels alone."""
    picture = draw(prompt, 3, *size)
    assert alignment(picture, prompt) == 1.0
    assert max(alignment(picture, other) for other in PROMPTS if other != prompt) < 0.5


@given(words=WORDS, data=st.data())
def test_a_statement_whose_words_are_in_the_prompt_beats_its_counterfactual(words: list[str], data: st.DataObject) -> None:
    """That is what facets need: one word changed lowers the figure."""
    picture = draw(" ".join(words), data.draw(st.integers(0, 99)), 64, 64)
    part = data.draw(st.lists(st.sampled_from(words), min_size=1, unique=True))
    assert alignment(picture, " ".join(part)) >= 1 - 1 / len(part), "at most one word may lose both its cells to others"
    other = alignment(picture, " ".join([*part[:-1], "umbrella"]))
    assert other <= alignment(picture, " ".join(part)) + 1e-9


def test_wording_that_keeps_the_meaning_words_keeps_the_picture() -> None:
    """Order, filler, case and punctuation do not matter."""
    one, other = "A red cup, on the table.", "please a photo of the table with a Red cup"
    assert meaning_words(one) == meaning_words(other) == {"red", "cup", "table"}
    assert np.array_equal(draw(one, 1, 64, 64), draw(other, 1, 64, 64))
    assert meaning_words("请画一张红色杯子的图片") == set("画红色杯子")


def test_the_shape_has_the_colour_that_is_named() -> None:
    """`colour_of` is what is in the picture."""
    for prompt in PROMPTS:
        scene = draw(prompt, 2, 128, 128)[:96]
        share = (scene == np.array(colour_of(prompt))).all(axis=2).mean()
        assert 0.02 < share < 0.4
        assert colour_of(prompt) in {tuple(int(part) for part in colour) for colour in PALETTE}


@pytest.mark.parametrize("spoil", ["noise", "blur", "jpeg"])
def test_a_spoiled_picture_aligns_less_and_less(spoil: str) -> None:
    """A little damage is survived, much is not: a graded figure."""
    picture = draw(PROMPTS[2], 1, 128, 128)
    random = np.random.default_rng(1).integers(0, 256, picture.shape)

    def spoiled(dose: float) -> float:
        if spoil == "noise":
            changed = (picture * (1 - dose) + random * dose).astype(np.uint8)
        elif spoil == "blur":
            changed = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(dose * 12)))
        else:
            side = max(8, int(128 * (1 - dose)))
            changed = np.asarray(Image.fromarray(picture).resize((side, side)).resize((128, 128)))
        return alignment(changed, PROMPTS[2])

    assert spoiled(0.05) == 1.0
    assert spoiled(0.98) < 0.6


def test_a_black_or_grey_picture_aligns_with_nothing() -> None:
    """No cell is marked."""
    for value in (0, 20):
        assert max(alignment(np.full((64, 64, 3), value, np.uint8), prompt) for prompt in PROMPTS) == 0
    assert read_cells(np.zeros((64, 64, 3), np.uint8)) == (0,) * 128


def test_a_text_without_meaning_aligns_with_nothing() -> None:
    """And does not divide by zero."""
    assert alignment(draw("cup", 1, 64, 64), "a photo of the") == 0.0
    assert draw("", 1, 64, 64).std() > 0


@pytest.mark.parametrize("size", [(15, 64), (64, 31)])
def test_a_picture_too_small_for_its_barcode_is_refused(size: tuple[int, int]) -> None:
    """Rather than drawn unreadable."""
    with pytest.raises(ValueError, match="at least 16 pixels wide and 32 high"):
        draw("cup", 1, *size)
