"""Posters whose text is known, drawn with real fonts: in three fonts and sizes, and spoilt in known ways.

Glyphs are drawn one by one, so that a control can show other glyphs than it claims, or one that is none.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

SIDE = 640
SIZES = (40, 72, 120)  # pixels of an em
FONTS: Mapping[str, tuple[str, ...]] = {  # the package of Debian and Ubuntu stands last
    "Noto Sans CJK": ("/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc", "fonts-noto-cjk"),
    "Noto Serif CJK": ("/usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc", "fonts-noto-cjk"),
    "AR PL UKai": ("/usr/share/fonts/truetype/arphic/ukai.ttc", "fonts-arphic-ukai"),
}
_PAIRS = (
    "夏日限定新品上市全场优惠春季特卖城市音乐咖啡时光秋天童话冬季温暖健康生活世界旅行美食节日快乐梦想"
    "未来科技书店周年会员免费体验清凉海边假期开学早餐牛奶面包花园森林公园电影艺术展览北京上海青春故事"
)
WORDS = [_PAIRS[at : at + 2] for at in range(0, len(_PAIRS), 2)]
ENGLISH = re.findall(
    r"\w+", "SUMMER SALE Coffee Fresh NEW Music Garden Winter Open Today Travel City Book Night Market Happy FREE Ocean Dream Family"
)
SIMPLE = ("2026.07.01", "SUMMER", "全场五折起", "Open daily 9-21")  # small text beside the one that is asked for


@dataclass(frozen=True, kw_only=True)
class Poster:
    """text: what must be readable; shown: the glyphs that are drawn, in cells, by line."""

    text: str
    shown: tuple[tuple[str, ...], ...]
    font: str
    size: int
    seed: int
    spoil: str = ""  # "mirrored" or "halves": what is done to one glyph
    vertical: bool = False


def missing_fonts() -> list[str]:
    """What has to be installed, for fonts that are not there."""
    return sorted({package for path, package in FONTS.values() if not Path(path).is_file()})


@lru_cache(maxsize=1)
def common() -> tuple[str, ...]:
    """The 3,755 characters of level 1 of GB 2312, the ones in common use."""
    codes = [bytes((high, low)) for high in range(0xB0, 0xD8) for low in range(0xA1, 0xFF)]
    return tuple(code.decode("gb2312") for code in codes[:-5])


def words(rng: random.Random) -> str:
    """4 to 8 characters: two to four words of two."""
    return "".join(rng.sample(WORDS, rng.randint(2, 4)))


def characters(rng: random.Random) -> str:
    """4 to 8 characters that say nothing together, so that a reader cannot guess one from the others."""
    return "".join(rng.sample(common(), rng.randint(4, 8)))


def english(rng: random.Random) -> str:
    """One to three words."""
    return " ".join(rng.sample(ENGLISH, rng.randint(1, 3)))


def poster(text: str, font: str, size: int, seed: int, shown: str | None = None, **more: Any) -> Poster:
    """A poster with `shown` (or the text itself), broken into lines where it is wider than the poster."""
    drawn = text if shown is None else shown
    if " " in drawn or drawn.isascii():
        lines = _english_lines(drawn, font, size)
    else:
        most = max(1, int(0.92 * SIDE // (1.05 * size)))
        count = -(-len(drawn) // most)
        each = -(-len(drawn) // count)
        lines = [tuple(drawn[start : start + each]) for start in range(0, len(drawn), each)]
    return Poster(text=text, shown=tuple(lines), font=font, size=size, seed=seed, **more)


def _english_lines(text: str, font: str, size: int) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for word in text.split():
        joined = (*lines[-1], " " + word) if lines else ()
        if joined and _font(font, size).getlength("".join(joined)) <= 0.92 * SIDE:
            lines[-1] = joined
        else:
            lines.append((word,))
    return lines


def shuffled(one: Poster, rng: random.Random) -> Poster:
    """The same glyphs in another order."""
    other = list(one.text)
    while "".join(other) == one.text:
        rng.shuffle(other)
    return poster(one.text, one.font, one.size, one.seed, "".join(other))


def replaced(one: Poster, rng: random.Random) -> Poster:
    """One glyph is another one."""
    at = rng.randrange(len(one.text))
    other = rng.choice([character for character in common() if character not in one.text])
    return poster(one.text, one.font, one.size, one.seed, one.text[:at] + other + one.text[at + 1 :])


def dropped(one: Poster, rng: random.Random) -> Poster:
    """A glyph is missing."""
    at = rng.randrange(len(one.text))
    return poster(one.text, one.font, one.size, one.seed, one.text[:at] + one.text[at + 1 :])


def doubled(one: Poster, rng: random.Random) -> Poster:
    """A glyph stands twice."""
    at = rng.randrange(len(one.text))
    return poster(one.text, one.font, one.size, one.seed, one.text[: at + 1] + one.text[at:])


def spoilt(how: str) -> Callable[[Poster, random.Random], Poster]:
    """One glyph is none: its mirror image, or the halves of two."""
    return lambda one, _: replace(one, spoil=how)


def column(one: Poster, _: random.Random) -> Poster:
    """Written downwards, as a column."""
    size = min(one.size, int(0.92 * SIDE / (1.05 * len(one.text))))
    return replace(one, shown=tuple((glyph,) for glyph in one.text), size=size, vertical=True)


CONTROLS: Mapping[str, Callable[[Poster, random.Random], Poster]] = {
    "other order": shuffled,
    "one glyph replaced": replaced,
    "one glyph missing": dropped,
    "one glyph twice": doubled,
    "one glyph mirrored": spoilt("mirrored"),
    "one glyph of two halves": spoilt("halves"),
}


def draw(one: Poster) -> Image.Image:
    """[640, 640] RGB: the text in the middle of a coloured ground with two discs, half of the time with a small line beside it."""
    rng = random.Random(one.seed)
    ground, ink = _colours(rng)
    picture = _ground(ground, rng)
    cells = [[_glyph(one, text, line, at) for at, text in enumerate(row)] for line, row in enumerate(one.shown)]
    height = int(1.05 * one.size) if one.vertical else int(1.3 * one.size)
    top = (SIDE - height * len(cells)) // 2
    for row in cells:
        left = (SIDE - sum(cell.width for cell in row)) // 2
        for cell in row:
            picture.paste(ink, (left, top), cell)
            left += cell.width
        top += height
    if rng.random() < 0.5:
        small = _font(one.font, 24)
        said, at = rng.choice(SIMPLE), (24 if rng.random() < 0.5 else SIDE - 60)
        ImageDraw.Draw(picture).text((SIDE // 2, at), said, fill=ink, font=small, anchor="ma")
    return picture


def rotated(degrees: float) -> Callable[[Image.Image, random.Random], Image.Image]:
    """Turned about the middle; corners are filled by what is at the border."""

    def turn(picture: Image.Image, _: random.Random) -> Image.Image:
        return picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=picture.getpixel((2, 2)))

    return turn


def blurred(sigma: float) -> Callable[[Image.Image, random.Random], Image.Image]:
    """Gaussian, standard deviation in pixels."""
    return lambda picture, _: picture.filter(ImageFilter.GaussianBlur(sigma))


def noisy(sigma: float) -> Callable[[Image.Image, random.Random], Image.Image]:
    """Gaussian, standard deviation in levels, alone in every channel."""

    def add(picture: Image.Image, rng: random.Random) -> Image.Image:
        grain = np.random.default_rng(rng.randrange(2**32)).normal(0, sigma, (SIDE, SIDE, 3))
        return Image.fromarray((np.asarray(picture) + grain).round().clip(0, 255).astype(np.uint8))

    return add


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    index = 2 if "Noto" in name else 0  # the simplified Chinese of the collection
    return ImageFont.truetype(FONTS[name][0], size, index=index)


def _colours(rng: random.Random) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two colours whose brightness differs by 110 levels or more."""
    while True:
        ground, ink = (tuple(rng.randrange(256) for _ in range(3)) for _ in range(2))
        if abs(_brightness(ground) - _brightness(ink)) >= 110:
            return ground, ink


