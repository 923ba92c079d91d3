"""Geometry of the inline charts: positions in per cent of the drawing's width or height, so that text never scales.

Nothing here draws: the templates do, with these numbers. Every function is pure and takes finite or missing values.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from swapgate.gates.evidence import Cost
from swapgate.gates.verdict import Finding, Status
from swapgate.report.phrases import number

STAGES = ("text", "denoise", "decode", "other")
MOST_DOTS = 200
_MARGIN = 6.0  # per cent left free at both ends
_WORSE_BELOW = frozenset({"SSIM", "dB", "cosine"})
_WORSE_ABOVE = frozenset({"s", "MiB", "MiB/image", "%", "points", "requests"})
Side = Literal["baseline", "candidate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalChart:
    """The effect and its interval against the limit; x positions in [0, 100], None where there is nothing to draw.

    worse is the (start, width) of the side of the limit that is worse, where the unit tells it.
    """

    effect: float | None
    low: float | None
    high: float | None
    limit: float | None
    reference: float | None
    worse: tuple[float, float] | None
    reference_label: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One stage of a bar: start and width in per cent, median seconds."""

    stage: str
    start: float
    width: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Median seconds per image of one side by stage, with every call as a dot (x in per cent)."""

    side: Side
    total: float
    spread: str
    segments: tuple[Segment, ...]
    dots: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A line of memory over images: SVG path data in a 100 × 100 box, and the last and highest value in MiB."""

    side: Side
    kind: Literal["peak", "held"]
    path: str
    highest: float
    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryChart:
    """Peak and held memory of both sides over the images made; bounds in MiB and in images."""

    traces: tuple[Trace, ...]
    lowest: float
    highest: float
    first: int
    last: int


def interval_chart(finding: Finding) -> IntervalChart | None:
    """The drawing of one claim; None for an error, and where there are not two different figures."""
    low, high, effect, limit = (_finite(value) for value in (finding.low, finding.high, finding.effect, finding.limit))
    shown = [value for value in (low, high, effect, limit) if value is not None]
    if len(set(shown)) < 2 or finding.status is Status.ERROR:
        return None
    reference = 1.0 if finding.unit == "ratio" else 0.0
    bottom, top = min(shown), max(shown)
    near = bottom - (top - bottom) <= reference <= top + (top - bottom)
    scale = _Scale([*shown, reference] if near else shown)
    limit_x = scale(limit)
    return IntervalChart(
        effect=scale(effect),
        low=scale(low),
        high=scale(high),
        limit=limit_x,
        reference=scale(reference) if near else None,
        worse=_worse_side(finding, limit_x),
        reference_label=number(reference, finding.unit),
        text=_in_words(finding),
    )


def latency_bars(baseline: Cost | None, candidate: Cost | None) -> tuple[Bar, ...]:
    """Stacked bars of the median stage seconds of both sides, on one scale that starts at zero."""
    sides: list[tuple[Side, Cost]] = [("baseline", baseline)] if baseline and baseline.calls else []
    sides += [("candidate", candidate)] if candidate and candidate.calls else []
    if not sides:
        return ()
    longest = 1.02 * max(max(cost.seconds) for _, cost in sides) or 1.0  # the last dot must not touch the edge
    return tuple(_bar(side, cost, longest) for side, cost in sides)


def memory_chart(baseline: Cost | None, candidate: Cost | None) -> MemoryChart | None:
    """Peak and held MiB over images made; None without a sample. The axis need not start at zero: growth is looked for."""
    series = [entry for side in _sides(baseline, candidate) for entry in side if entry[2]]
    if not series:
        return None
    values = [value for *_, points in series for _, value in points]
    counts = [count for *_, points in series for count, _ in points]
    span = max(values) - min(values) or max(abs(max(values)) * 0.02, 1.0)
    bottom, top = max(0.0, min(values) - 0.1 * span), max(values) + 0.1 * span
    first, last = min(counts), max(counts)
    return MemoryChart(
        traces=tuple(
            Trace(
                side=side, kind=kind, path=_path(points, (first, last), (bottom, top)), highest=max(value for _, value in points), last=points[-1][1]
            )
            for side, kind, points in series
        ),
        lowest=bottom,
        highest=top,
        first=first,
        last=last,
    )


