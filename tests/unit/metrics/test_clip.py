"""Alignment, facets and the floor, with a judge whose every cosine is known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.metrics.clip import Facet, alignment, facet, facets, image_similarity, normalise, shuffled_floor
from swapgate.metrics.kinds import Inputs, Need
from swapgate.metrics.registry import measure, metric


def unit(*vector):
    """The vector at unit length."""
    found = np.asarray(vector, np.float32)
    return found / np.linalg.norm(found)


@dataclass
class KnownJudge:
    """A picture's features are its first pixel taken as a vector; a text's are in a table. Counts its calls."""

    words: dict[str, np.ndarray]
    identity: str = "known@1"
    device: str = "cpu"
    image_calls: list[int] = field(default_factory=list)
    text_calls: list[list[str]] = field(default_factory=list)

    def image_features(self, images):
        self.image_calls.append(len(images))
        return np.stack([unit(*image[0, 0].astype(np.float32)) for image in images]) if images else np.zeros((0, 3), np.float32)

    def text_features(self, texts):
        self.text_calls.append(list(texts))
        return np.stack([self.words[text] for text in texts]) if texts else np.zeros((0, 3), np.float32)


def picture(red, green, blue):
    """A picture of one colour; the judge sees the colour as a direction."""
    return np.full((4, 4, 3), (red, green, blue), np.uint8)


RED, GREEN, MIXED = picture(200, 0, 0), picture(0, 90, 0), picture(30, 40, 0)


@pytest.fixture
def judge():
    return KnownJudge({"red": unit(1, 0, 0), "green": unit(0, 1, 0), "blue": unit(0, 0, 1), "reddish": unit(4, 3, 0)})


def test_alignment_is_the_cosine_of_each_picture_with_the_text_beside_it(judge):
    """Right, strange and in between: 1, 0 and 3/5, in the order given."""
    found = alignment(judge, [RED, GREEN, MIXED], ["red", "red", "red"])
    assert found.dtype == np.float32
    assert found == pytest.approx([1.0, 0.0, 0.6])


def test_image_similarity_is_the_cosine_of_each_picture_with_its_reference(judge):
    """Brightness is not direction; the sizes may differ."""
    assert image_similarity(judge, [RED, RED], [picture(10, 0, 0), GREEN]) == pytest.approx([1.0, 0.0])
    assert image_similarity(judge, [RED], [np.full((9, 2, 3), (50, 0, 0), np.uint8)]) == pytest.approx([1.0])


@given(st.lists(st.tuples(st.integers(1, 255), st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=5), st.data())
def test_a_batch_gives_what_its_pictures_give_one_by_one(colours, data):
    """Alignment of a batch is that of each pair by itself, computed here as a plain dot product."""
    words = {"red": unit(1, 0, 0), "reddish": unit(4, 3, 0)}
    texts = data.draw(st.lists(st.sampled_from(sorted(words)), min_size=len(colours), max_size=len(colours)))
    found = alignment(KnownJudge(words), [picture(*colour) for colour in colours], texts)
    expected = [sum(float(a) * float(b) for a, b in zip(unit(*c), words[t], strict=True)) for c, t in zip(colours, texts, strict=True)]
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_facet_holds_when_the_statement_beats_every_counterfactual(judge):
    """The margin is against the best of them, and that one is named."""
    found = facet(judge, RED, "red", ["green", "reddish"])
    assert found.against == "reddish"
    assert (found.score, found.rival, found.margin) == pytest.approx((1.0, 0.8, 0.2))
    assert found.held


def test_a_facet_fails_when_one_counterfactual_fits_better(judge):
    """One is enough."""
    found = facet(judge, MIXED, "red", ["blue", "green"])
    assert (found.against, found.margin, found.held) == ("green", pytest.approx(-0.2), False)


def test_a_tie_does_not_hold():
    """A judge that sees no difference has shown nothing."""
    assert not Facet(score=0.5, rival=0.5, against="x").held


@pytest.mark.parametrize("rivals", [[], ["red"], ["green", "red"]])
def test_a_facet_without_real_counterfactuals_is_an_error(judge, rivals):
    """None at all, or the statement itself among them."""
    with pytest.raises(ValueError, match="needs counterfactuals that differ"):
        facet(judge, RED, "red", rivals)


def test_facets_of_many_pictures_are_one_forward_of_each_kind(judge):
    """Two claims on two pictures: pictures once, each text once."""
    found = facets(judge, [RED, GREEN], [("red", ("green",)), ("green", ("red", "blue"))])
    assert [one.held for one in found] == [True, True]
    assert judge.image_calls == [2]
    assert [sorted(call) for call in judge.text_calls] == [["blue", "green", "red"]]


def test_the_floor_is_the_mean_cosine_with_other_pictures_prompts(judge):
    """Red picture with "green", green picture with "red", mixed with both; a picture's own prompt never counts."""
    found = shuffled_floor(judge, [RED, GREEN, MIXED], ["red", "green", "green"])
    assert found == pytest.approx(np.mean([0.0, 0.0, 0.0, 0.6]))


