"""Edits that are given as texts: a project's own replacement, and a prompt's reference translation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from swapgate.wording.edits import Change, Edit, Kind
from swapgate.wording.quotes import blanked


def literal_edit(language: str, name: str, kind: Kind, old: str, new: str) -> Edit:
    """`old` becomes `new`, at each of its places; in English at the borders of words, where `old` begins or ends with a letter."""
    return Edit(id=name, kind=kind, languages=frozenset({language}), find=partial(_replaced, pattern=_pattern(language, old), new=new))


def translation_edits(prompts: Mapping[str, str]) -> dict[str, tuple[Edit, ...]]:
    """By language, the edits that put a task's prompt in each of its other languages in place of the whole text."""
    return {
        language: tuple(
            Edit(id=f"{language}→{other}", kind=Kind.LANGUAGE, languages=frozenset({language}), find=partial(_translated, own=own, theirs=theirs))
            for other, theirs in prompts.items()
            if other != language
        )
        for language, own in prompts.items()
    }


def _pattern(language: str, old: str) -> str:
    if language != "en":
        return re.escape(old)
    before, after = (r"\b" if old[0].isalnum() else ""), (r"\b" if old[-1].isalnum() else "")
    return f"{before}{re.escape(old)}{after}"


def _replaced(text: str, *, pattern: str, new: str) -> list[Change]:
    return [Change(pieces=((m.start(), m.end(), new),)) for m in re.finditer(pattern, blanked(text))]


def _translated(text: str, *, own: str, theirs: str) -> list[Change]:
    """Only of the prompt exactly as the task has it: a translation of anything else would be a guess."""
    return [Change(pieces=((0, len(text), theirs),))] if text == own else []
