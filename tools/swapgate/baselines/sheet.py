"""One picture of a change: baseline, candidate and their difference, a row for each request, those that differ most first."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swapgate.baselines.record import Baseline
from swapgate.baselines.store import Store
from swapgate.canonical import write_atomic
from swapgate.errors import UserError, written

if TYPE_CHECKING:
    from swapgate.runs.pixels import Pixels

SIDE, GAP, LINE = 320, 12, 20  # pixels: of a picture's longer side, between pictures, and of a line of text
MOST = 12  # rows; the report has all of them
_GAIN = 4  # the difference is shown this many times as strong, because a visible change is a few levels of 255
_PAPER, _INK = (250, 250, 248), (30, 30, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request: its pair, and the pixels of both sides, [H, W, 3] uint8; None for a side without a picture."""

    pair: str
    before: Pixels | None
    after: Pixels | None


def of_draft(run: Path, store: Store, folder: Path, draft: Baseline, before: Baseline | None) -> tuple[Path, list[str]]:
    """Write the sheet of a draft of `run` beside the baseline in its place; gives the file, and what could not be read, in words.

    At most MOST requests, those with equal pictures last. UserError when the sheet cannot be written.
    """
    from swapgate.runs.folder import RunFolder

    opened = RunFolder.open(run)
    old, new = (before.quality.kept() if before else {}), draft.quality.kept()
    lost: list[str] = []

    def read(load: Callable[[str], Pixels], sha: str | None) -> Pixels | None:
        try:
            return load(sha) if sha else None
        except UserError as error:
            lost.append(f"{error.where}: {error.rule}; {error.remedy}")
            return None

    def accepted(sha: str) -> Pixels:
        assert before is not None
        return store.load_image(before, sha)

    pairs = sorted(new, key=lambda pair: (old.get(pair) == new[pair], pair))[:MOST]
    rows = [Row(pair=pair, before=read(accepted, old.get(pair)), after=read(opened.load_image, new[pair])) for pair in pairs]
    opened.close()
    path = folder / f"{draft.model}-{draft.cohort}-{draft.task}.png"
    buffer = io.BytesIO()
    draw(rows, title=f"{draft.id}, run {draft.provenance.run}").save(buffer, "PNG")
    with written(str(path)):
        write_atomic(path, buffer.getvalue())
    return path, lost


def draw(rows: Sequence[Row], *, title: str) -> Any:
    """The sheet as a PIL image."""
    from PIL import Image, ImageDraw, ImageFont

    width = GAP + 3 * (SIDE + GAP)
    height = GAP + 2 * LINE + len(rows) * (SIDE + LINE + GAP)
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    pen.text((GAP, GAP), title, _INK, font)
    for place, name in enumerate(("baseline", "candidate", f"difference x{_GAIN}")):
        pen.text((GAP + place * (SIDE + GAP), GAP + LINE), name, _INK, font)
    for number, row in enumerate(rows):
        top = GAP + 2 * LINE + number * (SIDE + LINE + GAP)
        pen.text((GAP, top), f"{row.pair}{_sizes(row)}", _INK, font)
        for place, picture in enumerate((_image(row.before), _image(row.after), _difference(row))):
            left = GAP + place * (SIDE + GAP)
            if picture is None:
                pen.rectangle((left, top + LINE, left + SIDE - 1, top + LINE + SIDE - 1), outline=_INK)
                pen.text((left + GAP, top + LINE + GAP), "none", _INK, font)
            else:
                sheet.paste(_fitted(picture), (left, top + LINE))
    return sheet


def _sizes(row: Row) -> str:
    """The sizes, where they differ: scaled to one another they would look alike."""
    if row.before is None or row.after is None or row.before.shape == row.after.shape:
        return ""
    (old_height, old_width), (height, width) = row.before.shape[:2], row.after.shape[:2]
    return f"  (size {old_width}x{old_height} -> {width}x{height})"


def _image(pixels: Pixels | None) -> Any:
    from PIL import Image

    return None if pixels is None else Image.fromarray(pixels)


def _difference(row: Row) -> Any:
    import numpy as np

    if row.before is None or row.after is None or row.before.shape != row.after.shape:
        return None
    apart = np.abs(row.before.astype(np.int16) - row.after.astype(np.int16)) * _GAIN
    return _image(np.minimum(apart, 255).astype(np.uint8))


def _fitted(picture: Any) -> Any:
    from PIL import Image

    scale = SIDE / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    return picture.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS)