@given(st.permutations([0, 1, 2, 3]))
def test_the_floor_does_not_depend_on_the_order(order):
    """It is a mean over all pairs."""
    judge = KnownJudge({"red": unit(1, 0, 0), "green": unit(0, 1, 0), "blue": unit(0, 0, 1)})
    images, texts = [RED, GREEN, MIXED, picture(9, 9, 9)], ["red", "green", "blue", "red"]
    shuffled = shuffled_floor(judge, [images[i] for i in order], [texts[i] for i in order])
    assert shuffled == pytest.approx(shuffled_floor(judge, images, texts), abs=1e-6)


def test_the_floor_needs_two_different_prompts(judge):
    """With one prompt there are no strangers."""
    with pytest.raises(ValueError, match="two different prompts"):
        shuffled_floor(judge, [RED, GREEN], ["red", "red"])


@pytest.mark.parametrize(("score", "expected"), [(0.1, 0.0), (0.3, 1.0), (0.2, 0.5), (0.4, 1.5), (0.0, -0.5)])
def test_normalised_alignment_is_zero_at_the_floor_and_one_at_the_match(score, expected):
    """Linear between and beyond, not clipped."""
    assert normalise(score, floor=0.1, matched=0.3) == pytest.approx(expected)


@pytest.mark.parametrize("matched", [0.1, 0.05, float("nan")])
def test_a_judge_that_does_not_tell_matches_from_strangers_cannot_be_normalised(matched):
    """There is no scale to put a score on."""
    with pytest.raises(ValueError, match="blind"):
        normalise(0.2, floor=0.1, matched=matched)


@pytest.mark.parametrize("call", [alignment, image_similarity, facets, shuffled_floor])
def test_counts_that_differ_are_an_error(judge, call):
    """Nothing is silently cut to the shorter list."""
    with pytest.raises(ValueError, match="2 pictures and 1"):
        call(judge, [RED, GREEN], ["red"] if call is not facets else [("red", ("green",))])


def test_the_metrics_read_their_inputs(judge):
    """Alignment, similarity and margin by name, a batch in one forward."""
    batch = [
        Inputs(image=image, prompt="red", reference=RED, statement="red", counterfactuals=("green", "blue"), judge=judge) for image in (RED, MIXED)
    ]
    assert measure("alignment", batch) == pytest.approx([1.0, 0.6])
    assert judge.image_calls == [2]
    assert measure("image_similarity", batch) == pytest.approx([1.0, 0.6])
    assert measure("facet_margin", batch) == pytest.approx([1.0, -0.2])


def test_one_batch_has_one_judge(judge):
    """Scores of two judges do not belong in one list."""
    other = KnownJudge(judge.words)
    with pytest.raises(ValueError, match="one judge"):
        measure("alignment", [Inputs(image=RED, prompt="red", judge=one) for one in (judge, other)])


@pytest.mark.parametrize(
    ("name", "missing"),
    [("alignment", Need.PROMPT), ("image_similarity", Need.REFERENCE), ("facet_margin", Need.COUNTERFACTUALS)],
)
def test_each_metric_names_what_is_missing(judge, name, missing):
    """Besides the judge, each needs one thing more."""
    assert metric(name).needs == {missing, Need.JUDGE}
    with pytest.raises(ValueError, match=str(missing)):
        measure(name, [Inputs(image=RED, judge=judge)])
