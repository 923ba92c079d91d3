"""Pictures of a report: lossless copies named by the hash of their pixels (previews where those would be too large), and difference maps.

A difference map shows, for every pixel, the largest absolute difference of the three channels, times GAIN and
clipped, from black (equal) over red to pale yellow. The gain is fixed, so that maps can be compared with each other.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swapgate.report.model import Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

GAIN = 4
MAP_SIDE = 384  # a map is looked at, not measured: larger pictures are reduced by their mean first
MOST_BYTES = 120 * 2**20  # of pictures and maps; above it pictures are shown reduced, and the run folder keeps the originals
SIDES = (1024, 768, 512, 384, 256, 192, 128)  # of previews: the largest that fits
THUMBNAIL = 512  # in a single file
QUALITY = 80
_PREVIEW_RATE, _MAP_RATE = 0.14, 0.1  # bytes a pixel of a busy picture at QUALITY, and of its map (measured on photographs, tests/benchmarks)
REENCODED_PIXELS = 256 * 256  # above this a second lossless encoding costs more seconds than it saves bytes
FORMATS = {"PNG": "png", "WEBP": "webp", "JPEG": "jpg"}
_OURS = re.compile(r"((diff-)?[0-9a-f]{8,64}(-\d+)?\.(png|webp|jpg))|(page-[0-9a-f]{32}\.(en|zh)\.html)")
_LADDER = ((0.0, (8, 8, 14)), (0.2, (74, 14, 62)), (0.5, (204, 48, 62)), (0.8, (250, 158, 48)), (1.0, (255, 250, 205)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A file below report/, as the first page refers to it, or the picture itself as a data: address; width and height in pixels.

    full: the size of the original, where this is a preview of it; None where it is the original.
    """

    src: str
    width: int
    height: int
    full: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The map of one pair. largest and mean are absolute differences of 8-bit channels, in [0, 255].

    picture is None where a map cannot be drawn: sizes are then both sides' where they differ, and None where a picture cannot be read.
    """

    picture: Picture | None
    largest: int | None = None
    mean: float | None = None
    sizes: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """Every picture of a report by hash, every difference by pair of hashes; absent hashes have no readable file. side: of previews, None for originals."""

    pictures: dict[str, Picture]
    differences: dict[tuple[str, str], Difference]
    side: int | None = None

    def picture(self, sha: str | None) -> Picture | None:
        return self.pictures.get(sha) if sha else None

    def difference(self, one: str | None, other: str | None) -> Difference | None:
        return self.differences.get((one, other)) if one and other else None


def collect(report: Report, source: Callable[[str], Path | None], folder: Path | None, *, most_bytes: int = MOST_BYTES) -> Album:
    """Put every picture that `report` names into `folder` and draw the difference maps there; into the addresses themselves where it is None.

    source gives the file of a hash, or None; a file that does not decode counts as absent. Where the originals take more than `most_bytes`,
    previews of the largest side that fits stand for them. Files of an earlier build that are no longer named stay until `prune`.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    pairs = _pairs(report)
    files = {sha: path for sha in sorted(_named(report)) if (path := source(sha)) is not None}
    side = THUMBNAIL if folder is None else _side(files, len(pairs), most_bytes)
    map_side = min(MAP_SIDE, side or MAP_SIDE)
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:  # PIL and numpy let go of the lock
        kept = pool.map(lambda sha: _keep(sha, files[sha], folder, side), files)
        pictures = {sha: picture for sha, picture in zip(files, kept, strict=True) if picture is not None}
        both = [pair for pair in pairs if pair[0] in pictures and pair[1] in pictures]
        drawn = pool.map(lambda pair: _difference(pair[0], pair[1], files, folder, map_side), both)
        differences = dict(zip(both, drawn, strict=True))
    return Album(pictures=pictures, differences=differences, side=side)


def prune(folder: Path, album: Album, pages: Iterable[Path]) -> None:
    """Remove from `folder` what an earlier build left there and neither the album nor `pages` name, so that it never grows."""
    used = [*album.pictures.values(), *(entry.picture for entry in album.differences.values() if entry.picture)]
    names = {Path(picture.src).name for picture in used} | {page.name for page in pages}
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name) and path.name not in names:
            path.unlink()


def _side(files: dict[str, Path], maps: int, most: int) -> int | None:
    """The largest side of previews that all pictures and maps have room for; None where the originals fit."""
    room = most - maps * _MAP_RATE * MAP_SIDE**2 / 8  # a map of a picture that fits is mostly smaller than the whole side
    if sum(path.stat().st_size for path in files.values()) <= room:
        return None

    def taken(side: int) -> float:
        return side**2 * _PREVIEW_RATE * len(files) + min(side, MAP_SIDE) ** 2 * _MAP_RATE * maps

    return next((side for side in SIDES if taken(side) <= most), SIDES[-1])


