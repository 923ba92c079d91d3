"""Order of adjectives, and the small words: measure words, 的, articles.

What a noun may be counted with, and which words are adjectives, is data of the language's wording file: a measure word
is only exchanged before a noun that the file lists it for, and two adjectives change places only side by side.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from swapgate.wording.edits import Change, Edit, Kind
from swapgate.wording.quotes import HAN, blanked

_NUMERALS = "一两二三四五六七八九十兩2-9"
_REACH = 14  # characters between a measure word and its noun; a clause of more is a sentence of its own
_STOPS = "，。、：；（）,.:;()□\\n"


def adjective_edit(language: str, adjectives: tuple[str, ...]) -> Edit:
    """The edit that lets two neighbouring adjectives change places ("small red", 小小的红色的)."""
    return Edit(
        id="adjectives swapped", kind=Kind.ADJECTIVE_ORDER, languages=frozenset({language}),
        find=partial(_swapped, words=adjectives, language=language),
    )  # fmt: skip


def small_word_edits(language: str, measures: Mapping[str, tuple[str, ...]]) -> tuple[Edit, ...]:
    """Articles in English; 的 and the measure words of `measures` (noun to what it may be counted with) in Chinese."""
    made = partial(Edit, kind=Kind.SMALL_WORDS, languages=frozenset({language}))
    if language == "en":
        return (
            made(id="article left out", find=partial(_each, pattern=r"(?<![\w-])(?:an?|the) (?=[a-z])", new="")),
            made(id="a→one", find=partial(_each, pattern=r"(?<![\w-])an?(?= [a-z])(?! (?:pair|group|few|lot|single)\b)", new="one")),
        )
    nouns = "|".join(map(re.escape, sorted(measures, key=lambda noun: (-len(noun), noun))))
    exchanged = sorted({(old, new) for words in measures.values() for old in words for new in words if old != new})
    return (
        made(id="的 left out", find=partial(_each, pattern=rf"(?<=色)的(?=[{HAN}])", new="")),
        *([made(id="的 added", find=partial(_each, pattern=rf"(?<=色)(?={nouns})", new="的"))] if nouns else []),
        *(made(id=f"{old}→{new}", find=partial(_measured, old=old, new=new, nouns=nouns, measures=measures)) for old, new in exchanged),
    )


def _each(text: str, *, pattern: str, new: str) -> list[Change]:
    """One change for every match outside quotations, with the capital of what it replaces (or of what it lays bare)."""
    found = []
    for m in re.finditer(pattern, blanked(text), re.IGNORECASE):
        if not m.group()[:1].isupper():
            found.append(Change(pieces=((m.start(), m.end(), new),)))
        elif new:
            found.append(Change(pieces=((m.start(), m.end(), new[0].upper() + new[1:]),)))
        else:
            found.append(Change(pieces=((m.start(), m.end() + 1, text[m.end()].upper()),)))
    return found


def _measured(text: str, *, old: str, new: str, nouns: str, measures: Mapping[str, tuple[str, ...]]) -> list[Change]:
    """`old` between a numeral and the next known noun, where that noun may be counted with `new` as well."""
    found = re.finditer(rf"(?<=[{_NUMERALS}]){re.escape(old)}(?=[^{_STOPS}]{{0,{_REACH}}}?({nouns}))", blanked(text))
    return [Change(pieces=((m.start(), m.end(), new),)) for m in found if {old, new} <= set(measures[m.group(1)])]


def _swapped(text: str, *, words: tuple[str, ...], language: str) -> list[Change]:
    if not words:
        return []
    known = "|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word))))
    pattern = rf"(?<![\w-])(?=({known})( )({known})(?![\w-]))" if language == "en" else rf"(?=({known})()({known}))"
    found = []
    for m in re.finditer(pattern, blanked(text), re.IGNORECASE):
        one, other = m.group(1), m.group(3)
        if one[:1].isupper():
            one, other = one[0].lower() + one[1:], other[0].upper() + other[1:]
        found.append(Change(pieces=((m.start(1), m.end(3), f"{other}{m.group(2)}{one}"),)))
    return found
