"""Requests before a prompt and suffixes behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.wording import AppliedEdit, reworded
from swapgate.wording.frames import Suffix, Wrapper, suffix_edit, wrapper_edit

DRAW = Wrapper(id="draw", before="Please draw ", starts=("a", "two"), unless=("a photo",), without=("sits",))
THANKS = Wrapper(id="thanks", before="Make this: ", after=". Thanks.")
QING = Wrapper(id="请画", before="请画", starts=("一", "两"))
VENDOR = Suffix(id="4K", text=", Ultra HD, 4K.")
PLAIN = Suffix(id="sharp", text=", sharp")


@pytest.mark.parametrize(
    ("wrapper", "text", "expected"),
    [
        (DRAW, "A red cup.", "Please draw a red cup."),
        (DRAW, "two cups", "Please draw two cups"),
        (DRAW, "A cat sits on a book", None),
        (DRAW, "A sign 'sits'", "Please draw a sign 'sits'"),
        (DRAW, "Above the sea", None),
        (DRAW, "A photo of a cup", None),
        (DRAW, "Fujifilm look", None),
        (THANKS, "A red cup.", "Make this: A red cup. Thanks."),
        (THANKS, "'SALE' on a poster", "Make this: 'SALE' on a poster. Thanks."),
        (THANKS, "A sign 'SALE'", "Make this: A sign 'SALE'. Thanks."),
        (THANKS, "  ", None),
        (THANKS, "Please draw a cup", None),
        (QING, "一只猫", "请画一只猫"),
        (QING, "海报上写‘夏日’", None),
    ],
)
def test_wrapper(wrapper: Wrapper, text: str, expected: str | None) -> None:
    """A wrapper fits the beginning of the prompt or does not apply."""
    assert wrapper_edit("en", wrapper, (DRAW, THANKS, QING)).apply(text, 0) == expected


@pytest.mark.parametrize(
    ("suffix", "text", "expected"),
    [
        (VENDOR, "A red cup.", "A red cup, Ultra HD, 4K."),
        (VENDOR, "A red cup", "A red cup, Ultra HD, 4K."),
        (PLAIN, "A red cup.", "A red cup, sharp."),
        (PLAIN, "A red cup", "A red cup, sharp"),
        (PLAIN, "A red cup, sharp", None),
        (PLAIN, "", None),
        (PLAIN, "A sign 'SALE", None),
    ],
)
def test_suffix(suffix: Suffix, text: str, expected: str | None) -> None:
    """The suffix goes before the full stop, unless it brings its own."""
    assert suffix_edit("en", suffix).apply(text, 0) == expected


@given(st.permutations([0, 1, 2, 3]))
def test_one_request_and_one_suffix_at_most(order: list[int]) -> None:
    """Two requests or two suffixes would no longer be how people write."""
    edits = [
        wrapper_edit("en", DRAW, (DRAW, THANKS)), wrapper_edit("en", THANKS, (DRAW, THANKS)),
        suffix_edit("en", VENDOR), suffix_edit("en", PLAIN),
    ]  # fmt: skip
    got = reworded("A cup.", "en", [AppliedEdit(edit=edits[i], place=0) for i in order])
    assert got.text == "Please draw a cup, Ultra HD, 4K."


@given(st.sampled_from([DRAW, THANKS]), st.sampled_from(["A cup", "two cups.", "a cup, sharp"]))
def test_wrapping_is_idempotent(wrapper: Wrapper, text: str) -> None:
    """A request is not wrapped again, by this wrapper or another."""
    once = wrapper_edit("en", wrapper, (DRAW, THANKS)).apply(text, 0)
    assert once is not None
    assert wrapper_edit("en", DRAW, (DRAW, THANKS)).apply(once, 0) is None
    assert wrapper_edit("en", THANKS, (DRAW, THANKS)).apply(once, 0) is None
