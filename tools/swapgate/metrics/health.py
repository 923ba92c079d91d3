"""Health of a picture: deterministic checks that need no weights, each a named bit with its measured number.

    mode            it is an RGB picture of 8 bits
    size            it has the asked width and height
    not_constant    it is not one colour                     spread: brightness between its 0.1 and 99.9 % points
    not_black       something in it is bright                brightest: the 99.9 % point of brightness
    not_blown       something in it is not white             white: share of pixels that are almost white
    not_noise       it has structure beyond the pixel        neighbours: correlation of adjacent pixels
                    and beyond the blotch                    blotches: see below
    not_tiled       it is not made of repeated tiles         tiling: how exactly a smaller period repeats, 0 to 1
    not_duplicated  its halves are not copies                halves: how exactly a half repeats, 0 to 1

Noise comes in two kinds. White noise has no likeness between adjacent pixels. What an autoencoder makes of white
noise has blotches, alike inside, yet nothing larger and in every colour: hardly any of its brightness and of its
strong colour differences is left in the means of large squares. "blotches" is the share that is left, of colour or of
brightness, whichever keeps more; 1 for a picture with little colour, of which it says nothing (a gravel path is grey).
Known gap: at 128 pixels, blotches of 8 pixels are as large as the parts of a picture and are not called noise.

Repetition is measured by the structure function of turbulence and variograms (Kolmogorov 1941; Matheron 1963): the
mean squared difference of the picture from itself moved by s pixels along an axis, over twice its variance along that
axis. It is near 0 for near pixels and near 1 for strangers, and comes back to 0 only where the picture repeats. No
shift beyond half a side is looked at, so every pixel takes part: an empty background does not count as a repetition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swapgate.metrics.kinds import Cost, Direction, Inputs, Metric, Need, each
from swapgate.metrics.pixels import Image, is_rgb, luma

Plane = npt.NDArray[np.float32]
"""One channel, [h, w] float32."""

LINES = 64
"""Rows or columns looked at along an axis: enough for these averages, and it keeps large pictures cheap."""
SQUARES = 8
"""Large squares along each side, for "blotches"."""
COLOURFUL = 25.0
"""Standard deviation of colour, in levels, below which "blotches" says nothing: a field of stars has 14, noise 85."""
SMALL_PERIOD = 0.45
"""A period up to this share of a side makes tiles; a longer one, up to a half, makes duplicated halves."""
SAMPLED_SIDE = 256
"""Where only shares of pixels count, every second, third, ... pixel is taken of sides twice, three times this."""
LEAST_SIDE = 16
"""Pictures with a shorter side have too few pixels for noise and repetition to mean anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A healthy picture's `value` is at least `low` and at most `high`."""

    value: str
    bit: str
    low: float = -np.inf
    high: float = np.inf

    def holds(self, number: float) -> bool:
        """Whether the number lies within the limit; NaN does not."""
        return self.low <= number <= self.high


LIMITS = (
    Limit(value="spread", bit="not_constant", low=12.0),
    Limit(value="brightest", bit="not_black", low=32.0),
    Limit(value="white", bit="not_blown", high=0.98),
    Limit(value="neighbours", bit="not_noise", low=0.35),
    Limit(value="blotches", bit="not_noise", low=0.12),
    Limit(value="tiling", bit="not_tiled", high=0.985),
    Limit(value="halves", bit="not_duplicated", high=0.95),
)
"""The limits, with room on both sides of what was measured on healthy pictures and planted faults."""

