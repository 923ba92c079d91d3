"""Clause order: two neighbouring independent clauses between commas change places.

The first clause holds the subject and stays. A clause that depends on what stands before it (a relation such
as "left of", a participle, a pronoun, a label with a colon) neither moves nor is moved across. One exception:
a clause that only says where in the picture ("on the left") and a clause about the look of the whole picture
("film grain") may change places, since neither can lean on the other. Which words say so is data of the
language's wording file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from swapgate.wording.edits import Change, Edit, Kind
from swapgate.wording.quotes import blanked

_BREAKS = r"[。！？；;!?\n()（）]|\.(?=\s|$)"
_COMMAS = {"en": r",(?=\s)", "zh": r"，|(?<!\d),(?!\d)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """What ties a clause to its neighbours.

    Args:
        openings: beginnings of a clause that leans on what stands before it.
        relations: words anywhere in a clause that is tied to another one.
        positions: whole clauses that say where in the picture; without the next they would count as tied.
        looks: words anywhere in a clause about the look of the whole picture.
    """

    openings: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()


def clause_edit(language: str, bindings: Bindings) -> Edit:
    """The edit that swaps two neighbouring clauses; its places count the pairs that may be swapped."""
    find = partial(_swaps, language=language, bindings=bindings)
    return Edit(id="clauses swapped", kind=Kind.CLAUSE_ORDER, languages=frozenset({language}), find=find)


def _swaps(text: str, *, language: str, bindings: Bindings) -> list[Change]:
    shown = blanked(text)
    found = []
    for start, end in _between(shown, _BREAKS, 0, len(text)):
        spans = [_trimmed(shown, *span) for span in _between(shown, _COMMAS[language], start, end)]
        clauses = [shown[a:b] for a, b in spans]
        for i in range(1, len(spans) - 1):
            # A clause that refers to the second of the pair would refer to the other one afterwards.
            followed = i + 2 < len(spans) and _refers(clauses[i + 2], language, bindings)
            if not followed and _may_swap(clauses[i], clauses[i + 1], language, bindings):
                found.append(_swap(text, spans[i], spans[i + 1]))
    return found


def _may_swap(one: str, two: str, language: str, bindings: Bindings) -> bool:
    free = [not _is_tied(clause, language, bindings) for clause in (one, two)]
    if all(free):
        return True
    looks = [_has(clause, bindings.looks, language) for clause in (one, two)]
    places = [clause.lower() in bindings.positions for clause in (one, two)]
    return (places[0] and free[1] and looks[1]) or (places[1] and free[0] and looks[0])


def _swap(text: str, one: tuple[int, int], two: tuple[int, int]) -> Change:
    middle = text[one[1] : two[0]]
    return Change(pieces=((one[0], two[1], text[slice(*two)] + middle + text[slice(*one)]),))


def _between(shown: str, pattern: str, start: int, end: int) -> list[tuple[int, int]]:
    """The spans between matches of `pattern` in [start, end)."""
    edges = [start]
    for match in re.compile(pattern).finditer(shown, start, end):
        edges += [match.start(), match.end()]
    edges.append(end)
    return list(zip(edges[::2], edges[1::2], strict=True))


def _trimmed(shown: str, start: int, end: int) -> tuple[int, int]:
    part = shown[start:end]
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def _is_tied(clause: str, language: str, bindings: Bindings) -> bool:
    return not clause or re.search("[:：]", clause) is not None or _refers(clause, language, bindings)


def _refers(clause: str, language: str, bindings: Bindings) -> bool:
    """Whether the clause cannot be understood without the ones before it."""
    begins = any(re.match(_word(word, language), clause, re.IGNORECASE) for word in bindings.openings)
    return begins or _has(clause, bindings.relations, language)


def _has(clause: str, words: tuple[str, ...], language: str) -> bool:
    return any(re.search(_word(word, language), clause, re.IGNORECASE) for word in words)


def _word(word: str, language: str) -> str:
    return rf"\b{re.escape(word)}\b" if language == "en" else re.escape(word)
