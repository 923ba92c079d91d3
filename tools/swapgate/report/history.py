"""A model's figures over past runs, from the verdicts.json of other run folders: one line a gate, marked where it steps and where the set-up changed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from swapgate.canonical import read_json
from swapgate.errors import RunBroken
from swapgate.gates.verdict import GATES, POOLED, Status
from swapgate.report.model import FILE, SCHEMA
from swapgate.report.phrases import EN, number, side
from swapgate.report.words import Words

MOST_RUNS = 40
LARGEST = 64 * 2**20  # bytes of a verdicts.json that is read for its few figures
FEWEST = 2  # points that make a line
_CLAIMS: Mapping[str, tuple[str, ...]] = {
    "latency": ("total", "total ceiling"),
    "memory": ("peak", "memory ceiling"),
    "usability": ("difference", "floor"),
    "drift": ("ssim", "pictures"),
    "stability": ("change",),
}
_COST = ("latency", "memory")
_SIDE = 3  # runs that have to lie on either side of a step
_STEP = 4.0  # deviations of a run from its neighbours that a step has to be high
_SIGMA = 1.4826  # of a normal sample: its deviation over the median absolute one


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One model and gate in one run: the candidate's pooled figure. tasks, accelerator: what runs must share to be one line; setup: versions and weights."""

    run: str
    created: str
    model: str
    gate: str
    status: Status
    value: float
    unit: str
    tasks: frozenset[str]
    accelerator: str
    setup: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A run on the line; x and y in per cent of the drawing; changed: what of the set-up is not as in the run before."""

    x: float
    y: float
    run: str
    created: str
    status: Status
    text: str
    changed: tuple[str, ...]
    step: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The history of one model and gate: its points oldest first, the path through them, and the ends of the scale as text."""

    model: str
    gate: str
    points: tuple[Point, ...]
    path: str
    ends: tuple[str, str]

    @property
    def steps(self) -> tuple[Point, ...]:
        return tuple(one for one in self.points if one.step)


def read(runs: Path, current: Path) -> tuple[Past, ...]:
    """What the newest runs in `runs` say, with the run at `current` itself, oldest first. Runs that cannot be read are passed over."""
    files = {path.resolve(): path for path in [*runs.glob(f"*/{FILE}"), current / FILE] if path.is_file() and path.stat().st_size <= LARGEST}
    newest = sorted(files.values(), key=lambda path: (path.stat().st_mtime_ns, path.parent.name))[-MOST_RUNS:]
    if (current / FILE).is_file() and all(path.resolve() != (current / FILE).resolve() for path in newest):
        newest.append(current / FILE)
    found = [one for path in newest for one in _past(path)]
    return tuple(sorted(found, key=lambda one: (one.created, one.run)))


def lines(past: Sequence[Past], run: str, words: Words = EN) -> tuple[Line, ...]:
    """A line for every model and gate of `run`, over the runs that measured the same tasks (and, for cost, on the same accelerator); () without two points."""
    ours = [one for one in past if one.run == run]
    found = []
    for one in sorted(ours, key=lambda one: (one.model, GATES.index(one.gate))):
        series = [other for other in past if _same(one, other)]
        if len(series) >= FEWEST:
            found.append(_line(series, words))
    return tuple(found)


def steps(values: Sequence[float]) -> list[int]:
    """Where a series steps to another level: the first index of each new level, in order.

    Binary segmentation by absolute deviations: a cut is kept where the medians of both sides, of at least three runs each, are further
    apart than four times the deviation of a run from the next (from the median of absolute differences, over the square root of two).
    """
    return sorted(_cuts(list(values), 0))


def _cuts(values: list[float], start: int) -> Iterator[int]:
    if len(values) < 2 * _SIDE:
        return
    best, least = None, _apart(values)
    for cut in range(_SIDE, len(values) - _SIDE + 1):
        cost = _apart(values[:cut]) + _apart(values[cut:])
        if cost < least:
            best, least = cut, cost
    if best is None:
        return
    before, after = values[:best], values[best:]
    inside = [abs(b - a) for part in (before, after) for a, b in pairwise(part)]
    noise = _SIGMA * statistics.median(inside) / 2**0.5
    if abs(statistics.median(after) - statistics.median(before)) > _STEP * noise:
        yield from _cuts(before, start)
        yield start + best
        yield from _cuts(after, start + best)


