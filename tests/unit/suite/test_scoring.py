"""Scores: once per picture and judge, kept in the run, on one scale."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.cards import Card, Judge
from swapgate.errors import UserError
from swapgate.gates.evidence import ImageScore
from swapgate.metrics.psnr import METRIC as PSNR
from swapgate.plan import Request
from swapgate.runs.folder import RunFolder
from swapgate.suite.scoring import (
    LEAST_SPAN,
    Scale,
    Scorer,
    Wanted,
    image_score,
    judge_name,
    known_judge,
    measured_scale,
    psnr_cap,
    rescaled,
    stated_scale,
)
from swapgate.tasks import Facet, Protocol, Task

CUP = Task(
    id="cup",
    family="toys",
    title={},
    prompts={"en": "a red cup"},
    facets=(Facet(name="colour", statements={"en": ("red", "blue", "green")}),),
    checks=("health", "alignment", "facets"),
    seeds=(1, 2),
    reworded_seeds=(1,),
    rewordings=1,
    width=32,
    height=32,
    protocol=Protocol(images_per_round=2, counted_index=0),
    usability_floor=None,
)
TEXTS = {"a red cup": 0, "a cat": 1, "a dog": 2, "red": 3, "blue": 4, "green": 5}


class FakeJudge:
    """Knows six texts, each an axis; a picture's features are its first six red values, as a unit vector."""

    device = "cpu"

    def __init__(self, identity: str = "fake/1") -> None:
        self.identity = identity
        self.pictures = self.calls = 0

    def image_features(self, images: Sequence[np.ndarray]) -> np.ndarray:
        self.calls += 1
        self.pictures += len(images)
        found = np.stack([image[0, :6, 0].astype(np.float32) for image in images])
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def text_features(self, texts: Sequence[str]) -> np.ndarray:
        return np.eye(6, dtype=np.float32)[[TEXTS[text] for text in texts]]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"plan": []})


@pytest.fixture
def card(bench: Any) -> Card:
    found: Card = bench.open(run_dir=bench.root / "unused").setup.models[0]
    return found


def request(seed: int = 1, **given: Any) -> Request:
    return Request(
        **{
            "model": "toy",
            "task": "cup",
            "language": "en",
            "seed": seed,
            "index": 0,
            "prompt": "a red cup",
            "negative_prompt": None,
            "width": 32,
            "height": 32,
            "call": (),
            **given,
        }
    )


def wanted(run: RunFolder, *reds: int, seed: int = 1, **given: Any) -> Wanted:
    """A picture whose features are `reds`, over a gradient that no health check minds."""
    y, x = np.mgrid[0:32, 0:32]
    picture = np.stack([40 + 4 * y + x, 200 - 3 * x, 60 + 2 * y + 2 * x], axis=-1).astype(np.uint8)
    picture[0, :6, 0] = reds
    picture[1, 0, 0] = seed
    return Wanted(request=request(seed, **given), image=run.save_image(picture), task=CUP)


def scorer(run: RunFolder, card: Card, judge: FakeJudge) -> Scorer:
    return Scorer(run, card, lambda _: judge, {"en": ("a red cup", "a cat", "a dog")})


def test_a_score_holds_health_alignment_margins_and_the_strangers_mean(run: RunFolder, card: Card) -> None:
    """Each against its own arithmetic."""
    (found,) = scorer(run, card, FakeJudge()).scores([wanted(run, 100, 30, 10, 80, 60, 20)])
    length = float(np.linalg.norm([100, 30, 10, 80, 60, 20]))
    assert found["alignment"] == pytest.approx(100 / length, abs=1e-5)
    assert found["strangers"] == pytest.approx((30 + 10) / 2 / length, abs=1e-5)
    assert found["margins"] == {"colour": pytest.approx((80 - 60) / length, abs=1e-5)}
    assert found["health"]["size"]


def test_a_picture_is_scored_once_per_run_and_judge(run: RunFolder, card: Card) -> None:
    """Also by another scorer of the same run, as in a replay: that one never loads the judge."""
    judge = FakeJudge()
    one = wanted(run, 100, 30, 10, 80, 60, 20)
    first = scorer(run, card, judge).scores([one, one])
    assert judge.pictures == 2
    run.close()

    def never(card: Card) -> FakeJudge:
        raise AssertionError("the judge was loaded")

    again = RunFolder.open(run.path)
    assert Scorer(again, card, never, {"en": ("a red cup", "a cat", "a dog")}).scores([one]) == first[:1]