BITS = ("mode", "size", *dict.fromkeys(limit.bit for limit in LIMITS))
"""Every bit, in the order of a report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """What the checks found.

    Args:
        bits: every name of `BITS`; True when healthy. A bit that could not be measured is False.
        values: the measured numbers by name, with "width" and "height"; without those that could not be measured.
    """

    bits: dict[str, bool]
    values: dict[str, float]

    @property
    def healthy(self) -> bool:
        """Whether every bit holds."""
        return all(self.bits.values())

    @property
    def failed(self) -> tuple[str, ...]:
        """The bits that do not hold."""
        return tuple(name for name, holds in self.bits.items() if not holds)


def check(image: npt.NDArray[np.generic], width: int, height: int) -> HealthReport:
    """Check one picture.

    Args:
        image: anything that came back as a picture; healthy is [H, W, 3] uint8, sRGB.
        width: asked width in pixels.
        height: asked height in pixels.

    Returns:
        A report; of an array that is no picture only `mode` and `size` are measured, and every bit but `size` fails.
    """
    rows, columns = (*image.shape, 0, 0)[:2]
    bits = dict.fromkeys(BITS, False) | {"size": (columns, rows) == (width, height)}
    values = {"width": float(columns), "height": float(rows)}
    if not is_rgb(image):
        return HealthReport(bits=bits, values=values)
    picture: Image = image.astype(np.uint8, copy=False)
    bits |= dict.fromkeys(BITS, True) | {"size": bits["size"]}
    values |= _measure(picture)
    for limit in LIMITS:
        bits[limit.bit] &= limit.holds(values[limit.value])
    return HealthReport(bits=bits, values=values)


def _measure(image: Image) -> dict[str, float]:
    stride = max(1, min(image.shape[:2]) // SAMPLED_SIDE)
    sample = image[::stride, ::stride]
    brightness = luma(sample)
    low, high = _points(brightness)
    white = np.minimum(np.minimum(sample[..., 0], sample[..., 1]), sample[..., 2]) >= 250
    values = {"spread": high - low, "brightest": high, "white": float(white.mean())}
    if min(image.shape[:2]) < LEAST_SIDE:
        return values | {"neighbours": 1.0, "blotches": 1.0, "tiling": 0.0, "halves": 0.0}
    along = (_lines(image), _lines(image.transpose(1, 0, 2)))
    tiling, halves = np.max([_repetition(plane) for plane in along], axis=0)
    return values | {
        "neighbours": float(np.mean([_neighbours(plane) for plane in along])),
        "blotches": _blotches(sample, brightness),
        "tiling": float(tiling),
        "halves": float(halves),
    }


def _points(brightness: Plane) -> tuple[float, float]:
    """The 0.1 and 99.9 % points of brightness in whole levels; by counting, which is faster than sorting."""
    shares = np.cumsum(np.bincount(brightness.astype(np.uint8).ravel(), minlength=256)) / brightness.size
    return float(np.searchsorted(shares, 0.001)), float(np.searchsorted(shares, 0.999))


def _lines(image: Image) -> Plane:
    """Brightness of at most `LINES` rows of the picture, evenly spread, each with its own mean taken off."""
    chosen = np.linspace(0, len(image) - 1, min(LINES, len(image))).astype(np.intp)
    lines = luma(np.ascontiguousarray(image[chosen]))
    centred: Plane = lines - lines.mean(axis=1, keepdims=True)
    return centred


def _neighbours(lines: Plane) -> float:
    """Correlation of each pixel with the next of its line, -1 to 1; 1 when there is nothing to correlate."""
    variance = float(np.mean(lines * lines))
    return float(np.mean(lines[:, 1:] * lines[:, :-1])) / variance if variance > 1e-6 else 1.0


def _blotches(image: Image, brightness: Plane) -> float:
    pixels = image.astype(np.float32)
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


def _repetition(lines: Plane) -> tuple[float, float]:
    """How exactly lines [k, w] repeat, 0 to 1, with a small period and with one of about half their length.

    A repetition counts only behind a shift at which the lines are strange to themselves; before that, likeness is
    just smoothness.
    """
    structure = _structure(lines)
    strange = np.flatnonzero(structure > 0.3)
    if not len(strange):
        return 0.0, 0.0
    likeness = np.clip(1.0 - structure, 0.0, 1.0)
    likeness[: strange[0]] = 0.0
    border = int(SMALL_PERIOD * lines.shape[1]) + 1
    return float(likeness[:border].max()), float(likeness[border:].max())


def _structure(lines: Plane) -> npt.NDArray[np.float64]:
    """Normalised structure function of lines [k, w] at shifts 0 to w // 2, each line's mean already taken off."""
    from scipy import fft

    count, length = lines.shape
    shifts = np.arange(length // 2 + 1)
    variance = float(np.mean(lines * lines))
    if variance < 1.0:  # less than a level: rounding, not a pattern
        return np.zeros(len(shifts))
    padded = fft.next_fast_len(length + length // 2, real=True)
    power = (np.abs(fft.rfft(lines, padded, axis=1)) ** 2).sum(axis=0, dtype=np.float64)
    products = fft.irfft(power, padded)[: len(shifts)]
    energy = np.concatenate([[0.0], np.cumsum((lines * lines).sum(axis=0), dtype=np.float64)])
    squares = energy[length - shifts] + energy[length] - energy[shifts] - 2.0 * products
    structure: npt.NDArray[np.float64] = squares / (2.0 * variance * count * (length - shifts))
    return structure


def _of(inputs: Inputs) -> float:
    return float(check(inputs.picture(), *inputs.asked_size()).healthy)


METRIC = Metric(
    name="health",
    unit="1",
    direction=Direction.HIGHER,
    low=0.0,
    high=1.0,
    version=1,
    needs=frozenset({Need.SIZE}),
    cost=Cost.CHEAP,
    measure=each(_of),
)
