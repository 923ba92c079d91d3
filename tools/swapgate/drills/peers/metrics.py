"""The measures that other projects' suites judge pictures by, as those projects define them; none is a metric of ours.

Pictures are uint8 [H, W, 3], sRGB, 0 to 255. A measure of two pictures takes (picture, reference); it raises ValueError
where the peer's own code would fail, e.g. on pictures of unequal size: at the peer such a test is red, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from swapgate.metrics.pixels import Image, require_same_size
from swapgate.metrics.ssim import ssim as gaussian_ssim

MS_SSIM_SIDE = 160
"""The MS-SSIM that FastVideo calls refuses pictures whose smaller side is not above this: four halvings leave no window of 11."""
_MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
Floats = npt.NDArray[np.float64]


class TooSmallError(ValueError):
    """A picture that the measure is not defined for: the rule is not run on it, it neither passes nor fails."""


def ssim_rgb(image: Image, reference: Image) -> float:
    """Mean SSIM by scikit-image's defaults over the colour channels: -1 to 1, higher is closer.

    A uniform window of 7 x 7 with sample covariance, range 255, no Gaussian weights: `structural_similarity(a, b,
    channel_axis=-1, data_range=255)`, as SGLang, ComfyUI's tests/compare and difftest call it.
    """
    require_same_size(image, reference)
    from skimage import metrics

    by_skimage: Any = metrics.structural_similarity
    return float(by_skimage(image, reference, channel_axis=-1, data_range=255))


def ssim_gaussian_rgb(image: Image, reference: Image) -> float:
    """Mean SSIM as torchmetrics computes it (kernel 11, sigma 1.5, population covariance, borders left out): -1 to 1, higher is closer.

    Used by vLLM-Omni on pictures in [0, 1] with range 1; the measure does not depend on that scale. It is the definition
    of Wang et al. 2004, and so the same as this suite's own SSIM.
    """
    return gaussian_ssim(image, reference)


def ssim_rgb_resized(image: Image, reference: Image) -> float:
    """`ssim_rgb` after the picture was brought to the reference's size by Lanczos: difftest resizes without a word."""
    if image.shape != reference.shape:
        from PIL import Image as Pictures

        size = (reference.shape[1], reference.shape[0])
        image = np.asarray(Pictures.fromarray(image).resize(size, Pictures.Resampling.LANCZOS))
    return ssim_rgb(image, reference)


def psnr(image: Image, reference: Image) -> float:
    """10 log10(255^2 / mean squared error) in dB over all channel values, infinite for equal pictures: higher is closer."""
    squared = float(np.mean(np.square(_difference(image, reference))))
    return math.inf if squared == 0.0 else 10.0 * math.log10(255.0**2 / squared)


def mad255(image: Image, reference: Image) -> float:
    """Mean absolute difference of the channel values, 0 to 255, lower is closer (SGLang)."""
    return float(np.mean(np.abs(_difference(image, reference))))


def mean_abs_01(image: Image, reference: Image) -> float:
    """Mean absolute difference of the channel values in [0, 1], lower is closer (vLLM-Omni)."""
    return mad255(image, reference) / 255.0


def p99_abs_01(image: Image, reference: Image) -> float:
    """The 0.99 quantile (linear interpolation) of the absolute differences of channel values in [0, 1], lower is closer (vLLM-Omni)."""
    return float(np.quantile(np.abs(_difference(image, reference)), 0.99)) / 255.0


def dhash64_share(image: Image, reference: Image) -> float:
    """Share of differing bits of two 64-bit difference hashes, 0 to 1, lower is closer (ComfyUI-test-framework).

    A hash is of the grey picture at 9 x 8 pixels (Lanczos): one bit for each pixel that is darker than its right
    neighbour. Pictures need not have one size.
    """
    return float(np.mean(_dhash(image) != _dhash(reference)))


def cosine_first_row_30(image: Image, reference: Image) -> float:
    """1 - cosine of the first ten pixels of the first row, 30 channel values: 0 to 1, lower is closer (diffusers).

    diffusers compares with 30 stored numbers of a picture in [0, 1]; the measure ignores scale, so 0 to 255 is the same.
    NaN where one of the two is black there, which no rule lets pass.
    """
    ours, theirs = (picture[0, :10].astype(np.float64).ravel() for picture in (image, reference))
    norm = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
    return 1.0 - float(ours @ theirs) / norm if norm else math.nan


