"""What stands on the page and in which order: cells worst first, each with its exhibits; pictures; costs; wording."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from swapgate.gates.verdict import GATES, POOLED, WORST_FIRST, Status, Verdict
from swapgate.report.charts import Bar, IntervalChart, MemoryChart, interval_chart, latency_bars, memory_chart
from swapgate.report.model import CostPair, ImageRow, ModelFacts, Report, TaskFacts, WordingRow
from swapgate.report.phrases import QUESTIONS, anchor, needs_a_look
from swapgate.report.pictures import Album, Difference, Picture

MOST_WORDING = 24
MOST_BROKEN = 6
_MOST_COMPARED = 500_000  # pairs of pieces; two prompts of thousands of pieces in common take seconds to compare
_EXHIBITS = 2
Mark = Literal["same", "gone", "come"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One request with its two pictures and their difference, ready to be shown."""

    row: ImageRow
    baseline: Picture | None
    candidate: Picture | None
    difference: Difference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reworded:
    """One rewording with its pictures; marks are the pieces of the new prompt, those taken out among them."""

    row: WordingRow
    before: Picture | None
    after: Picture | None
    marks: tuple[tuple[Mark, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One verdict with all that explains it."""

    verdict: Verdict
    anchor: str
    question: str
    chart: IntervalChart | None
    pairs: tuple[Pair, ...]
    reworded: tuple[Reworded, ...]
    bars: tuple[Bar, ...]
    memory: MemoryChart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRow:
    """One task in a model's table: a cell or nothing for every gate."""

    task: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """The table of one model, its tasks worst first."""

    model: ModelFacts
    gates: tuple[str, ...]
    rows: tuple[HeatRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """All seeds of one prompt in one language and wording."""

    language: str
    edits: str
    prompt: str
    original: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The pictures of one model and task; open where a cell of theirs needs a look."""

    model: str
    task: str
    anchor: str
    open: bool
    lost: int
    total: int
    strips: tuple[Strip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostView:
    """Latency and memory of one model and task."""

    model: str
    task: str
    anchor: str
    bars: tuple[Bar, ...]
    memory: MemoryChart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything the template needs beside the report itself."""

    cells: tuple[Cell, ...]
    broken: tuple[Cell, ...]
    broken_more: int
    commands: tuple[tuple[str, int], ...]
    sources: Mapping[str, str]
    heats: tuple[Heat, ...]
    pictures: tuple[Pictures, ...]
    costs: tuple[CostView, ...]
    wording: tuple[Reworded, ...]
    wording_more: int
    titles: Mapping[str, TaskFacts]
    missing: int


def page(report: Report, album: Album) -> Page:
    """The page of a report whose pictures are in `album`."""
    cells = tuple(_cell(verdict, report, album) for verdict in report.worst_first)
    broken = [cell for cell in cells if needs_a_look(cell.verdict.status)]
    shas = {sha for row in report.images for sha in (row.baseline, row.candidate) if sha}
    return Page(
        cells=cells,
        broken=tuple(broken[:MOST_BROKEN]),
        broken_more=max(0, len(broken) - MOST_BROKEN),
        commands=_commands(broken),
        sources={cell.verdict.next: f"{cell.verdict.status} {cell.verdict.id}" for cell in reversed(broken)},
        heats=tuple(_heat(model, cells) for model in _models(report)),
        pictures=tuple(_pictures(model, task, rows, report, album) for (model, task), rows in _by_task(report.images).items()),
        costs=tuple(_cost(pair) for pair in report.costs),
        wording=tuple(_reworded(row, album) for row in report.wording[:MOST_WORDING]),
        wording_more=max(0, len(report.wording) - MOST_WORDING),
        titles={task.id: task for task in report.tasks},
        missing=len(shas - album.pictures.keys()),
    )


def word_marks(before: str, after: str) -> tuple[tuple[Mark, str], ...]:
    """`after` in pieces that stayed, went or came; words in spaced scripts, characters in Chinese."""
    one, other = _pieces(before), _pieces(after)
    head = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other)))
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


def _cell(verdict: Verdict, report: Report, album: Album) -> Cell:
    pairs, reworded, costs = _exhibits(verdict, report, album)
    return Cell(
        verdict=verdict,
        anchor=anchor("cell", verdict.gate, verdict.model, verdict.task),
        question=QUESTIONS.get(verdict.gate, verdict.gate),
        chart=interval_chart(verdict.finding) if verdict.finding else None,
        pairs=pairs,
        reworded=reworded,
        bars=latency_bars(costs.baseline, costs.candidate) if costs and verdict.gate == "latency" else (),
        memory=memory_chart(costs.baseline, costs.candidate) if costs and verdict.gate == "memory" else None,
    )


def _exhibits(verdict: Verdict, report: Report, album: Album) -> tuple[tuple[Pair, ...], tuple[Reworded, ...], CostPair | None]:
    """What shows the verdict: the pictures it hurt most, the rewordings, or the cost samples."""

    def mine(row: ImageRow | WordingRow | CostPair) -> bool:
        return row.model == verdict.model and verdict.task in (row.task, POOLED)

    costs = next((pair for pair in report.costs if mine(pair) and pair.task == verdict.task), None)
    if verdict.gate == "stability":
        rows = [row for row in report.wording if mine(row)][:_EXHIBITS]
        return (), tuple(_reworded(row, album) for row in rows), costs
    if verdict.gate not in ("usability", "drift"):
        return (), (), costs
    found = sorted((row for row in report.images if mine(row) and not row.identical), key=lambda row: _harm(row, verdict))
    return tuple(_pair(row, album) for row in found[:_EXHIBITS]), (), costs


