"""What reads the text in a picture: RapidOCR with the PP-OCRv6 models that its wheel carries, for Chinese and English at once.

    pip install "swapgate[text]"

Nothing is downloaded: the files of the models are named, so that the package does not look for others, and where they are not there,
there is no reader. Lines come in reading order of our own (`rows`): the package sorts boxes by their upper left corner, which turns
the halves of a slanted line around.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from swapgate.errors import UserError
from swapgate.metrics.pixels import Image, require_rgb
from swapgate.metrics.threads import MOST
from swapgate.runs.environment import usable_cores

EXTRA = 'pip install "swapgate[text]"'
PACKAGES = ("rapidocr", "onnxruntime")
DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
VERSION = 1
"""Raised when the same picture would get other lines."""

LEAST_SURE = 0.5
"""Mean probability of a line's characters below which it was not read: of textures and of what only looks like writing."""
SEARCHED = 640
"""Longest side at which lines are looked for; they are read at full size. Letters of 1/50 of a side are still found."""
SAME_ROW = 0.5
"""Boxes are of one row when their middles are this close, in heights of the lower one."""

Boxes = npt.NDArray[np.float64]
"""[n, 4, 2]: corners of text lines, upper left, upper right, lower right, lower left, x and y in pixels."""


class Reader(Protocol):
    """What reads pictures. identity: all that its lines depend on, and no path."""

    @property
    def identity(self) -> str: ...

    def read(self, images: Sequence[Image]) -> list[tuple[str, ...]]:
        """The lines of each picture, in reading order."""
        ...


class RapidReader:
    """See `Reader`; `models` is the folder that holds both files."""

    def __init__(self, models: Path, version: str) -> None:
        files = [models / DETECTOR, models / RECOGNISER]
        known = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
        self._identity = f"rapidocr {version}/{VERSION}@sha256:{known}"
        self._engine, self._lock = _engine(*files), Lock()

    @property
    def identity(self) -> str:
        """Package, version of this file and SHA-256 of the models."""
        return self._identity

    def read(self, images: Sequence[Image]) -> list[tuple[str, ...]]:
        """One after the other, each with all threads.

        Raises:
            ValueError: anything that is no picture.
        """
        for image in images:
            require_rgb(image)
        with self._lock:
            return [self._lines(image) for image in images]

    def _lines(self, image: Image) -> tuple[str, ...]:
        found = self._engine(np.ascontiguousarray(image[..., ::-1]))  # it takes blue first
        texts, boxes = getattr(found, "txts", None), getattr(found, "boxes", None)
        if not texts or boxes is None:
            return ()
        return tuple(texts[index] for row in rows(np.asarray(boxes, np.float64)) for index in row)


@lru_cache(maxsize=1)
def find_reader() -> Reader | None:
    """The reader, loaded at the first call; None where the extra is not installed, or without the models that this file knows."""
    if any(util.find_spec(package) is None for package in PACKAGES):
        return None
    spec = util.find_spec(PACKAGES[0])
    models = Path(spec.origin).parent / "models" if spec and spec.origin else Path()
    if not all((models / name).is_file() for name in (DETECTOR, RECOGNISER)):
        return None
    return RapidReader(models, metadata.version(PACKAGES[0]))


def the_reader() -> Reader:
    """The reader.

    Raises:
        UserError: there is none.
    """
    found = find_reader()
    if found is None:
        raise UserError(
            where="text", rule=f"reading text needs {' and '.join(PACKAGES)}, with {DETECTOR} and {RECOGNISER} in the wheel", remedy=EXTRA
        )
    return found


def rows(boxes: Boxes) -> list[list[int]]:
    """Indices of the boxes, row by row in reading order: along the direction in which most of the text runs, and down across it."""
    if not len(boxes):
        return []
    along = boxes[:, 1] - boxes[:, 0]
    # The direction is that of the longest line: a short one's is that of its few pixels.
    longest = along[np.argmax(np.hypot(*along.T))]
    right = longest / max(float(np.hypot(*longest)), 1e-9)
    down = np.array([-right[1], right[0]])
    middles = boxes.mean(axis=1)
    across, height = middles @ down, np.hypot(*(boxes[:, 3] - boxes[:, 0]).T)
    found: list[list[int]] = []
    for index in np.argsort(across, kind="stable").tolist():
        last = found[-1][-1] if found else None
        if last is not None and across[index] - across[last] < SAME_ROW * min(height[index], height[last]):
            found[-1].append(index)
        else:
            found.append([index])
    return [sorted(row, key=lambda index: float(middles[index] @ right)) for row in found]


def _engine(detector: Path, recogniser: Path) -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": LEAST_SURE,
            "Global.use_cls": False,  # it turns lines that stand on their head, which a reader of a poster does not
            "Det.limit_type": "max",
            "Det.limit_side_len": SEARCHED,
            "Det.model_path": str(detector),
            "Rec.model_path": str(recogniser),
            "EngineConfig.onnxruntime.intra_op_num_threads": min(usable_cores(), MOST),
        }
    )
