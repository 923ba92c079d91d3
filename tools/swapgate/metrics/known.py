"""How often each bit of health is right on pictures whose state is known: healthy ones, and ones with a planted fault.

    healthy = [*photographs(), *pictures_in(folder), ...]     pictures [H, W, 3] that nothing is wrong with
    specificity(healthy)                                      for each bit, how many it calls healthy
    sensitivity(healthy, n=500)                               for each fault and dose, how many of n its bit calls ill

Photographs are those that scikit-image ships, whole and in crops at three sizes; crops of one photograph are not
independent, so intervals of counts over them are somewhat too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from swapgate.metrics.counts import Count
from swapgate.metrics.health import BITS, HealthReport, check
from swapgate.metrics.pixels import Image
from swapgate.metrics.planted import DOSES, FAULTS, Fault, planted, resized
from swapgate.metrics.threads import side_by_side

PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png", "grass.png",
    "gravel.png", "hubble_deep_field.jpg", "ihc.png", "microaneurysms.png", "moon.png", "motorcycle_left.png", "page.png",
    "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip
"""Photographs and scans of scikit-image; its drawings and masks are left out."""
SIDES = (128, 256, 512)
"""Sides in pixels of the squares that photographs are brought to."""


def photographs(crops: int = 5, seed: int = 0) -> Iterator[Image]:
    """Each photograph at its own size, and whole and in `crops` crops of at least half its shorter side at each of `SIDES`."""
    import skimage
    from PIL import Image as Pillow

    rng = np.random.default_rng(seed)
    folder = Path(skimage.__file__).parent / "data"
    for path in (folder / name for name in PHOTOGRAPHS):
        if not path.is_file():
            continue
        with Pillow.open(path) as file:
            photograph = np.asarray(file.convert("RGB"))
        yield photograph
        for side in SIDES:
            yield resized(photograph, side, side)
            for _ in range(crops):
                yield resized(_crop(photograph, rng), side, side)


def _crop(image: Image, rng: np.random.Generator) -> Image:
    rows, columns = image.shape[:2]
    side = int(min(rows, columns) * rng.uniform(0.5, 1.0))
    top, left = rng.integers(0, rows - side + 1), rng.integers(0, columns - side + 1)
    return image[top : top + side, left : left + side]


def pictures_in(folder: Path) -> Iterator[Image]:
    """The lossless pictures below a folder, by path."""
    from PIL import Image as Pillow

    for path in sorted(found for found in folder.rglob("*") if found.suffix in (".png", ".webp")):
        with Pillow.open(path) as file:
            yield np.asarray(file.convert("RGB"))


def checked(image: Image) -> HealthReport:
    """The health of a picture that was asked for at its own size."""
    return check(image, image.shape[1], image.shape[0])


def specificity(healthy: Sequence[Image]) -> list[Count]:
    """For each bit, how many of the healthy pictures it calls healthy."""
    reports = side_by_side(checked, healthy)
    return [Count(bit=bit, right=sum(report.bits[bit] for report in reports), n=len(reports)) for bit in BITS]


def sensitivity(healthy: Sequence[Image], n: int, doses: Sequence[str] = DOSES, faults: Sequence[Fault] = FAULTS, seed: int = 0) -> list[Count]:
    """For each fault and dose, how many of `n` pictures with it its bit calls ill; each picture is planted by a chance of its own."""
    return [_found(fault, DOSES.index(dose), healthy, n, seed) for fault in faults for dose in doses]


def _found(fault: Fault, dose: int, healthy: Sequence[Image], n: int, seed: int) -> Count:
    chosen = np.random.default_rng([seed, 1]).permutation(np.arange(n) % len(healthy))  # the same pictures for every fault and dose

    def ill(number: int) -> bool:
        image = healthy[chosen[number]]
        faulty = planted(fault, dose, image, np.random.default_rng([seed, 2, number]))
        return not check(faulty, image.shape[1], image.shape[0]).bits[fault.bit]

    found = side_by_side(ill, range(n))
    return Count(bit=fault.bit, fault=fault.id, dose=DOSES[dose], right=sum(found), n=n)
