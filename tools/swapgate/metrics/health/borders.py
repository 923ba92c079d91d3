"""Health by straight lines that a picture should not have: a grid, compression blocks, and seams of tiles.

Autoencoders and transformers work on squares of 8 or 16 pixels from the corner of the picture, and so do their faults.
All three are measured on bands of 16 whole rows (then columns), so that a large picture costs no more than its width.

    grid    the mean of all squares of 16 x 16 pixels of the second differences, as a share of their energy: what
            repeats with a period of 16, 8, 4 or 2 pixels stays (it is the energy of the Fourier lines at multiples of
            1/16), anything else goes with the number of squares
    blocks  by how much steps across lines of 8 pixels are larger than those beside them (Wang, Sheikh & Bovik 2002)
    seams   the largest jump from side to side at one line that nearly every part of the line has, over the usual one.
            An edge of a table or a window is such a line, too, but mostly one way only: the smaller of the figures along
            rows and along columns counts, since tiles have borders both ways; a frame near the picture's own border is
            left out. Known gaps: tiles side by side one way only; a picture of panels with sharp borders both ways.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swapgate.metrics.pixels import Image

Band = npt.NDArray[np.float32]
"""Rows of a picture, [rows, w, 3] float32; rows is a multiple of `PERIOD`."""

PERIOD = 16
"""Pixels of a square: a patch of 2 x 2 latents of 8 pixels each."""
BLOCK = 8
"""Pixels of a latent, and of a block of JPEG."""
BANDS = 8
"""Bands looked at along an axis."""
PART = 8
"""Rows that are taken together as one part of a line."""
FEW = 0.15
"""Share of the parts of a seam that may have less of it."""
FRAME = 0.1
"""Share of a side, at both ends, in which lines are those of a frame."""


def borders(image: Image) -> dict[str, float]:
    """ "grid", "blocks" and "seams" of a picture [H, W, 3] with sides of at least `2 * PERIOD`."""
    found = [_along(_bands(one)) for one in (image, image.transpose(1, 0, 2))]
    return {"grid": max(one["grid"] for one in found), "blocks": max(one["blocks"] for one in found), "seams": min(one["seams"] for one in found)}


def _bands(image: Image) -> Band:
    """At most `BANDS` bands of `PERIOD` rows each, evenly spread, from multiples of `PERIOD`; whole squares only."""
    squares = len(image) // PERIOD
    chosen = np.unique(np.linspace(0, squares - 1, min(BANDS, squares)).astype(np.intp))
    rows = (chosen[:, np.newaxis] * PERIOD + np.arange(PERIOD)).ravel()
    width = image.shape[1] // PERIOD * PERIOD
    return np.ascontiguousarray(image[rows, :width]).astype(np.float32)


def _along(band: Band) -> dict[str, float]:
    grey: Band = band @ np.array([0.299, 0.587, 0.114], np.float32)
    steps = grey[:, 1:] - grey[:, :-1]
    return {"grid": _grid(grey), "blocks": _blocks(steps), "seams": _seams(band)}


def _grid(grey: Band) -> float:
    bends = np.zeros_like(grey)
    bends[:, 1:-1] = 2.0 * grey[:, 1:-1] - grey[:, :-2] - grey[:, 2:]
    # A few strong edges would drown a faint grid: each bend counts up to thrice the mean one.
    most = 3.0 * float(np.abs(bends).mean()) + 1e-6
    np.clip(bends, -most, most, out=bends)
    squares = bends.reshape(len(grey) // PERIOD, PERIOD, -1, PERIOD)
    count = squares.shape[0] * squares.shape[2]
    energy = float(np.mean(bends * bends)) + 1.0
    mean = squares.mean(axis=(0, 2))
    return max(0.0, float(np.mean(mean * mean)) / energy - 1.0 / count)


def _blocks(steps: Band) -> float:
    size = np.minimum(np.abs(steps), 32.0).mean(axis=0)
    excess = size[1:-1] - 0.5 * (size[:-2] + size[2:])
    # Step k lies between pixels k and k + 1; the first is left out of `excess`.
    at = np.sort(excess[BLOCK - 2 :: BLOCK])
    # Edges of the scene may lie on a few of the lines, and those of blocks lie on all: the largest eighth is left out.
    most = at[: len(at) - max(1, len(at) // 8)]
    return float(most.mean()) / (float(size.mean()) + 1.0)


def _seams(band: Band) -> float:
    steps = band[:, 1:] - band[:, :-1]
    jumps = steps[:, 1:-1] - 0.5 * (steps[:, :-2] + steps[:, 2:])
    parts = jumps.reshape(len(band) // PART, PART, *jumps.shape[1:]).mean(axis=1)
    size = np.sqrt(np.mean(parts * parts, axis=-1))
    few = int(FEW * (len(size) - 1))
    shared = np.partition(size, few, axis=0)[few]
    at = np.arange(BLOCK - 2, len(shared), BLOCK)  # jump k is at the line between pixels k + 1 and k + 2
    inside = at[(at >= FRAME * len(shared)) & (at <= (1.0 - FRAME) * len(shared))]
    return float(shared[inside].max(initial=0.0)) / (float(np.median(shared)) + 1.0)
