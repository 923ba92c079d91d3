"""Edits that keep the meaning of a prompt, and what comes of applying several of them.

An edit is a pure function of a text. It finds the places where it applies, from left to right, and changes
one of them. `reworded` applies a set of edits in fixed stages, all edits of one kind at once against the same
text, so the order in which they are listed does not matter and leaving one out does not move the others.
That is what makes shrinking to the smallest breaking rewording meaningful.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter

from swapgate.wording.quotes import interiors, quoted


class Kind(StrEnum):
    """Classes of edits, from the most to the least innocent. What each keeps is in `preserve.KEEPS`."""

    PUNCTUATION = "punctuation"
    NORMAL_FORM = "normal form"
    WIDTH = "width"
    SPACING = "spacing"
    SCRIPT = "script"
    NUMERALS = "numerals"
    CLAUSE_ORDER = "clause order"
    ADJECTIVE_ORDER = "adjective order"
    SMALL_WORDS = "small words"
    SYNONYM = "synonym"
    LANGUAGE = "language"
    WRAPPER = "politeness wrapper"
    SUFFIX = "quality suffix"
    TYPO = "typo"
    HOMOPHONE = "homophone"


INNOCENCE = tuple(Kind)
NOISE = frozenset({Kind.TYPO, Kind.HOMOPHONE})
"""Not other words for the same thing but mistakes in writing it."""
ON_REQUEST = NOISE | {Kind.NORMAL_FORM, Kind.SCRIPT, Kind.NUMERALS, Kind.ADJECTIVE_ORDER, Kind.SMALL_WORDS, Kind.LANGUAGE}
"""Classes that are drawn only where a task names them, so that what is drawn for the others stays as it was."""
# Width comes last because it rewrites every mark of a class, also those that other edits brought in.
_STAGES = (
    Kind.LANGUAGE, Kind.SYNONYM, Kind.ADJECTIVE_ORDER, Kind.SMALL_WORDS, Kind.CLAUSE_ORDER, Kind.NUMERALS, Kind.TYPO, Kind.HOMOPHONE,
    Kind.PUNCTUATION, Kind.SPACING, Kind.SUFFIX, Kind.WRAPPER, Kind.SCRIPT, Kind.WIDTH, Kind.NORMAL_FORM,
)  # fmt: skip

MOST_PLACES = 99
"""Places of one edit in a text that are looked at, from the left: a prompt of thousands of commas would be read thousands of times."""
_REMEMBERED = 512  # answers; a draw asks the same edits of the same text dozens of times

Piece = tuple[int, int, str]
"""(start, end, new): text[start:end] becomes `new`; start == end inserts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one edit does at one place: pieces that are replaced together, ordered and not overlapping."""

    pieces: tuple[Piece, ...]


Finder = Callable[[str], Sequence[Change]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One way to reword.

    Args:
        id: short readable name, unique within its kind and language, such as "cup→mug".
        kind: the class it belongs to.
        languages: languages of the prompts it is for.
        find: the changes it could make in a text, from left to right; quotations need not be spared here.
    """

    id: str
    kind: Kind
    languages: frozenset[str]
    find: Finder = field(compare=False, repr=False)

    def changes(self, text: str) -> tuple[Change, ...]:
        """The leftmost MOST_PLACES changes that alter the text, leave all quoted strings alone and do not leave a blank; the index is the place."""
        return _changes(self.find, text)

    def apply(self, text: str, place: int) -> str | None:
        """The text with the edit made at `place` (0 is the leftmost), or None when there is no such place."""
        changes = self.changes(text)
        return substitute(text, (changes[place],)) if 0 <= place < len(changes) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedEdit:
    """An edit at a place (0 is the leftmost). `str` is the form for reports: "synonym: cup→mug @1"."""

    edit: Edit
    place: int

    def __str__(self) -> str:
        """Readable form; places count from 1 there, as people do. `WordingBook.parse` reads it back."""
        return f"{self.edit.kind}: {self.edit.id} @{self.place + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewording:
    """A prompt said in other words.

    Args:
        original: the prompt as the task has it; pictures are judged against this one.
        language: language of the prompt.
        text: the prompt to give to the model.
        edits: what really changed the text, most innocent first; empty for the original itself.
    """

    original: str
    language: str
    text: str
    edits: tuple[AppliedEdit, ...]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of its edits without repetition, most innocent first."""
        used = {applied.edit.kind for applied in self.edits}
        return tuple(kind for kind in INNOCENCE if kind in used)

    @property
    def labels(self) -> tuple[str, ...]:
        """The edits in readable form; with `original` enough to make the rewording again."""
        return tuple(str(applied) for applied in self.edits)


def reworded(text: str, language: str, edits: Iterable[AppliedEdit]) -> Rewording:
    """The text after all `edits`, listed in any order.

    Edits that do not apply, that overlap an earlier one, or without which the text would be the same are left
    out of the answer's `edits`. ValueError for an edit of another language.
    """
    ordered = sorted(set(edits), key=order)
    for applied in ordered:
        if language not in applied.edit.languages:
            raise ValueError(f"{applied} is not an edit for language {language!r}")
    new, used = _render(text, ordered)
    while (fewer := _needed(text, new, used)) != used:  # what was needed beside an edit may not be needed without it
        used = fewer
    return Rewording(original=text, language=language, text=new, edits=tuple(used))


def _needed(text: str, new: str, used: list[AppliedEdit]) -> list[AppliedEdit]:
    """Those of the edits that still make `new` of the text, after each was left out in turn, the least innocent first."""
    for applied in tuple(reversed(used)):
        fewer = [other for other in used if other != applied]
        if _render(text, fewer)[0] == new:
            used = fewer
    return used


def order(applied: AppliedEdit) -> tuple[int, int, str]:
    """Sort key: the most innocent kind first, then the leftmost place."""
    return INNOCENCE.index(applied.edit.kind), applied.place, applied.edit.id


def substitute(text: str, changes: Iterable[Change]) -> str:
    """The text with changes made that do not overlap each other."""
    for start, end, new in sorted((piece for change in changes for piece in change.pieces), reverse=True):
        text = text[:start] + new + text[end:]
    return text


@lru_cache(maxsize=_REMEMBERED)
def _changes(find: Finder, text: str) -> tuple[Change, ...]:
    said, spans = quoted(text), interiors(text)
    found: list[Change] = []
    for change in find(text):
        if len(found) == MOST_PLACES:
            break
        if _spares(change, spans):
            new = substitute(text, (change,))
            if new != text and new.strip() and quoted(new) == said:
                found.append(change)
    return tuple(found)


def _spares(change: Change, spans: Sequence[tuple[int, int]]) -> bool:
    """False for what begins between the marks of a quotation, which are its `spans`: seen without reading the whole text again."""
    for start, _, _ in change.pieces:
        at = bisect_right(spans, start, key=itemgetter(0)) - 1
        if at >= 0 and spans[at][0] <= start < spans[at][1]:
            return False
    return True


def inverse(text: str, change: Change) -> Change:
    """What takes `change` back: made in the text after the change, it gives `text` again, character by character."""
    shift, pieces = 0, []
    for start, end, new in sorted(change.pieces):
        pieces.append((start + shift, start + shift + len(new), text[start:end]))
        shift += len(new) - (end - start)
    return Change(pieces=tuple(pieces))


def _render(text: str, edits: Sequence[AppliedEdit]) -> tuple[str, list[AppliedEdit]]:
    used: list[AppliedEdit] = []
    for kind in _STAGES:
        text = _stage(text, [applied for applied in edits if applied.edit.kind == kind], used)
    return text, sorted(used, key=order)


def _stage(text: str, edits: Sequence[AppliedEdit], used: list[AppliedEdit]) -> str:
    """All edits of one kind against the same text; those that take part are added to `used`."""
    accepted: list[Change] = []
    for applied in edits:
        found = applied.edit.changes(text)
        if applied.place >= len(found):
            continue
        change = found[applied.place]
        if any(_overlap(change, other) for other in accepted):
            continue
        if quoted(substitute(text, (*accepted, change))) == quoted(text):
            accepted.append(change)
            used.append(applied)
    return substitute(text, accepted)


def _overlap(one: Change, other: Change) -> bool:
    """Whether two changes touch the same characters or insert at the same point."""
    return any(a[0] == b[0] or (a[0] < b[1] and b[0] < a[1]) for a in one.pieces for b in other.pieces)
