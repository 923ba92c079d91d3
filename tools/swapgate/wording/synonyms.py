"""Synonyms out of the curated tables, whole words only.

English words end at word boundaries, keep their capitals and take a preceding a/an along. Chinese has no
boundaries: a word inside a longer one that the tables know does not count, so the cat in 橘猫 is never read
as 猫 alone. Words listed under `keep` are known but never replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache, partial

from swapgate.wording.edits import Change, Edit, Kind

_SILENT_H = ("hour", "honest", "honour", "heir")
_YOU_SOUND = ("uni", "use", "usu", "eu", "one", "once")


def synonym_edits(language: str, table: dict[str, tuple[str, ...]], keep: tuple[str, ...]) -> tuple[Edit, ...]:
    """One edit for every (word, synonym), in table order; its places count the word in the text."""
    # The replacements are known words too: the blue of "royal blue" must not become "royal blue" again.
    known = {*table, *keep, *(new for synonyms in table.values() for new in synonyms)}
    pattern = _pattern(language, tuple(sorted(known, key=lambda word: (-len(word), word))))
    return tuple(
        Edit(
            id=f"{word}→{new}", kind=Kind.SYNONYM, languages=frozenset({language}),
            find=partial(_replaced, word=word, new=new, language=language, pattern=pattern),
        )
        for word, synonyms in table.items()
        for new in synonyms
    )  # fmt: skip


def _pattern(language: str, words: tuple[str, ...]) -> str:
    known = "|".join(re.escape(word) for word in words)
    # A lookahead finds words that overlap: of 红色的 and 的猫 in 红色的猫 each may be replaced.
    return rf"(?<![\w-])(?=({known})(?![\w-]))" if language == "en" else f"(?=({known}))"


@lru_cache(maxsize=512)
def _known_words(text: str, pattern: str) -> tuple[tuple[int, int], ...]:
    """Spans of the longest known word at each place, without those that lie inside another."""
    spans = [match.span(1) for match in re.finditer(pattern, text, re.IGNORECASE)]
    return tuple((start, end) for start, end in spans if not any(a <= start and end <= b for a, b in spans if (a, b) != (start, end)))


def _replaced(text: str, *, word: str, new: str, language: str, pattern: str) -> list[Change]:
    spans = [span for span in _known_words(text, pattern) if text[slice(*span)].lower() == word.lower()]
    if language == "en":
        return [Change(pieces=tuple(_english(text, start, end, new))) for start, end in spans]
    return [Change(pieces=((start, end, new),)) for start, end in spans]


def _english(text: str, start: int, end: int, new: str) -> Iterator[tuple[int, int, str]]:
    article = re.search(r"\b(an?)\s+$", text[:start], re.IGNORECASE)
    if article:
        old = article.group(1)
        yield article.start(1), article.end(1), _like(old, "an" if takes_an(new) else "a")
    yield start, end, _like(text[start:end], new)


def _like(old: str, new: str) -> str:
    """`new` with the capitals of `old`; a single capital letter is a beginning, not shouting."""
    if len(old) > 1 and old.isupper() and any(letter.isalpha() for letter in old):
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def takes_an(word: str) -> bool:
    """Whether a word begins with a vowel sound, so that "an" stands before it."""
    low = word.lower()
    return low.startswith(_SILENT_H) or (low[:1] in set("aeiou") and not low.startswith(_YOU_SOUND))
