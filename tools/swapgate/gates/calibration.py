"""What can be read off samples of a model against itself: how far apart, and how steady they are: pure functions, no files.

A null is a set of samples and stays one: figures here describe it and never stand in its place. `gates.warning` says of them what is amiss.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles

from swapgate.gates.evidence import Cost, Repeat

CHANCE = 0.01  # of a warning about samples that are as they should be
_QUARTILES = 1.349  # standard deviations between the quartiles of a normal sample
FEWEST_CALLS = 10  # below them a correlation is anybody's guess
_EXPLAINED = 0.9  # share of the variance between two groups; of a normal sample the best split leaves 0.64, of a uniform one 0.75
_SHARE = 0.15  # a mode holds that share of the samples: stalls, of which there are always some, do not
_COLD = 0.02  # the first warm calls are slower by more than this share
_EARLY = 2  # calls after the first of a process that count as its first warm ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One of several values that samples gather around: their median, how many, and the labels that they carry with counts."""

    middle: float
    n: int
    low: float
    high: float
    labels: tuple[tuple[str, int], ...]


def modes(values: Sequence[float], labels: Sequence[str], apart: float) -> tuple[Mode, ...]:
    """The modes of a sample: one, or two where it falls into two groups that leave little variance inside.

    The best split into two (exact in one dimension) has to explain 90 % of the variance, each group to hold 15 % of the samples
    and two of them at least, and their middles to lie more than `apart` from each other. () for no samples.
    Source of the criterion: the variance ratio of a two-means split (Hartigan, Clustering Algorithms, 1975, ch. 4).
    """
    rows = sorted(zip(values, labels, strict=True))
    if any(not math.isfinite(value) for value, _ in rows):
        raise ValueError("modes of values that are not finite")
    cut = _split([value for value, _ in rows], apart)
    groups = [rows[:cut], rows[cut:]] if cut else [rows] if rows else []
    return tuple(_mode(group) for group in groups)


def _split(values: Sequence[float], apart: float) -> int:
    """Where the sorted values fall into two; 0 where they do not."""
    n, least = len(values), max(2, math.ceil(_SHARE * len(values)))
    if n < 2 * least or values[-1] - values[0] <= apart:
        return 0
    total = fmean(values)
    whole = sum((value - total) ** 2 for value in values)
    between = {cut: cut * (n - cut) / n * (fmean(values[:cut]) - fmean(values[cut:])) ** 2 for cut in range(least, n - least + 1)}
    best = max(between, key=lambda cut: between[cut])
    wide = median(values[best:]) - median(values[:best]) > apart
    return best if wide and between[best] >= _EXPLAINED * whole else 0


def _mode(rows: Sequence[tuple[float, str]]) -> Mode:
    values = [value for value, _ in rows]
    counts: dict[str, int] = {}
    for _, label in rows:
        counts[label] = counts.get(label, 0) + 1
    return Mode(middle=median(values), n=len(values), low=values[0], high=values[-1], labels=tuple(sorted(counts.items())))


def spread(values: Sequence[float]) -> float:
    """Standard deviation by the quartiles, as of a normal sample: stalls do not widen it. 0.0 with fewer than two values."""
    if len(values) < 2:
        return 0.0
    low, _, high = quantiles(values, n=4, method="inclusive")
    return (high - low) / _QUARTILES


def autocorrelation(values: Sequence[float]) -> float | None:
    """Rank correlation of a value with the next, in [-1, 1]; None for fewer than three values or equal ones."""
    from scipy.stats import rankdata

    if len(values) < 3:
        return None
    ranks = rankdata(values) - (len(values) + 1) / 2
    total = float(ranks @ ranks)
    return float(ranks[:-1] @ ranks[1:]) / total if total else None


def correlated(values: Sequence[float]) -> bool:
    """Whether neighbours resemble each other beyond chance: above the normal limit of independent values, mean -1/n and variance 1/n."""
    found = autocorrelation(values)
    return found is not None and len(values) >= FEWEST_CALLS and (found + 1 / len(values)) * math.sqrt(len(values)) > _normal(CHANCE)


def residuals(costs: Mapping[str, Cost], middles: Mapping[str, float]) -> list[float]:
    """Log times of one process in the order of its calls, each less the middle of its task (both by task): tasks may differ in length."""
    rows = [
        (number, math.log(value) - middles[task])
        for task, cost in costs.items()
        if task in middles
        for number, value in zip(cost.numbers, cost.seconds, strict=True)
        if math.isfinite(value) and value > 0
    ]
    return [value for _, value in sorted(rows, key=lambda row: row[0])]