def _harm(row: ImageRow, verdict: Verdict) -> tuple[int, float]:
    """Sorts the most telling picture first: what an error lost; then lost usability and the largest fall; for drift the least alike."""
    if verdict.status is Status.ERROR and row.failure:
        return -1, 0.0
    if verdict.gate == "drift":
        return (0, row.ssim) if row.ssim is not None else (1, 0.0)
    lost = 0 if row.baseline_usable and row.usable is False else 1 if row.failure else 2 if row.usable is False else 3
    known = row.alignment is not None and row.baseline_alignment is not None
    return lost, (row.alignment or 0.0) - (row.baseline_alignment or 0.0) if known else 0.0


def _commands(cells: Iterable[Cell]) -> tuple[tuple[str, int], ...]:
    """The distinct next commands with the number of cells that ask for each, in worst-first order."""
    found: dict[str, int] = {}
    for cell in cells:
        if cell.verdict.next:
            found[cell.verdict.next] = found.get(cell.verdict.next, 0) + 1
    return tuple(found.items())


def _models(report: Report) -> list[ModelFacts]:
    known = {model.id: model for model in report.models}
    named = dict.fromkeys([*known, *(verdict.model for verdict in report.verdicts)])
    found = [known.get(name, ModelFacts(id=name)) for name in named]
    return sorted(found, key=lambda model: min((_rank(v.status) for v in report.verdicts if v.model == model.id), default=len(WORST_FIRST)))


def _heat(model: ModelFacts, cells: Sequence[Cell]) -> Heat:
    mine = [cell for cell in cells if cell.verdict.model == model.id]
    known = [gate for gate in GATES if any(cell.verdict.gate == gate for cell in mine)]
    gates = tuple(dict.fromkeys([*known, *(cell.verdict.gate for cell in mine)]))
    by_place = {(cell.verdict.task, cell.verdict.gate): cell for cell in mine}
    tasks = dict.fromkeys(cell.verdict.task for cell in mine)
    rows = [HeatRow(task=task, cells=tuple(by_place.get((task, gate)) for gate in gates)) for task in tasks]
    return Heat(model=model, gates=gates, rows=tuple(sorted(rows, key=_row_rank)))


def _row_rank(row: HeatRow) -> list[int]:
    """Rows compare by their worst cell, then the next worst: two regressions stand before one."""
    return sorted(_rank(cell.verdict.status) for cell in row.cells if cell)


def _rank(status: Status) -> int:
    return WORST_FIRST.index(status)


def _by_task(rows: Sequence[ImageRow]) -> dict[tuple[str, str], list[ImageRow]]:
    found: dict[tuple[str, str], list[ImageRow]] = {}
    for row in rows:
        found.setdefault((row.model, row.task), []).append(row)
    return found


def _pictures(model: str, task: str, rows: Sequence[ImageRow], report: Report, album: Album) -> Pictures:
    strips: dict[tuple[str, str, str], list[ImageRow]] = {}
    for row in sorted(rows, key=lambda row: (bool(row.edits), row.language, row.edits, row.seed, row.index)):
        strips.setdefault((row.language, row.edits, row.prompt), []).append(row)
    look = any(
        needs_a_look(verdict.status)
        for verdict in report.verdicts
        if verdict.gate in ("usability", "drift", "stability") and (verdict.model, verdict.task) == (model, task)
    )
    return Pictures(
        model=model,
        task=task,
        anchor=anchor("pictures", model, task),
        open=look,
        total=len(rows),
        lost=sum(bool(row.baseline_usable) and row.usable is False for row in rows),
        strips=tuple(
            Strip(language=language, edits=edits, prompt=prompt, original=found[0].original, pairs=tuple(_pair(row, album) for row in found))
            for (language, edits, prompt), found in strips.items()
        ),
    )


def _pair(row: ImageRow, album: Album) -> Pair:
    return Pair(
        row=row,
        baseline=album.picture(row.baseline),
        candidate=album.picture(row.candidate),
        difference=album.difference(row.baseline, row.candidate),
    )


def _reworded(row: WordingRow, album: Album) -> Reworded:
    return Reworded(row=row, before=album.picture(row.before), after=album.picture(row.after), marks=word_marks(row.prompt, row.reworded))


def _cost(pair: CostPair) -> CostView:
    return CostView(
        model=pair.model,
        task=pair.task,
        anchor=anchor("cost", pair.model, pair.task),
        bars=latency_bars(pair.baseline, pair.candidate),
        memory=memory_chart(pair.baseline, pair.candidate),
    )


def leaves(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, value) for a table; lists are joined, tables are descended into."""
    found: list[tuple[str, str]] = []
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found += leaves(value, f"{name}.")
        elif isinstance(value, list | tuple):
            found.append((name, ", ".join(str(entry) for entry in value)))
        else:
            found.append((name, "" if value is None else str(value)))
    return found
