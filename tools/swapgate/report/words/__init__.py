"""What the page says, one catalogue a language: `en.toml` and `zh.toml` beside this file hold the same keys.

A phrase is plain text with {names} to be filled in; one for a single thing stands beside it under `<key>_one` and is taken where n is 1.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

LANGUAGES = ("en", "zh")
TAGS: Mapping[str, str] = {"en": "en", "zh": "zh-Hans"}


@dataclass(frozen=True, slots=True)
class Words:
    """The phrases of one language. lang: "en" or "zh"; tag: the same as an HTML page states it; other: the other language."""

    lang: str
    table: Mapping[str, str]

    def __call__(self, key: str, /, **values: Any) -> str:
        """The phrase of `key` with its places filled. KeyError for a key that the catalogue lacks."""
        one = self.table.get(f"{key}_one") if values.get("n") == 1 else None
        text = self.table[key] if one is None else one
        return text.format(**values) if values else text

    def name(self, kind: str, name: str) -> str:
        """How this language calls a gate, a claim, a unit, ...; the name itself where the catalogue has no word for it."""
        return self.table.get(f"{kind}.{name}", name)

    @property
    def tag(self) -> str:
        return TAGS[self.lang]

    @property
    def other(self) -> Words:
        return words(next(lang for lang in LANGUAGES if lang != self.lang))


@functools.cache
def words(lang: str) -> Words:
    """The catalogue of a language; KeyError for one that there is none of."""
    if lang not in TAGS:
        raise KeyError(lang)
    data = tomllib.loads(files(__package__).joinpath(f"{lang}.toml").read_text(encoding="utf-8"))
    return Words(lang=lang, table={f"{group}.{key}": text for group, phrases in data.items() for key, text in phrases.items()})
