"""Faults planted into healthy pictures, in three doses, each with the bit of health that must fail.

What each does is what a broken model, autoencoder or file does: a constant or black decoder, overflow, an autoencoder's
tiles decoded apart, an offset in a channel, copies of the picture in the picture, a grid of patches. A severe dose is one
that nobody would use a picture with, a mild one is hard to see. Chance comes from the given generator alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swapgate.metrics.pixels import Image

Rng = np.random.Generator
Plant = Callable[[Image, float, Rng], npt.NDArray[np.generic]]
"""From a healthy picture, an amount and chance to the faulty one."""

DOSES = ("mild", "moderate", "severe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: its name, the bit that must fail, the amount of each dose, what the amount is, and how it is planted."""

    id: str
    bit: str
    amounts: tuple[float, float, float]
    about: str
    plant: Plant


def planted(fault: Fault, dose: int, image: Image, rng: Rng) -> npt.NDArray[np.generic]:
    """The picture with the fault in dose 0 to 2; of the same size unless that is the fault."""
    return fault.plant(image, fault.amounts[dose], rng)


def resized(image: Image, width: int, height: int) -> Image:
    """The picture at another size, bicubic, [height, width, 3] uint8."""
    from PIL import Image as Pillow

    return np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BICUBIC))


def _levels(pixels: npt.NDArray[np.floating]) -> Image:
    levels: Image = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return levels


def _worn(image: Image, deviation: float, rng: Rng) -> Image:
    return _levels(image + rng.normal(0.0, deviation, image.shape))


def _blank(image: Image, left: float, rng: Rng) -> Image:
    mean = image.mean(axis=(0, 1))
    return _levels(mean + left * (image - mean) + rng.uniform(-1.5, 1.5, image.shape))


def _black(image: Image, left: float, rng: Rng) -> Image:
    return _levels(left * image.astype(np.float32) + rng.uniform(0.0, 3.0, image.shape))


def _white(image: Image, left: float, rng: Rng) -> Image:
    return _levels(255.0 - left * (255.0 - image) - rng.uniform(0.0, 1.0, image.shape))


def _contrast(image: Image, times: float, rng: Rng) -> Image:
    # What overflows is never quite even, so that plain areas go to both ends, too.
    uneven = image + rng.uniform(-1.0, 1.0, image.shape)
    return _levels(128.0 + times * (uneven - np.median(uneven, axis=(0, 1), keepdims=True)))


def _cast(image: Image, levels: float, rng: Rng) -> Image:
    ways = ((1, -1, 0), (-1, 1, 0), (1, 0, -1), (-1, 0, 1), (0, 1, -1), (0, -1, 1))
    return _levels(image + levels * np.array(ways[rng.integers(len(ways))], np.float32))


def _noise(image: Image, share: float, rng: Rng) -> Image:
    grey = rng.random() < 0.3
    noise = rng.integers(0, 256, (*image.shape[:2], 1 if grey else 3)) if rng.random() < 0.5 else rng.normal(128.0, 45.0, image.shape)
    return _levels((1.0 - share) * image + share * noise)


