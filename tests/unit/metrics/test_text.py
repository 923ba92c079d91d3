"""Rendered text: what counts of it, where it may stand, and how far off it is; the reader is a fake here."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.errors import UserError
from swapgate.metrics import text_reader
from swapgate.metrics.kinds import Direction, Inputs
from swapgate.metrics.registry import measure, metric
from swapgate.metrics.text import content, distance, pieces, readable

TEXTS = st.text(st.sampled_from("夏日限定出ABab12 3.%，。\n‘’-é"), max_size=12)
ASKED = TEXTS.filter(lambda text: bool(content(text)))


def plain_distance(first: str, second: str) -> int:
    """Levenshtein's recursion as a full table, independent of the module."""
    table = np.zeros((len(first) + 1, len(second) + 1), int)
    table[:, 0], table[0, :] = range(len(first) + 1), range(len(second) + 1)
    for i in range(1, len(first) + 1):
        for j in range(1, len(second) + 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (first[i - 1] != second[j - 1]))
    return int(table[-1, -1])


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("‘夏日限定’", "夏日限定"),
        ("夏 日\n限　定", "夏日限定"),
        ("ＳＡＬＥ！", "sale"),
        ("Summer-Sale", "summersale"),
        ("Straße", "strasse"),
        ("夏\u200b日", "夏日"),
        ("3.5", "3.5"),
        ("2026.07.01", "2026.07.01"),
        ("No.5", "no5"),
        ("50％ off", "50%off"),
        ("A&B #1", "a&b#1"),
        ("￥99", "¥99"),
        ("C++", "c++"),
        ("①", "1"),
        ("cafe\u0301", "café"),
        ("—·…", ""),
    ],
)
def test_layout_does_not_count_and_what_is_read_out_does(text: str, counts: str) -> None:
    """NFKC, case, spaces and punctuation; signs and marks between digits stay."""
    assert content(text) == counts


@pytest.mark.parametrize(
    "lines",
    [
        ("夏日限定",),
        ("夏日", "限定"),
        ("夏", "日", "限", "定"),
        ("SUMMER", "夏日限定", "2026.07.01"),
        ("2026夏日限定SALE",),
        ("全场五折，夏日限定！",),
        ("欢迎 夏日", "限定 光临"),
    ],
)
def test_the_text_may_stand_anywhere_and_be_broken_into_lines(lines: tuple[str, ...]) -> None:
    """At borders of lines, spaces, dropped punctuation, and where scripts meet."""
    assert readable("夏日限定", lines)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("",),
        ("限定夏日",),
        ("限定", "夏日"),
        ("夏日限",),
        ("夏日限定定",),
        ("夏夏日限定",),
        ("夏日限制",),
        ("夏日", "SALE", "限定"),
        ("夏日限時",),
    ],
)
def test_other_text_is_not_the_text(lines: tuple[str, ...]) -> None:
    """Other order, a character missing, twice or replaced, and another line in between."""
    assert not readable("夏日限定", lines)


@pytest.mark.parametrize(("wanted", "line"), [("ART", "START"), ("SALE", "SALEE"), ("50%", "150%"), ("35", "3.5"), ("12", "2012")])
def test_a_word_or_a_number_does_not_stand_in_a_longer_one(wanted: str, line: str) -> None:
    """Nothing may be attached."""
    assert not readable(wanted, [line])


@pytest.mark.parametrize(
    ("wanted", "lines", "expected"),
    [
        ("夏日限定", ("夏日限制",), 1 / 4),
        ("夏日限定", ("夏日限定定",), 1 / 5),
        ("夏日限定", ("夏日限",), 1 / 4),
        ("夏日限定", ("限定夏日",), 1.0),
        ("SUMMER SALE", ("open", "summer sail"), 2 / 10),
        ("夏日限定", ("COFFEE",), 1.0),
    ],
)
def test_the_distance_by_hand(wanted: str, lines: tuple[str, ...], expected: float) -> None:
    """Edits over the longer length, of the nearest span."""
    assert distance(wanted, lines) == pytest.approx(expected)


