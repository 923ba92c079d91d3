"""Which clauses may change places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.wording.clauses import Bindings, clause_edit

EN = Bindings(
    openings=("on", "with", "and", "sitting", "in"), relations=("left of", "it", "its"),
    positions=("on the left",), looks=("film grain", "soft focus"),
)  # fmt: skip
ZH = Bindings(openings=("坐", "在", "它"), relations=("左边", "旁边"), positions=("在画面左侧",), looks=("胶片", "柔焦"))


def outcomes(text: str, language: str) -> list[str]:
    """The text after each swap that is allowed."""
    edit = clause_edit(language, EN if language == "en" else ZH)
    found, place = [], 0
    while (new := edit.apply(text, place)) is not None:
        found.append(new)
        place += 1
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cup, soft focus, warm light", ["a cup, warm light, soft focus"]),
        ("a cup, soft focus, warm light.", ["a cup, warm light, soft focus."]),
        ("a, b, c, d", ["a, c, b, d", "a, b, d, c"]),
        ("a cup, soft focus", []),
        ("a cup, on a table, warm light", []),
        ("a cup, a book left of the lamp, warm light", []),
        ("a cup, its handle broken, warm light", []),
        ("a cup, a box, and a cat", []),
        ("a cup, a book, a lamp, on a table", []),
        ("a cup, style: watercolour, warm light", []),
        ("a cup, on the left, film grain", ["a cup, film grain, on the left"]),
        ("a cup, on the left, a book", []),
        ("a cup, on the left of it, film grain", []),
        ("a sign 'one, two, three'", []),
        ("a sign, warm light, the words 'one, two'", ["a sign, the words 'one, two', warm light"]),
        ("a cup. A cat, warm light", []),
        ("a room (a cup, warm light, a box), noon", ["a room (a cup, a box, warm light), noon"]),
        ("1,000 cups, a box, a cat", ["1,000 cups, a cat, a box"]),
    ],
)
def test_english(text: str, expected: list[str]) -> None:
    """Independent clauses swap; the first one, relations, labels, sentences and brackets hold."""
    assert outcomes(text, "en") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("设计师，坐在窗边，柔焦，暖光", ["设计师，坐在窗边，暖光，柔焦"]),
        ("猫，书在灯的左边，暖光", []),
        ("猫，柔焦,暖光", ["猫，暖光,柔焦"]),
        ("两只杯子，在画面左侧，胶片颗粒。", ["两只杯子，胶片颗粒，在画面左侧。"]),
        ("猫，窗外有树，风格：水彩", []),
        ("产品图（杯子，木桌，柔焦背景）", ["产品图（杯子，柔焦背景，木桌）"]),
        ("猫，暖光。它，柔焦", []),
    ],
)
def test_chinese(text: str, expected: list[str]) -> None:
    """The same rules with Chinese commas."""
    assert outcomes(text, "zh") == expected


def test_a_clause_that_leans_keeps_what_it_leans_on() -> None:
    """What stands right before "on a table" stays there; the swap before it is free."""
    assert outcomes("a room, a cup, a book, on a table", "en") == []
    assert outcomes("a room, a cup, a book, a lamp, on a table", "en") == ["a room, a book, a cup, a lamp, on a table"]


CLAUSES = st.lists(
    st.sampled_from(["warm light", "a box", "film grain", "on a table", "on the left", "left of a cat", "soft focus"]),
    min_size=1,
    max_size=5,
)


@given(CLAUSES)
def test_a_swap_moves_clauses_and_nothing_else(clauses: list[str]) -> None:
    """The subject stays first, the same clauses are there, and swapping the pair again restores the text."""
    text = ", ".join(["a red cup", *clauses])
    for new in outcomes(text, "en"):
        assert new.startswith("a red cup, ")
        assert sorted(new.split(", ")) == sorted(text.split(", "))


@given(CLAUSES)
def test_relations_never_move(clauses: list[str]) -> None:
    """A tied clause keeps its index and the clause before it."""
    text = ", ".join(["a red cup", *clauses])
    before = text.split(", ")
    for new in outcomes(text, "en"):
        after = new.split(", ")
        for i, clause in enumerate(before):
            if clause in ("on a table", "left of a cat"):
                assert after[i - 1 : i + 1] == before[i - 1 : i + 1]
