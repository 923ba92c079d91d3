"""Health by the tones of a picture: spread, black, white, clipped and tinted pixels, noise in every colour.

Everything here reads a thinned picture [h, w, 3]: only shares of pixels count, so every second or third pixel will do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swapgate.metrics.pixels import Image

Plane = npt.NDArray[np.float32]
"""One channel, [h, w] float32."""

SQUARES = 8
"""Large squares along each side, for "blotches"."""
COLOURFUL = 25.0
"""Standard deviation of colour, in levels, below which "blotches" says nothing: a field of stars has 14, noise 85."""
LEAST_TINTED = 0.05
"""Share of the pixels that are tinted least; "cast" is how far even the last of these is tinted."""


def tones(sample: Image, brightness: Plane) -> dict[str, float]:
    """ "spread", "brightest", "white", "clipped" and "cast" of a picture and its brightness."""
    low, high = _points(brightness)
    white = np.minimum(np.minimum(sample[..., 0], sample[..., 1]), sample[..., 2]) >= 250
    return {
        "spread": high - low,
        "brightest": high,
        "white": float(white.mean()),
        "clipped": _clipped(sample),
        "cast": _cast(sample, brightness),
    }


def _points(brightness: Plane) -> tuple[float, float]:
    """The 0.1 and 99.9 % points of brightness in whole levels; by counting, which is faster than sorting."""
    shares = np.cumsum(np.bincount(brightness.astype(np.uint8).ravel(), minlength=256)) / brightness.size
    return float(np.searchsorted(shares, 0.001)), float(np.searchsorted(shares, 0.999))


def _clipped(sample: Image) -> float:
    """Share of the pixels' channels that are cut off at 0 or 255, 0 to 1.

    A white page, a black night or black letters on white are no fault: of pixels that are wholly black or wholly white,
    as many count as there are of the rarer of the two, twice.
    """
    red, green, blue = (sample[..., channel] for channel in range(3))
    lowest, highest = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    black, white = float(np.mean(highest == 0)), float(np.mean(lowest == 255))
    cut = float(np.mean((sample == 0) | (sample == 255)))
    return cut - black - white + 2.0 * min(black, white)


def _cast(sample: Image, brightness: Plane) -> float:
    """How far nearly every pixel is tinted the way the picture is on the whole, in levels; 0 where some are not.

    The tint of a pixel is (red, blue) less its brightness, as in YCbCr; the mean tint gives the way.
    """
    red, blue = (sample[..., channel].astype(np.float32) - brightness for channel in (0, 2))
    across, along = float(red.mean()), float(blue.mean())
    length = float(np.hypot(across, along))
    if length < 1.0:  # less than a level: rounding, not a tint
        return 0.0
    tint = ((red * across + blue * along) / length).ravel()
    least = int(LEAST_TINTED * (tint.size - 1))
    return max(0.0, float(np.partition(tint, least)[least]))


def blotches(sample: Image, brightness: Plane) -> float:
    """Share of colour or brightness, whichever keeps more, that is left in the means of large squares; 1 where there is little colour."""
    pixels = sample.astype(np.float32)
    colour = np.stack([pixels[..., 0] - pixels[..., 1], pixels[..., 2] - brightness], axis=-1)
    if float(np.sqrt(_variance(colour))) < COLOURFUL:
        return 1.0
    return max(_coarse(colour), _coarse(brightness[..., np.newaxis]))


def _variance(pixels: npt.NDArray[np.float32]) -> float:
    # One channel at a time, each contiguous: across channels numpy adds in steps of one number, many times slower.
    return float(sum(np.ascontiguousarray(pixels[..., channel]).var() for channel in range(pixels.shape[-1])))


def _coarse(pixels: npt.NDArray[np.float32]) -> float:
    """Share of the variance of [h, w, c] that the means of `SQUARES` x `SQUARES` squares keep."""
    side, across = pixels.shape[0] // SQUARES, pixels.shape[1] // SQUARES
    whole = pixels[: side * SQUARES, : across * SQUARES].reshape(SQUARES, side, SQUARES, across, -1)
    variance = _variance(pixels)
    return _variance(whole.mean(axis=(1, 3))) / variance if variance > 1e-6 else 1.0
