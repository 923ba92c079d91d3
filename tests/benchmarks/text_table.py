"""The reader of rendered text on posters whose text is known, as a table. Not a test.

    PYTHONPATH=tools python tests/benchmarks/text_table.py [--each=60] [--rows=PART] [--json=FILE]

--each clean posters of every font and size, half as many of each glyph-shuffled control, and a twelfth of the others; a row of Markdown as
soon as it is measured. Read: exact match (`swapgate.metrics.text`); the intervals are exact (Clopper and Pearson), two-sided, 95 %.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import posters

Spoil = Callable[[Any, random.Random], Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of picture: which text, what is drawn instead of it, what is done to the picture."""

    name: str
    text: Callable[[random.Random], str]
    control: Spoil | None = None
    dose: Spoil | None = None
    part: int = 12  # of how many clean posters there is one of these

    @property
    def matches(self) -> bool:
        """Whether the text stands in the picture."""
        return self.control is None or self.control is posters.column


ROWS = (
    Row(name="clean, words", text=posters.words, part=1),
    *(
        Row(name=f"control: {name}", text=posters.words, control=control, part=12 if at > 1 else 2)
        for at, (name, control) in enumerate(posters.CONTROLS.items())
    ),
    Row(name="clean, random characters", text=posters.characters, part=2),
    Row(name="clean, English", text=posters.english, part=2),
    *(Row(name=f"rotated {angle:+d}°", text=posters.words, dose=posters.rotated(angle)) for angle in (-10, -5, 5, 10)),
    *(Row(name=f"blurred, {sigma:g} px", text=posters.words, dose=posters.blurred(sigma)) for sigma in (1, 2, 4, 8)),
    *(Row(name=f"noise, {sigma:g} levels", text=posters.words, dose=posters.noisy(sigma)) for sigma in (20, 40, 80)),
    Row(name="a column, downwards", text=posters.words, control=posters.column),
)


def pictures(row: Row, each: int) -> Iterator[tuple[posters.Poster, Any]]:
    """`each` posters of every font and size, as [640, 640, 3] uint8; the same ones whenever it is asked."""
    for font in posters.FONTS:
        for size in posters.SIZES:
            for number in range(each):
                rng = random.Random(f"{row.name}/{font}/{size}/{number}")
                one = posters.poster(row.text(rng), font, size, rng.randrange(2**32))
                one = row.control(one, rng) if row.control else one
                picture = posters.draw(one)
                yield one, np.asarray(row.dose(picture, rng) if row.dose else picture)


def measure(row: Row, each: int) -> dict[str, Any]:
    """Counts of exact matches by font and size, the mean distance, and what was read wrongly."""
    from swapgate.metrics.text import distance
    from swapgate.metrics.text_reader import the_reader

    reader, begin = the_reader(), time.perf_counter()
    cells: dict[str, list[int]] = {}
    distances, wrong = [], []
    for one, picture in pictures(row, each):
        (lines,) = reader.read([picture])
        far = distance(one.text, lines)
        distances.append(far)
        cell = cells.setdefault(f"{one.font}, {one.size} px", [0, 0])
        cell[0] += far == 0
        cell[1] += 1
        if (far == 0) != row.matches:
            shown = " / ".join("".join(glyphs) for glyphs in one.shown)
            wrong.append({"text": one.text, "shown": shown, "read": list(lines), "font": one.font, "size": one.size})
    found, n = (sum(cell[at] for cell in cells.values()) for at in (0, 1))
    return {"row": row.name, "found": found, "n": n, "distance": mean(distances), "cells": cells, "wrong": wrong, "s": time.perf_counter() - begin}


def line(row: Row, found: dict[str, Any]) -> str:
    """A row of the table."""
    from swapgate.gates.statistics import clopper_pearson

    low, high = clopper_pearson(found["found"], found["n"], 0.025)  # alpha is of each end
    rate = f"{100 * found['found'] / found['n']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    shares = {name: cell[0] / cell[1] for name, cell in found["cells"].items()}
    outer = (min if row.matches else max)(shares, key=lambda name: shares[name])
    cells = [row.name, "read" if row.matches else "not read", f"{found['found']} / {found['n']}", rate, f"{found['distance']:.3f}"]
    return f"| {' | '.join([*cells, f'{100 * shares[outer]:.0f} % ({outer})'])} |"


def main() -> None:
    """Measure every row."""
    from importlib.metadata import version

    from swapgate.metrics.text_reader import the_reader

    parser = argparse.ArgumentParser(description="Rendered text, read")
    parser.add_argument("--each", type=int, default=60)
    parser.add_argument("--rows", default="", help="only rows whose name holds this")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if posters.missing_fonts():
        sys.exit(f"fonts are missing: apt-get install {' '.join(posters.missing_fonts())}")
    names = ("rapidocr", "onnxruntime", "opencv-python-headless", "pillow")
    print(f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in names)}; {the_reader().identity}\n")
    print("| pictures | should be | exact match | share (95 %) | mean distance | worst font and size |\n|---|---|--:|---|--:|---|", flush=True)
    done = []
    for row in ROWS:
        if asked.rows in row.name:
            done.append(measure(row, -(-asked.each // row.part)))
            print(line(row, done[-1]), flush=True)
    print(f"\n{sum(one['n'] for one in done)} pictures, {sum(one['s'] for one in done):.0f} s")
    if asked.json:
        asked.json.write_text(json.dumps(done, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