def _apart(values: Sequence[float]) -> float:
    middle = statistics.median(values)
    return sum(abs(value - middle) for value in values)


def _same(one: Past, other: Past) -> bool:
    alike = (one.model, one.gate, one.unit, one.tasks) == (other.model, other.gate, other.unit, other.tasks)
    return alike and (one.gate not in _COST or one.accelerator == other.accelerator)


def _past(path: Path) -> Iterator[Past]:
    """The figures of one run against its baselines; nothing from a file that is no verdicts.json of this schema, nor from an A/B run."""
    try:
        data = read_json(path)
        if data.get("schema") != SCHEMA or data.get("against", "baseline") != "baseline":
            return
        models = {str(one["id"]): one for one in data.get("models") or ()}
        for verdict in data.get("verdicts") or ():
            found = _figure(verdict) if verdict["task"] == POOLED else None
            facts = models.get(verdict["model"])
            if found and facts and not facts.get("faults"):
                yield _made(data, verdict, facts, *found)
    except (AttributeError, KeyError, OSError, RunBroken, TypeError, ValueError):
        return


def _made(data: Mapping[str, Any], verdict: Mapping[str, Any], facts: Mapping[str, Any], value: float, unit: str) -> Past:
    mine = [one for one in data["verdicts"] if (one["model"], one["gate"]) == (verdict["model"], verdict["gate"])]
    setup = {"weights": str(facts.get("weights", ""))[:12], **{str(name): str(value) for name, value in (facts.get("versions") or {}).items()}}
    return Past(
        run=str(data["run"]),
        created=str(data.get("created", "")),
        model=str(verdict["model"]),
        gate=str(verdict["gate"]),
        status=Status(verdict["status"]),
        value=value,
        unit=unit,
        tasks=frozenset(str(one["task"]) for one in mine),
        accelerator=str(facts.get("accelerator", "")),
        setup=setup,
    )


def _figure(verdict: Mapping[str, Any]) -> tuple[float, str] | None:
    """The candidate's own figure, which runs can be compared by whatever they were held against; with its unit."""
    for name in _CLAIMS.get(verdict["gate"], ()):
        for one in verdict["findings"]:
            value = one.get("candidate") if one.get("candidate") is not None else one.get("effect") if name == "pictures" else None
            if one["name"] == name and isinstance(value, int | float):
                unit = str(one["unit"])
                return float(value), "s" if verdict["gate"] == "latency" else "%" if unit == "points" else unit
    return None


def _line(series: Sequence[Past], words: Words) -> Line:
    values = [one.value for one in series]
    low, high = min(values), max(values)
    marked = set(steps(values))
    points = tuple(_point(n, series, low, high, n in marked, words) for n in range(len(series)))
    unit = series[0].unit
    return Line(
        model=series[0].model,
        gate=series[0].gate,
        points=points,
        path="M" + " L".join(f"{one.x:g},{one.y:g}" for one in points),
        ends=(number(low, unit, words=words), number(high, unit, words=words)),
    )


def _point(n: int, series: Sequence[Past], low: float, high: float, step: bool, words: Words) -> Point:
    one, before = series[n], series[n - 1] if n else None
    share = (one.value - low) / (high - low) if high > low else 0.5
    changed = [] if before is None else [name for name in sorted({*one.setup, *before.setup}) if one.setup.get(name) != before.setup.get(name)]
    return Point(
        x=round(3 + 94 * n / max(1, len(series) - 1), 2),
        y=round(90 - 80 * share, 2),
        run=one.run,
        created=one.created,
        status=one.status,
        text=side(one.value, one.unit, one.gate, words=words),
        changed=tuple(f"{name} {before.setup.get(name, '—')} → {one.setup.get(name, '—')}" for name in changed) if before else (),
        step=step,
    )
