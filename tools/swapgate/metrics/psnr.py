"""Peak signal-to-noise ratio of a picture against its reference, in decibels.

Source: the definition 10 log10(255^2 / mean squared error), over all channel values at once. Identical
pictures have no error and an infinite ratio; a journal cannot hold infinity, so they get CAP_DB, which no
pair of different pictures reaches: one level in one channel value of a picture of 2265 x 2265 pixels is 120
dB, and 130 dB would take 50 million pixels.
"""

from __future__ import annotations

import math

import numpy as np

from swapgate.metrics.kinds import Cost, Direction, Inputs, Metric, Need, each
from swapgate.metrics.pixels import Image, require_same_size

CAP_DB = 130.0
"""What identical pictures get; exactly this value means identical."""


def psnr(image: Image, reference: Image) -> float:
    """PSNR in dB of two pictures of one size: 0 (black against white) to 130 (identical); higher is closer.

    Raises:
        ValueError: the sizes differ.
    """
    require_same_size(image, reference)
    difference = image.astype(np.int32) - reference.astype(np.int32)
    squared = float(np.mean(np.square(difference), dtype=np.float64))
    if squared == 0.0:
        return CAP_DB
    return min(10.0 * math.log10(255.0**2 / squared), CAP_DB)


def _of(inputs: Inputs) -> float:
    return psnr(inputs.picture(), inputs.reference_picture())


METRIC = Metric(
    name="psnr",
    unit="dB",
    direction=Direction.HIGHER,
    low=0.0,
    high=CAP_DB,
    version=1,
    needs=frozenset({Need.REFERENCE}),
    cost=Cost.CHEAP,
    measure=each(_of),
)
