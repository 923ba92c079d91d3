"""Whole words, capitals, articles, longest match."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.wording.synonyms import synonym_edits, takes_an

EN = {
    "cup": ("mug",), "orange": ("tangerine",), "red": ("scarlet",), "umbrella": ("brolly",), "wooden table": ("oak table",),
    "table": ("desk",), "blue": ("royal blue",), "photo": ("image",), "close-up": ("detail",),
}  # fmt: skip
ZH = {"猫": ("猫咪",), "橘猫": ("橘色的猫",), "红色": ("正红色",), "红色的": ("红色",), "的猫": ("的猫咪",)}


def outcomes(text: str, language: str, word: str, keep: tuple[str, ...] = ()) -> list[str]:
    """The text after replacing the word at each of its places."""
    table = EN if language == "en" else ZH
    edit = next(e for e in synonym_edits(language, dict(table), keep) if e.id.startswith(f"{word}→"))
    found, place = [], 0
    while (new := edit.apply(text, place)) is not None:
        found.append(new)
        place += 1
    return found


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("cup", "a cup and a cup", ["a mug and a cup", "a cup and a mug"]),
        ("cup", "a teacup, cups, cup-shaped, a cupboard", []),
        ("cup", "Cup on a table", ["Mug on a table"]),
        ("cup", "A RED CUP", ["A RED MUG"]),
        ("orange", "An orange cat", ["A tangerine cat"]),
        ("umbrella", "an umbrella", ["a brolly"]),
        ("photo", "a photo, A photo", ["an image, A photo", "a photo, An image"]),
        ("photo", "a large photo", ["a large image"]),
        ("table", "a wooden table", []),
        ("table", "a wooden table on a table", ["a wooden table on a desk"]),
        ("wooden table", "a wooden table", ["an oak table"]),
        ("blue", "a royal blue cup, a blue cup", ["a royal blue cup, a royal blue cup"]),
        ("close-up", "a close-up of it", ["a detail of it"]),
        ("red", "a 'red' sign", []),
    ],
)
def test_english(word: str, text: str, expected: list[str]) -> None:
    """Whole words only, with their capitals and the article before them."""
    assert outcomes(text, "en", word) == expected


def test_kept_words_are_never_replaced() -> None:
    """Orange juice is not tangerine."""
    assert outcomes("orange juice by an orange wall", "en", "orange", ("orange juice",)) == ["orange juice by a tangerine wall"]


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("猫", "一只橘猫和一只猫", ["一只橘猫和一只猫咪"]),
        ("橘猫", "一只橘猫", ["一只橘色的猫"]),
        ("红色", "红色的猫，红色猫", ["红色的猫，正红色猫"]),
        ("红色的", "红色的猫", ["红色猫"]),
        ("的猫", "红色的猫", ["红色的猫咪"]),
        ("猫", "写‘猫’字", []),
    ],
)
def test_chinese(word: str, text: str, expected: list[str]) -> None:
    """A word inside a longer known word does not count."""
    assert outcomes(text, "zh", word) == expected


def test_chinese_kept_words() -> None:
    """A panda is no cat."""
    assert outcomes("一只熊猫和猫", "zh", "猫", ("熊猫",)) == ["一只熊猫和猫咪"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("orange", True),
        ("image", True),
        ("umbrella", True),
        ("hour", True),
        ("uniform", False),
        ("european", False),
        ("mug", False),
        ("one", False),
    ],
)
def test_article_follows_the_sound(word: str, expected: bool) -> None:
    """The letter is not the sound in hour, uniform and one."""
    assert takes_an(word) is expected


@given(
    st.lists(
        st.sampled_from(["a cup", "an orange box", "Red", "cupboard", "two cups", "a wooden table"]),
        max_size=6,
    ),
    st.sampled_from(sorted(EN)),
)
def test_the_words_around_stay(parts: list[str], word: str) -> None:
    """Apart from the word and a corrected article, every word of the text is as before."""
    text = ", ".join(parts)
    for new in outcomes(text, "en", word):
        removed = [w for w in text.split() if w not in new.split()]
        assert {w.strip(",").lower() for w in removed} <= {*word.split(), "a", "an"}
