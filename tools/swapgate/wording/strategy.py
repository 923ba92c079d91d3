"""Rewordings by hypothesis: the strategy, a fixed draw from it, and the smallest rewording that still breaks.

Hypothesis shrinks by making the choices of a strategy fewer and smaller, so the strategy itself says what
"smaller" means (MacIver and Donaldson, ECOOP 2020): fewer edits, then a more innocent kind, then the place
further left. The empty list of edits is the original.

Nothing here depends on the process, the hash seed or an example database. The seed of every search is given,
and all ranges stay below 100 so that hypothesis mixes in none of the constants that it collects from loaded
modules. A draw belongs to the version of hypothesis: another one may choose other rewordings from the same
seed, so a run records the texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from itertools import combinations
from random import Random
from typing import TYPE_CHECKING

from swapgate.errors import UserError
from swapgate.wording.book import WordingBook
from swapgate.wording.edits import INNOCENCE, AppliedEdit, Edit, Kind, Rewording, reworded

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

MAX_EDITS = 3
_BY_KINDS = 8  # about as many as there are kinds: before each kind had its turn, its edits need none
_MOST_CHOICES = 99
"""Hypothesis keeps small integers out of the constants it collects from modules; see the module's text."""

Room = tuple[Edit, int]
"""An edit and the number of places it has in a text."""


def rewordings(
    text: str,
    language: str,
    book: WordingBook,
    max_edits: int = MAX_EDITS,
    approved: Collection[str] | None = None,
) -> SearchStrategy[Rewording]:
    """Rewordings of a prompt with at most `max_edits` edits; shrinks towards the original.

    Args:
        text: the prompt.
        language: its language.
        book: the approved edits of the project.
        max_edits: most edits at once, 0 or more.
        approved: kinds or edits this prompt may have (`WordingBook.of`); None for all.
    """
    from hypothesis import strategies as st

    rooms = _rooms(text, book.of(language, approved))
    if not rooms or max_edits < 1:
        return st.just(reworded(text, language, ()))

    @st.composite
    def one(choose: DrawFn) -> AppliedEdit:
        group = choose(st.sampled_from(rooms))
        edit, places = choose(st.sampled_from(group))
        return AppliedEdit(edit=edit, place=choose(st.integers(0, places - 1)))

    return st.lists(one(), max_size=max_edits, unique=True).map(lambda edits: reworded(text, language, edits))


def draw(
    text: str,
    language: str,
    book: WordingBook,
    *,
    n: int,
    seed_text: str,
    max_edits: int = MAX_EDITS,
    approved: Collection[str] | None = None,
) -> tuple[Rewording, ...]:
    """`n` different rewordings, none of them the original, spread evenly over the kinds of edits.

    The same arguments, book and version of hypothesis give the same answer in every process.
    UserError when the approved edits do not yield `n` different texts.

    Args:
        text: the prompt as written.
        language: "en" or "zh".
        book: the approved edits.
        n: how many, 0 or more.
        seed_text: what the choice hangs on, such as the task's id; other text, other rewordings.
        max_edits: how many edits one rewording has at most.
        approved: names of the edits that may be used; None allows every edit of the book.
    """
    if n < 1:
        return ()
    strategy = rewordings(text, language, book, max_edits, approved)
    pool: list[Rewording] = []
    for examples in (10 * n + 40, 100 * n + 400):
        if len(pool) < n:
            pool = _pool(strategy, examples, _digest(seed_text, language, text))
    if len(pool) < n:
        raise UserError(
            where=book.where, key=language, value=text,
            rule=f"{n} different rewordings; its approved edits yield {len(pool)}",
            remedy=f"ask for at most {len(pool)}, approve more kinds, or add synonyms to {language}.toml",
        )  # fmt: skip
    return _spread(sorted(pool, key=lambda rewording: _digest(seed_text, rewording.text)), n)


def smallest(rewording: Rewording, breaks: Callable[[Rewording], bool], budget: int) -> Rewording:
    """The smallest rewording, made of some of the edits of a breaking one, that still breaks.

    Smallest is fewest edits, then the most innocent. The given rewording is taken to break and the original
    not to, so neither is asked again. `breaks` is asked at most once for a text and at most `budget` times
    altogether; what was not asked counts as not breaking, so with a small budget the answer may be larger
    than need be, never wrong. An error inside `breaks` ends the search and is raised.
    """
    best = rewording
    asked = _Asked(breaks, budget, rewording)
    candidates = _parts(rewording)
    while candidates:
        found = _find(candidates, asked)
        if asked.error is not None:
            raise asked.error
        if found is None:
            break
        best, candidates = found, candidates[: candidates.index(found)]
    return best


