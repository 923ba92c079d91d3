"""Structural similarity, against an implementation of the paper's formula written here on its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from swapgate.metrics.kinds import Direction, Inputs, Need
from swapgate.metrics.ssim import METRIC, WINDOW, ssim

PAIRS = st.tuples(st.integers(WINDOW, 24), st.integers(WINDOW, 24)).flatmap(lambda size: st.tuples(*[hnp.arrays(np.uint8, (*size, 3))] * 2))


def _weights():
    """The paper's window: 11 x 11, Gaussian of standard deviation 1.5, sum 1."""
    axis = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(axis, axis)
    return window / window.sum()


def by_the_paper(x, y):
    """Mean over channels and over the positions where the whole window lies inside the picture."""
    c1, c2, w, values = (0.01 * 255) ** 2, (0.03 * 255) ** 2, _weights(), []
    for channel in range(3):
        a, b = x[..., channel].astype(float), y[..., channel].astype(float)
        for row in range(a.shape[0] - 10):
            for column in range(a.shape[1] - 10):
                p, q = a[row : row + 11, column : column + 11], b[row : row + 11, column : column + 11]
                mp, mq = (w * p).sum(), (w * q).sum()
                vp, vq, cov = (w * p * p).sum() - mp**2, (w * q * q).sum() - mq**2, (w * p * q).sum() - mp * mq
                values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(values))


@settings(max_examples=25, deadline=None)
@given(PAIRS)
def test_it_is_the_formula_of_the_paper(pair):
    """The same number from windows summed one by one, for pictures of any content."""
    assert ssim(*pair) == pytest.approx(by_the_paper(*pair), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(PAIRS)
def test_it_is_symmetric_and_in_its_range(pair):
    """Which picture is the reference does not matter."""
    found = ssim(*pair)
    assert found == pytest.approx(ssim(*reversed(pair)), abs=1e-9)
    assert METRIC.low <= found <= METRIC.high


@settings(max_examples=25, deadline=None)
@given(hnp.arrays(np.uint8, (14, 13, 3)))
def test_identical_pictures_have_one(image):
    """Whatever they show, flat ones too."""
    assert ssim(image, image.copy()) == pytest.approx(1.0, abs=1e-12)


def test_more_noise_is_less_similar():
    """The order of three levels of noise is kept."""
    rng = np.random.default_rng(5)
    image = np.repeat(np.repeat(rng.integers(40, 216, (8, 8, 3)), 8, 0), 8, 1)
    noisy = [np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8) for sigma in (2, 8, 30)]
    found = [ssim(image.astype(np.uint8), other) for other in noisy]
    assert 1.0 > found[0] > found[1] > found[2]


def test_unequal_sizes_are_an_error():
    """Never cropped, never resized."""
    with pytest.raises(ValueError, match="unequal size"):
        ssim(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 17, 3), np.uint8))


def test_a_picture_smaller_than_the_window_is_an_error_that_says_so():
    """No smaller window is taken in silence."""
    small = np.zeros((WINDOW - 1, 64, 3), np.uint8)
    with pytest.raises(ValueError, match=f"window of {WINDOW} pixels; the pictures are 64x10"):
        ssim(small, small)


def test_the_metric_says_what_it_is_and_needs_a_reference():
    """Higher is better; without a reference picture it says so."""
    assert (METRIC.unit, METRIC.direction, METRIC.needs) == ("1", Direction.HIGHER, {Need.REFERENCE})
    image = np.full((12, 12, 3), 9, np.uint8)
    assert METRIC.measure([Inputs(image=image, reference=image)]) == pytest.approx([1.0])
    with pytest.raises(ValueError, match="reference picture"):
        METRIC.measure([Inputs(image=image)])
