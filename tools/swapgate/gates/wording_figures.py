"""Figures of one arm on rewordings, for reading beside the verdict: quantiles of change and their placebo, spread against seeds, flips by class.

None of them decides and none has a limit to break. A rewording of several edits counts for each class that it holds, so the
classes' rates are no parts of a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from swapgate.gates.compose import percent, plural
from swapgate.gates.evidence import Arm, ImageScore
from swapgate.gates.policy import Policy
from swapgate.gates.statistics import clopper_pearson
from swapgate.gates.verdict import Finding
from swapgate.gates.wording_controls import LEVELS, placebo, told
from swapgate.wording import NOISE, Kind

if TYPE_CHECKING:
    from swapgate.gates.stability import Reworded

ARTICLE = "article-"  # ids of the tasks of the published comparison
CLAIM = "the published article states ±12 % for Qwen-Image-2512 and -35 % to +28 % for FLUX.1 (its own figures, without its method)"


def figures(arm: Arm, ours: Mapping[str, Reworded], policy: Policy) -> list[Finding]:
    """All of them for an arm whose rewordings are `ours`, by pair; `ours` is not empty."""
    scores = {score.pair: score for score in arm.scores}
    return [_quantiles(scores, ours), placebo(arm, ours, policy.stability_guard), _spread(arm), *_by_class(scores, ours, policy)]


def kinds(edits: str) -> tuple[Kind, ...]:
    """The classes of serialised edits ("synonym: cup→mug @1; width: …"), most innocent first; what is no class is left out."""
    named = {label.partition(":")[0].strip() for label in edits.split("; ")}
    return tuple(kind for kind in Kind if kind.value in named)


def _quantiles(scores: Mapping[str, ImageScore], ours: Mapping[str, Reworded]) -> Finding:
    """Of the change of alignment as a share of the original's (guarded and capped as in `stability.reworded`)."""
    low, middle, high = (float(level) for level in np.quantile([one.change for one in ours.values()], LEVELS))
    wordings: dict[tuple[str, str], set[str]] = {}
    for pair in ours:
        wordings.setdefault((scores[pair].task, scores[pair].language), set()).add(scores[pair].edits)
    k = max(map(len, wordings.values()))
    reason = (
        f"relative change of alignment over {plural(len(ours), 'rewording')} (up to {k} wordings a prompt): {percent(low)} at the 5 % quantile, "
        f"{percent(middle)} at the median, {percent(high)} at the 95 % quantile"
    )
    if len(ours) < 1 / LEVELS[0]:
        reason += f" (of {len(ours)} the outer two are nearly the extremes)"
    if any(scores[pair].task.startswith(ARTICLE) for pair in ours):
        reason += f"; {CLAIM}"
    return told("change quantiles", reason, effect=100 * middle, low=100 * low, high=100 * high, n=len(ours))


def _spread(arm: Arm) -> Finding:
    """Standard deviation over wordings of one seed, as a share of that over seeds of one wording; both pooled over their groups."""
    written = [score for score in arm.scores if not score.edits]
    known = {score.pair for score in written}
    wordings, n = _pooled((score.original, score.normalised) for score in arm.scores if not score.edits or score.original in known)
    seeds, m = _pooled((f"{score.task}/{score.language}/{score.index}", score.normalised) for score in written)
    name = "wording spread"
    if not n or not m:
        return told(name, "too few seeds or rewordings to compare the spread over wordings with that over seeds", n=0)
    said = (
        f"alignment spreads by {wordings:.3f} over wordings of one seed ({n} degrees of freedom) and by {seeds:.3f} over seeds of one wording ({m})"
    )
    if not seeds:
        return told(name, f"{said}, so there is no share", n=n)
    return told(name, f"{said}: {100 * wordings / seeds:.0f} %", effect=100 * wordings / seeds, n=n)


def _pooled(values: Iterable[tuple[str, float]]) -> tuple[float, int]:
    """(standard deviation inside groups, degrees of freedom)."""
    groups: dict[str, list[float]] = {}
    for group, value in values:
        groups.setdefault(group, []).append(value)
    freedom = sum(len(found) - 1 for found in groups.values())
    squares = sum(float(np.var(found)) * len(found) for found in groups.values())
    return (sqrt(squares / freedom) if freedom else 0.0), freedom


def _by_class(scores: Mapping[str, ImageScore], ours: Mapping[str, Reworded], policy: Policy) -> list[Finding]:
    """The flip rate of every class that was asked, among rewordings whose original was usable; exact intervals (Clopper–Pearson)."""
    flips: dict[Kind, list[bool]] = {}
    for pair, one in ours.items():
        if one.was_usable:
            for kind in kinds(scores[pair].edits):
                flips.setdefault(kind, []).append(one.flipped)
    return [_rate(kind, flips[kind], policy) for kind in Kind if kind in flips]


def _rate(kind: Kind, flips: Sequence[bool], policy: Policy) -> Finding:
    low, high = clopper_pearson(sum(flips), len(flips), policy.alpha / 2)
    rate = 100 * sum(flips) / len(flips)
    reason = (
        f"{sum(flips)} of {plural(len(flips), 'rewording')} with {kind.value}{', which is noise,' if kind in NOISE else ''} became unusable: "
        f"{rate:.0f} % [{100 * low:.0f} %, {100 * high:.0f} %]"
    )
    return told(f"flip rate, {kind.value}", reason, effect=rate, low=100 * low, high=100 * high, n=len(flips), confidence=1 - policy.alpha)
