"""Mistakes in writing: typos in English words, homophones in Chinese ones.

They are not other words for the same thing, so they are drawn only where a task asks for them and are reported apart. A
mistake never falls on a number or a side, on a short word, which it would soon turn into another, nor on the first and
last letter of a word, by which people read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from swapgate.wording.edits import Change, Edit, Kind, Piece
from swapgate.wording.preserve import numbers, sides
from swapgate.wording.quotes import blanked

_FEWEST_LETTERS = 5
_WORD = re.compile(rf"(?<![\w'’-])[A-Za-z]{{{_FEWEST_LETTERS},}}(?![\w'’-])")
Slip = Callable[[int, str], Piece | None]


def typo_edits(language: str) -> tuple[Edit, ...]:
    """Two letters changed over, one left out, one doubled; a place is a word."""
    if language != "en":
        return ()
    kinds = {"letters changed over": _changed_over, "letter left out": _left_out, "letter doubled": _doubled}
    return tuple(Edit(id=name, kind=Kind.TYPO, languages=frozenset({language}), find=partial(_in_words, slip=slip)) for name, slip in kinds.items())


def homophone_edits(language: str, homophones: Mapping[str, tuple[str, ...]]) -> tuple[Edit, ...]:
    """A word for another that sounds the same, as an input method offers it."""
    return tuple(
        Edit(
            id=f"{old}→{new}", kind=Kind.HOMOPHONE, languages=frozenset({language}),
            find=partial(_heard, old=old, new=new, language=language),
        )
        for old, others in homophones.items()
        for new in others
    )  # fmt: skip


def _in_words(text: str, *, slip: Slip) -> list[Change]:
    words = [(m.start(), m.group()) for m in _WORD.finditer(blanked(text)) if not _bound(m.group())]
    return [Change(pieces=(piece,)) for start, word in words if (piece := slip(start, word)) is not None]


def _bound(word: str) -> bool:
    """Whether a word is a number or a side."""
    return bool(numbers(word) or sides(word) or word.lower() == "single")


def _changed_over(start: int, word: str) -> Piece | None:
    """The middle two letters, or the nearest before them that differ."""
    for at in range(len(word) // 2, 0, -1):
        if at + 1 < len(word) - 1 and word[at] != word[at + 1]:
            return start + at, start + at + 2, word[at + 1] + word[at]
    return None


def _left_out(start: int, word: str) -> Piece | None:
    at = len(word) // 2
    return (start + at, start + at + 1, "") if len(word) > _FEWEST_LETTERS else None


def _doubled(start: int, word: str) -> Piece | None:
    at = len(word) // 2
    return start + at, start + at + 1, word[at] * 2


def _heard(text: str, *, old: str, new: str, language: str) -> list[Change]:
    pattern = rf"\b{re.escape(old)}\b" if language == "en" else re.escape(old)
    return [Change(pieces=((m.start(), m.end(), new),)) for m in re.finditer(pattern, blanked(text))]
