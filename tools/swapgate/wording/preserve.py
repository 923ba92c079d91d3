"""What an edit keeps, as figures that can be read off a text before and after it: letters, numbers, sides, quotations.

Every class of edits names what it keeps (`KEEPS`); the tests hold each edit against that, and a lexicon is refused a pair
of synonyms that names another number or another side. A number is told in digits or words; a side (left, above, ...) by
any word for it, so that "on the left" and "to the left of the picture" are one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

from swapgate.wording.edits import Kind
from swapgate.wording.quotes import blanked, quoted

_COUNTED_EN = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMBERS_EN: Mapping[str, int] = MappingProxyType({**{word: value for value, word in enumerate(_COUNTED_EN, start=1)}, "pair": 2, "single": 1})
NUMBERS_ZH: Mapping[str, int] = MappingProxyType({**{char: value for value, char in enumerate("一二三四五六七八九十", start=1)}, "两": 2, "兩": 2})
_SIDES = {
    "left": "left", "right": "right", "top": "above", "upper": "above", "above": "above", "over": "above", "bottom": "below", "lower": "below",
    "below": "below", "beneath": "below", "under": "below", "behind": "behind", "beside": "beside", "between": "between",
    "左": "left", "右": "right", "上": "above", "顶": "above", "頂": "above", "下": "below", "底": "below", "之间": "between", "之間": "between", "旁": "beside",
}  # fmt: skip
_SIDE = re.compile("|".join(rf"\b{word}\b" if word.isascii() else word for word in _SIDES), re.IGNORECASE)
_NUMBER = re.compile(rf"\d+|(?<![^\W\d_])(?:{'|'.join(NUMBERS_EN)})(?![^\W\d_])|[{''.join(NUMBERS_ZH)}]", re.IGNORECASE)


def letters(text: str) -> str:
    """Letters and digits alone, without case, width and form (NFKC): what stays when only marks and spaces change."""
    return "".join(char for char in unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()) if char.isalnum())


def heap(text: str) -> tuple[tuple[str, int], ...]:
    """Every character with how often it stands there: what stays when parts only change places."""
    return tuple(sorted(Counter(text.casefold()).items()))


def numbers(text: str) -> tuple[int, ...]:
    """The numbers of a text outside its quotations, ascending; 一 and "a" count nothing, since both are articles as well."""
    found = [_value(match.group()) for match in _NUMBER.finditer(unicodedata.normalize("NFKC", blanked(text)))]
    return tuple(sorted(value for value in found if value != 1))


def sides(text: str) -> tuple[str, ...]:
    """left, right, above, ... as they follow each other outside quotations."""
    return tuple(_SIDES[match.group().lower()] for match in _SIDE.finditer(unicodedata.normalize("NFKC", blanked(text))))


def clash(word: str, other: str) -> str:
    """Why two words cannot name the same picture: "" where nothing speaks against it. Sides may be left out, never exchanged."""
    if numbers(word) != numbers(other):
        return "the same number"
    return "the same side" if sides(word) and sides(other) and set(sides(word)).isdisjoint(sides(other)) else ""


Reading = Callable[[str], object]
KEEPS: Mapping[Kind, tuple[Reading, ...]] = MappingProxyType({
    Kind.PUNCTUATION: (quoted, letters, numbers, sides),
    Kind.NORMAL_FORM: (quoted, letters, numbers, sides),
    Kind.WIDTH: (quoted, letters, numbers, sides),
    Kind.SPACING: (quoted, letters, numbers, sides),
    Kind.SCRIPT: (quoted, numbers, sides),
    Kind.NUMERALS: (quoted, numbers, sides),
    Kind.CLAUSE_ORDER: (quoted, heap, numbers),
    Kind.ADJECTIVE_ORDER: (quoted, heap, numbers, sides),
    Kind.SMALL_WORDS: (quoted, numbers, sides),
    Kind.SYNONYM: (quoted, numbers),
    Kind.LANGUAGE: (quoted,),
    Kind.WRAPPER: (quoted, sides),
    Kind.SUFFIX: (quoted, sides),
    Kind.TYPO: (quoted, numbers, sides),
    Kind.HOMOPHONE: (quoted, numbers, sides),
})  # fmt: skip
"""What each class of edits leaves as it was. Synonyms may say a side with or without a word for it, never another (`clash`)."""


def _value(token: str) -> int:
    if token.isdecimal():
        return int(token)
    return NUMBERS_EN.get(token.lower()) or NUMBERS_ZH[token]
