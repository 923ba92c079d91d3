"""What steers is escaped, what a reader sees stays, in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.characters import escaped, steers
from swapgate.errors import UserError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 红色 é", "plain 红色 é"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\r\t", "a\\nb\\r\\t"),
        ("safe\u202egnp.exe", "safe\\u202egnp.exe"),
        ("\u2066x\u2069\u200b\ufeff", "\\u2066x\\u2069\\u200b\\ufeff"),
        ("\x85\x9b31m", "\\x85\\x9b31m"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_steers_is_written_out(text: str, shown: str) -> None:
    """A terminal is told nothing by a name."""
    assert escaped(text) == shown


def test_lines_may_be_kept() -> None:
    """A message has lines of its own."""
    assert escaped("a\nb\u202e", keep="\n") == "a\nb\\u202e"


@given(st.text())
def test_nothing_that_steers_is_left(text: str) -> None:
    """And what does not steer is left as it is."""
    found = escaped(text)
    assert not any(steers(char) for char in found)
    assert [char for char in text if not steers(char)] == [char for char in text if char in found and not steers(char)]


def test_an_error_cannot_be_made_to_say_something_else() -> None:
    """A name with a line break adds no line of its own; the lines of the message stay."""
    error = UserError(where="a\n  remedy: rm -rf ~\x1b[1A", value="\u202e", rule="there are: b\u2066", remedy="c\x07")
    assert str(error).splitlines() == ["a\\n  remedy: rm -rf ~\\x1b[1A = '\\u202e'", "  rule: there are: b\\u2066", "  remedy: c\\x07"]