class _Asked:
    """The predicate, remembered by text: hypothesis repeats examples and must hear the same answer."""

    def __init__(self, breaks: Callable[[Rewording], bool], budget: int, known: Rewording) -> None:
        self._breaks, self._left = breaks, budget
        self._answers = {known.text: True, known.original: False}
        self.error: Exception | None = None

    def __call__(self, rewording: Rewording) -> bool:
        if rewording.text not in self._answers:
            self._answers[rewording.text] = self._ask(rewording)
        return self._answers[rewording.text]

    def _ask(self, rewording: Rewording) -> bool:
        if self._left < 1 or self.error is not None:
            return False
        self._left -= 1
        try:
            return bool(self._breaks(rewording))
        except Exception as error:  # kept, because hypothesis would call again to confirm it
            self.error = error
            return False


def _parts(rewording: Rewording) -> list[Rewording]:
    """The rewordings with some but not all of the edits, smallest first, every text once."""
    found: dict[str, Rewording] = {}
    for size in range(1, len(rewording.edits)):
        for edits in combinations(rewording.edits, size):
            part = reworded(rewording.original, rewording.language, edits)
            if part.text not in (rewording.text, rewording.original):
                found.setdefault(part.text, part)
    return list(found.values())


def _find(candidates: Sequence[Rewording], breaks: Callable[[Rewording], bool]) -> Rewording | None:
    from hypothesis import find, settings
    from hypothesis import strategies as st
    from hypothesis.errors import NoSuchExample

    limits = settings(database=None, derandomize=True, deadline=None, max_examples=max(100, 2 * len(candidates)))
    try:
        return find(st.sampled_from(candidates), breaks, settings=limits, random=Random(0))
    except NoSuchExample:
        return None


def _rooms(text: str, edits: Sequence[Edit]) -> list[list[Room]]:
    """The edits that apply to the text, grouped by kind, most innocent kind first."""
    by_kind: dict[Kind, list[Room]] = {kind: [] for kind in INNOCENCE}
    for edit in edits:
        places = len(edit.changes(text))  # at most MOST_PLACES, which is as small
        if places and len(by_kind[edit.kind]) < _MOST_CHOICES:
            by_kind[edit.kind].append((edit, places))
    return [rooms for rooms in by_kind.values() if rooms]


def _pool(strategy: SearchStrategy[Rewording], examples: int, number: int) -> list[Rewording]:
    """Different rewordings as hypothesis makes them, simple ones early, without the original."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    found: dict[str, Rewording] = {}

    @seed(number)
    @settings(
        max_examples=examples, database=None, derandomize=True, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def collect(rewording: Rewording) -> None:
        if rewording.edits:
            found.setdefault(rewording.text, rewording)

    collect()
    return list(found.values())


def _digest(*parts: str) -> int:
    """A number that hangs on nothing but the parts; Python's own hash differs between processes."""
    return int.from_bytes(sha256("\n".join(parts).encode()).digest()[:8], "big")


def _spread(pool: list[Rewording], n: int) -> tuple[Rewording, ...]:
    """`n` of the pool, each time the earliest among those whose kinds, and then whose edits, were used least so far.

    With many rewordings every edit that applies comes up, so that what breaks on one of them is found. The first _BY_KINDS are
    chosen by their kinds alone.
    """
    used = dict.fromkeys(INNOCENCE, 0)
    edits: Counter[tuple[Edit, int]] = Counter()
    chosen: list[Rewording] = []
    left = list(pool)
    while len(chosen) < n:
        told = edits if len(chosen) >= _BY_KINDS else Counter[tuple[Edit, int]]()
        best = min(left, key=partial(_turns, used, told))
        left.remove(best)
        chosen.append(best)
        for kind in best.kinds:
            used[kind] += 1
        edits.update(map(_what, best.edits))
    return tuple(chosen)


def _turns(used: Mapping[Kind, int], edits: Mapping[tuple[Edit, int], int], rewording: Rewording) -> tuple[float, float]:
    """How often the kinds of a rewording have come up, and then its edits; both means."""
    return _mean(used[kind] for kind in rewording.kinds), _mean(edits[_what(one)] for one in rewording.edits)


def _what(applied: AppliedEdit) -> tuple[Edit, int]:
    return applied.edit, applied.place


def _mean(values: Iterable[int]) -> float:
    found = list(values)
    return sum(found) / len(found)
