"""What every metric on pixels shares: the picture type, its checks, brightness and the difference map.

A picture is a numpy array of shape [H, W, 3], dtype uint8, sRGB, values 0 to 255. Nothing here resizes, crops
or guesses a value range: pictures of unequal size are an error, because an overlap of two pictures can be
equal while the pictures are not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""A picture: [H, W, 3] uint8, sRGB, 0 to 255."""


def is_rgb(image: npt.NDArray[np.generic]) -> bool:
    """Whether the array is a picture: [H, W, 3] of uint8 with at least one pixel."""
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size > 0


def require_rgb(image: npt.NDArray[np.generic]) -> None:
    """Refuse what is not a picture.

    Raises:
        ValueError: the array is not [H, W, 3] uint8.
    """
    if not is_rgb(image):
        raise ValueError(f"a picture is uint8 [H, W, 3]; given {image.dtype} {list(image.shape)}")


def require_same_size(image: Image, reference: Image) -> None:
    """Refuse two arrays that are not pictures of one size.

    Raises:
        ValueError: one is not a picture, or their sizes differ (never cropped or resized to fit).
    """
    require_rgb(image)
    require_rgb(reference)
    if image.shape != reference.shape:
        (h, w), (rh, rw) = image.shape[:2], reference.shape[:2]
        raise ValueError(f"pictures of unequal size are not compared: {w}x{h} against {rw}x{rh}")


def luma(image: Image) -> npt.NDArray[np.float32]:
    """Brightness of each pixel, [H, W] float32, 0 to 255, by the BT.601 weights of JPEG and Pillow's "L"."""
    red, green, blue = (image[..., channel].astype(np.float32) for channel in range(3))
    brightness: npt.NDArray[np.float32] = 0.299 * red + 0.587 * green + 0.114 * blue
    return brightness


def difference_map(image: Image, reference: Image, gain: int = 8) -> Image:
    """Where two pictures differ, for a person to look at.

    Args:
        image: [H, W, 3] uint8.
        reference: [H, W, 3] uint8 of the same size.
        gain: the absolute difference is multiplied by this and capped at 255, so that a difference of a few
            levels, invisible by eye, can be seen. At least 1.

    Returns:
        [H, W, 3] uint8; black where the pictures are equal.

    Raises:
        ValueError: the sizes differ, or the gain is below 1.
    """
    require_same_size(image, reference)
    if gain < 1:
        raise ValueError(f"gain={gain} must be at least 1; with 1 the difference is shown as it is")
    difference = np.abs(image.astype(np.int32) - reference.astype(np.int32)) * gain
    seen: Image = np.minimum(difference, 255).astype(np.uint8)
    return seen