@given(asked=ASKED, lines=st.lists(TEXTS, max_size=4))
def test_it_is_the_least_over_every_span(asked: str, lines: list[str]) -> None:
    """All spans tried one by one, with another implementation of the edit distance."""
    parts, wanted = [piece for line in lines for piece in pieces(line)], content(asked)
    spans = ["".join(parts[start:end]) for start in range(len(parts)) for end in range(start + 1, len(parts) + 1)]
    least = min([plain_distance(wanted, span) / max(len(wanted), len(span)) for span in spans], default=1.0)
    assert distance(asked, lines) == pytest.approx(min(least, 1.0))
    assert readable(asked, lines) == (wanted in spans)


@given(asked=ASKED, before=TEXTS, after=TEXTS)
def test_a_text_stands_between_other_lines(asked: str, before: str, after: str) -> None:
    """Whatever they hold."""
    assert distance(asked, [before, asked, after]) == 0.0


@given(TEXTS)
def test_content_is_its_own_content(text: str) -> None:
    """And that of the capitals."""
    assert content(content(text)) == content(text)
    assert content(text.upper()) == content(text)


@given(st.text(max_size=30))
def test_any_text_has_a_content(text: str) -> None:
    """Of any Unicode: cut into pieces none of which is empty."""
    assert all(pieces(text))
    assert content(text) == "".join(pieces(text))


@pytest.mark.parametrize("wanted", ["", "  ", "——", "\u200b"])
def test_a_text_without_content_is_refused(wanted: str) -> None:
    """It would stand in any picture."""
    with pytest.raises(ValueError, match="needed: a text"):
        distance(wanted, ["夏日"])


class FakeReader:
    """Reads the same lines in every picture."""

    identity = "fake/1"

    def read(self, images):
        return [("夏日", "限制") for _ in images]


def test_the_metric_reads_pictures_and_says_its_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the registry, as any other."""
    monkeypatch.setattr(text_reader, "find_reader", FakeReader)
    image = np.zeros((8, 8, 3), np.uint8)
    batch = [Inputs(image=image, text="夏日限定"), Inputs(image=image, text="夏日")]
    assert measure("text_distance", batch) == [0.25, 0.0]
    assert metric("text_distance").direction is Direction.LOWER


class TestTheReader:
    """Order of lines, and what is said where there is no reader."""

    def test_without_the_extra_there_is_none_and_the_remedy_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Either package is enough to miss."""
        monkeypatch.setattr(text_reader.util, "find_spec", lambda name: None if name == "onnxruntime" else object())
        text_reader.find_reader.cache_clear()
        assert text_reader.find_reader() is None
        with pytest.raises(UserError, match=r'pip install "swapgate\[text\]"'):
            text_reader.the_reader()
        text_reader.find_reader.cache_clear()

    def test_without_the_models_in_the_wheel_there_is_none(self, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
        """Another version of the package carries other files; none is fetched."""
        (tmp_path / "__init__.py").touch()
        monkeypatch.setattr(text_reader.util, "find_spec", lambda name: type("Spec", (), {"origin": str(tmp_path / "__init__.py")}))
        text_reader.find_reader.cache_clear()
        assert text_reader.find_reader() is None
        text_reader.find_reader.cache_clear()

    @pytest.mark.parametrize("degrees", [-20, -10, 0, 10, 20])
    def test_lines_are_read_along_and_down_the_slanted_text(self, degrees: float) -> None:
        """Two rows of two pieces each, given in any order."""
        boxes = [box(x, y, 100, 30) for y in (0, 50) for x in (0, 200)]
        turned = np.stack([turn(one, degrees) for one in boxes])
        for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
            found = text_reader.rows(turned[order])
            assert [[order[index] for index in row] for row in found] == [[0, 1], [2, 3]]

    def test_no_boxes_are_no_rows(self) -> None:
        """A picture without text."""
        assert text_reader.rows(np.zeros((0, 4, 2))) == []

    def test_reading_texts_needs_no_heavy_package_at_import(self) -> None:
        """Neither the reader's nor any other."""
        code = (
            "import sys; from swapgate.metrics import text, text_reader; "
            "print([m for m in ('cv2', 'rapidocr', 'onnxruntime', 'torch', 'scipy') if m in sys.modules])"
        )
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def box(x: float, y: float, width: float, height: float) -> np.ndarray:
    """Corners from the upper left, clockwise."""
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float64)


def turn(corners: np.ndarray, degrees: float) -> np.ndarray:
    """About the origin."""
    angle = np.deg2rad(degrees)
    return corners @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
