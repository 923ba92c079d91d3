"""What stands on the page and in which order: cells worst first, each with its exhibits; the heat map; pictures; wording; what can be accepted."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swapgate.gates.verdict import GATES, POOLED, WORST_FIRST, Status, Verdict
from swapgate.report.charts import Bar, IntervalChart, MemoryChart, interval_chart, latency_bars, margin, memory_chart
from swapgate.report.gallery import Gallery, Pair, Reworded, galleries, pages, pair, reworded
from swapgate.report.history import Line, Past, lines
from swapgate.report.model import ImageRow, ModelFacts, Report, TaskFacts, WordingRow
from swapgate.report.phrases import EN, anchor, needs_a_look, number
from swapgate.report.pictures import Album
from swapgate.report.strips import Strip, strip_of
from swapgate.report.swap import Swap, costs_of, swaps
from swapgate.report.words import Words

MOST_WORDING = 24
MOST_BROKEN = 6
_EXHIBITS = 2
_PICTURES = ("usability", "drift", "stability")
_ACCEPT = ("swapgate", "baselines", "accept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One verdict with all that explains it. margin: what is left to the limit, "" where that is not told; pictures: where all seeds are."""

    verdict: Verdict
    anchor: str
    chart: IntervalChart | None
    strip: Strip | None
    pairs: tuple[Pair, ...]
    reworded: tuple[Reworded, ...]
    bars: tuple[Bar, ...]
    memory: MemoryChart | None
    margin: str
    pictures: str


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
class Acceptable:
    """A cell that a run's draft can be accepted for; options: what its command says beside the run and the cell."""

    cell: Cell
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """What the check-boxes make commands of. run: as the commands name it."""

    run: str
    cells: tuple[Acceptable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What can be chosen among, in the order in which it is shown."""

    statuses: tuple[Status, ...]
    gates: tuple[str, ...]
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything the template needs beside the report itself. witnesses: smallest rewordings that broke the model, accidents last; wording: the others."""

    cells: tuple[Cell, ...]
    broken: tuple[Cell, ...]
    broken_more: int
    commands: tuple[tuple[str, int], ...]
    sources: Mapping[str, str]
    heats: tuple[Heat, ...]
    filters: Filters
    galleries: tuple[Gallery, ...]
    swaps: tuple[Swap, ...]
    witnesses: tuple[Reworded, ...]
    wording: tuple[Reworded, ...]
    wording_more: int
    history: tuple[Line, ...]
    accept: Accept | None
    titles: Mapping[str, TaskFacts]
    missing: int


def page(report: Report, album: Album, words: Words = EN, past: Sequence[Past] = (), *, one_page: bool = False) -> Page:
    """The page of a report whose pictures are in `album`. past: other runs' figures; one_page: all pictures on it, however many."""
    places = pages(report, one_page=one_page)
    cells = tuple(_cell(verdict, report, album, words, places) for verdict in report.worst_first)
    look = [cell for cell in cells if needs_a_look(cell.verdict.status)]
    broken = sorted(look, key=lambda cell: (_rank(cell.verdict.status), cell.verdict.task != POOLED))  # what all tasks together show comes first
    shas = {sha for row in report.images for sha in (row.baseline, row.candidate) if sha}
    others = [row for row in report.wording if not row.smallest]
    return Page(
        cells=cells,
        broken=tuple(broken[:MOST_BROKEN]),
        broken_more=max(0, len(broken) - MOST_BROKEN),
        commands=_commands(broken),
        sources={cell.verdict.next: f"{cell.verdict.status} {cell.verdict.id}" for cell in reversed(broken)},
        heats=tuple(_heat(model, cells) for model in _models(report)),
        filters=_filters(report),
        galleries=galleries(report, album, words.lang, one_page=one_page),
        swaps=swaps(report, album, words.lang, one_page=one_page),
        witnesses=tuple(reworded(row, album) for row in sorted(report.wording, key=lambda row: row.accident) if row.smallest),
        wording=tuple(reworded(row, album) for row in others[:MOST_WORDING]),
        wording_more=max(0, len(others) - MOST_WORDING),
        history=lines(past, report.run, words),
        accept=_accept(cells),
        titles={task.id: task for task in report.tasks},
        missing=len(shas - album.pictures.keys()),
    )


def _cell(verdict: Verdict, report: Report, album: Album, words: Words, places: Mapping[tuple[str, str], str]) -> Cell:
    pairs, worded = _exhibits(verdict, report, album, words, places)
    costs = costs_of(report, verdict.model, verdict.task)
    finding = verdict.finding
    room = margin(finding) if finding and not needs_a_look(verdict.status) else None
    return Cell(
        verdict=verdict,
        anchor=anchor("cell", verdict.gate, verdict.model, verdict.task),
        chart=interval_chart(finding, words) if finding else None,
        strip=strip_of(verdict, report, costs, words),
        pairs=pairs,
        reworded=worded,
        bars=latency_bars(*costs, words) if verdict.gate == "latency" else (),
        memory=memory_chart(*costs) if verdict.gate == "memory" else None,
        margin=words("cell.margin", room=number(room, finding.unit, words=words)) if finding and room is not None else "",
        pictures=_pictures(verdict, places, words),
    )


def _pictures(verdict: Verdict, places: Mapping[tuple[str, str], str], words: Words) -> str:
    """Where the pictures of a cell are: of a pooled one those of its first task's page or the section of all."""
    if verdict.gate not in _PICTURES:
        return ""
    if verdict.task == POOLED:
        return "#pictures" if any(model == verdict.model for model, _ in places) else ""
    if (verdict.model, verdict.task) not in places:
        return ""
    place = places[verdict.model, verdict.task]
    return f"data/{place}.{words.lang}.html" if place else f"#{anchor('pictures', verdict.model, verdict.task)}"


def _exhibits(
    verdict: Verdict, report: Report, album: Album, words: Words, places: Mapping[tuple[str, str], str]
) -> tuple[tuple[Pair, ...], tuple[Reworded, ...]]:
    """What shows the verdict: the pictures it hurt most, or the rewordings."""

    def mine(row: ImageRow | WordingRow) -> bool:
        return row.model == verdict.model and verdict.task in (row.task, POOLED)

    if verdict.gate == "stability":
        return (), tuple(reworded(row, album) for row in [row for row in report.wording if mine(row)][:_EXHIBITS])
    if verdict.gate not in _PICTURES:
        return (), ()
    found = sorted((row for row in report.images if mine(row) and not row.identical), key=lambda row: _harm(row, verdict))
    return tuple(pair(row, album, places[row.model, row.task], words.lang) for row in found[:_EXHIBITS]), ()


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


def _accept(cells: Sequence[Cell]) -> Accept | None:
    """The cells whose next command is to accept; None where there are none."""
    found, run = [], ""
    for cell in cells:
        try:
            parts = shlex.split(cell.verdict.next)
        except ValueError:  # a quotation that does not end: no command of ours
            continue
        if tuple(parts[:3]) == _ACCEPT and cell.verdict.id in parts:
            run = next((part for part in parts if part.startswith("--run=")), run)
            options = tuple(part for part in parts[3:] if part.startswith("--") and not part.startswith("--run="))
            found.append(Acceptable(cell=cell, options=options))
    return Accept(run=run, cells=tuple(found)) if found else None


def _filters(report: Report) -> Filters:
    verdicts = report.worst_first
    gates = dict.fromkeys(verdict.gate for verdict in verdicts)
    return Filters(
        statuses=tuple(dict.fromkeys(verdict.status for verdict in verdicts)),
        gates=tuple(sorted(gates, key=lambda gate: GATES.index(gate) if gate in GATES else len(GATES))),
        models=tuple(dict.fromkeys(verdict.model for verdict in report.verdicts)),
        tasks=tuple(dict.fromkeys(verdict.task for verdict in report.verdicts)),
        languages=tuple(sorted({row.language for row in report.images} | {row.language for row in report.wording})),
    )


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