def test_pictures_of_an_earlier_judge_are_scored_again_beside_new_ones(run: RunFolder, card: Card) -> None:
    """A resumed run whose judge changed must not mix two judges, nor fail."""
    old, new = wanted(run, 100, 30, 10, 80, 60, 20), wanted(run, 90, 30, 10, 80, 60, 20, seed=2)
    scorer(run, card, FakeJudge("fake/1")).scores([old])
    judge = FakeJudge("fake/2")
    found = scorer(run, card, judge).scores([old, new])
    assert judge.pictures >= 2
    assert all(one is not None for one in found)
    assert known_judge(run, card) == "fake/2"
    assert "judge-changed" in [event["event"] for event in run.events()]


def test_another_prompt_or_size_is_another_score(run: RunFolder, card: Card) -> None:
    """The same pixels may have been asked differently."""
    judge = FakeJudge()
    scores = scorer(run, card, judge)
    one = wanted(run, 100, 30, 10, 80, 60, 20)
    scores.scores([one])
    wide = replace(one, request=replace(one.request, width=64))
    (found,) = scores.scores([wide])
    assert judge.pictures == 2
    assert not found["health"]["size"]


def test_drift_is_measured_once_and_equal_hashes_are_identical_without_measuring(run: RunFolder, card: Card) -> None:
    """SSIM, PSNR and the cosine of the two pictures."""
    judge = FakeJudge()
    scores = scorer(run, card, judge)
    one, two = wanted(run, 100, 30, 10, 80, 60, 20), wanted(run, 100, 90, 10, 80, 60, 20, seed=2)
    same, other = scores.drifts([("p", one.image, one.image), ("q", one.image, two.image)], run.load_image)
    assert (same.identical, same.ssim, same.psnr, same.clip) == (True, 1.0, PSNR.high, 1.0)
    ours, theirs = judge.image_features([run.load_image(one.image), run.load_image(two.image)])
    assert other.clip == pytest.approx(float(ours @ theirs), abs=1e-5)
    error = (run.load_image(one.image).astype(float) - run.load_image(two.image)) ** 2
    assert other.psnr == pytest.approx(10 * np.log10(255**2 / error.mean()), abs=1e-3)
    assert (other.identical, other.ssim <= 1.0) == (False, True)
    before = judge.pictures
    assert scores.drifts([("q", one.image, two.image)], run.load_image) == [other]
    assert judge.pictures == before


def test_drifts_of_a_run_reach_the_judge_as_one_batch_and_equal_those_measured_alone(run: RunFolder, card: Card) -> None:
    """A picture that stands in several pairs is looked at once; a pair that stands there twice is measured once."""
    images = [wanted(run, 100, red, 10, 80, 60, 20, seed=red).image for red in (30, 60, 90)]
    pairs = [("p", images[0], images[1]), ("q", images[0], images[2]), ("r", images[0], images[1]), ("s", images[2], images[2])]
    judge = FakeJudge()
    together = scorer(run, card, judge).drifts(pairs, run.load_image)
    assert (judge.calls, judge.pictures) == (1, 3)
    apart = RunFolder.create(run.path.parent / "apart", {"plan": []})
    alone = [one for pair in pairs for one in scorer(apart, card, FakeJudge()).drifts([pair], run.load_image)]
    assert together == alone
    assert [one.pair for one in together] == ["p", "q", "r", "s"]


def test_a_judge_that_changed_measures_drift_under_its_own_name(run: RunFolder, card: Card) -> None:
    """What the old judge said is not taken for the new one's."""
    one, two = wanted(run, 100, 30, 10, 80, 60, 20), wanted(run, 100, 90, 10, 80, 60, 20, seed=2)
    scorer(run, card, FakeJudge("fake/1")).scores([one])
    (first,) = scorer(run, card, FakeJudge("fake/2")).drifts([("p", one.image, two.image)], run.load_image)
    assert known_judge(run, card) == "fake/2"
    again = FakeJudge("fake/2")
    assert scorer(run, card, again).drifts([("p", one.image, two.image)], run.load_image) == [first]
    assert again.calls == 0


