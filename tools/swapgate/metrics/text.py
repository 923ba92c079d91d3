"""Rendered text: is the text that a task asks for readable in the picture, and how far is what stands there from it?

Both are said of what a reader (`swapgate.metrics.text_reader`) read, as lines in reading order.

*Content*. Text is compared after NFKC and case folding (full and half width are one, SALE is sale), without spaces, line breaks,
invisible characters and punctuation, since quotes, dashes and dots are layout. Signs that are read out stay: symbols (+ = ¥ $), the
marks % & @ # * /, and a mark between two digits (3.5 is not 35, 12:30 is not 1230). Simplified and traditional characters differ.

*Spans*. The text may stand anywhere among other text and be broken into lines, but nothing may be attached to it: it has to begin and
end at a border of a line, at a space or at dropped punctuation, or where Chinese characters, other letters, digits and signs meet.
夏日限定 stands in 2026夏日限定SALE and in 夏日 / 限定, and does not stand in 夏日限定定; ART does not stand in START.

*Distance*. The least, over all spans of the picture, of the edit distance (Levenshtein 1966) between the contents of text and span,
over the length of the longer one, in [0, 1]: 0 is the exact match, 1 means that nothing of it is there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from swapgate.metrics.kinds import Cost, Direction, Inputs, Metric, Need

VERSION = 1
"""Raised when the same lines would get another distance."""

READ_OUT = frozenset("%&@#*/")
_HAN = ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3347F))


def content(text: str) -> str:
    """What of a text counts; "" where it is all layout."""
    return "".join(pieces(text))


def pieces(text: str) -> tuple[str, ...]:
    """The content of a text, cut wherever a span may begin or end."""
    found: list[str] = []
    before = ""  # the kind of the last character; "" where a cut is due anyway
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    for at, character in enumerate(plain):
        kind = _kind(plain, at)
        if kind == "mark":
            kind = before or "letter"
        if not kind:
            before = ""
        elif kind == before:
            found[-1] += character
        else:
            found.append(character)
            before = kind
    return tuple(found)


def distance(wanted: str, lines: Iterable[str]) -> float:
    """How far the nearest span of `lines` is from `wanted`: 0 for an exact match, 1 where no character of it is there.

    Raises:
        ValueError: `wanted` has no content, so that any picture would match.
    """
    asked = content(wanted)
    if not asked:
        raise ValueError(f"needed: a text with a letter, a digit or a sign; given {wanted!r}")
    parts = [piece for line in lines for piece in pieces(line)]
    if not set(asked) & {character for part in parts for character in part}:
        return 1.0
    best = 1.0
    for start in range(len(parts)):
        best = min(best, _nearest(asked, parts[start:], best))
    return best


def readable(wanted: str, lines: Iterable[str]) -> bool:
    """Whether `wanted` stands in `lines`, exactly."""
    return distance(wanted, lines) == 0.0


def _nearest(asked: str, parts: Sequence[str], best: float) -> float:
    """The least distance of the spans that begin with parts[0]; `best` where none is nearer."""
    row, length = list(range(len(asked) + 1)), 0
    for part in parts:
        for character in part:
            row = _next_row(row, asked, character)
        length += len(part)
        best = min(best, row[-1] / max(length, len(asked)))
        if 1 - len(asked) / length >= best:  # a longer span has as many characters too many
            break
    return best


def _next_row(row: Sequence[int], asked: str, character: str) -> list[int]:
    """Edit distances of every beginning of `asked` from a span that is one character longer."""
    found = [row[0] + 1]
    for column, letter in enumerate(asked):
        found.append(min(row[column + 1] + 1, found[column] + 1, row[column] + (letter != character)))
    return found


def _kind(text: str, at: int) -> str:
    """han, letter, digit, sign, mark (it belongs to what stands before it); "" for what is no content."""
    character = text[at]
    category = unicodedata.category(character)
    if category[0] in "LN":
        if any(low <= ord(character) <= high for low, high in _HAN):
            return "han"
        return "letter" if category[0] == "L" else "digit"
    if category[0] == "M":
        return "mark"
    if category in ("Sc", "Sm", "So") or character in READ_OUT:
        return "sign"
    return "digit" if category[0] == "P" and _is_digit(text, at - 1) and _is_digit(text, at + 1) else ""


def _is_digit(text: str, at: int) -> bool:
    return 0 <= at < len(text) and unicodedata.category(text[at]) == "Nd"


def _distances(batch: Sequence[Inputs]) -> list[float]:
    """Of pictures, by the reader that is installed."""
    from swapgate.metrics.text_reader import the_reader

    texts = [inputs.asked_text() for inputs in batch]
    read = the_reader().read([inputs.picture() for inputs in batch]) if batch else []
    return [distance(text, lines) for text, lines in zip(texts, read, strict=True)]


METRIC = Metric(
    name="text_distance",
    unit="1",
    direction=Direction.LOWER,
    low=0.0,
    high=1.0,
    version=VERSION,
    needs=frozenset({Need.TEXT}),
    cost=Cost.MODEL,
    measure=_distances,
)
