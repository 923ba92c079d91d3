"""Health of a picture: every planted fault is found, and no healthy picture is called ill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pillow

from swapgate.metrics.health import BITS, LIMITS, check
from swapgate.metrics.health.repetition import structure
from swapgate.metrics.kinds import Inputs
from swapgate.metrics.registry import measure
from swapgate.standins import render, scene

SIZES = (128, 256, 512, 928, 1328)
PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png", "grass.png",
    "gravel.png", "hubble_deep_field.jpg", "ihc.png", "microaneurysms.png", "moon.png", "motorcycle_left.png", "page.png",
    "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip


def worlds(n, seed, size=128):
    """Renders of the picture world, a third of them in each finish."""
    generator = torch.Generator().manual_seed(seed)
    codes = scene.sample_codes(n, generator)
    codes[:, 6] = torch.arange(n) % len(scene.FINISHES)
    pictures = render.render(codes, generator=generator, size=size)
    return list((pictures * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy())


def photographs():
    """The photographs that scikit-image ships, by name; its drawings and masks are left out."""
    folder = Path(skimage.__file__).parent / "data"
    return {name: np.asarray(Pillow.open(folder / name).convert("RGB")) for name in PHOTOGRAPHS if (folder / name).exists()}


def resized(image, width, height):
    return np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BICUBIC))


def checked(image):
    return check(image, image.shape[1], image.shape[0])


@pytest.fixture(scope="module")
def healthy():
    """Every healthy picture of these tests: renders of 128 to 512 pixels, photographs at 128 to 1328."""
    photos = photographs()
    assert len(photos) >= 10, "scikit-image no longer ships the photographs that these limits were measured on"
    blocky = photos.pop("moon.png")  # see the test of it
    squares = [resized(photo, size, size) for photo in photos.values() for size in SIZES]
    squares += [resized(blocky, size, size) for size in SIZES if size != blocky.shape[0]]
    wide = [resized(photo, 1664, 928) for photo in photos.values()]
    return [*worlds(240, 11), *worlds(12, 12, 256), *worlds(6, 13, 512), *photos.values(), *squares, *wide]


def blotches(size, grain, rng):
    """Noise as an autoencoder makes it of noise: smooth blotches of `grain` pixels in every colour."""
    cells = rng.normal(0, 1, (3, size // grain, size // grain)).astype(np.float32)
    planes = [np.asarray(Pillow.fromarray(plane).resize((size, size), Pillow.Resampling.BICUBIC)) for plane in cells]
    return np.clip(128 + 60 * np.stack(planes, axis=-1), 0, 255).astype(np.uint8)


def faults(rng):
    """(bit that must fail, what was planted, picture), over sizes and strengths."""
    for size in (128, 512, 1328):
        level = rng.integers(40, 200, 3)
        flat = np.broadcast_to(level.astype(np.uint8), (size, size, 3)).copy()
        yield "not_constant", f"one colour {size}", flat
        yield "not_constant", f"one colour, dithered {size}", flat + rng.integers(0, 4, flat.shape, dtype=np.uint8)
        yield "not_black", f"black {size}", np.zeros_like(flat)
        yield "not_black", f"nearly black {size}", rng.integers(0, 12, flat.shape, dtype=np.uint8)
        yield "not_blown", f"white {size}", np.full_like(flat, 255)
        yield "not_blown", f"nearly white {size}", rng.integers(250, 256, flat.shape, dtype=np.uint8)
        yield "not_noise", f"uniform noise {size}", rng.integers(0, 256, flat.shape, dtype=np.uint8)
        yield "not_noise", f"normal noise {size}", np.clip(rng.normal(128, 40, flat.shape), 0, 255).astype(np.uint8)
        grey = np.clip(rng.normal(128, 40, (size, size, 1)), 0, 255).astype(np.uint8)
        yield "not_noise", f"grey noise {size}", np.repeat(grey, 3, axis=2)
        yield "not_noise", f"blotches of 2 {size}", blotches(size, 2, rng)
        yield "not_noise", f"blotches of 4 {size}", blotches(size, 4, rng)
        if size > 128:
            yield "not_noise", f"blotches of 8 {size}", blotches(size, 8, rng)


def repetitions(pictures):
    """The pictures as tiles of two to eight copies, and with doubled halves, exact and after a slight wear."""
    rng = np.random.default_rng(8)
    for image in pictures:
        size = image.shape[0]
        for copies in (2, 3, 4, 8):
            part = resized(image, -(-size // copies), -(-size // copies))
            tiled = np.tile(part, (copies, copies, 1))[:size, :size]
            yield ("not_tiled" if copies > 2 else "not_duplicated"), f"{copies} x {copies}", tiled
        yield "not_duplicated", "left half twice", np.concatenate([image[:, : size // 2]] * 2, axis=1)
        yield "not_duplicated", "upper half twice", np.concatenate([image[: size // 2]] * 2, axis=0)
        worn = np.concatenate([image[:, : size // 2]] * 2, axis=1) + rng.normal(0, 1.0, image.shape)
        yield "not_duplicated", "left half twice, slightly noisy", np.clip(worn, 0, 255).astype(np.uint8)


def test_no_healthy_picture_is_called_ill(healthy):
    """Specificity 1: of some 400 renders in every finish and photographs at five sizes, every bit of every one holds."""
    alarms = [(image.shape, report.failed, report.values) for image in healthy if (report := checked(image)).failed]
    assert len(healthy) > 350
    assert alarms == []


def test_every_planted_fault_is_found_by_its_own_bit():
    """Sensitivity 1 on blank, blown and noisy pictures of three sizes, eight draws each."""
    rng = np.random.default_rng(4)
    missed = [(bit, name) for _ in range(8) for bit, name, image in faults(rng) if checked(image).bits[bit]]
    assert missed == []


def test_every_repetition_is_found_by_its_own_bit():
    """Sensitivity 1 on tiles and doubled halves of 60 renders; doubled noise of one level is found too."""
    found = [(bit, name, checked(image)) for bit, name, image in repetitions(worlds(60, 21))]
    missed = [(bit, name, report.values) for bit, name, report in found if report.bits[bit]]
    assert missed == []


def test_limits_leave_room_on_both_sides(healthy):
    """No healthy picture comes nearer to a limit than a fifth of the way from it to the faults' typical number."""
    typical = {"spread": 3.0, "brightest": 12.0, "white": 1.0, "neighbours": 0.0, "blotches": 0.005, "tiling": 1.0, "halves": 1.0}
    typical |= {"clipped": 0.7, "cast": 165.0, "mirror": 1.0, "grid": 0.5, "blocks": 1.7, "seams": 24.0}
    values = [checked(image).values for image in healthy]
    for limit in LIMITS:
        edge = limit.low if np.isfinite(limit.low) else limit.high
        nearest = min((abs(value[limit.value] - edge) for value in values), default=0.0)
        assert nearest > 0.2 * abs(edge - typical[limit.value]), (limit.value, nearest, edge)


