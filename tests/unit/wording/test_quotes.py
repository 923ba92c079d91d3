"""What counts as text to be rendered, and so must stay as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.wording.quotes import MARKS, blanked, interiors, quoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("海报上写‘夏日限定’四个字", ("夏日限定",)),
        ("海报上写'夏日限定'四个字", ("夏日限定",)),
        ('招牌写着"咖啡"，门上写着「营业中」', ("咖啡", "营业中")),
        ("a poster with the words 'SUMMER SALE', soft light", ("SUMMER SALE",)),
        ("a “red” cup and a “blue” one", ("red", "blue")),
        ("书名《红色的猫》", ("红色的猫",)),
        ("“他说‘你好’”", ("他说‘你好’",)),
        ("「外「内」外」后", ("外「内」外",)),
        ("a sign that says 'don't stop'", ("don't stop",)),
        ("a sign ‘don’t stop’ here", ("don’t stop",)),
    ],
)
def test_finds_the_quoted_strings(text: str, expected: tuple[str, ...]) -> None:
    """Marks of both languages, straight and curly, outermost pair only."""
    assert quoted(text) == expected


@pytest.mark.parametrize(
    "text",
    ["the designer's cup", "the cats' bowl", 'a 24" screen, a cup', "plain text", "the designer’s cup"],
)
def test_apostrophes_and_inches_are_no_quotation(text: str) -> None:
    """Otherwise half of an ordinary prompt would be frozen."""
    assert quoted(text) == ()


def test_an_open_quotation_reaches_the_end() -> None:
    """A forgotten mark forbids edits rather than allowing them."""
    assert quoted("写着“夏日限定，红色的猫") == ("夏日限定，红色的猫",)


@given(st.text(alphabet="ab 猫，.'\"‘’“”「」《》", max_size=30))
def test_interiors_are_ordered_and_inside_the_text(text: str) -> None:
    """Spans come from left to right, do not overlap, and every one follows an opening mark."""
    last = 0
    for start, end in interiors(text):
        assert last < start <= end <= len(text)
        assert text[start - 1] in MARKS
        last = end


@given(st.text(alphabet="ab 猫，.'\"‘’“”「」《》", max_size=30))
def test_blanking_keeps_length_and_everything_outside(text: str) -> None:
    """Blanked text can be searched with the same indices."""
    shown = blanked(text)
    assert len(shown) == len(text)
    inside = {i for start, end in interiors(text) for i in range(start, end)}
    assert all(shown[i] == text[i] for i in range(len(text)) if i not in inside)
    assert not any(shown[i].isalnum() for i in inside)
