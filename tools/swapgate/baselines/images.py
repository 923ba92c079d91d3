"""Reference pictures as small lossless files: WebP or PNG, whichever is smaller and decodes to the very same pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swapgate.canonical import write_atomic
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.runs.pixels import Pixels

SUFFIXES = (".webp", ".png")
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".webp": ("WEBP", {"lossless": True, "exact": True, "quality": 80, "method": 4}),
    ".png": ("PNG", {"optimize": True}),
}


def find(folder: Path, sha: str) -> Path | None:
    """The file of the image `sha` in `folder`, or None."""
    return next((path for suffix in SUFFIXES if (path := folder / f"{sha}{suffix}").is_file()), None)


def check(pixels: Pixels, sha: str, *, where: str) -> None:
    """UserError unless `pixels` ([H, W, 3] uint8) are those of `sha`."""
    from swapgate.runs.pixels import pixel_hash

    if (given := pixel_hash(pixels)) != sha:
        raise UserError(
            where=where,
            key=sha,
            value=given,
            rule="an image is stored under the SHA-256 of its pixels",
            remedy="the recorded image is damaged: run again",
        )


def write(folder: Path, sha: str, pixels: Pixels) -> Path:
    """Write pixels ([H, W, 3] uint8) as `sha`; a file that already holds them is kept. UserError when they are not `sha`."""
    check(pixels, sha, where=str(folder))
    held = find(folder, sha)
    if held is not None and problem(held) is None:
        return held
    suffix, content = encode(pixels)
    path = folder / f"{sha}{suffix}"
    write_atomic(path, content, durable=True)
    if held is not None and held != path:
        held.unlink()
    return path


def encode(pixels: Pixels) -> tuple[str, bytes]:
    """(suffix, file content) of the smallest encoding that decodes to exactly `pixels`."""
    import numpy as np
    from PIL import Image

    found: list[tuple[int, str, bytes]] = []
    for suffix, (name, options) in _FORMATS.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format=name, **options)
        content = buffer.getvalue()
        if np.array_equal(_decoded(io.BytesIO(content)), pixels):
            found.append((len(content), suffix, content))
    if not found:
        raise ValueError(f"no lossless encoding for an array of shape {pixels.shape} and type {pixels.dtype}")
    _, suffix, content = min(found)
    return suffix, content


def read(folder: Path, sha: str) -> Pixels:
    """The pixels of image `sha`, [H, W, 3] uint8; UserError when the file is absent, damaged or of another picture."""
    path = find(folder, sha)
    if path is None:
        raise UserError(
            where=str(folder),
            key=sha,
            rule="the reference image of a baseline must exist",
            remedy="restore it from version control (was the images folder committed?), then: swapgate baselines verify",
        )
    pixels, wrong = _checked(path, sha)
    if pixels is None:
        raise UserError(where=str(path), rule=wrong, remedy="restore the file from version control, then: swapgate baselines verify")
    return pixels


def problem(path: Path) -> str | None:
    """What is wrong with an image file, in words; None when it holds the pixels that its name says."""
    return _checked(path, path.stem)[1] or None


def problem_of(content: bytes, sha: str) -> str:
    """What is wrong with the content of an image file, in words; "" when it holds the pixels of `sha`."""
    return _checked(io.BytesIO(content), sha)[1]


def _checked(source: Path | io.BytesIO, sha: str) -> tuple[Pixels | None, str]:
    from PIL import Image

    from swapgate.runs.pixels import pixel_hash

    try:
        pixels = _decoded(source)
        found = pixel_hash(pixels)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return None, f"an image that decodes ({error})"
    if found != sha:
        return None, "the SHA-256 of an image's pixels must be its name: this file holds another picture"
    return pixels, ""


def _decoded(source: Path | io.BytesIO) -> Pixels:
    import numpy as np
    from PIL import Image

    with Image.open(source) as image:
        return np.asarray(image)
