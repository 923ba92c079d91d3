"""The peers' measures against values known by hand, and against definitions written independently with torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from swapgate.drills.peers import metrics
from swapgate.drills.peers.metrics import METRICS, NOT_AT_HAND, TooSmallError

GREY = np.full((32, 32, 3), 100, dtype=np.uint8)
BLACK = np.zeros((32, 32, 3), dtype=np.uint8)
PAIRWISE = [name for name in METRICS if name not in ("any_nonzero", "ms_ssim", "cosine_first_row_30")]


def image(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def moved(picture: np.ndarray, by: int) -> np.ndarray:
    return np.asarray(np.clip(picture.astype(int) + by, 0, 255), dtype=np.uint8)


def torch_ssim(a: np.ndarray, b: np.ndarray, kernel: np.ndarray) -> tuple[float, float]:
    """(SSIM, contrast term) by convolution with `kernel`, values in [0, 1] and range 1, population covariance."""
    import torch
    from torch.nn import functional

    weight = torch.from_numpy(np.outer(kernel, kernel))[None, None].repeat(3, 1, 1, 1)
    x, y = (torch.from_numpy(one.astype(np.float64) / 255).permute(2, 0, 1)[None] for one in (a, b))

    def mean(what: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(what, weight, groups=3)

    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    contrast = (2 * vxy + 0.03**2) / (vx + vy + 0.03**2)
    whole = contrast * (2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2)
    return float(whole.mean()), float(contrast.mean())


def gaussian() -> np.ndarray:
    kernel = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    return np.asarray(kernel / kernel.sum())


@pytest.mark.parametrize("name", PAIRWISE)
def test_equal_pictures_are_at_the_measures_best(name: str) -> None:
    """1 for SSIM, infinite for PSNR, 0 for every difference."""
    best = 1.0 if "ssim" in name else math.inf if name == "psnr" else 0.0
    assert METRICS[name](image(1), image(1)) == pytest.approx(best)


def test_psnr_of_one_level_everywhere() -> None:
    """Mean squared error 1: 20 log10(255)."""
    assert metrics.psnr(moved(GREY, 1), GREY) == pytest.approx(48.1308, abs=1e-4)


def test_absolute_differences_of_known_pictures() -> None:
    """Ten levels everywhere; and a quantile that looks at the tail alone."""
    assert metrics.mad255(moved(GREY, 10), GREY) == 10
    assert metrics.mean_abs_01(moved(GREY, 10), GREY) == pytest.approx(10 / 255)
    half = GREY.copy()
    half[:16] = 151
    assert metrics.mad255(half, GREY) == 25.5
    assert metrics.p99_abs_01(half, GREY) == pytest.approx(0.2)
    few = GREY.copy()
    few[0, :3] = 255  # 3 of 1,024 pixels
    assert metrics.p99_abs_01(few, GREY) == 0.0


def test_a_difference_below_zero_does_not_wrap() -> None:
    """uint8 arithmetic would make 5 - 10 into 251."""
    assert metrics.mad255(moved(GREY, -5), GREY) == 5


def test_gaussian_ssim_is_the_one_of_torchmetrics() -> None:
    """The Gaussian window of 11 inside the picture, population covariance, range 1 on values in [0, 1]."""
    a, b = image(1), moved(image(1), 20)
    assert metrics.ssim_gaussian_rgb(a, b) == pytest.approx(torch_ssim(a, b, gaussian())[0], abs=1e-9)
    assert metrics.ssim_gaussian_rgb(a, image(2)) == pytest.approx(torch_ssim(a, image(2), gaussian())[0], abs=1e-9)


def test_ssim_by_default_has_a_uniform_window_of_seven() -> None:
    """With sample covariance: n / (n - 1) of the population's, which a flat window shows."""
    a, b = image(1), image(2)
    population = torch_ssim(a, b, np.full(7, 1 / 7))[0]
    ours = metrics.ssim_rgb(a, b)
    assert ours == pytest.approx(population, abs=0.002)
    assert ours != pytest.approx(metrics.ssim_gaussian_rgb(a, b), abs=1e-4)


def test_ssim_of_two_flat_pictures_is_the_luminance_term() -> None:
    """(2ab + C1) / (a^2 + b^2 + C1), as nothing varies."""
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 140 + c1) / (100**2 + 140**2 + c1)
    for measure in (metrics.ssim_rgb, metrics.ssim_gaussian_rgb):
        assert measure(moved(GREY, 40), GREY) == pytest.approx(expected, abs=1e-6)


def test_difftest_resizes_what_others_refuse() -> None:
    """A picture of half the size still gets a value; a plain SSIM raises."""
    smooth = np.asarray(np.linspace(0, 255, 64)[None, :, None].repeat(64, 0).repeat(3, 2), dtype=np.uint8)
    assert metrics.ssim_rgb_resized(smooth[::2, ::2], smooth) > 0.9
    with pytest.raises(ValueError, match="unequal size"):
        metrics.ssim_rgb(smooth[::2, ::2], smooth)