class _Scale:
    """A linear scale from values to per cent of the width."""

    def __init__(self, values: Iterable[float]) -> None:
        found = list(values)
        self._low, high = min(found), max(found)
        self._span = high - self._low

    def __call__(self, value: float | None) -> float | None:
        if value is None:
            return None
        share = (value - self._low) / self._span if self._span else 0.5
        return round(_MARGIN + share * (100 - 2 * _MARGIN), 2)


def _worse_side(finding: Finding, limit_x: float | None) -> tuple[float, float] | None:
    """The stretch beyond the limit. Which side that is follows from the unit; for units not known here it stays open."""
    if limit_x is None or finding.limit is None:
        return None
    if finding.unit in _WORSE_BELOW or finding.name == "floor" or (finding.unit == "points" and finding.limit < 0):
        return (0.0, limit_x)
    return (limit_x, round(100 - limit_x, 2)) if finding.unit in _WORSE_ABOVE else None


def _in_words(finding: Finding) -> str:
    parts = [f"{finding.name}: {number(finding.effect, finding.unit)}"]
    if finding.low is not None or finding.high is not None:
        parts.append(f"interval {number(finding.low, finding.unit)} to {number(finding.high, finding.unit)}")
    if finding.limit is not None:
        parts.append(f"limit {number(finding.limit, finding.unit)}")
    return ", ".join(parts)


def _bar(side: Side, cost: Cost, longest: float) -> Bar:
    total = statistics.median(cost.seconds)
    stages = {name: statistics.median(values) for name in STAGES[:3] if (values := getattr(cost, name))}
    stages["other"] = max(0.0, total - sum(stages.values()))
    segments, start = [], 0.0
    for stage, seconds in stages.items():
        width = 100 * seconds / longest
        if width > 0:
            segments.append(Segment(stage=stage, start=round(start, 3), width=round(width, 3), seconds=seconds))
        start += width
    spread = f"{number(min(cost.seconds))} to {number(max(cost.seconds), 's')}, {cost.calls} call{'' if cost.calls == 1 else 's'}"
    return Bar(side=side, total=total, spread=spread, segments=tuple(segments), dots=_dots(cost.seconds, longest))


def _dots(seconds: Sequence[float], longest: float) -> tuple[float, ...]:
    """At most MOST_DOTS positions, evenly taken from the sorted samples so that both ends are always drawn."""
    ordered = sorted(seconds)
    if len(ordered) > MOST_DOTS:
        step = (len(ordered) - 1) / (MOST_DOTS - 1)
        ordered = [ordered[round(n * step)] for n in range(MOST_DOTS)]
    return tuple(round(100 * value / longest, 2) for value in ordered)


_Series = tuple[Side, Literal["peak", "held"], list[tuple[int, float]]]


def _sides(baseline: Cost | None, candidate: Cost | None) -> list[list[_Series]]:
    sides: list[tuple[Side, Cost | None]] = [("baseline", baseline), ("candidate", candidate)]
    return [[(side, "peak", _points(cost, cost.peak_mib)), (side, "held", _points(cost, cost.held_mib))] for side, cost in sides if cost is not None]


def _points(cost: Cost, values: Sequence[float]) -> list[tuple[int, float]]:
    counts = cost.numbers if len(cost.numbers) == len(values) else range(len(values))
    return sorted(zip(counts, values, strict=True))


def _path(points: Sequence[tuple[int, float]], across: tuple[int, int], up: tuple[float, float]) -> str:
    width, height = across[1] - across[0] or 1, up[1] - up[0] or 1.0
    placed = [(100 * (count - across[0]) / width, 100 - 100 * (value - up[0]) / height) for count, value in points]
    if len(placed) == 1:  # one point has no length: draw it as a level, which is all that it says
        placed = [(0.0, placed[0][1]), (100.0, placed[0][1])]
    return "M" + " L".join(f"{x:.2f},{y:.2f}" for x, y in placed)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
