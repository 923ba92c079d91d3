"""Peak signal-to-noise ratio, against scikit-image's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import peak_signal_noise_ratio

from swapgate.metrics.kinds import Direction, Inputs, Need
from swapgate.metrics.psnr import CAP_DB, METRIC, psnr

PAIRS = st.tuples(st.integers(1, 16), st.integers(1, 16)).flatmap(lambda size: st.tuples(*[hnp.arrays(np.uint8, (*size, 3))] * 2))


@given(PAIRS)
def test_it_is_the_ratio_of_an_independent_implementation(pair):
    """scikit-image gives the same decibels for any two different pictures."""
    image, reference = pair
    assume(not np.array_equal(image, reference))
    expected = peak_signal_noise_ratio(reference, image, data_range=255)
    assert psnr(image, reference) == pytest.approx(expected, abs=1e-9)


@given(PAIRS)
def test_the_order_of_the_pictures_does_not_matter(pair):
    """The error is squared."""
    assert psnr(*pair) == psnr(*reversed(pair))


@given(PAIRS)
def test_it_stays_in_its_declared_range(pair):
    """From black against white to identical."""
    assert METRIC.low <= psnr(*pair) <= METRIC.high


@given(hnp.arrays(np.uint8, (5, 7, 3)))
def test_identical_pictures_get_the_cap_and_no_infinity(image):
    """A journal can hold the number."""
    assert psnr(image, image.copy()) == CAP_DB
    assert math.isfinite(CAP_DB)


def test_black_against_white_is_zero_decibels():
    """The largest error there is."""
    black = np.zeros((8, 8, 3), np.uint8)
    assert psnr(black, 255 - black) == 0.0


def test_the_smallest_difference_of_the_largest_picture_stays_below_the_cap():
    """One level in one value of 1328 x 1328 pixels: the cap means identical and nothing else."""
    image = np.zeros((1328, 1328, 3), np.uint8)
    other = image.copy()
    other[0, 0, 0] = 1
    assert psnr(image, other) == pytest.approx(10 * math.log10(255**2 * image.size), abs=1e-9)
    assert psnr(image, other) < CAP_DB


@pytest.mark.parametrize(("level", "expected"), [(1, 48.1308), (16, 24.0484), (255, 0.0)])
def test_a_constant_difference_gives_the_known_figure(level, expected):
    """20 log10(255 / difference)."""
    image = np.zeros((8, 8, 3), np.uint8)
    assert psnr(image, image + np.uint8(level)) == pytest.approx(expected, abs=1e-4)


def test_unequal_sizes_are_an_error():
    """Never cropped, never resized."""
    with pytest.raises(ValueError, match="unequal size"):
        psnr(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8))


def test_the_metric_says_what_it_is_and_needs_a_reference():
    """Decibels, higher is better; without a reference picture it says so."""
    assert (METRIC.unit, METRIC.direction) == ("dB", Direction.HIGHER)
    assert METRIC.needs == {Need.REFERENCE}
    image = np.zeros((4, 4, 3), np.uint8)
    assert METRIC.measure([Inputs(image=image, reference=image)] * 2) == [CAP_DB, CAP_DB]
    with pytest.raises(ValueError, match="reference picture"):
        METRIC.measure([Inputs(image=image)])
