"""The pictures of a model and task: every seed of every prompt, with the prompt in all its languages and what was reworded."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from swapgate.report.model import ImageRow, Report, TaskFacts, WordingRow
from swapgate.report.phrases import anchor, needs_a_look
from swapgate.report.pictures import Album, Difference, Picture

ONE_PAGE = 400  # requests; a run with more has a page of its own for every model and task, so that the first page opens at once
_MOST_COMPARED = 500_000  # pairs of pieces; two prompts of thousands of pieces in common take seconds to compare
_PICTURE_GATES = ("usability", "drift", "stability")
Mark = Literal["same", "gone", "come"]
Marks = tuple[tuple[Mark, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One request with its two pictures and their difference; href: where it stands among all seeds."""

    row: ImageRow
    baseline: Picture | None
    candidate: Picture | None
    difference: Difference | None
    anchor: str
    href: str

    @property
    def lost(self) -> bool:
        return bool(self.row.baseline_usable) and self.row.usable is False

    @property
    def resized(self) -> bool:
        """Whether both pictures are there and differ in size."""
        one, other = self.baseline, self.candidate
        return one is not None and other is not None and (one.full or (one.width, one.height)) != (other.full or (other.width, other.height))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reworded:
    """One rewording with its pictures; marks are the pieces of the new prompt, those taken out among them."""

    row: WordingRow
    before: Picture | None
    after: Picture | None
    marks: Marks


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """All seeds of one prompt in one language and wording. marks: what was reworded, () as written; others: the prompt in other languages."""

    language: str
    edits: str
    prompt: str
    original: str
    marks: Marks
    others: Mapping[str, str]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The pictures of one model and task; open where a cell of theirs needs a look.

    checks: the bits that the task asks of a picture. page: the file that holds it (without its language), "" on the first page.
    """

    model: str
    task: str
    anchor: str
    open: bool
    lost: int
    total: int
    checks: tuple[str, ...]
    seeds: tuple[Seeds, ...]
    page: str
    href: str


def galleries(report: Report, album: Album, lang: str, *, one_page: bool) -> tuple[Gallery, ...]:
    """One for every model and task that has requests, in the order of the run."""
    found: dict[tuple[str, str], list[ImageRow]] = {}
    for row in report.images:
        found.setdefault((row.model, row.task), []).append(row)
    places = pages(report, one_page=one_page)
    facts = {task.id: task for task in report.tasks}
    return tuple(_gallery(key, rows, report, album, places[key], lang, facts.get(key[1])) for key, rows in found.items())


def pages(report: Report, *, one_page: bool) -> dict[tuple[str, str], str]:
    """By model and task, the page of its pictures; "" for all where everything stands on the first page."""
    keys = dict.fromkeys((row.model, row.task) for row in report.images)
    if one_page or len(report.images) <= ONE_PAGE:
        return dict.fromkeys(keys, "")
    shas: dict[tuple[str, str], list[str]] = {key: [] for key in keys}
    for row in report.images:
        shas[row.model, row.task] += [row.baseline or "", row.candidate or ""]
    return {key: f"page-{hashlib.sha256(repr((report.run, key, shas[key])).encode()).hexdigest()[:32]}" for key in keys}


def pair(row: ImageRow, album: Album, page: str, lang: str) -> Pair:
    """A request as it is shown; page: that of its gallery, "" on the first page."""
    name = pair_anchor(row)
    return Pair(
        row=row,
        baseline=album.picture(row.baseline),
        candidate=album.picture(row.candidate),
        difference=album.difference(row.baseline, row.candidate),
        anchor=name,
        href=f"data/{page}.{lang}.html#{name}" if page else f"#{name}",
    )


def pair_anchor(row: ImageRow) -> str:
    """The permalink of one request among the pictures; a rewording is told by a hash of its edits."""
    edits = [hashlib.sha256(row.edits.encode("utf-8", "replace")).hexdigest()[:8]] if row.edits else []
    return anchor("pair", row.model, row.task, row.language, str(row.seed), str(row.index), *edits)


def reworded(row: WordingRow, album: Album) -> Reworded:
    return Reworded(row=row, before=album.picture(row.before), after=album.picture(row.after), marks=word_marks(row.prompt, row.reworded))


def word_marks(before: str, after: str) -> Marks:
    """`after` in pieces that stayed, went or came; words in spaced scripts, characters in Chinese."""
    one, other = _pieces(before), _pieces(after)
    head = next((place for place, both in enumerate(zip(one, other, strict=False)) if both[0] != both[1]), min(len(one), len(other)))
    if (len(one) - head) * (len(other) - head) > _MOST_COMPARED:
        found: list[tuple[Mark, str]] = [("same", "".join(one[:head])), ("gone", "".join(one[head:])), ("come", "".join(other[head:]))]
        return tuple((mark, text) for mark, text in found if text)
    marks: list[tuple[Mark, str]] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if kind == "equal":
            marks.append(("same", "".join(other[c:d])))
            continue
        marks += [("gone", "".join(one[a:b]))] if b > a else []
        marks += [("come", "".join(other[c:d]))] if d > c else []
    return tuple(marks)


def _pieces(text: str) -> list[str]:
    return re.findall(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]|[^\W\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+|\s+|[^\w\s]", text)


def _gallery(key: tuple[str, str], rows: Sequence[ImageRow], report: Report, album: Album, page: str, lang: str, facts: TaskFacts | None) -> Gallery:
    model, task = key
    groups: dict[tuple[str, str, str], list[ImageRow]] = {}
    for row in sorted(rows, key=lambda row: (bool(row.edits), row.language, row.edits, row.seed, row.index)):
        groups.setdefault((row.language, row.edits, row.prompt), []).append(row)
    look = any(
        needs_a_look(verdict.status)
        for verdict in report.verdicts
        if verdict.gate in _PICTURE_GATES and (verdict.model, verdict.task) == (model, task)
    )
    name = anchor("pictures", model, task)
    return Gallery(
        model=model,
        task=task,
        anchor=name,
        open=look,
        lost=sum(bool(row.baseline_usable) and row.usable is False for row in rows),
        total=len(rows),
        checks=tuple(sorted({check for row in rows for check in row.checks})),
        seeds=tuple(_seeds(group, found, album, page, lang, facts) for group, found in groups.items()),
        page=page,
        href=f"data/{page}.{lang}.html" if page else f"#{name}",
    )


def _seeds(group: tuple[str, str, str], rows: Sequence[ImageRow], album: Album, page: str, lang: str, facts: TaskFacts | None) -> Seeds:
    language, edits, prompt = group
    original = rows[0].original
    return Seeds(
        language=language,
        edits=edits,
        prompt=prompt,
        original=original,
        marks=word_marks(original, prompt) if original and original != prompt else (),
        others={code: text for code, text in facts.prompts.items() if code != language} if facts else {},
        pairs=tuple(pair(row, album, page, lang) for row in rows),
    )
