"""Texts for a model: any script is text, and what is no text is refused with its place."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swapgate.errors import UserError
from swapgate.reading import MOST_CHARACTERS, Table

FAMILY = "👩\u200d👩\u200d👧\ufe0f"
RIGHT_TO_LEFT = "קטה כתום על אדן החלון, \u2067צבעי מים\u2069 \u202eno gnitirw\u202c"


def read(value: str) -> str:
    return Table({"en": value}, where="t.toml", prefix="prompts.").text("en")


@pytest.mark.parametrize(
    "value",
    [
        "a cat",
        FAMILY,
        RIGHT_TO_LEFT,
        "a\u200bcat",
        "e\u0301" * 40,
        "x" + "\u0335" * 300,
        "猫" * 4000,
        "two\nlines\tand a tab",
        "\ue000",
        "…",
        "𓃠",
        "\U0001fadf",
    ],
)
def test_any_script_is_text(value: str) -> None:
    """Emoji with joiners, overrides of direction, spaces of no width, piles of marks, 4,000 characters: nothing is changed."""
    assert read(value) == value


@pytest.mark.parametrize("code", [*range(0x09), 0x0B, 0x0C, 0x0D, *range(0x0E, 0x20), *range(0x7F, 0xA0), 0xFFFE, 0xFFFF, 0xFDD0, 0x1FFFE])
def test_what_is_no_text_is_refused_with_its_place(code: int) -> None:
    """Controls but tab and line feed, and noncharacters; the message holds the escape, never the character."""
    with pytest.raises(UserError) as caught:
        read(f"a cat{chr(code)}")
    said = str(caught.value)
    assert f"character 6 is U+{code:04X}" in said
    assert chr(code) not in said or code == 0x0A
    for word in ("t.toml: prompts.en = ", "rule: ", "remedy: remove that character"):
        assert word in said


@pytest.mark.parametrize("value", ["\u200b", " \u202e ", "\u0301", "\u2060\ufe0f\u200d"])
def test_a_text_that_nobody_sees_is_refused(value: str) -> None:
    """An empty prompt in disguise would be scored like a prompt."""
    with pytest.raises(UserError, match="can be seen"):
        read(value)


def test_a_text_that_is_too_long_is_refused_with_its_length() -> None:
    """The value is shortened in the message."""
    assert read("x" * MOST_CHARACTERS)
    with pytest.raises(UserError, match=f"at most {MOST_CHARACTERS} characters; this has {MOST_CHARACTERS + 1}") as caught:
        read("x" * (MOST_CHARACTERS + 1))
    assert len(str(caught.value)) < 400


@given(st.text(max_size=60))
@example("\ud800")
def test_a_text_is_taken_as_it_is_or_refused_whole(value: str) -> None:
    """Nothing is mended in silence, and no message carries a character that steers a terminal."""
    said = ""
    try:
        assert read(value) == value
    except UserError as error:
        said = str(error)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", said)
