"""Typed, strict reading of TOML tables: every mistake is one UserError that names file, key, value, rule and remedy.

A reader takes the keys it knows out of a table and then calls `finish`, so that a key nobody took is reported
with the nearest key that exists, instead of being ignored in silence.
"""

from __future__ import annotations

import difflib
import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from swapgate.characters import steers
from swapgate.errors import UserError

T = TypeVar("T")
_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "a table"}
MISSING: Any = object()
MOST_CHARACTERS = 10_000  # of a text for a model: several times what any text encoder reads


def load_toml(path: Path) -> Table:
    """The top table of a TOML file; UserError when it is absent or does not parse."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(where=str(path), rule="the file must exist", remedy="create it or correct the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(where=str(path), rule=f"valid TOML in UTF-8 ({error})", remedy="correct the line named above") from None
    return Table(content, where=str(path))


class Table:
    """One TOML table being read; remembers where it stands for its error messages."""

    def __init__(self, content: Mapping[str, Any], *, where: str, prefix: str = "") -> None:
        self._content, self.where, self._prefix = dict(content), where, prefix
        self._known: set[str] = set()

    def key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def has(self, name: str) -> bool:
        return name in self._content

    def wrong(self, name: str, rule: str, remedy: str, value: object = MISSING) -> UserError:
        """The error for key `name`, carrying its value (or `value`)."""
        given = self._content.get(name) if value is MISSING else value
        return UserError(where=self.where, key=self.key(name), value=given, rule=rule, remedy=remedy)

    def take(self, name: str, kind: type[T], default: Any = MISSING, *, rule: str = "") -> T:
        """The value of key `name`; `default` when absent, an error when absent without default or of another type."""
        self._known.add(name)
        if name not in self._content:
            if default is MISSING:
                raise UserError(
                    where=self.where,
                    key=self.key(name),
                    rule=rule or f"{_NAMES[kind]} is required here",
                    remedy=f"add `{name} = …`",
                )
            return default  # type: ignore[no-any-return]
        value = self._content[name]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind in (int, float) and isinstance(value, bool)):
            raise self.wrong(name, rule or f"must be {_NAMES[kind]}", f"write {_NAMES[kind]}")
        return value

    def text(self, name: str) -> str:
        """A text for a model to read, in any script. UserError when it is too long, has nothing to be seen, or a character that is no text.

        Refused are controls but tab and line feed, and code points that Unicode never assigns: tokenizers, XML and terminals each make
        something else of them. What only steers the writing (joiners, marks and overrides of direction) is text, and is shown escaped.
        """
        value = self.take(name, str)
        if len(value) > MOST_CHARACTERS:
            raise self.wrong(name, f"at most {MOST_CHARACTERS} characters; this has {len(value)}", "shorten it", value)
        for place, char in enumerate(value, start=1):
            if steers(char) and unicodedata.category(char) in ("Cc", "Cn", "Cs") and char not in "\t\n":
                raise self.wrong(
                    name, f"no control character and no noncharacter; character {place} is U+{ord(char):04X}", "remove that character", value
                )
        if value.strip() and not any(unicodedata.category(char)[0] in "LNSP" or unicodedata.category(char) in ("Co", "Cn") for char in value):
            raise self.wrong(
                name, "a text with a character that can be seen; this has only spaces, marks and format characters", "write it out", value
            )
        return value

    def number(self, name: str, default: Any = MISSING, *, low: float, high: float) -> float:
        """A number in [low, high]."""
        value = self.take(name, float, default)
        if value is not None and not low <= value <= high:
            raise self.wrong(name, f"must lie between {low:g} and {high:g}", "choose a value in that range")
        return value

    def whole(self, name: str, default: Any = MISSING, *, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        value = self.take(name, int, default)
        if value is not None and not low <= value <= high:
            raise self.wrong(name, f"must lie between {low} and {high}", "choose a value in that range")
        return value

    def choice(self, name: str, options: tuple[str, ...], default: Any = MISSING) -> str:
        """One of `options`."""
        value = self.take(name, str, default)
        if value not in options and value is not default:
            near = difflib.get_close_matches(value, options, n=1)
            raise self.wrong(name, f"one of {', '.join(options)}", f"did you mean {near[0]!r}?" if near else "choose one of them")
        return value

    def strings(self, name: str, default: Any = MISSING) -> tuple[str, ...]:
        """A list of strings, as a tuple."""
        values = self.take(name, list, default)
        if any(not isinstance(value, str) or not value.strip() for value in values):
            raise self.wrong(name, "a list of non-empty strings", 'write ["…", "…"]')
        if any(unicodedata.category(char) == "Cc" for value in values for char in value):
            raise self.wrong(name, "strings without control characters", "remove them")
        return tuple(values)

    def table(self, name: str, default: Any = MISSING) -> Table:
        """The sub-table `name`, read by the same rules."""
        return Table(self.take(name, dict, default), where=self.where, prefix=f"{self.key(name)}.")

    def tables(self, name: str, default: Any = MISSING) -> list[Table]:
        """An array of tables `[[name]]`."""
        values = self.take(name, list, default)
        if any(not isinstance(value, dict) for value in values):
            raise self.wrong(name, "an array of tables", f"write [[{self.key(name)}]] before each")
        return [Table(value, where=self.where, prefix=f"{self.key(name)}[{i}].") for i, value in enumerate(values)]

    def names(self) -> tuple[str, ...]:
        """All keys present, in file order."""
        return tuple(self._content)

    def finish(self) -> None:
        """UserError for the first key that nobody took."""
        for name in self._content:
            if name not in self._known:
                near = difflib.get_close_matches(name, sorted(self._known), n=1)
                known = ", ".join(sorted(self._known))
                raise self.wrong(name, f"unknown key; known here: {known}", f"did you mean `{near[0]}`?" if near else "remove it or correct its name")
