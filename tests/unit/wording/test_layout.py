"""Punctuation, width and spacing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.wording import Edit, Kind, quoted
from swapgate.wording.layout import layout_edits

CAFE = "手边摊开速写本，柔焦，胶片质感，富士胶片 Pro 400H 扫描效果"
PIECES = (
    "a cup",
    "two",
    "猫",
    "红色",
    "4K",
    " ",
    "，",
    "、",
    "。",
    "：",
    "（木桌）",
    "(oak)",
    ", ",
    ".",
    ", and ",
    "‘",
    "’",
    "“猫，4K。”",
    "'a cup'",
    '"',
    "「",
    "」",
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)


def edit(name: str, language: str) -> Edit:
    """The layout edit of that name."""
    return next(e for e in layout_edits() if e.id == name and language in e.languages)


def outcomes(name: str, language: str, text: str) -> list[str]:
    """The text after the edit at each of its places."""
    found, place = [], 0
    while (new := edit(name, language).apply(text, place)) is not None:
        found.append(new)
        place += 1
    return found


@pytest.mark.parametrize(
    ("name", "language", "text", "expected"),
    [
        ("full stop added", "en", "a cup", ["a cup."]),
        ("full stop added", "en", "a sign 'SALE'", ["a sign 'SALE'."]),
        ("full stop added", "en", "a cup.", []),
        ("full stop added", "en", "a cup?", []),
        ("full stop added", "zh", "一只猫", ["一只猫。"]),
        ("full stop added", "zh", "产品图（木桌）", ["产品图（木桌）。"]),
        ("full stop removed", "zh", "一只猫。", ["一只猫"]),
        ("full stop removed", "en", "a cup...", []),
        ("full stop removed", "en", ".", []),
        ("first letter switched", "en", "A cup", ["a cup"]),
        ("first letter switched", "en", "two cups", ["Two cups"]),
        ("first letter switched", "en", "Fujifilm look", []),
        ("comma before and removed", "en", "a cup, a box, and a cat", ["a cup, a box and a cat"]),
        ("comma before and removed", "en", "a cup, android", []),
        ("，→space", "zh", "猫，柔焦，水彩", ["猫 柔焦，水彩", "猫，柔焦 水彩"]),
        ("，→、", "zh", "一只橘猫坐在窗台，柔焦，水彩", ["一只橘猫坐在窗台，柔焦、水彩"]),
        ("，→、", "zh", "一只橘猫坐在窗台，窗外有树", []),
        ("brackets→comma", "zh", "写实人像（亚洲女性，自然光）", ["写实人像，亚洲女性，自然光"]),
        ("brackets→comma", "zh", "人像（女性）在窗边", []),
        ("brackets→comma", "en", "A portrait (a woman).", ["A portrait, a woman."]),
        ("quotation marks", "zh", "写‘夏日限定’四个字", ["写“夏日限定”四个字"]),
        ("quotation marks", "zh", "写“夏日限定”四个字", ["写「夏日限定」四个字"]),
        ("quotation marks", "zh", "写“夏日‘限定’”", []),
        ("quotation marks", "en", "the words 'ON SALE' here", ['the words "ON SALE" here']),
        ("quotation marks", "en", "the designer's cup", []),
        ("，→,", "zh", "猫，柔焦、水彩", ["猫,柔焦,水彩"]),
        (",→，", "zh", "猫,柔焦, 水彩 1,000", ["猫，柔焦，水彩 1,000"]),
        ("：→:", "zh", "风格：水彩", ["风格:水彩"]),
        ("（）→()", "zh", "人像（女性）", ["人像(女性)"]),
        ("。→.", "zh", "猫。", ["猫."]),
        ("letters and digits full width", "zh", "4K 画质", ["４Ｋ 画质"]),
        ("letters and digits half width", "zh", "４Ｋ 画质", ["4K 画质"]),
        ("space added", "zh", "胶片Pro 400H扫描", ["胶片 Pro 400H扫描", "胶片Pro 400H 扫描"]),
        ("space removed", "zh", CAFE, [CAFE.replace("片 P", "片P"), CAFE.replace("H 扫", "H扫")]),
        ("space doubled", "en", "a red cup", ["a  red cup", "a red  cup"]),
    ],
)
def test_what_each_edit_does(name: str, language: str, text: str, expected: list[str]) -> None:
    """Each place of each edit, and where there must be none."""
    assert outcomes(name, language, text) == expected


@given(TEXTS)
def test_full_width_is_undone_by_half_width(text: str) -> None:
    """There and back again."""
    wide = edit("letters and digits full width", "zh").apply(text, 0)
    if wide is not None:
        assert edit("letters and digits half width", "zh").apply(wide, 0) == text


@given(st.text(alphabet="aZ09猫，", max_size=12))
def test_half_width_agrees_with_unicode(text: str) -> None:
    """NFKC is the independent judge of which letters belong together."""
    wide = edit("letters and digits full width", "zh").apply(text, 0)
    assert (wide is None) == (not any(c.isascii() for c in text))
    if wide is not None:
        assert unicodedata.normalize("NFKC", wide) == unicodedata.normalize("NFKC", text)
        assert not any(c.isascii() for c in wide)


@given(TEXTS)
def test_width_edits_are_idempotent(text: str) -> None:
    """All marks of a class are done at once, so nothing is left for a second time."""
    for one in layout_edits():
        new = one.apply(text, 0) if one.kind == Kind.WIDTH else None
        if new is not None:
            assert one.apply(new, 0) is None


@given(TEXTS)
def test_quoted_strings_stay(text: str) -> None:
    """Whatever the text, edit and place, what is to be rendered is the same afterwards."""
    for one in layout_edits():
        for place in range(len(one.changes(text))):
            new = one.apply(text, place)
            assert new is not None
            assert new != text
            assert quoted(new) == quoted(text)


def test_names_are_unique_within_a_language() -> None:
    """Labels are read back by name."""
    for language in ("en", "zh"):
        names = [(e.kind, e.id) for e in layout_edits() if language in e.languages]
        assert len(names) == len(set(names))
