"""What every metric on pixels shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pillow

from swapgate.metrics.pixels import difference_map, is_rgb, luma, require_rgb, require_same_size

PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)))
PAIRS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda size: st.tuples(*[hnp.arrays(np.uint8, (*size, 3))] * 2))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_only_eight_bit_rgb_is_a_picture(array):
    """Grey, alpha, floats, 16 bits, nothing at all and a batch are refused, with what was given in the message."""
    assert not is_rgb(array)
    with pytest.raises(ValueError, match=str(array.dtype)):
        require_rgb(array)


@given(PICTURES)
def test_any_eight_bit_rgb_array_is_a_picture(image):
    """Whatever its values and size, it is accepted as it is."""
    assert is_rgb(image)
    require_rgb(image)


def test_pictures_of_unequal_size_are_an_error_and_never_cropped():
    """White 64 x 64 and white 128 x 64 agree where they overlap, and are still not compared (a trap of ImageChops)."""
    small = np.full((64, 64, 3), 255, np.uint8)
    wide = np.full((64, 128, 3), 255, np.uint8)
    with pytest.raises(ValueError, match="64x64 against 128x64"):
        require_same_size(small, wide)
    with pytest.raises(ValueError, match="unequal size"):
        difference_map(small, wide)


@given(PICTURES)
def test_brightness_is_that_of_pillow(image):
    """Within one level of rounding of Pillow's own conversion to grey."""
    expected = np.asarray(Pillow.fromarray(image).convert("L"), np.float32)
    assert np.abs(luma(image) - expected).max() <= 1.0


@given(PAIRS, st.integers(1, 40))
def test_the_difference_map_shows_each_difference_amplified(pair, gain):
    """Every value is gain times the absolute difference, capped at white, computed here one by one."""
    image, reference = pair
    found = difference_map(image, reference, gain)
    expected = [min(255, gain * abs(int(a) - int(b))) for a, b in zip(image.ravel(), reference.ravel(), strict=True)]
    assert found.dtype == np.uint8
    assert found.shape == image.shape
    assert found.ravel().tolist() == expected


@given(PAIRS)
def test_the_difference_map_does_not_depend_on_the_order(pair):
    """Which picture is called the reference makes no difference."""
    assert np.array_equal(difference_map(*pair), difference_map(*reversed(pair)))


def test_equal_pictures_have_a_black_difference_map():
    """Nothing differs, nothing is shown."""
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert not difference_map(image, image.copy()).any()


def test_a_gain_below_one_is_refused():
    """It would hide differences."""
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(ValueError, match="gain=0"):
        difference_map(image, image, 0)
