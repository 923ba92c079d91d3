"""Health of a picture: deterministic checks that need no weights, each a named bit with its measured number.

    mode            it is an RGB picture of 8 bits
    size            it has the asked width and height
    not_constant    it is not one colour                     spread: brightness between its 0.1 and 99.9 % points
    not_black       something in it is bright                brightest: the 99.9 % point of brightness
    not_blown       something in it is not white             white: share of pixels that are almost white
    not_clipped     its tones are not cut off                clipped: share of pixels at 0 or 255, in a fair count
    not_cast        it is not tinted all over                cast: how far even the least tinted pixels are, in levels
    not_noise       it has structure beyond the pixel        neighbours: correlation of adjacent pixels
                    and beyond the blotch                    blotches: see below
    not_tiled       it is not made of repeated tiles         tiling: how exactly a smaller period repeats, 0 to 1
    not_duplicated  its halves are not copies                halves: how exactly a half repeats, 0 to 1
    not_mirrored    its halves are not mirror images         mirror: how exactly a half is the other turned round, -1 to 1
    not_gridded     no grid lies over it                     grid: share of fine detail that repeats every 16 pixels
    not_blocky      it is not compressed to blocks           blocks: how much steps at lines of 8 pixels stand out
    not_seamed      no seams of tiles run through it         seams: largest jump at a line, over the usual one

Noise comes in two kinds. White noise has no likeness between adjacent pixels. What an autoencoder makes of white
noise has blotches, alike inside, yet nothing larger and in every colour: hardly any of its brightness and of its
strong colour differences is left in the means of large squares. "blotches" is the share that is left, of colour or of
brightness, whichever keeps more; 1 for a picture with little colour, of which it says nothing (a gravel path is grey).
Known gap: at 128 pixels, blotches of 8 pixels are as large as the parts of a picture and are not called noise.

How the others are measured stands in the modules beside this one; how often each is right, on pictures known to be
healthy and on planted faults, in VALIDATED.md of the folder above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swapgate.metrics.kinds import Cost, Direction, Inputs, Metric, Need, each
from swapgate.metrics.pixels import Image, is_rgb, luma

SAMPLED_SIDE = 256
"""Where only shares of pixels count, every second, third, ... pixel is taken of sides twice, three times this."""
LEAST_SIDE = 16
"""Pictures with a shorter side have too few pixels for noise and repetition to mean anything."""
LEAST_SQUARES_SIDE = 96
"""Pictures with a shorter side have too few squares of 16 pixels for grids, blocks and seams to mean anything."""


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
    Limit(value="clipped", bit="not_clipped", high=0.3),
    Limit(value="cast", bit="not_cast", high=105.0),
    Limit(value="neighbours", bit="not_noise", low=0.35),
    Limit(value="blotches", bit="not_noise", low=0.12),
    Limit(value="tiling", bit="not_tiled", high=0.985),
    Limit(value="halves", bit="not_duplicated", high=0.95),
    Limit(value="mirror", bit="not_mirrored", high=0.86),
    Limit(value="grid", bit="not_gridded", high=0.17),
    Limit(value="blocks", bit="not_blocky", high=0.76),
    Limit(value="seams", bit="not_seamed", high=6.5),
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
    from swapgate.metrics.health.borders import borders
    from swapgate.metrics.health.repetition import repetitions
    from swapgate.metrics.health.tone import blotches, tones

    side = min(image.shape[:2])
    stride = max(1, side // SAMPLED_SIDE)
    sample = image[::stride, ::stride]
    brightness = luma(sample)
    values = tones(sample, brightness)
    if side < LEAST_SIDE:
        values |= {"neighbours": 1.0, "blotches": 1.0, "tiling": 0.0, "halves": 0.0, "mirror": 0.0}
    else:
        values |= repetitions(image) | {"blotches": blotches(sample, brightness)}
    if side < LEAST_SQUARES_SIDE:
        return values | {"grid": 0.0, "blocks": 0.0, "seams": 0.0}
    return values | borders(image)


def _of(inputs: Inputs) -> float:
    return float(check(inputs.picture(), *inputs.asked_size()).healthy)


METRIC = Metric(
    name="health",
    unit="1",
    direction=Direction.HIGHER,
    low=0.0,
    high=1.0,
    version=2,
    needs=frozenset({Need.SIZE}),
    cost=Cost.CHEAP,
    measure=each(_of),
)
