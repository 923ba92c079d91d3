"""What stands around a prompt: a polite request before it, a quality suffix behind it.

Suffixes are the least innocent edits: they ask for a look. Among the bundled ones is the suffix that the
vendor of Qwen-Image appends itself, and a report shows them as a kind of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from swapgate.wording.edits import Change, Edit, Kind
from swapgate.wording.quotes import blanked

_STOPS = ".。"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapper:
    """A request around the prompt.

    Args:
        id: readable name.
        before: text put in front; with `starts`, the prompt goes on with a small letter.
        after: text put behind, in place of the prompt's full stop; empty leaves the end alone.
        starts: words one of which must begin the prompt; empty for any prompt.
        unless: beginnings that the wrapper does not go with, such as "a photo" after "a picture of".
        without: words that must stand nowhere in the prompt: "please draw a cat sits" is no sentence.
    """

    id: str
    before: str
    after: str = ""
    starts: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suffix:
    """Words behind the prompt, with the comma that joins them."""

    id: str
    text: str


def wrapper_edit(language: str, wrapper: Wrapper, others: tuple[Wrapper, ...]) -> Edit:
    """`others` are all wrappers of the language: a prompt that is a request already is not wrapped again."""
    find = partial(_wrapped, wrapper=wrapper, asked=tuple(other.before for other in others))
    return Edit(id=wrapper.id, kind=Kind.WRAPPER, languages=frozenset({language}), find=find)


def suffix_edit(language: str, suffix: Suffix) -> Edit:
    return Edit(
        id=suffix.id,
        kind=Kind.SUFFIX,
        languages=frozenset({language}),
        find=partial(_followed, suffix=suffix),
    )


def _wrapped(text: str, *, wrapper: Wrapper, asked: tuple[str, ...]) -> list[Change]:
    low = text.lower()
    if not text.strip() or low.startswith((*(before.lower().strip() for before in asked), *wrapper.unless)):
        return []
    if any(re.search(rf"\b{re.escape(word)}\b", blanked(low)) for word in wrapper.without):
        return []
    if not wrapper.starts:
        return [_around(text, wrapper, text[0])]
    # Chinese writes the noun right behind the number, so only an English word must end there.
    begins = any(re.match(re.escape(word) + (r"\b" if word.isascii() else ""), text, re.IGNORECASE) for word in wrapper.starts)
    return [_around(text, wrapper, text[0].lower())] if begins else []


def _around(text: str, wrapper: Wrapper, first: str) -> Change:
    begun = (0, 1, wrapper.before + first)
    if not wrapper.after:
        return Change(pieces=(begun,))
    end = _body_end(text)
    return Change(pieces=(begun, (end, len(text), wrapper.after)))


def _followed(text: str, *, suffix: Suffix) -> list[Change]:
    said = suffix.text.strip(" ,，.。").lower()
    if not text.strip() or said in text.lower():
        return []
    end = _body_end(text)
    return [Change(pieces=((end, len(text) if suffix.text[-1] in _STOPS else end, suffix.text),))]


def _body_end(text: str) -> int:
    """Where the prompt ends without its full stop; two stops are an ellipsis and stay."""
    return len(text) - 1 if len(text) > 1 and text[-1] in _STOPS and text[-2] not in _STOPS else len(text)
