"""A judge for the pictures of the scripted engine: reads their barcode, needs no weights, and is exact.

A feature vector has one entry for every (cell, colour) of the barcode. A text sets the entries that its meaning words
mark, a picture those that its barcode shows; both have unit length, so a picture has cosine 1 with its own prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swapgate.engines.scripted_pictures import COLUMNS, PALETTE, ROWS, draw, read_cells
from swapgate.metrics.clip import Features
from swapgate.metrics.pixels import Image

SIDE = 64  # a picture of this size is drawn to read the marks of a text: large enough for every cell to be whole pixels


class ScriptedJudge:
    """See `swapgate.metrics.clip.Judge`."""

    @property
    def identity(self) -> str:
        return "scripted/1"

    @property
    def device(self) -> str:
        return "cpu"

    def image_features(self, images: Sequence[Image]) -> Features:
        """Unit vectors [n, 1920] of pictures; a picture without a single mark has the zero vector."""
        return _features([read_cells(image) for image in images])

    def text_features(self, texts: Sequence[str]) -> Features:
        """Unit vectors [n, 1920] of texts; a text without meaning words has the zero vector."""
        return _features([read_cells(draw(text, 0, SIDE, SIDE)) for text in texts])


def _features(cells: Sequence[Sequence[int]]) -> Features:
    vectors = np.zeros((len(cells), ROWS * COLUMNS, len(PALETTE)), np.float32)
    for row, colours in enumerate(cells):
        vectors[row, np.arange(ROWS * COLUMNS), np.asarray(colours)] = 1.0
    flat = vectors[:, :, 1:].reshape(len(cells), ROWS * COLUMNS * (len(PALETTE) - 1))
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(lengths, 1e-12), np.float32)
