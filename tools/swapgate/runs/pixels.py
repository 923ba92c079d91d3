"""The identity of a picture: the SHA-256 of its pixels with size and mode, never of an encoded file.

Two PNG files of the same pixels differ when the encoder does; a picture's name must not.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
MODE = "RGB"


def pixel_hash(pixels: Pixels) -> str:
    """SHA-256 (hex) of `pixels` (uint8, height x width x 3) with size and mode.

    Raises:
        ValueError: another shape or type.
    """
    checked = checked_pixels(pixels)
    height, width = checked.shape[:2]
    found = hashlib.sha256(f"{MODE} {width}x{height}\n".encode())
    found.update(np.ascontiguousarray(checked).data)
    return found.hexdigest()


def checked_pixels(pixels: Any) -> Pixels:
    """`pixels` when they are uint8, height x width x 3 and not empty, else ValueError."""
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        shown = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise ValueError(f"a picture is uint8 of shape (height, width, 3); this is {shown}")
    return pixels