def test_pictures_of_different_sizes_are_as_unlike_as_can_be(run: RunFolder, card: Card) -> None:
    """There is nothing to compare pixel by pixel."""
    one = wanted(run, 100, 30, 10, 80, 60, 20)
    wide = run.save_image(np.zeros((32, 64, 3), np.uint8))
    (drift,) = scorer(run, card, FakeJudge()).drifts([("p", one.image, wide)], run.load_image)
    assert (drift.identical, drift.ssim, drift.psnr, drift.clip) == (False, -1.0, 0.0, -1.0)


@given(floor=st.floats(-0.5, 0.5), span=st.floats(LEAST_SPAN, 1.0))
def test_a_scale_puts_strangers_at_zero_and_matched_pictures_at_one(floor: float, span: float) -> None:
    """Whatever zero the judge has."""
    scale = Scale(floor=floor, matched=floor + span)
    assert scale.normalised(floor) == pytest.approx(0.0)
    assert scale.normalised(floor + span) == pytest.approx(1.0)


def test_a_judge_that_hardly_tells_pictures_apart_is_not_stretched() -> None:
    """Its noise would be read as a signal."""
    scale = Scale(floor=0.3, matched=0.3)
    assert scale.normalised(0.3 + LEAST_SPAN / 2) == pytest.approx(0.5)


def test_a_measured_scale_is_the_mean_of_pictures_as_written_by_language(run: RunFolder) -> None:
    """Rewordings are what is to be judged by it, so they do not set it."""
    en, reworded = wanted(run, 1, 1, 1, 1, 1, 1), wanted(run, 2, 1, 1, 1, 1, 1, edits="x")
    raw = [(en, {"alignment": 0.3, "strangers": 0.1}), (en, {"alignment": 0.5, "strangers": 0.2}), (reworded, {"alignment": 9.0, "strangers": 9.0})]
    assert measured_scale(raw) == {"en": Scale(floor=pytest.approx(0.15), matched=pytest.approx(0.4))}
    assert measured_scale([]) == {}


def test_a_single_prompt_keeps_the_judges_own_zero(run: RunFolder) -> None:
    """There is no stranger to measure it on."""
    one = wanted(run, 1, 1, 1, 1, 1, 1)
    assert measured_scale([(one, {"alignment": 0.4, "strangers": None})]) == {"en": Scale(floor=0.0, matched=0.4)}


def test_a_local_judge_may_state_its_scale(card: Card, tmp_path: Path) -> None:
    """One that is named by tag, or says nothing, has it measured."""
    folder = tmp_path / "judge"
    folder.mkdir()
    local = replace(card, judge=Judge(source="judge"), root=tmp_path)
    assert stated_scale(local) == {}
    (folder / "open_clip_config.json").write_text(json.dumps({"swapgate": {"scale": {"en": {"floor": 0.1, "matched": 0.6}}}}), encoding="utf-8")
    assert stated_scale(local) == {"en": Scale(floor=0.1, matched=0.6)}
    assert stated_scale(replace(local, judge=Judge(source="judge", pretrained="webli"))) == {}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"swapgate": 3}',
        '{"swapgate": {"scale": {"en": {"floor": 0.1}}}}',
        '{"swapgate": {"scale": {"en": {"floor": "a", "matched": 1}}}}',
    ],
)
def test_a_broken_judges_configuration_is_said_with_its_file(card: Card, tmp_path: Path, text: str) -> None:
    """The user can restore it, or leave the scale out."""
    folder = tmp_path / "judge"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"open_clip_config\.json: swapgate\.scale"):
        stated_scale(replace(card, judge=Judge(source="judge"), root=tmp_path))


def test_judges_with_other_weights_have_other_names(card: Card) -> None:
    """Two cards may name one architecture with two tags."""
    names = {judge_name(replace(card, judge=Judge(source="ViT-B-32", pretrained=tag))) for tag in ("openai", "webli", None)}
    assert len(names) == 3


RAW = {"health": {"size": True, "not_black": True}, "alignment": 0.5, "margins": {"colour": 0.1}, "strangers": 0.1}


def test_every_required_check_is_a_bit_and_usable_means_all_of_them(run: RunFolder) -> None:
    """A margin of zero is no agreement; a check that the task does not require is no bit."""
    one, scale = wanted(run, 1, 1, 1, 1, 1, 1), {"en": Scale(floor=0.0, matched=1.0)}
    good = image_score(one, RAW, scale, 0.5)
    assert good.bits == {"health:size": True, "health:not_black": True, "facet:colour": True, "alignment": True}
    assert (good.usable, good.normalised, good.counted) == (True, 0.5, True)
    assert not image_score(one, {**RAW, "margins": {"colour": 0.0}}, scale, 0.5).usable
    assert not image_score(one, {**RAW, "health": {"size": False}}, scale, 0.5).usable
    assert not image_score(one, RAW, scale, 0.51).usable
    loose = replace(one, task=replace(CUP, checks=("health",)))
    assert set(image_score(loose, {**RAW, "alignment": -1.0}, scale, 0.5).bits) == {"health:size", "health:not_black"}