def _blotches(image: Image, share: float, rng: Rng) -> Image:
    from PIL import Image as Pillow

    height, width = image.shape[:2]
    grain = max(2, min(height, width) // int(rng.choice([32, 64])))
    cells = rng.normal(0.0, 60.0, (3, -(-height // grain), -(-width // grain))).astype(np.float32)
    planes = [np.asarray(Pillow.fromarray(plane).resize((width, height), Pillow.Resampling.BICUBIC)) for plane in cells]
    return _levels((1.0 - share) * image + share * (128.0 + np.stack(planes, axis=-1)))


def _tiled(image: Image, wear: float, rng: Rng) -> Image:
    height, width = image.shape[:2]
    copies = int(rng.integers(3, 9))
    part = resized(image, -(-width // copies), -(-height // copies))
    return _worn(np.tile(part, (copies, copies, 1))[:height, :width], wear, rng)


def _upright(image: Image, rng: Rng, fault: Callable[[Image], Image]) -> Image:
    """The fault between left and right, or between top and bottom."""
    if rng.random() < 0.5:
        return fault(image)
    return np.ascontiguousarray(fault(image.transpose(1, 0, 2)).transpose(1, 0, 2))


def _duplicated(image: Image, wear: float, rng: Rng) -> Image:
    def twice(one: Image) -> Image:
        half = one[:, : one.shape[1] // 2]
        return np.concatenate([half, half, one[:, 2 * half.shape[1] :]], axis=1)

    return _worn(_upright(image, rng, twice), wear, rng)


def _mirrored(image: Image, wear: float, rng: Rng) -> Image:
    def folded(one: Image) -> Image:
        half = one[:, : one.shape[1] // 2]
        return np.concatenate([half, one[:, half.shape[1] : one.shape[1] - half.shape[1]], half[:, ::-1]], axis=1)

    return _worn(_upright(image, rng, folded), wear, rng)


def _gridded(image: Image, levels: float, rng: Rng) -> Image:
    y, x = np.indices(image.shape[:2])
    period = int(rng.choice([8, 16]))
    patterns = (
        (x % period == 0) | (y % period == 0),
        (x % period < period // 2) ^ (y % period < period // 2),
        (x // 2 + y // 2) % 2 == 0,
    )
    pattern = np.where(patterns[rng.integers(len(patterns))], levels, -levels)
    return _levels(image.astype(np.float32) + pattern[..., np.newaxis])


def _blocky(image: Image, quality: float, rng: Rng) -> Image:  # noqa: ARG001 - one signature for all faults
    from PIL import Image as Pillow

    file = io.BytesIO()
    Pillow.fromarray(image).save(file, "JPEG", quality=int(quality), subsampling=2)
    return np.asarray(Pillow.open(file).convert("RGB"))


def _seamed(image: Image, levels: float, rng: Rng) -> Image:
    """Tiles of an autoencoder decoded apart: each has its mean and contrast of its own, and borders at multiples of 8."""
    height, width = image.shape[:2]
    parts = int(rng.integers(2, 5))
    rows, columns = (8 * round(side / parts / 8) for side in (height, width))
    y, x = (np.minimum(np.arange(side) // tile, parts) for side, tile in ((height, rows), (width, columns)))
    signs = 1.0 - 2.0 * ((y[:, np.newaxis] + x) % 2)
    colour = rng.uniform(0.5, 1.0, 3) * rng.choice([-1.0, 1.0])
    contrast = rng.normal(1.0, 0.03, (parts + 1, parts + 1))
    mean = image.mean(axis=(0, 1), keepdims=True)
    scaled = mean + (image - mean) * contrast[y[:, np.newaxis], x][..., np.newaxis]
    return _levels(scaled + levels * signs[..., np.newaxis] * colour)


def _other_size(image: Image, less: float, rng: Rng) -> Image:  # noqa: ARG001 - one signature for all faults
    height, width = image.shape[:2]
    return resized(image, width - int(less), height)


def _other_mode(image: Image, kind: float, rng: Rng) -> npt.NDArray[np.generic]:  # noqa: ARG001
    if kind == 0:
        return np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)
    return image[..., 0] if kind == 1 else image.astype(np.float32) / 255.0


FAULTS: Sequence[Fault] = (
    Fault(id="blank", bit="not_constant", amounts=(0.2, 0.05, 0.0), about="contrast left, times", plant=_blank),
    Fault(id="black", bit="not_black", amounts=(0.3, 0.1, 0.02), about="brightness left, times", plant=_black),
    Fault(id="white", bit="not_blown", amounts=(0.2, 0.05, 0.01), about="darkness left, times", plant=_white),
    Fault(id="clipped", bit="not_clipped", amounts=(2.0, 10.0, 1000.0), about="contrast about the median, times", plant=_contrast),
    Fault(id="cast", bit="not_cast", amounts=(30.0, 100.0, 200.0), about="one channel more, another less, levels", plant=_cast),
    Fault(id="noise", bit="not_noise", amounts=(0.4, 0.7, 1.0), about="share of white noise", plant=_noise),
    Fault(id="blotches", bit="not_noise", amounts=(0.4, 0.7, 1.0), about="share of blotchy noise", plant=_blotches),
    Fault(id="tiled", bit="not_tiled", amounts=(16.0, 4.0, 1.0), about="3 to 8 copies a side; wear, levels", plant=_tiled),
    Fault(id="duplicated", bit="not_duplicated", amounts=(16.0, 4.0, 1.0), about="a half twice; wear, levels", plant=_duplicated),
    Fault(id="mirrored", bit="not_mirrored", amounts=(8.0, 2.0, 0.5), about="a half turned round; wear, levels", plant=_mirrored),
    Fault(id="gridded", bit="not_gridded", amounts=(3.0, 8.0, 24.0), about="lines or squares, levels up and down", plant=_gridded),
    Fault(id="blocky", bit="not_blocky", amounts=(30.0, 12.0, 4.0), about="quality of JPEG", plant=_blocky),
    Fault(id="seamed", bit="not_seamed", amounts=(3.0, 8.0, 32.0), about="2 to 4 tiles a side, levels up and down", plant=_seamed),
    Fault(id="size", bit="size", amounts=(1.0, 8.0, 64.0), about="pixels narrower", plant=_other_size),
    Fault(id="mode", bit="mode", amounts=(0.0, 1.0, 2.0), about="with alpha, grey, floats", plant=_other_mode),
)
"""Every fault, in the order of the bits."""
