"""Text that is to be rendered: what stands between quotation marks in a prompt.

An edit may not change it, because the picture is read against it letter by letter. Apostrophes and inch marks
are not quotation marks; a quotation that never closes is taken to reach the end of the prompt, which forbids
more edits rather than fewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

PAIRS = {"‘": "’", "“": "”", "「": "」", "『": "』", "《": "》", "«": "»", "'": "'", '"': '"'}
"""Opening mark to closing mark."""

MARKS = frozenset(PAIRS) | frozenset(PAIRS.values())
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN = re.compile(f"[{HAN}]")
_BLANK = "\u25a1"


def interiors(text: str) -> tuple[tuple[int, int], ...]:
    """[start, end) of every outermost quotation, without its marks, from left to right."""
    return () if MARKS.isdisjoint(text) else tuple(_scan(text))


def quoted(text: str) -> tuple[str, ...]:
    """The quoted strings, from left to right; an edit that changes this tuple is not allowed."""
    return tuple(text[start:end] for start, end in interiors(text))


def blanked(text: str) -> str:
    """The text, same length, with every quoted character replaced: for finding commas outside quotations."""
    out = list(text)
    for start, end in interiors(text):
        out[start:end] = _BLANK * (end - start)
    return "".join(out)


def _scan(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(text):
        if not _opens(text, at):
            at += 1
            continue
        end = _closing(text, at)
        yield at + 1, end
        at = end + 1


def _opens(text: str, at: int) -> bool:
    mark = text[at]
    if mark not in PAIRS:
        return False
    if PAIRS[mark] != mark:
        return True
    return not _is_word(text, at - 1) and at + 1 < len(text) and not text[at + 1].isspace()


def _closing(text: str, opened: int) -> int:
    """Index of the mark that closes the one at `opened`; the length of the text when nothing does."""
    opening, closing = text[opened], PAIRS[text[opened]]
    depth = 1
    for at in range(opened + 1, len(text)):
        if _is_apostrophe(text, at):
            continue
        if text[at] == closing:
            depth -= 1
        elif text[at] == opening:
            depth += 1
        if depth == 0:
            return at
    return len(text)


def _is_apostrophe(text: str, at: int) -> bool:
    return text[at] in "’'" and _is_word(text, at - 1) and _is_word(text, at + 1)


def _is_word(text: str, at: int) -> bool:
    """A letter or digit of a script with spaces between words; Chinese needs no space before a quotation."""
    return 0 <= at < len(text) and text[at].isalnum() and not _HAN.match(text[at])