def difference_map(one: NDArray[np.uint8], other: NDArray[np.uint8], side: int = MAP_SIDE) -> tuple[NDArray[np.uint8], int, float]:
    """(map, largest, mean) of two (height, width, 3) uint8 pictures; the map is (h, w, 3) uint8, at most `side` pixels a side."""
    import numpy as np

    apart = np.maximum(one, other) - np.minimum(one, other)  # stays in uint8: no copy in a wider type
    strongest = apart.max(axis=2)
    reduced = _reduced(strongest, side)
    level = np.clip(reduced * GAIN, 0, 255).astype(np.uint8)
    return _colours()[level], int(strongest.max()), float(apart.mean())


def _reduced(strongest: NDArray[np.uint8], side: int) -> NDArray[Any]:
    """Block means with whole-number blocks, so that no side is longer than `side`; float or the input itself."""
    import numpy as np

    block = -(-max(strongest.shape) // side)
    if block == 1 or min(strongest.shape) < block:  # a strip thinner than a block has no mean of its own
        return strongest.astype(np.float32)
    height, width = (length // block for length in strongest.shape)
    blocks = strongest[: height * block, : width * block].reshape(height, block, width, block)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _colours() -> NDArray[np.uint8]:
    import numpy as np

    stops, colours = [stop * 255 for stop, _ in _LADDER], np.array([colour for _, colour in _LADDER])
    levels = np.arange(256)
    return np.stack([np.interp(levels, stops, colours[:, channel]) for channel in range(3)], axis=1).round().astype(np.uint8)


def _named(report: Report) -> set[str]:
    named = {sha for row in report.images for sha in (row.baseline, row.candidate) if sha}
    return named | {sha for entry in report.wording for sha in (entry.before, entry.after) if sha}


def _pairs(report: Report) -> list[tuple[str, str]]:
    found = {(row.baseline, row.candidate) for row in report.images if row.baseline and row.candidate}
    return sorted((one, other) for one, other in found if one != other)


def _keep(sha: str, path: Path, folder: Path | None, side: int | None) -> Picture | None:
    """The picture under its hash, or its preview; None where the file cannot be read as a picture."""
    from PIL import Image

    try:
        with Image.open(path, formats=tuple(FORMATS)) as image:
            width, height = image.size
            if folder is None or side is not None:
                return _preview(image, sha, folder, side or THUMBNAIL)
            encoding = image.format or ""
            small = width * height <= REENCODED_PIXELS
            exact = encoding == "PNG" and image.mode in ("RGB", "RGBA")  # WebP would convert any other mode
            smaller = _encoded(image) if small and exact else None
        if smaller is not None and len(smaller) < path.stat().st_size:
            return Picture(src=_written(folder, f"{sha}.webp", smaller), width=width, height=height)
        target = folder / f"{sha}.{FORMATS[encoding]}"
        if not target.exists():
            _place(path, target)
        return Picture(src=f"{folder.name}/{target.name}", width=width, height=height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what PIL raises for a damaged file
        return None


def _preview(image: Image.Image, sha: str, folder: Path | None, side: int) -> Picture:
    full = image.size
    shown = image.convert("RGB")
    shown.thumbnail((side, side), reducing_gap=2.0)
    buffer = io.BytesIO()
    shown.save(buffer, "WEBP", quality=QUALITY, method=0)
    src = _written(folder, f"{sha}-{side}.webp", buffer.getvalue())
    return Picture(src=src, width=shown.width, height=shown.height, full=None if shown.size == full else full)


def _place(path: Path, target: Path) -> None:
    """A hard link where the file system allows one: pictures of a run are never changed, and a large run is half its size."""
    try:
        os.link(path.resolve(), target)
    except OSError:
        shutil.copyfile(path, target)


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, method=0, exact=True)
    return buffer.getvalue()


def _written(folder: Path | None, name: str, content: bytes) -> str:
    """The address of a WebP picture: of its file in `folder`, or the whole of it."""
    if folder is None:
        return f"data:image/webp;base64,{base64.b64encode(content).decode()}"
    (folder / name).write_bytes(content)
    return f"{folder.name}/{name}"


def _difference(one: str, other: str, files: dict[str, Path], folder: Path | None, side: int) -> Difference:
    import numpy as np
    from PIL import Image

    try:
        left, right = _pixels(files[one]), _pixels(files[other])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return Difference(picture=None, sizes=None)
    if left.shape != right.shape:
        return Difference(picture=None, sizes=(_size(left), _size(right)))
    drawn, largest, mean = difference_map(left, right, side)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(drawn)).save(buffer, "WEBP", quality=QUALITY, method=0)
    name = hashlib.sha256(f"{one}/{other}".encode()).hexdigest()[:32]
    height, width = drawn.shape[:2]
    src = _written(folder, f"diff-{name}-{side}.webp", buffer.getvalue())
    return Difference(picture=Picture(src=src, width=width, height=height), largest=largest, mean=mean)


def _pixels(path: Path) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    with Image.open(path, formats=tuple(FORMATS)) as image:
        return np.asarray(image.convert("RGB"))


def _size(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[1]} × {pixels.shape[0]}"