def test_a_photograph_that_was_compressed_to_blocks_is_called_so_at_its_own_size_only():
    """The moon of scikit-image shows the blocks of JPEG, faint as they are; at another size they no longer lie at lines of 8 pixels."""
    moon = photographs()["moon.png"]
    assert checked(moon).failed == ("not_blocky",)
    assert checked(resized(moon, 480, 480)).healthy


def test_three_equal_objects_in_a_row_are_not_tiles():
    """The picture world's own repetition: the same object two or three times over on a plain background is healthy."""
    grid = torch.cartesian_prod(torch.arange(len(scene.OBJECTS)), torch.arange(len(scene.BACKGROUNDS)), torch.tensor([1, 2]))
    codes = torch.zeros(len(grid), 7, dtype=torch.long)
    codes[:, 0], codes[:, 2], codes[:, 5], codes[:, 4] = grid[:, 0], grid[:, 1], grid[:, 2], 1
    pictures = (render.render(codes, generator=torch.Generator().manual_seed(1)) * 255).round().byte()
    reports = [checked(one) for one in pictures.permute(0, 2, 3, 1).contiguous().numpy()]
    assert [report.failed for report in reports if report.failed] == []


@pytest.mark.parametrize(("width", "height"), [(128, 127), (64, 128), (256, 256), (0, 0)])
def test_another_size_than_asked_fails_the_size_bit_alone(width, height):
    """Everything else about the picture is still measured."""
    report = check(worlds(1, 2)[0], width, height)
    assert report.failed == ("size",)
    assert (report.values["width"], report.values["height"]) == (128.0, 128.0)


def test_width_and_height_are_not_confused():
    """A picture of 1664 x 928 that was asked for as such is right, and its transpose is not."""
    image = resized(photographs()["coffee.png"], 1664, 928)
    assert check(image, 1664, 928).bits["size"]
    assert not check(image, 928, 1664).bits["size"]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((128, 128), np.uint8),
        np.zeros((128, 128, 4), np.uint8),
        np.zeros((128, 128, 3), np.float32),
        np.full((128, 128, 3), np.nan, np.float32),
        np.zeros((128, 128, 3), np.uint16),
        np.zeros(0, np.uint8),
    ],
)
def test_what_is_no_picture_fails_every_bit_that_needs_one(array):
    """Grey, alpha, floats and not-a-number: nothing unmeasured is called healthy, and nothing raises."""
    report = check(array, 128, 128)
    assert set(report.failed) >= set(BITS) - {"size"}
    assert not report.healthy
    assert set(report.values) == {"width", "height"}


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_any_picture_gets_a_full_report_of_finite_numbers(image):
    """Whatever it shows and however small, every bit is there and every number can be written to a journal."""
    report = checked(image)
    assert tuple(report.bits) == BITS
    assert all(type(bit) is bool for bit in report.bits.values())
    assert all(type(value) is float and np.isfinite(value) for value in report.values.values())
    assert report.healthy == (report.failed == ())


def test_the_structure_function_is_the_plain_sum():
    """The transform gives the same as squared differences summed one by one."""
    lines = np.random.default_rng(3).normal(0, 20, (5, 37)).astype(np.float32)
    lines -= lines.mean(axis=1, keepdims=True)
    found = structure(lines)
    expected = [np.mean((lines[:, : 37 - s] - lines[:, s:]) ** 2) / (2 * np.mean(lines**2)) for s in range(19)]
    assert found == pytest.approx(expected, abs=1e-4)


def test_the_numbers_do_not_change_from_call_to_call():
    """Deterministic: the same picture, the same report."""
    image = worlds(1, 7)[0]
    assert check(image, 128, 128) == check(image.copy(), 128, 128)


def test_as_a_metric_it_is_one_for_healthy_and_zero_for_ill():
    """The number that a gate reads."""
    image = worlds(1, 5)[0]
    batch = [Inputs(image=image, width=128, height=128), Inputs(image=image, width=64, height=128)]
    assert measure("health", batch) == [1.0, 0.0]
    with pytest.raises(ValueError, match="asked width and height"):
        measure("health", [Inputs(image=image)])
