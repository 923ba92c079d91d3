"""Edits that need no word list: punctuation, full and half width, spacing between scripts.

None of them is reason for another picture. Half and full width follow Unicode's East Asian forms (UAX #11):
full-width ASCII lies at U+FF01–U+FF5E, 0xFEE0 above the half-width character.
"""

from __future__ import annotations

import re
from functools import partial

from swapgate.wording.edits import Change, Edit, Finder, Kind
from swapgate.wording.quotes import HAN, MARKS, PAIRS, blanked, interiors

EN, ZH = frozenset({"en"}), frozenset({"zh"})
_WIDE = 0xFEE0
_SHORT_CLAUSE = 6
_RESTYLED = {"‘": "“", "'": '"', "“": "‘", '"': "“", "「": "“"}
_RESTYLED_ZH = {**_RESTYLED, "“": "「"}


def layout_edits() -> tuple[Edit, ...]:
    """All of them, most innocent first within each kind."""
    return (
        _edit("full stop added", Kind.PUNCTUATION, EN, partial(_stop_added, stop=".")),
        _edit("full stop added", Kind.PUNCTUATION, ZH, partial(_stop_added, stop="。")),
        _edit("full stop removed", Kind.PUNCTUATION, EN | ZH, _stop_removed),
        _edit("first letter switched", Kind.PUNCTUATION, EN, _first_letter),
        _edit("comma before and removed", Kind.PUNCTUATION, EN, partial(_each, pattern=r",(?= and )", new="")),
        _edit("，→space", Kind.PUNCTUATION, ZH, partial(_each, pattern=r"，", new=" ")),
        _edit("，→、", Kind.PUNCTUATION, ZH, _list_comma),
        _edit(
            "brackets→comma",
            Kind.PUNCTUATION,
            EN,
            partial(_unbracketed, opening=r" \(", closing=r"\)", comma=", "),
        ),
        _edit(
            "brackets→comma",
            Kind.PUNCTUATION,
            ZH,
            partial(_unbracketed, opening="（", closing="）", comma="，"),
        ),
        _edit("quotation marks", Kind.PUNCTUATION, EN, partial(_quote_marks, styles=_RESTYLED)),
        _edit("quotation marks", Kind.PUNCTUATION, ZH, partial(_quote_marks, styles=_RESTYLED_ZH)),
        _edit("，→,", Kind.WIDTH, ZH, partial(_all, pattern="[，、](?! )", table={"，": ",", "、": ","})),
        _edit("：→:", Kind.WIDTH, ZH, partial(_all, pattern="[：；]", table={"：": ":", "；": ";"})),
        _edit("（）→()", Kind.WIDTH, ZH, partial(_all, pattern="[（）]", table={"（": "(", "）": ")"})),
        _edit("。→.", Kind.WIDTH, ZH, partial(_all, pattern="。", table={"。": "."})),
        _edit(",→，", Kind.WIDTH, ZH, partial(_all, pattern=r"(?<!\d),(?!\d) ?", table={",": "，", ", ": "，"})),
        _edit(
            "letters and digits half width",
            Kind.WIDTH,
            ZH,
            partial(_all, pattern=r"[０-９Ａ-Ｚａ-ｚ]", table=_narrow()),
        ),
        _edit(
            "letters and digits full width",
            Kind.WIDTH,
            ZH,
            partial(_all, pattern=r"[0-9A-Za-z]", table=_wide()),
        ),
        _edit("space added", Kind.SPACING, ZH, partial(_each, pattern=_BETWEEN_SCRIPTS, new=" ")),
        _edit("space removed", Kind.SPACING, ZH, partial(_each, pattern=_SPACE_BETWEEN_SCRIPTS, new="")),
        _edit("space doubled", Kind.SPACING, EN, partial(_each, pattern=r"(?<=\S) (?=\S)", new="  ")),
    )


_BETWEEN_SCRIPTS = rf"(?<=[{HAN}])(?=[0-9A-Za-z])|(?<=[0-9A-Za-z])(?=[{HAN}])"
_SPACE_BETWEEN_SCRIPTS = rf"(?<=[{HAN}]) (?=[0-9A-Za-z])|(?<=[0-9A-Za-z]) (?=[{HAN}])"


def _edit(name: str, kind: Kind, languages: frozenset[str], find: Finder) -> Edit:
    return Edit(id=name, kind=kind, languages=languages, find=find)


def _each(text: str, *, pattern: str, new: str) -> list[Change]:
    """One change for every match: a person may slip once."""
    return [Change(pieces=((m.start(), m.end(), new),)) for m in re.finditer(pattern, text)]


def _all(text: str, *, pattern: str, table: dict[str, str]) -> list[Change]:
    """One change for all matches outside quotations: the width follows the state of the keyboard."""
    pieces = tuple((m.start(), m.end(), table[m.group()]) for m in re.finditer(pattern, blanked(text)))
    return [Change(pieces=pieces)] if pieces else []


def _stop_added(text: str, *, stop: str) -> list[Change]:
    ended = not text or not (text[-1].isalnum() or text[-1] in MARKS | {")", "）"})
    return [] if ended else [Change(pieces=((len(text), len(text), stop),))]


def _stop_removed(text: str) -> list[Change]:
    single = len(text) > 1 and text[-1] in ".。" and text[-2] not in ".。"
    return [Change(pieces=((len(text) - 1, len(text), ""),))] if single else []


def _first_letter(text: str) -> list[Change]:
    """Switches the case of the first letter, unless it begins a name or an abbreviation (4K, I, Fujifilm)."""
    first = re.match(r"(a|an|the|one|two|three|four|five|six)\b", text, re.IGNORECASE)
    return [Change(pieces=((0, 1, text[0].swapcase()),))] if first else []


def _list_comma(text: str) -> list[Change]:
    """，→、 between two short phrases that only name things; between sentences 、 would be wrong."""
    shown = blanked(text)
    bounds = [-1, *(m.start() for m in re.finditer(r"[，、。：；（）]", shown)), len(shown)]
    return [
        Change(pieces=((at, at + 1, "、"),))
        for before, at, after in zip(bounds, bounds[1:], bounds[2:], strict=False)
        if shown[at] == "，" and _names_a_thing(shown[before + 1 : at]) and _names_a_thing(shown[at + 1 : after])
    ]


def _names_a_thing(part: str) -> bool:
    return 0 < len(part) <= _SHORT_CLAUSE and not re.search("[在有是写坐停站躺放位着里上下中外]", part)


def _unbracketed(text: str, *, opening: str, closing: str, comma: str) -> list[Change]:
    """Brackets at the end of the text become a comma; elsewhere that would change what belongs together."""
    match = re.search(rf"(?P<open>{opening})[^()（）]+(?P<close>{closing})(?=[.。]?$)", text)
    if not match or not match.start():
        return []
    return [Change(pieces=((*match.span("open"), comma), (*match.span("close"), "")))]


def _quote_marks(text: str, *, styles: dict[str, str]) -> list[Change]:
    """Another style of marks around the same quoted string, which must not hold marks itself."""
    found = []
    for start, end in interiors(text):
        new = styles.get(text[start - 1])
        if new and end < len(text) and not MARKS.intersection(text[start:end]):
            found.append(Change(pieces=((start - 1, start, new), (end, end + 1, PAIRS[new]))))
    return found


def _wide() -> dict[str, str]:
    plain = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return {character: chr(ord(character) + _WIDE) for character in plain}


def _narrow() -> dict[str, str]:
    return {wide: character for character, wide in _wide().items()}