def middles(costs: Mapping[str, Cost]) -> dict[str, float]:
    """The median log time of each task of a process; tasks without a time are left out."""
    logs = {task: [math.log(value) for value in cost.seconds if math.isfinite(value) and value > 0] for task, cost in costs.items()}
    return {task: median(values) for task, values in logs.items() if values}


def by_process(repeats: Iterable[Repeat]) -> dict[tuple[str, int], dict[str, Cost]]:
    """Costs by (run, process) and task."""
    found: dict[tuple[str, int], dict[str, Cost]] = {}
    for one in repeats:
        found.setdefault((one.run, one.process), {})[one.task] = one.cost
    return found


def cold(processes: Iterable[Sequence[float]]) -> float | None:
    """By how much the first warm calls of processes are slower than their rest (a share); None where that is chance, or under 2 %.

    processes: `residuals` of each. The ranks of the first two calls of every process are summed and held against their expectation
    (the stratified rank sum of van Elteren, Bulletin de l'Institut International de Statistique 37, 1960).
    """
    from scipy.stats import rankdata

    off, variance, gaps = 0.0, 0.0, []
    for values in processes:
        n = len(values)
        if n < 3 * _EARLY:
            continue
        off += float(rankdata(values)[:_EARLY].sum()) - _EARLY * (n + 1) / 2
        variance += _EARLY * (n - _EARLY) * (n + 1) / 12
        gaps.append(fmean(values[:_EARLY]) - median(values[_EARLY:]))
    if not gaps or off / math.sqrt(variance) <= _normal(CHANCE) or median(gaps) <= math.log1p(_COLD):
        return None
    return math.expm1(median(gaps))


def below_floor(seconds: float, flops: float, flops_per_second: float) -> bool:
    """Whether a time is shorter than its arithmetic on a device of that peak rate; ValueError unless both figures are above 0."""
    if not (flops > 0 and flops_per_second > 0):
        raise ValueError(f"a compute floor needs FLOPs and a rate above 0, not {flops} and {flops_per_second}")
    return seconds < flops / flops_per_second


def seed_deviation(values: Mapping[Hashable, Sequence[float]]) -> float | None:
    """Standard deviation of a value between seeds of one prompt, pooled over prompts; None where no prompt has two."""
    groups = [found for found in values.values() if len(found) > 1]
    freedom = sum(len(found) - 1 for found in groups)
    squares = sum((value - fmean(found)) ** 2 for found in groups for value in found)
    return math.sqrt(squares / freedom) if freedom else None


def intraclass(values: Mapping[Hashable, Mapping[Hashable, Sequence[float]]]) -> float | None:
    """ICC(1) of images in their rounds, of rounds in their prompts: how far the images of one round resemble each other.

    values: by prompt and round. One-way analysis of variance among the rounds of each prompt, so that prompts that differ do not count
    as rounds that do. Source: Fisher 1925; Shrout and Fleiss, Psychological Bulletin 86 (1979), case 1; unequal rounds as in Donner,
    International Statistical Review 54 (1986). None without two rounds of one prompt, or with one image a round.
    """
    sizes: list[int] = []
    inside = across = weighted = 0.0
    rounds = prompts = 0
    for found in values.values():
        groups = [list(group) for group in found.values() if group]
        images = [value for group in groups for value in group]
        if len(groups) < 2 or len(images) == len(groups):
            continue
        middle = fmean(images)
        across += sum(len(group) * (fmean(group) - middle) ** 2 for group in groups)
        inside += sum((value - fmean(group)) ** 2 for group in groups for value in group)
        weighted += sum(len(group) ** 2 for group in groups) / len(images)
        sizes += [len(group) for group in groups]
        rounds, prompts = rounds + len(groups), prompts + 1
    if not prompts:
        return None
    between, within = across / (rounds - prompts), inside / (sum(sizes) - rounds)
    each = (sum(sizes) - weighted) / (rounds - prompts)
    total = between + (each - 1) * within
    return (between - within) / total if total > 0 else None


def _normal(alpha: float) -> float:
    from swapgate.gates.tails import norm

    return float(norm.isf(alpha))
