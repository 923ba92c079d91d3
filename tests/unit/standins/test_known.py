"""Facet checks of which the right answer is known: claims are what they say, and answers count them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from swapgate.standins import captions, known, scene


class Oracle:
    """A judge that knows which scene each picture shows, and reads captions by looking them up: right always, or never."""

    identity, device = "oracle", "cpu"

    def __init__(self, scenes, pictures, language, *, lies=False):
        self.texts = {}
        self.sign = -1.0 if lies else 1.0
        self.rows = {self.key(picture): captions.caption(one, language) for one, picture in zip(scenes, pictures, strict=True)}

    @staticmethod
    def key(picture):
        return hashlib.sha256(picture.tobytes()).digest()

    def vector(self, text):
        row = self.texts.setdefault(text, len(self.texts))
        found = np.zeros(4096, np.float32)
        found[row] = 1.0
        return found

    def image_features(self, images):
        return self.sign * np.stack([self.vector(self.rows[self.key(image)]) for image in images])

    def text_features(self, texts):
        return np.stack([self.vector(text) for text in texts])


def test_scenes_and_their_pictures_belong_together():
    """As many pictures as scenes, RGB of 8 bits, the same for the same seed."""
    scenes, pictures = known.scenes(5, seed=2)
    assert len(scenes) == len(pictures) == 5
    assert all(picture.shape == (128, 128, 3) and picture.dtype == np.uint8 for picture in pictures)
    again = known.scenes(5, seed=2)
    assert again[0] == scenes
    assert all(np.array_equal(one, two) for one, two in zip(pictures, again[1], strict=True))
    assert known.scenes(5, seed=3)[0] != scenes


@pytest.mark.parametrize("attribute", scene.ATTRIBUTES)
@pytest.mark.parametrize("language", captions.LANGUAGES)
def test_a_true_claim_is_the_scene_and_a_false_one_has_it_among_its_rivals(attribute, language):
    """In pairs, of the same scene; no statement is among its own rivals, and there are at most three."""
    scenes, _ = known.scenes(40, seed=4)
    made = known.claims(scenes, attribute, language, 12, seed=1)
    assert len(made) == 24
    for true, false in zip(made[::2], made[1::2], strict=True):
        said = captions.caption(scenes[true.number], language)
        assert (true.true, false.true) == (True, False)
        assert true.number == false.number
        assert true.statement == said
        assert said in false.rivals
        assert all(one.statement not in one.rivals for one in (true, false))
        assert 1 <= len(true.rivals) == len(false.rivals) <= known.RIVALS


def test_scenes_in_which_nothing_else_fits_are_left_out():
    """The count of large objects has no other value, so such a scene gives no claim about it."""
    scenes = [scene.Scene(object="cup", colour="red", background="night", size="large"), scene.Scene(object="cup", colour="red", background="night")]
    assert {one.number for one in known.claims(scenes, "count", "en", 5)} == {1}


def test_a_judge_that_knows_is_right_about_everything_and_one_that_lies_about_nothing():
    """All true claims held and all false ones refused; the liar holds no true claim."""
    scenes, pictures = known.scenes(24, seed=0)
    right = known.answers(Oracle(scenes, pictures, "zh"), 12, languages=("zh",))
    assert [one.attribute for one in right] == list(scene.ATTRIBUTES)
    assert all(one.held == one.refused == one.n == 12 for one in right)
    wrong = known.answers(Oracle(scenes, pictures, "zh", lies=True), 12, languages=("zh",))
    assert all(one.held == 0 for one in wrong)
