"""Strip plots: every sample of both sides as a dot on one scale, with the medians and the limit that the verdict was held to.

Dots are one path of points without length, drawn with round ends: a thousand samples cost a few kilobytes of the page.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from swapgate.gates.evidence import Cost
from swapgate.gates.verdict import POOLED, Finding, Verdict
from swapgate.report.charts import Side
from swapgate.report.model import Report
from swapgate.report.phrases import EN, number
from swapgate.report.words import Words

MOST_DOTS = 160  # a side; of more the sorted samples are taken at even steps, both ends among them
_EDGE = 3.0  # per cent of the width left free at both ends
_GOLDEN = 0.618034
Samples = tuple[tuple[Side, Sequence[float]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One side: path of its dots in a 100 x 100 box, the median's x in per cent, the median as people read it, and how many samples."""

    side: Side
    path: str
    middle: float
    text: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Both sides on one scale. limit: x in per cent and text, None where the verdict has none on this scale; ends: the scale's ends as text."""

    what: str
    rows: tuple[Row, ...]
    limit: float | None
    limit_text: str
    ends: tuple[str, str]
    text: str


def strip(what: str, unit: str, samples: Samples, limit: float | None = None, words: Words = EN) -> Strip | None:
    """The plot of `samples`; None without a finite one. what: the samples' name as the page says it."""
    finite: list[tuple[Side, list[float]]] = [(side, [one for one in values if math.isfinite(one)]) for side, values in samples]
    sides = [(side, values) for side, values in finite if values]
    if not sides:
        return None
    limit = limit if limit is not None and math.isfinite(limit) else None
    every = [value for _, values in sides for value in values] + ([limit] if limit is not None else [])
    low, high = min(every), max(every)

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(_EDGE + share * (100 - 2 * _EDGE), 2)

    rows = tuple(_row(side, values, unit, place, words) for side, values in sides)
    said = [words("chart.side", side=words(f"side.{row.side}"), middle=row.text, n=row.n) for row in rows]
    limit_text = words("chart.limit", limit=number(limit, unit, words=words)) if limit is not None else ""
    return Strip(
        what=what,
        rows=rows,
        limit=place(limit) if limit is not None else None,
        limit_text=limit_text,
        ends=(number(low, unit, words=words), number(high, unit, words=words)),
        text=f"{what}{words('answer.colon')}{words('answer.join').join([*said, *([limit_text] if limit_text else [])])}",
    )


def strip_of(verdict: Verdict, report: Report, cost: tuple[Cost | None, Cost | None], words: Words = EN) -> Strip | None:
    """The samples that a cell was judged on: seconds, MiB, alignment, likeness or changes by wording."""
    match verdict.gate:
        case "latency":
            return _seconds(verdict, cost, words)
        case "memory":
            return _peaks(verdict, cost, words)
        case "usability":
            return _alignments(verdict, report, words)
        case "drift":
            return _likeness(verdict, report, words)
        case "stability":
            return _changes(verdict, report, words)
        case _:
            return None


def _row(side: Side, values: Sequence[float], unit: str, place: Callable[[float], float], words: Words) -> Row:
    middle = statistics.median(values)
    shown = _thinned(sorted(values))
    dots = "".join(f"M{place(value):g},{_height(n)}h0" for n, value in enumerate(shown))
    return Row(side=side, path=dots, middle=place(middle), text=number(middle, unit, words=words), n=len(values))


def _height(n: int) -> int:
    """Where the n-th dot stands between 12 and 88: evenly spread without a pattern, and the same in every build."""
    return round(12 + 76 * ((n + 1) * _GOLDEN % 1))


def _thinned(ordered: Sequence[float]) -> list[float]:
    if len(ordered) <= MOST_DOTS:
        return list(ordered)
    step = (len(ordered) - 1) / (MOST_DOTS - 1)
    return [ordered[round(n * step)] for n in range(MOST_DOTS)]


def _claim(verdict: Verdict, *names: str) -> Finding | None:
    """The first claim of these names that has a limit."""
    return next((one for name in names for one in verdict.findings if one.name == name and one.limit is not None), None)


def _seconds(verdict: Verdict, cost: tuple[Cost | None, Cost | None], words: Words) -> Strip | None:
    """The limit is the floor above the median of the baseline's dots, else the ceiling."""
    baseline, candidate = ((one.seconds if one else ()) for one in cost)
    ratio, ceiling = _claim(verdict, "total"), _claim(verdict, "total ceiling", "compute floor")
    limit = ceiling.limit if ceiling else None
    if ratio and ratio.limit is not None and baseline and ratio.unit == "%":
        limit = statistics.median(baseline) * (1 + ratio.limit / 100)
    return strip(words("chart.seconds"), "s", (("baseline", baseline), ("candidate", candidate)), limit, words)


def _peaks(verdict: Verdict, cost: tuple[Cost | None, Cost | None], words: Words) -> Strip | None:
    baseline, candidate = ((one.peak_mib if one else ()) for one in cost)
    peak, ceiling = _claim(verdict, "peak"), _claim(verdict, "memory ceiling")
    limit = ceiling.limit if ceiling else None
    if peak and peak.limit is not None and baseline:
        limit = max(baseline) + peak.limit
    return strip(words("chart.peaks"), "MiB", (("baseline", baseline), ("candidate", candidate)), limit, words)


def _alignments(verdict: Verdict, report: Report, words: Words) -> Strip | None:
    """The bar is the policy's: below it a picture is another prompt's as likely as its own."""
    rows = [row for row in report.images if row.model == verdict.model and verdict.task in (row.task, POOLED) and not row.edits]
    before = [row.baseline_alignment for row in rows if row.baseline_alignment is not None]
    after = [row.alignment for row in rows if row.alignment is not None]
    bar = report.policy.get("alignment_bar")
    return strip(words("chart.alignment"), "", (("baseline", before), ("candidate", after)), bar if isinstance(bar, int | float) else None, words)


def _likeness(verdict: Verdict, report: Report, words: Words) -> Strip | None:
    """The candidate's likeness to the baseline beside that of the accepted model's own repeats."""
    now = [row.ssim for row in report.images if row.model == verdict.model and verdict.task in (row.task, POOLED) and row.ssim is not None]
    null = [value for row in report.nulls if row.model == verdict.model and verdict.task in (row.task, POOLED) for value in row.ssim]
    claim = _claim(verdict, "ssim")
    return strip(words("chart.ssim"), "SSIM", (("null", null), ("candidate", now)), claim.limit if claim else None, words)


def _changes(verdict: Verdict, report: Report, words: Words) -> Strip | None:
    rows = [row for row in report.wording if row.model == verdict.model and verdict.task in (row.task, POOLED) and not row.smallest]
    before = [100 * row.baseline_change for row in rows if row.baseline_change is not None]
    after = [100 * row.change for row in rows if row.change is not None]
    return strip(words("chart.changes"), "points", (("baseline", before), ("candidate", after)), None, words)