def _brightness(colour: Sequence[int]) -> float:
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def _ground(colour: tuple[int, ...], rng: random.Random) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), colour)
    pen = ImageDraw.Draw(picture)
    for _ in range(2):
        near = tuple(max(0, min(255, level + rng.randint(-25, 25))) for level in colour)
        x, y, radius = rng.randrange(SIDE), rng.randrange(SIDE), rng.randint(60, 220)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=near)
    return picture


def _glyph(one: Poster, text: str, line: int, at: int) -> Image.Image:
    """The mask of a cell, as wide as it advances."""
    mask = _mask(text, one)
    if not one.spoil or (line, at) != _spoilt_at(one):
        return mask
    if one.spoil == "mirrored":
        return mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    other = _mask(_unlike(one), one).resize(mask.size)
    mask.paste(other.crop((mask.width // 2, 0, *mask.size)), (mask.width // 2, 0))
    return mask


def _mask(text: str, one: Poster) -> Image.Image:
    font = _font(one.font, one.size)
    width = round(font.getlength(text)) if text.isascii() else int(1.05 * one.size)
    mask = Image.new("L", (width, int(1.3 * one.size)))
    ImageDraw.Draw(mask).text((0, one.size), text, fill=255, font=font, anchor="ls")
    return mask


def _spoilt_at(one: Poster) -> tuple[int, int]:
    """Line and place of the glyph that differs most from its mirror image: 日 mirrored is 日."""
    places = [(line, at) for line, row in enumerate(one.shown) for at in range(len(row))]
    return max(places, key=lambda place: _asymmetry(_mask(one.shown[place[0]][place[1]], one)))


def _asymmetry(mask: Image.Image) -> float:
    turned = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return min(float(np.asarray(ImageChops.difference(mask, ImageChops.offset(turned, shift, 0))).mean()) for shift in range(-6, 7))


def _unlike(one: Poster) -> str:
    rng = random.Random(one.seed + 1)
    return rng.choice([character for character in common() if character not in one.text])
