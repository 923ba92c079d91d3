"""Health by what repeats in a picture: tiles, doubled halves, mirrored halves, and noise, which is like nothing beside it.

Repetition is measured by the structure function of turbulence and variograms (Kolmogorov 1941; Matheron 1963): the
mean squared difference of the picture from itself moved by s pixels along an axis, over twice its variance along that
axis. It is near 0 for near pixels and near 1 for strangers, and comes back to 0 only where the picture repeats. No
shift beyond half a side is looked at, so every pixel takes part: an empty background does not count as a repetition.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swapgate.metrics.health.tone import Plane
from swapgate.metrics.pixels import Image, luma

LINES = 64
"""Rows or columns looked at along an axis: enough for these averages, and it keeps large pictures cheap."""
SMALL_PERIOD = 0.45
"""A period up to this share of a side makes tiles; a longer one, up to a half, makes duplicated halves."""
FEATURES = 128
"""Steps that are compared with their mirror images reach over a pixel of lines of this length, over two of twice this, ..."""


def repetitions(image: Image) -> dict[str, float]:
    """ "neighbours", "tiling", "halves" and "mirror" of a picture [H, W, 3]."""
    along = (_lines(image), _lines(image.transpose(1, 0, 2)))
    tiling, halves = np.max([repetition(plane) for plane in along], axis=0)
    return {
        "neighbours": float(np.mean([_neighbours(plane) for plane in along])),
        "tiling": float(tiling),
        "halves": float(halves),
        "mirror": max(_mirror(plane) for plane in along),
    }


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


def _mirror(lines: Plane) -> float:
    """Correlation of the steps from pixel to pixel with those of the lines turned round, -1 to 1.

    Steps, not brightness: an object in the middle of a plain ground is nearly symmetric, but its edges do not meet
    their mirror images to the pixel unless a half was copied.
    """
    wide = max(1, lines.shape[1] // FEATURES)
    steps = lines[:, wide:] - lines[:, :-wide]
    energy = float(np.mean(steps * steps))
    return -float(np.mean(steps * steps[:, ::-1])) / energy if energy > 0.25 else 0.0


def repetition(lines: Plane) -> tuple[float, float]:
    """How exactly lines [k, w] repeat, 0 to 1, with a small period and with one of about half their length.

    A repetition counts only behind a shift at which the lines are strange to themselves; before that, likeness is
    just smoothness.
    """
    found = structure(lines)
    strange = np.flatnonzero(found > 0.3)
    if not len(strange):
        return 0.0, 0.0
    likeness = np.clip(1.0 - found, 0.0, 1.0)
    likeness[: strange[0]] = 0.0
    border = int(SMALL_PERIOD * lines.shape[1]) + 1
    return float(likeness[:border].max()), float(likeness[border:].max())


def structure(lines: Plane) -> npt.NDArray[np.float64]:
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
    found: npt.NDArray[np.float64] = squares / (2.0 * variance * count * (length - shifts))
    return found
