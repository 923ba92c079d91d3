"""Pictures for tests: drawn from a prompt and a seed with NumPy alone, and readable back without knowing the prompt.

A picture is a simple scene (a background, one shape whose colour, kind and place follow the prompt and the seed) above
a barcode that takes the bottom quarter: 8 rows of 16 cells, each in one of 16 colours. The barcode carries the prompt's
*meaning words*: every word marks two cells (chosen by its hash) with a colour (also of its hash); unmarked cells have colour 0.

    meaning words   the lower-case words of the prompt without filler ("a", "the", "please", "photo", ...); Chinese
                    text gives its characters, without filler characters. Order and repetition do not matter.
    alignment       the share of a text's meaning words that a picture's barcode contains: 1 for the prompt itself and for
                    any statement whose words it has, near 0 for words that it lacks. It is read from pixels alone,
                    so noise, blur or another prompt lower it as they would lower a real judge's.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np

from swapgate.runs.pixels import Pixels

ROWS, COLUMNS = 8, 16
PALETTE = np.array(
    [
        (20, 20, 20),
        (230, 25, 75),
        (60, 180, 75),
        (255, 225, 25),
        (0, 90, 200),
        (245, 130, 48),
        (145, 30, 180),
        (70, 240, 240),
        (240, 50, 230),
        (210, 245, 60),
        (250, 190, 212),
        (0, 128, 128),
        (170, 110, 40),
        (128, 0, 0),
        (128, 128, 0),
        (245, 245, 245),
    ],
    dtype=np.uint8,
)
"""Sixteen colours far apart in RGB; colour 0 marks an empty cell."""

_FILLER_TEXT = (
    "a an the of in on at is are and with to for please photo picture image painting drawing shows showing there this that its it "
    "ultra hd 4k cinematic composition one"
)
_FILLER = frozenset(_FILLER_TEXT.split())
_FILLER_CHARACTERS = frozenset("的了一张个请幅图片在和有是着这那，。、：；！？“”《》（）")
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_]+", re.UNICODE)


def meaning_words(text: str) -> frozenset[str]:
    """The words of `text` that its meaning hangs on."""
    return frozenset(_WORD.findall(text.lower())) - _FILLER - _FILLER_CHARACTERS


def draw(prompt: str, seed: int, width: int, height: int) -> Pixels:
    """The picture of `prompt` for `seed`: uint8, height x width x 3; at least 32 pixels high and 16 wide."""
    if width < 16 or height < 32:
        raise ValueError(f"a scripted picture is at least 16 pixels wide and 32 high, not {width} x {height}")
    picture = np.empty((height, width, 3), dtype=np.uint8)
    strip = height // 4
    _scene(picture[: height - strip], prompt, seed)
    cells = _cells(prompt)
    rows = np.arange(strip) * ROWS // strip
    columns = np.arange(width) * COLUMNS // width
    picture[height - strip :] = PALETTE[cells[rows][:, columns]]
    return picture


def colour_of(prompt: str) -> tuple[int, int, int]:
    """The colour (RGB) of the shape in every picture of `prompt`."""
    red, green, blue = PALETTE[1 + _hash("colour", *sorted(meaning_words(prompt))) % 15]
    return int(red), int(green), int(blue)


def alignment(picture: Pixels, text: str) -> float:
    """The share of the text's meaning words in the picture's barcode, in [0, 1]; 0 for a text without any."""
    words = meaning_words(text)
    if not words:
        return 0.0
    cells = read_cells(picture)
    return sum(any(cells[place] == mark for place in places) for places, mark in map(_marks, words)) / len(words)


def read_cells(picture: Pixels) -> tuple[int, ...]:
    """The 128 colours of the barcode, row by row: of each cell's mean, the nearest in the palette."""
    height, width = picture.shape[:2]
    strip = height // 4
    rows = _starts(strip, ROWS)
    columns = _starts(width, COLUMNS)
    sums = np.add.reduceat(np.add.reduceat(picture[height - strip :].astype(np.int64), rows, axis=0), columns, axis=1)
    counts = np.outer(np.diff([*rows, strip]), np.diff([*columns, width]))
    means = sums / counts[:, :, None]
    distances = ((means[:, :, None, :] - PALETTE.astype(np.float64)) ** 2).sum(axis=3)
    return tuple(int(colour) for colour in distances.argmin(axis=2).ravel())


def _cells(prompt: str) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    cells = np.zeros(ROWS * COLUMNS, dtype=np.int64)
    # Sorted, so that where two words want one cell the same one gets it on every machine.
    for places, mark in map(_marks, sorted(meaning_words(prompt))):
        cells[list(places)] = mark
    return cells.reshape(ROWS, COLUMNS)


def _marks(word: str) -> tuple[tuple[int, int], int]:
    value = _hash("mark", word)
    cells = ROWS * COLUMNS
    return (value % cells, value // cells % cells), 1 + value // cells**2 % 15


def _scene(area: Pixels, prompt: str, seed: int) -> None:
    words = sorted(meaning_words(prompt))
    random = np.random.default_rng(_hash("scene", str(seed), *words))
    height, width = area.shape[:2]
    y, x = np.ogrid[0:height, 0:width]
    base = PALETTE[1 + _hash("background", *words) % 15] * 0.25 + 150
    shade = (y / height * 40 - 20) + 12 * np.sin(x / width * 6 + random.uniform(0, 6))
    for channel, level in enumerate(base):  # between 118 and 246: no clipping needed
        area[:, :, channel] = shade + level
    centre_x, centre_y = random.uniform(0.3, 0.7) * width, random.uniform(0.3, 0.7) * height
    size = random.uniform(0.15, 0.28) * min(width, height)
    across, down = np.abs(x - centre_x) / size, np.abs(y - centre_y) / size
    kind = _hash("kind", *words) % 3
    inside = (across**2 + down**2 < 1, np.maximum(across, down) < 1, across + down < 1)[kind]
    area[inside] = colour_of(prompt)


def _starts(length: int, parts: int) -> list[int]:
    return [-(-part * length // parts) for part in range(parts)]


def _hash(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")
