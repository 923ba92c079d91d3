"""Structural similarity of a picture to its reference, by scikit-image.

Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
similarity", IEEE TIP 13(4), 2004, with that paper's Gaussian window (sigma 1.5, 11 x 11) and population
covariance, per colour channel and averaged. The range of values is stated (255), never guessed from the
pictures.
"""

from __future__ import annotations

from typing import Any

from swapgate.metrics.kinds import Cost, Direction, Inputs, Metric, Need, each
from swapgate.metrics.pixels import Image, require_same_size

WINDOW = 11
"""Side of the window in pixels; no side of a picture may be shorter."""


def ssim(image: Image, reference: Image) -> float:
    """Mean SSIM of two pictures of one size: -1 to 1; 1 means identical, higher is closer.

    Raises:
        ValueError: the sizes differ, or a side is shorter than the window of 11 pixels.
    """
    require_same_size(image, reference)
    height, width = image.shape[:2]
    if min(height, width) < WINDOW:
        raise ValueError(f"SSIM looks through a window of {WINDOW} pixels; the pictures are {width}x{height}")
    from skimage import metrics

    by_skimage: Any = metrics.structural_similarity
    value = by_skimage(
        image,
        reference,
        channel_axis=-1,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(value)


def _of(inputs: Inputs) -> float:
    return ssim(inputs.picture(), inputs.reference_picture())


METRIC = Metric(
    name="ssim",
    unit="1",
    direction=Direction.HIGHER,
    low=-1.0,
    high=1.0,
    version=1,
    needs=frozenset({Need.REFERENCE}),
    cost=Cost.MODERATE,
    measure=each(_of),
)