def test_only_the_counted_image_stands_for_its_round(run: RunFolder) -> None:
    """Index 0 here."""
    one = wanted(run, 1, 1, 1, 1, 1, 1, index=1)
    assert not image_score(one, RAW, {}, 0.5).counted


@given(alignment=st.floats(-1, 1), floor=st.floats(-0.5, 0.5), span=st.floats(0.05, 1.0), bar=st.floats(0.1, 0.9), healthy=st.booleans())
def test_rescaling_makes_again_what_depends_on_the_scale_and_nothing_else(
    alignment: float, floor: float, span: float, bar: float, healthy: bool
) -> None:
    """normalised, the alignment bit and usable; a baseline is read on the scale of the run."""
    old = ImageScore(
        pair="p",
        recipe="r",
        task="cup",
        language="en",
        seed=1,
        index=0,
        edits="",
        image="a",
        bits={"health:size": healthy, "alignment": True},
        usable=healthy,
        alignment=alignment,
        normalised=9.9,
        margins={"colour": 0.1},
    )
    new = rescaled(old, {"en": Scale(floor=floor, matched=floor + span)}, bar)
    assert new.normalised == pytest.approx((alignment - floor) / span, abs=1e-5)
    assert new.bits["alignment"] == ((alignment - floor) / ((floor + span) - floor) >= bar)
    assert new.bits["health:size"] == healthy
    assert new.usable == (healthy and new.bits["alignment"])
    assert replace(new, normalised=old.normalised, bits=old.bits, usable=old.usable) == old


def test_a_language_without_a_scale_is_not_usable_by_alignment() -> None:
    """Nothing says what its cosine means."""
    score = ImageScore(
        pair="p",
        recipe="r",
        task="cup",
        language="zh",
        seed=1,
        index=0,
        edits="",
        image="a",
        bits={"alignment": True},
        usable=True,
        alignment=0.9,
        normalised=1.0,
        margins={},
    )
    assert not rescaled(score, {"en": Scale(floor=0, matched=1)}, 0.5).usable


def test_the_cap_of_psnr_is_the_metrics_own() -> None:
    """One number for identical pictures everywhere."""
    assert psnr_cap() == PSNR.high


class BrokenJudge(FakeJudge):
    """Its weights were not read: pictures, or texts, have no features."""

    def __init__(self, *, pictures: float = 1.0, texts: float = 1.0) -> None:
        super().__init__()
        self._factors = pictures, texts

    def image_features(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return super().image_features(images) * np.float32(self._factors[0])

    def text_features(self, texts: Sequence[str]) -> np.ndarray:
        return super().text_features(texts) * np.float32(self._factors[1])


@pytest.mark.parametrize("broken", [{"pictures": np.nan}, {"texts": np.nan}, {"pictures": np.inf, "texts": -1.0}])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_judge_that_gives_no_numbers_is_named_and_nothing_is_kept(run: RunFolder, card: Card, broken: dict[str, float]) -> None:
    """The picture is scored again once the judge is mended."""
    one = wanted(run, 100, 30, 10, 80, 60, 20)
    with pytest.raises(UserError, match="a judge gives finite numbers") as caught:
        scorer(run, card, BrokenJudge(**broken)).scores([one])
    assert (caught.value.where, caught.value.key, caught.value.value) == (str(card.path), "judge", "scripted")
    (found,) = scorer(run, card, FakeJudge()).scores([one])
    assert np.isfinite(found["alignment"])


def test_pictures_that_such_a_judge_compares_are_not_alike(run: RunFolder, card: Card) -> None:
    """SSIM and PSNR need no judge, but a drift is all three."""
    one, other = wanted(run, 100, 30, 10, 80, 60, 20), wanted(run, 100, 30, 10, 80, 60, 20, seed=2)
    with pytest.raises(UserError, match="a judge gives finite numbers"):
        scorer(run, card, BrokenJudge(pictures=np.nan)).drifts([("p", one.image, other.image)], run.load_image)
