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
from swapgate.report.phrases import EN, number, span
from swapgate.report.words import Words

STAGES = ("text", "denoise", "decode", "other")
_MARGIN = 6.0  # per cent left free at both ends
_WORSE_BELOW = frozenset({"SSIM", "dB", "cosine"})
_WORSE_ABOVE = frozenset({"s", "MiB", "MiB/image", "%", "points", "requests"})
Side = Literal["baseline", "candidate", "null"]


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
    """Median seconds per image of one side by stage."""

    side: Side
    total: float
    spread: str
    segments: tuple[Segment, ...]


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


def interval_chart(finding: Finding, words: Words = EN) -> IntervalChart | None:
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
        worse=_worse_stretch(finding, limit_x),
        reference_label=number(reference, finding.unit, words=words),
        text=_in_words(finding, words),
    )


def latency_bars(baseline: Cost | None, candidate: Cost | None, words: Words = EN) -> tuple[Bar, ...]:
    """Stacked bars of the median stage seconds of both sides, on one scale that starts at zero."""
    sides: list[tuple[Side, Cost]] = [("baseline", baseline)] if baseline and baseline.calls else []
    sides += [("candidate", candidate)] if candidate and candidate.calls else []
    if not sides:
        return ()
    longest = max(statistics.median(cost.seconds) for _, cost in sides) or 1.0
    return tuple(_bar(side, cost, longest, words) for side, cost in sides)


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


def worse_side(finding: Finding) -> Literal["below", "above"] | None:
    """On which side of its limit a claim is worse: told by the unit; None for units not known here and without a limit."""
    if finding.limit is None:
        return None
    if finding.unit in _WORSE_BELOW or finding.name == "floor" or (finding.unit == "points" and finding.limit < 0):
        return "below"
    return "above" if finding.unit in _WORSE_ABOVE else None


def margin(finding: Finding) -> float | None:
    """How far the worse end of the interval (the effect, without one) is inside the limit, in the claim's unit; None where that cannot be told."""
    side, limit = worse_side(finding), finding.limit
    end = finding.high if side == "above" else finding.low
    end = finding.effect if end is None else end
    if side is None or limit is None or end is None:
        return None
    room = limit - end if side == "above" else end - limit
    return room if math.isfinite(room) and room >= 0 else None


def _worse_stretch(finding: Finding, limit_x: float | None) -> tuple[float, float] | None:
    side = worse_side(finding)
    if limit_x is None or side is None:
        return None
    return (0.0, limit_x) if side == "below" else (limit_x, round(100 - limit_x, 2))


def _in_words(finding: Finding, words: Words) -> str:
    name, unit = words.name("claim", finding.name), finding.unit
    parts = [words("chart.effect", name=name, effect=number(finding.effect, unit, words=words))]
    if finding.low is not None or finding.high is not None:
        parts.append(words("chart.interval", low=number(finding.low, unit, words=words), high=number(finding.high, unit, words=words)))
    if finding.limit is not None:
        parts.append(words("chart.limit", limit=number(finding.limit, unit, words=words)))
    return words("answer.comma").join(parts)


def _bar(side: Side, cost: Cost, longest: float, words: Words) -> Bar:
    total = statistics.median(cost.seconds)
    stages = {name: statistics.median(values) for name in STAGES[:3] if (values := getattr(cost, name))}
    stages["other"] = max(0.0, total - sum(stages.values()))
    segments, start = [], 0.0
    for stage, seconds in stages.items():
        width = 100 * seconds / longest
        if width > 0:
            segments.append(Segment(stage=stage, start=round(start, 3), width=round(width, 3), seconds=seconds))
        start += width
    spread = words("answer.comma").join([span(min(cost.seconds), max(cost.seconds), "s", words=words), words("chart.calls", n=cost.calls)])
    return Bar(side=side, total=total, spread=spread, segments=tuple(segments))


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
