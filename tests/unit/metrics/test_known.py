"""Pictures whose state is known: what is planted is there, counts are counts, and the checks reach what they have to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from swapgate.metrics import known
from swapgate.metrics.counts import Count
from swapgate.metrics.health import BITS, check
from swapgate.metrics.known import checked, photographs, pictures_in, sensitivity, specificity
from swapgate.metrics.planted import DOSES, FAULTS, planted
from swapgate.standins import render, scene

BY_ID = {fault.id: fault for fault in FAULTS}


@pytest.fixture(scope="module")
def healthy():
    """Renders of 128 pixels and photographs of up to 256, so that planting into them is quick."""
    generator = torch.Generator().manual_seed(5)
    pictures = (render.render(scene.sample_codes(90, generator), generator=generator) * 255).round().byte()
    return [*(image for image in photographs(crops=1, seed=3) if image.shape[0] <= 256), *np.ascontiguousarray(pictures.permute(0, 2, 3, 1).numpy())]


def test_photographs_are_pictures_at_their_own_size_and_at_the_three_sides():
    """Whole and cropped, RGB, and the same for the same seed."""
    few = list(photographs(crops=2, seed=1))
    assert len(few) % 10 == 0
    assert len(few) >= 10 * 10, "scikit-image no longer ships the photographs that the limits were measured on"
    assert [image.shape[0] for image in few[1:10]] == [128] * 3 + [256] * 3 + [512] * 3
    assert all(image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 for image in few)
    again, other = list(photographs(crops=2, seed=1)), list(photographs(crops=2, seed=2))
    assert all(np.array_equal(one, two) for one, two in zip(few, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(few, other, strict=True))


def test_a_folder_gives_its_lossless_pictures_by_path(tmp_path):
    """Below it at any depth; other files are left alone."""
    red, blue = (np.full((4, 6, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    (tmp_path / "b").mkdir()
    Pillow.fromarray(red).save(tmp_path / "b" / "x.webp", lossless=True)
    Pillow.fromarray(blue).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    assert [image[0, 0].tolist() for image in pictures_in(tmp_path)] == [[0, 0, 200], [200, 0, 0]]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_changes_the_picture_in_every_dose_and_follows_from_its_chance(fault, healthy):
    """The same generator gives the same faulty picture; the size stays unless the size is the fault; the picture given is left alone."""
    image = healthy[-1].copy()
    for dose in range(3):
        made = planted(fault, dose, image, np.random.default_rng(1))
        assert np.array_equal(made, planted(fault, dose, image, np.random.default_rng(1)))
        assert made.shape != image.shape or not np.array_equal(made, image)
        assert (made.shape[:2] == image.shape[:2]) == (fault.id != "size")
        assert made.dtype == np.uint8 or fault.id == "mode"
    assert np.array_equal(image, healthy[-1])


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.id not in ("size", "mode")], ids=lambda fault: fault.id)
def test_a_severe_fault_is_found_more_often_than_a_mild_one(fault, healthy):
    """A dose is a dose: what is measured grows with it."""
    mild, moderate, severe = (count.rate for count in sensitivity(healthy, 60, faults=[fault]))
    assert mild <= moderate <= severe


def test_every_fault_has_a_bit_and_every_bit_has_a_fault():
    """So that no check goes without a validation."""
    assert {fault.bit for fault in FAULTS} == set(BITS)
    assert len(BY_ID) == len(FAULTS)


def test_no_healthy_picture_is_called_ill_and_severe_faults_are_found(healthy):
    """What the whole validation measures on more pictures holds on these: specificity 0.99, sensitivity 0.97 at the severe dose."""
    assert [count for count in specificity(healthy) if count.rate < 0.99] == []
    assert [count for count in sensitivity(healthy, 120, doses=("severe",)) if count.rate < 0.97] == []


def test_counts_are_of_the_bit_that_must_fail():
    """A black picture among healthy ones is one false alarm of its bits; a fault that is none is never found."""
    rng = np.random.default_rng(2)
    black = np.zeros((128, 128, 3), np.uint8)
    picture = next(iter(photographs(crops=0)))
    counts = {count.bit: count for count in specificity([picture, picture, black])}
    assert (counts["not_black"].right, counts["not_black"].n) == (2, 3)
    assert counts["size"].rate == 1.0
    nothing = known.Fault(id="nothing", bit="not_black", amounts=(0, 0, 0), about="", plant=lambda image, amount, chance: image)
    assert sensitivity([picture], 4, doses=("severe",), faults=[nothing]) == [Count(bit="not_black", fault="nothing", dose="severe", right=0, n=4)]
    assert not check(planted(BY_ID["black"], 2, picture, rng), *picture.shape[1::-1]).bits["not_black"]


def test_every_dose_sees_the_same_pictures(monkeypatch):
    """Doses and faults are compared on the same pictures, each used as often as any other."""
    seen: dict[str, list[int]] = {}
    pictures = [np.full((64, 64, 3), level, np.uint8) for level in (10, 90, 200)]

    def spy(name):
        return known.Fault(id=name, bit="size", amounts=(0, 1, 2), about="", plant=lambda image, amount, rng: note(name, amount, image))

    def note(name, amount, image):
        seen.setdefault(f"{name}{amount}", []).append(int(image[0, 0, 0]))
        return image

    monkeypatch.setattr(known, "side_by_side", lambda function, items: [function(item) for item in items])
    sensitivity(pictures, 6, faults=[spy("a"), spy("b")])
    assert len(seen) == 2 * len(DOSES)
    assert len({tuple(levels) for levels in seen.values()}) == 1
    assert sorted(seen["a0"]) == [10, 10, 90, 90, 200, 200]


def test_a_picture_is_checked_at_its_own_size():
    """Width and height are not confused."""
    assert checked(np.zeros((20, 30, 3), np.uint8)).bits["size"]
