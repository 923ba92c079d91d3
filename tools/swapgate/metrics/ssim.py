"""Structural similarity of a picture to its reference, on processor threads or a GPU.

Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
similarity", IEEE TIP 13(4), 2004, with that paper's Gaussian window (sigma 1.5, 11 x 11) and population
covariance, per colour channel and averaged over the places where the whole window lies inside the picture. The
range of values is stated (255), never guessed from the pictures.

Two ways to the same number, which tests hold against each other to 1e-10: scikit-image where torch is not loaded, since
loading it takes as long as four pairs of a million pixels; and a quicker one with torch where a judge has loaded it, or
on a GPU. The window is a product of two lines, so rows are weighed first and columns after. Four maps are enough instead
of five, since for s = x + y and d = x - y 4 E[x] E[y] = E[s]^2 - E[d]^2, and so on. Weighing neighbouring places at once
is a product with a small banded matrix, which every device is best at, and strips of few rows stay in a processor's
cache. It computes in double precision: variances are small differences of large numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from swapgate.metrics.kinds import Cost, Direction, Inputs, Metric, Need
from swapgate.metrics.pixels import Image, require_same_size
from swapgate.metrics.threads import borrowed, side_by_side

if TYPE_CHECKING:
    import torch

WINDOW = 11
"""Side of the window in pixels; no side of a picture may be shorter."""
SIGMA = 1.5
MORE = WINDOW - 1
"""Pixels that so many places in a line need beyond their number."""
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
PLACES = {"cpu": 24, "cuda": 128}
"""Rows of a strip, and columns weighed at once: on a processor the quickest of 12 to 128, on a GPU enough to fill it."""

Pair = tuple[Image, Image]


def ssim(image: Image, reference: Image) -> float:
    """Mean SSIM of two pictures of one size: -1 to 1; 1 means identical, higher is closer.

    Raises:
        ValueError: the sizes differ, or a side is shorter than the window of 11 pixels.
    """
    return ssims([(image, reference)])[0]


def ssims(pairs: Sequence[Pair], *, device: str = "cpu") -> list[float]:
    """Mean SSIM of each pair, computed on a torch device; pairs may be of different sizes. A thread holds one strip at a time.

    Raises:
        ValueError: the sizes of a pair differ, or a side is shorter than the window of 11 pixels.
    """
    for image, reference in pairs:
        require_same_size(image, reference)
        height, width = image.shape[:2]
        if min(height, width) < WINDOW:
            raise ValueError(f"SSIM looks through a window of {WINDOW} pixels; the pictures are {width}x{height}")
    if device == "cpu" and "torch" not in sys.modules:
        return side_by_side(by_skimage, pairs)
    return by_torch(pairs, device)


def by_skimage(pair: Pair) -> float:
    """Mean SSIM of a pair by scikit-image, on one thread."""
    from skimage import metrics

    measure: Any = metrics.structural_similarity
    return float(measure(*pair, channel_axis=-1, data_range=255, gaussian_weights=True, sigma=SIGMA, use_sample_covariance=False))


def by_torch(pairs: Sequence[Pair], device: str) -> list[float]:
    """Mean SSIM of each pair by torch: on a processor strip by strip on several threads, on a GPU one after the other."""
    import torch

    where = torch.device(device)
    places = PLACES[where.type]
    strips = [(pair, top) for pair in pairs for top in range(0, _rows(pair), places)]
    if where.type == "cpu":
        with borrowed(1):  # of torch's own threads, in each of these
            sums = side_by_side(lambda strip: float(_strip(*strip, places, where)), strips)
    else:
        # Nothing is read back until the last strip is on its way: the GPU computes while the next one is sent.
        sums = torch.stack([_strip(*strip, places, where) for strip in strips]).tolist() if strips else []
    found, at = [], 0
    for pair in pairs:
        count = -(-_rows(pair) // places)
        mean = sum(sums[at : at + count]) / (3 * _rows(pair) * (pair[0].shape[1] - MORE))
        found.append(min(max(mean, METRIC.low), METRIC.high))  # a sum of ones may be rounded up
        at += count
    return found


def _rows(pair: Pair) -> int:
    """Rows of places where the whole window lies inside the picture."""
    height: int = pair[0].shape[0]
    return height - MORE


def _strip(pair: Pair, top: int, places: int, device: torch.device) -> torch.Tensor:
    """Sum of SSIM over `places` rows of places from `top`, or as many as there are, and three channels: one number on the device."""
    import torch

    with torch.inference_mode():  # a setting of each thread
        first, second = (_channels(one[top : top + places + MORE], device) for one in pair)
        height, _, width = first.shape
        maps = torch.empty((height, 4, 3, width), dtype=torch.float64, device=device)
        torch.add(first, second, out=maps[:, 0])
        torch.sub(first, second, out=maps[:, 1])
        torch.mul(maps[:, :2], maps[:, :2], out=maps[:, 2:])
        found = _of_moments(_weighed(maps.view(height, -1), width, places))
        beyond = found.shape[0] * places - (width - MORE)
        return found.sum() - found[-1, ..., places - beyond :].sum()


def _channels(rows: Image, device: torch.device) -> torch.Tensor:
    """Rows [h, w, 3] uint8 as [h, 3, w] float64 on the device; copied, since torch takes no array that may not be written to."""
    import torch

    given = torch.from_numpy(np.array(rows, order="C")).to(device).permute(0, 2, 1)
    return torch.empty(given.shape, dtype=torch.float64, device=device).copy_(given)


def _weighed(maps: torch.Tensor, width: int, places: int) -> torch.Tensor:
    """Maps [h, 4 x 3 x width] weighed by the window, [blocks, h - 10, 4, 3, places]; the last block may reach beyond a line's last place.

    What stands there is of the next line, or of the zeros behind the last: it is to be left out.
    """
    import torch

    rows, columns = maps.shape[0] - MORE, maps.shape[1]
    lines, blocks = rows * columns // width, -(-(width - MORE) // places)
    upright = torch.zeros(rows * columns + places + MORE, dtype=torch.float64, device=maps.device)
    torch.mm(_band(rows, maps.device), maps, out=upright[: rows * columns].view(rows, columns))
    across = upright.as_strided((blocks, lines, places + MORE), (places, width, 1))
    return torch.matmul(across, _band(places, maps.device).T).view(blocks, rows, 4, 3, places)


def _of_moments(moments: torch.Tensor) -> torch.Tensor:
    """SSIM of each place, [blocks, rows, 3, places], from the weighed s, d, s^2 and d^2 of `_weighed`.

    4 E[x] E[y] = E[s]^2 - E[d]^2 and 2 (E[x]^2 + E[y]^2) = E[s]^2 + E[d]^2; covariance and variances likewise from E[s^2]
    and E[d^2]. Each of the formula's four factors stands here twice over, which a quotient does not show.
    """
    plus, minus, plus_square, minus_square = moments.unbind(2)
    plus, minus = plus.square(), minus.square()
    product, energy = plus - minus, plus.add_(minus)
    covariance = (plus_square - minus_square).sub_(product)
    variance = (plus_square + minus_square).sub_(energy)
    above = product.add_(2 * C1).mul_(covariance.add_(2 * C2))
    return above.div_(energy.add_(2 * C1).mul_(variance.add_(2 * C2)))


@lru_cache(maxsize=256)
def _band(places: int, device: torch.device) -> torch.Tensor:
    """The matrix [places, places + 10] that weighs so many neighbouring places with the window's line, whose sum is 1."""
    import torch

    line = torch.exp(-0.5 * ((torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2) / SIGMA) ** 2)
    band = torch.zeros(places, places + MORE, dtype=torch.float64)
    for place in range(places):
        band[place, place : place + WINDOW] = line / line.sum()
    return band.to(device)


def _of(batch: Sequence[Inputs]) -> list[float]:
    return ssims([(inputs.picture(), inputs.reference_picture()) for inputs in batch])


METRIC = Metric(
    name="ssim",
    unit="1",
    direction=Direction.HIGHER,
    low=-1.0,
    high=1.0,
    version=1,  # both ways give the number of the first baselines to 1e-12, and scores are kept to 1e-6
    needs=frozenset({Need.REFERENCE}),
    cost=Cost.MODERATE,
    measure=_of,
)
