"""The swap view of an A/B run: task by task which model is better at what, by how much and how sure that is, with pictures; and what it costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from swapgate.gates.evidence import Cost
from swapgate.gates.verdict import GATES, POOLED, Verdict
from swapgate.report.gallery import Pair, pages, pair
from swapgate.report.model import ComparisonRow, ImageRow, Report
from swapgate.report.phrases import anchor
from swapgate.report.pictures import Album

_MAIN: Mapping[str, tuple[str, ...]] = {
    "latency": ("total",),
    "memory": ("peak",),
    "usability": ("difference",),
    "drift": ("alignment",),
    "stability": ("change",),
}
_HOUR = 3600.0
Better = Literal["a", "b", "same", "unclear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A gate's answer for one task: its claim, who is better by the whole verdict, and where the cell stands. row is None without a compared figure."""

    gate: str
    better: Better
    row: ComparisonRow | None
    anchor: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One task of the judged model: an answer a gate (None: not judged), and the first seed of each language, never the best."""

    model: str
    task: str
    sides: tuple[Side | None, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What one image costs each model: medians over all tasks; None where it was not measured. a is the other arm, b the judged model."""

    key: str
    unit: str
    a: float | None
    b: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """Everything of one judged model against the other. won: cells by who is better in them."""

    model: str
    against: str
    gates: tuple[str, ...]
    rows: tuple[TaskRow, ...]
    won: Mapping[Better, int]
    costs: tuple[CostRow, ...]


def swaps(report: Report, album: Album, lang: str, *, one_page: bool) -> tuple[Swap, ...]:
    """One for every judged model of an A/B run; () for a run against baselines."""
    if report.against == "baseline":
        return ()
    places = pages(report, one_page=one_page)
    return tuple(_swap(model, report, album, lang, places) for model in dict.fromkeys(verdict.model for verdict in report.verdicts))


def joined(costs: Iterable[Cost | None]) -> Cost | None:
    """Several tasks' samples as one, in the order in which images were made; None without any."""
    found = [one for one in costs if one is not None and one.calls]
    if not found:
        return None
    rows = sorted((number, place, n) for place, one in enumerate(found) for n, number in enumerate(one.numbers))
    whole = all(len(one.numbers) == one.calls for one in found)
    names = [entry.name for entry in fields(Cost) if entry.name not in ("first_call_seconds", "load_seconds", "throttled", "foreign")]

    def ordered(name: str) -> tuple[float, ...]:
        columns = [getattr(one, name) for one in found]
        if whole and all(len(column) == one.calls for column, one in zip(columns, found, strict=True)):
            return tuple(columns[place][n] for _, place, n in rows)
        return tuple(value for column in columns for value in column)

    return replace(found[0], **{name: ordered(name) for name in names})  # type: ignore[arg-type]


def costs_of(report: Report, model: str, task: str) -> tuple[Cost | None, Cost | None]:
    """(baseline, candidate) cost samples of a cell; of the pooled cell those of all tasks together, where the run does not state them."""
    mine = [one for one in report.costs if one.model == model]
    exact = next((one for one in mine if one.task == task), None)
    if exact is not None or task != POOLED:
        return (exact.baseline, exact.candidate) if exact else (None, None)
    return joined(one.baseline for one in mine), joined(one.candidate for one in mine)


def better_of(rows: Sequence[ComparisonRow]) -> Better:
    """Who is better by all deciding claims of a cell, and by alignment: a wherever one is worse with b, else unclear, else b, else nobody."""
    said = [row.better for row in rows if row.decides or row.claim == "alignment"]
    order: tuple[Better, ...] = ("a", "unclear", "b", "same")
    return next((one for one in order if one in said), "unclear")


def _swap(model: str, report: Report, album: Album, lang: str, places: Mapping[tuple[str, str], str]) -> Swap:
    mine = [verdict for verdict in report.verdicts if verdict.model == model]
    gates = tuple(gate for gate in GATES if any(verdict.gate == gate for verdict in mine))
    tasks = sorted(dict.fromkeys(verdict.task for verdict in mine), key=lambda task: task != POOLED)
    by_cell = {(verdict.gate, verdict.task): verdict for verdict in mine}
    rows = [
        TaskRow(
            model=model,
            task=task,
            sides=tuple(_side(by_cell.get((gate, task)), report) for gate in gates),
            pairs=tuple(pair(row, album, places[row.model, row.task], lang) for row in _first(report.images, model, task)),
        )
        for task in tasks
    ]
    sides = [side for row in rows for side in row.sides if side]
    order: tuple[Better, ...] = ("a", "b", "same", "unclear")
    won: dict[Better, int] = {name: sum(side.better == name for side in sides) for name in order}
    return Swap(model=model, against=report.against, gates=gates, rows=tuple(rows), won=won, costs=_costs(report, model))


def _side(verdict: Verdict | None, report: Report) -> Side | None:
    if verdict is None:
        return None
    rows = [row for row in report.comparison if (row.gate, row.task) == (verdict.gate, verdict.task) and row.model in ("", verdict.model)]
    main = [row for name in _MAIN.get(verdict.gate, ()) for row in rows if row.claim == name]
    return Side(
        gate=verdict.gate,
        better=better_of(rows) if rows else "unclear",
        row=main[0] if main else rows[0] if rows else None,
        anchor=anchor("cell", verdict.gate, verdict.model, verdict.task),
        verdict=verdict,
    )


def _first(images: Sequence[ImageRow], model: str, task: str) -> list[ImageRow]:
    """The first seed of a task in every language, as written: the same place in every row, never the best picture."""
    rows = [row for row in images if (row.model, row.task) == (model, task) and not row.edits]
    languages = dict.fromkeys(row.language for row in rows)
    return [min((row for row in rows if row.language == language), key=lambda row: (row.seed, row.index)) for language in languages]


def _costs(report: Report, model: str) -> tuple[CostRow, ...]:
    a, b = costs_of(report, model, POOLED)

    def row(key: str, unit: str, read: str, of: str = "median") -> CostRow:
        return CostRow(key=key, unit=unit, a=_figure(a, read, of), b=_figure(b, read, of))

    rows = [
        row("seconds", "s", "seconds"),
        row("first_step", "s", "first_step"),
        row("peak", "MiB", "peak_mib", "max"),
        row("held", "MiB", "held_mib"),
    ]
    hour = CostRow(key="hour", unit="images", a=_per_hour(rows[0].a), b=_per_hour(rows[0].b))
    load = CostRow(key="load", unit="s", a=a.load_seconds if a else None, b=b.load_seconds if b else None)
    return tuple(one for one in (rows[0], hour, *rows[1:], load) if one.a is not None or one.b is not None)


def _figure(cost: Cost | None, name: str, of: str) -> float | None:
    values = getattr(cost, name) if cost else ()
    return None if not values else max(values) if of == "max" else statistics.median(values)


def _per_hour(seconds: float | None) -> float | None:
    return _HOUR / seconds if seconds else None
