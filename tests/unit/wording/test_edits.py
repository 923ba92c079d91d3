"""Edits at places, and several edits at once."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from swapgate.wording import INNOCENCE, AppliedEdit, Change, Edit, Kind, load, reworded
from swapgate.wording.edits import MOST_PLACES, substitute
from swapgate.wording.synonyms import synonym_edits

CUP_MUG, MUG_CUP, RED, LONG = synonym_edits("en", {"cup": ("mug",), "mug": ("cup",), "red": ("crimson",), "red cup": ("ruby goblet",)}, ())
STOP = Edit(
    id="full stop added", kind=Kind.PUNCTUATION, languages=frozenset({"en"}),
    find=lambda text: [] if text.endswith(".") else [Change(pieces=((len(text), len(text), "."),))],
)  # fmt: skip


def at(edit: Edit, place: int = 0) -> AppliedEdit:
    """The edit at a place, short to write."""
    return AppliedEdit(edit=edit, place=place)


def test_kinds_run_from_punctuation_to_noise() -> None:
    """The order is the order of shrinking, so it is fixed by test."""
    assert INNOCENCE[0] == Kind.PUNCTUATION
    assert INNOCENCE[-3:] == (Kind.SUFFIX, Kind.TYPO, Kind.HOMOPHONE)
    assert INNOCENCE.index(Kind.CLAUSE_ORDER) < INNOCENCE.index(Kind.SYNONYM) < INNOCENCE.index(Kind.WRAPPER)


def test_places_count_from_the_left() -> None:
    """Place 0 is the leftmost; beyond the last there is nothing to do."""
    text = "a cup, a box, a cup"
    assert CUP_MUG.apply(text, 0) == "a mug, a box, a cup"
    assert CUP_MUG.apply(text, 1) == "a cup, a box, a mug"
    assert CUP_MUG.apply(text, 2) is None
    assert CUP_MUG.apply(text, -1) is None


def test_an_edit_never_enters_a_quotation() -> None:
    """The quoted cup is neither changed nor counted."""
    text = "a sign 'cup' over a cup"
    assert CUP_MUG.apply(text, 0) == "a sign 'cup' over a mug"
    assert CUP_MUG.apply(text, 1) is None


def test_of_very_many_places_the_leftmost_count() -> None:
    """Of a thousand cups the first ninety-nine; what stands in quotation marks before them takes none of their places."""
    text = "'a cup' " * 300 + "a cup " * 1000
    assert len(CUP_MUG.changes(text)) == MOST_PLACES
    new = CUP_MUG.apply(text, 0)
    assert new == "'a cup' " * 300 + "a mug " + "a cup " * 999


def test_no_edits_give_the_original() -> None:
    """The empty rewording is the prompt itself."""
    same = reworded("a cup", "en", ())
    assert (same.text, same.original, same.edits, same.kinds, same.labels) == ("a cup", "a cup", (), (), ())


def test_the_order_of_listing_does_not_matter() -> None:
    """Any order gives the same text and the same list, most innocent first."""
    edits = [at(CUP_MUG, 1), at(RED), at(STOP), at(CUP_MUG, 0)]
    answers = {(r.text, r.labels) for order in permutations(edits) for r in [reworded("a red box, a cup, a cup", "en", order)]}
    assert answers == {
        (
            "a crimson box, a mug, a mug.",
            (
                "punctuation: full stop added @1",
                "synonym: cup→mug @1",
                "synonym: red→crimson @1",
                "synonym: cup→mug @2",
            ),
        )
    }


def test_synonyms_do_not_chain() -> None:
    """cup→mug and mug→cup act on the same text, so together they swap the words instead of undoing each other."""
    assert reworded("a cup, a mug", "en", [at(CUP_MUG), at(MUG_CUP)]).text == "a mug, a cup"
    assert reworded("a cup", "en", [at(CUP_MUG), at(MUG_CUP)]).text == "a mug"


def test_edits_that_do_nothing_are_not_listed() -> None:
    """A report must not name an edit that had no part in the text."""
    got = reworded("a cup.", "en", [at(STOP), at(CUP_MUG), at(CUP_MUG, 5), at(RED)])
    assert got.labels == ("synonym: cup→mug @1",)


def test_what_another_edit_does_as_well_is_not_listed() -> None:
    """Without the list comma the width alone is not needed beside NFKC, which was seen only once the list comma was left out."""
    book = load(Path(__file__).parents[3] / "fixtures" / "wording")
    labels = ["punctuation: ，→、 @1", "normal form: to NFKC @1", "width: ，→, @1"]
    text = "写实人像（亚洲女性，室内自然光）"
    got = reworded(text, "zh", [book.parse(label, "zh") for label in labels])
    assert got.labels == ("normal form: to NFKC @1",)
    assert reworded(text, "zh", got.edits) == got


def test_of_two_overlapping_edits_one_is_made() -> None:
    """Two synonyms of one word cannot both hold; the first in order does."""
    other = synonym_edits("en", {"cup": ("beaker",)}, ())[0]
    got = reworded("a cup", "en", [at(CUP_MUG), at(other)])
    assert (got.text, got.labels) == ("a beaker", ("synonym: cup→beaker @1",))


def test_an_edit_of_another_language_is_refused() -> None:
    """A mistake of the caller, not of the user."""
    with pytest.raises(ValueError, match="'zh'"):
        reworded("一只杯子", "zh", [at(CUP_MUG)])


def test_kinds_are_named_once() -> None:
    """Two synonyms are one kind."""
    assert reworded("a red box, a cup", "en", [at(CUP_MUG), at(RED), at(STOP)]).kinds == (
        Kind.PUNCTUATION,
        Kind.SYNONYM,
    )


def test_substitute_makes_all_pieces() -> None:
    """Pieces refer to the text before any of them is made."""
    changes = (Change(pieces=((0, 1, "xx"), (2, 3, ""))), Change(pieces=((3, 3, "!"),)))
    assert substitute("abcd", changes) == "xxb!d"