def ms_ssim(image: Image, reference: Image) -> float:
    """Multi-scale SSIM of five scales: 0 to 1, higher is closer.

    Source: Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment", Asilomar 2003:
    contrast and structure at every scale, luminance at the coarsest only, the paper's weights; Gaussian window of 11 and
    sigma 1.5, halved by averaging 2 x 2, negative terms cut at zero, mean over channels, as pytorch_msssim does, which FastVideo calls.

    Raises:
        TooSmallError: the smaller side is 160 pixels or less; that library refuses such pictures instead of using fewer scales.
    """
    require_same_size(image, reference)
    if min(image.shape[:2]) <= MS_SSIM_SIDE:
        height, width = image.shape[:2]
        raise TooSmallError(f"five scales need a side above {MS_SSIM_SIDE} pixels, and these pictures have {width}x{height}")
    ours, theirs = image.astype(np.float64), reference.astype(np.float64)
    product = np.ones(3)
    for scale, weight in enumerate(_MS_WEIGHTS):
        whole, contrast = _ssim_parts(ours, theirs)
        last = scale == len(_MS_WEIGHTS) - 1
        product *= np.maximum(whole if last else contrast, 0.0) ** weight
        if not last:
            ours, theirs = _halved(ours), _halved(theirs)
    return float(product.mean())


def any_nonzero(image: Image, _: Image) -> float:
    """1 when any channel value of the picture is not zero, else 0 (ComfyUI's tests/inference); the reference is not looked at."""
    return float(bool(image.any()))


Measure = Callable[[Image, Image], float]
METRICS: Mapping[str, Measure] = MappingProxyType(
    {
        "ssim_rgb": ssim_rgb,
        "ssim_gaussian_rgb": ssim_gaussian_rgb,
        "ssim_rgb_resized": ssim_rgb_resized,
        "psnr": psnr,
        "mad255": mad255,
        "mean_abs_01": mean_abs_01,
        "p99_abs_01": p99_abs_01,
        "dhash64_share": dhash64_share,
        "cosine_first_row_30": cosine_first_row_30,
        "ms_ssim": ms_ssim,
        "any_nonzero": any_nonzero,
    }
)
ANY_SIZE = frozenset({"ssim_rgb_resized", "dhash64_share", "cosine_first_row_30", "any_nonzero"})
"""Measures that take a picture of another size than its reference; the others raise on it."""
NOT_AT_HAND: Mapping[str, str] = MappingProxyType(
    {
        "clip_image_vitl14": "the weights of CLIP ViT-L/14",
        "clip_text_b32": "the weights of CLIP ViT-B/32",
        "clip_text": "the weights of the peer's CLIP; the bundled judge is another measure",
        "image_reward": "the weights of ImageReward",
        "lpips": "LPIPS with the weights of its backbone (which one is not stated)",
        "lpips_alex": "LPIPS with the weights of AlexNet",
    }
)
"""Metrics that are listed and not run, with what they need: weight files that are neither bundled nor downloaded."""


def _difference(image: Image, reference: Image) -> Floats:
    require_same_size(image, reference)
    difference: Floats = image.astype(np.float64) - reference.astype(np.float64)
    return difference


def _dhash(image: Image) -> npt.NDArray[np.bool_]:
    from PIL import Image as Pictures

    grey = np.asarray(Pictures.fromarray(image).convert("L").resize((9, 8), Pictures.Resampling.LANCZOS))
    bits: npt.NDArray[np.bool_] = grey[:, 1:] > grey[:, :-1]
    return bits


def _ssim_parts(ours: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Mean SSIM and mean contrast-structure term of each channel, where the whole window lies inside the picture."""
    small, large = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = _blurred(ours), _blurred(theirs)
    var_a = _blurred(ours * ours) - mean_a**2
    var_b = _blurred(theirs * theirs) - mean_b**2
    together = _blurred(ours * theirs) - mean_a * mean_b
    contrast = (2 * together + large) / (var_a + var_b + large)
    whole = contrast * (2 * mean_a * mean_b + small) / (mean_a**2 + mean_b**2 + small)
    return whole.mean(axis=(0, 1)), contrast.mean(axis=(0, 1))


def _blurred(picture: Floats) -> Floats:
    offsets = np.arange(11) - 5.0
    kernel = np.exp(-(offsets**2) / (2 * 1.5**2))
    kernel /= kernel.sum()
    windows = np.lib.stride_tricks.sliding_window_view
    down: Floats = windows(picture, 11, axis=0) @ kernel
    across: Floats = windows(down, 11, axis=1) @ kernel
    return across


def _halved(picture: Floats) -> Floats:
    """Averages of 2 x 2 pixels; an odd side gets a row of zeros before it, as the peer's library pads."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((height % 2, height % 2), (width % 2, width % 2), (0, 0)))
    padded = padded[: padded.shape[0] // 2 * 2, : padded.shape[1] // 2 * 2]
    halved: Floats = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    return halved