@pytest.mark.parametrize("name", ["ssim_rgb", "ssim_gaussian_rgb", "psnr", "mad255", "mean_abs_01", "p99_abs_01", "ms_ssim"])
def test_unequal_sizes_fail_as_they_do_at_the_peer(name: str) -> None:
    """Never cropped, never a value."""
    with pytest.raises(ValueError, match="unequal size"):
        METRICS[name](image(1, 200, 200), image(1, 200, 190))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_measures_that_take_any_size_are_known(name: str) -> None:
    """Each either gives a value or raises, as the list says."""
    small, large = image(1, 170, 180), image(2, 200, 190)
    if name in metrics.ANY_SIZE:
        assert math.isfinite(METRICS[name](small, large))
    else:
        with pytest.raises(ValueError, match="unequal size"):
            METRICS[name](small, large)


def test_a_difference_hash_counts_turned_neighbours() -> None:
    """A ramp to the right against one to the left: every bit is another; against itself brighter: none."""
    ramp = np.asarray(np.linspace(0, 200, 90)[None, :, None].repeat(80, 0).repeat(3, 2), dtype=np.uint8)
    assert metrics.dhash64_share(ramp[:, ::-1], ramp) == 1.0
    assert metrics.dhash64_share(moved(ramp, 30), ramp) == 0.0
    upper = ramp.copy()
    upper[:10] = upper[:10, ::-1]  # the first of eight rows of the hash
    assert metrics.dhash64_share(upper, ramp) == pytest.approx(8 / 64, abs=1 / 64)


def test_a_difference_hash_takes_pictures_of_any_size() -> None:
    """It is of a thumbnail."""
    assert 0 <= metrics.dhash64_share(image(1, 30, 60), image(2, 64, 64)) <= 1


def test_the_slice_looks_at_thirty_numbers_and_not_at_scale() -> None:
    """What happens below the first row, or to the brightness, is invisible to it."""
    a = image(3)
    below = a.copy()
    below[1:] = 0
    assert metrics.cosine_first_row_30(below, a) == pytest.approx(0.0, abs=1e-12)
    half = np.asarray(a // 2 * 2, dtype=np.uint8)
    assert metrics.cosine_first_row_30(np.asarray(half // 2, dtype=np.uint8), half) == pytest.approx(0.0, abs=1e-12)
    right = a.copy()
    right[0, 10:] = 0
    assert metrics.cosine_first_row_30(right, a) == pytest.approx(0.0, abs=1e-12)
    crossed = np.zeros_like(a)
    crossed[0, :10, 0] = 255
    other = np.zeros_like(a)
    other[0, :10, 1] = 255
    assert metrics.cosine_first_row_30(crossed, other) == 1.0


def test_the_slice_of_a_black_picture_is_no_number() -> None:
    """So that no rule lets it pass."""
    assert math.isnan(metrics.cosine_first_row_30(BLACK, GREY))


@pytest.mark.parametrize("size", [(176, 192), (177, 195), (161, 161)])
def test_ms_ssim_is_that_of_its_definition(size: tuple[int, int]) -> None:
    """Five scales, contrast at each and luminance at the last; halved by averages with zeros beside an odd side."""
    import torch
    from torch.nn import functional

    a = np.asarray(np.clip(image(5, *size) * 0.3 + 90, 0, 255), dtype=np.uint8)
    b = np.asarray(np.clip(a + np.random.default_rng(1).normal(0, 12, a.shape), 0, 255), dtype=np.uint8)
    expected = torch.ones(3, dtype=torch.float64)
    x, y = a.astype(np.float64), b.astype(np.float64)
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        for channel in range(3):
            whole, contrast = torch_ssim(*(one[..., channel : channel + 1].repeat(3, 2) for one in (x, y)), gaussian())
            expected[channel] *= max(whole if scale == 4 else contrast, 0.0) ** weight
        padding = (x.shape[0] % 2, x.shape[1] % 2)
        x, y = (functional.avg_pool2d(torch.from_numpy(one).permute(2, 0, 1)[None], 2, padding=padding)[0].permute(1, 2, 0).numpy() for one in (x, y))
    assert metrics.ms_ssim(b, a) == pytest.approx(float(expected.mean()), abs=1e-9)
    assert 0.3 < metrics.ms_ssim(b, a) < 0.999


def test_ms_ssim_refuses_small_pictures_with_the_reason() -> None:
    """At 160 pixels and below five scales do not fit; fewer are another measure."""
    with pytest.raises(TooSmallError, match="a side above 160 pixels, and these pictures have 128x128"):
        metrics.ms_ssim(image(1, 128, 128), image(1, 128, 128))
    with pytest.raises(TooSmallError):
        metrics.ms_ssim(image(1, 160, 300), image(1, 160, 300))
    assert metrics.ms_ssim(image(1, 161, 161), image(1, 161, 161)) == pytest.approx(1.0)


def test_one_value_that_is_not_zero_is_enough() -> None:
    """The whole rule of ComfyUI's inference tests."""
    almost = BLACK.copy()
    assert metrics.any_nonzero(almost, GREY) == 0.0
    almost[31, 31, 2] = 1
    assert metrics.any_nonzero(almost, GREY) == 1.0


def test_what_is_not_at_hand_is_no_measure_and_has_its_reason() -> None:
    """A name is either computed or explained."""
    assert not set(METRICS) & set(NOT_AT_HAND)
    assert all("weights" in reason for reason in NOT_AT_HAND.values())
