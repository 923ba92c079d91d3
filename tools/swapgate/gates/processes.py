"""What differs from process to process: the part of a time, and of a peak, that no number of calls in one process shows.

A process keeps the memory layout, kernels and clocks that it happened to get, so the calls of one process vary less than those of
two (Kalibera and Jones, ISMM 2013; Georges, Buytaert and Eeckhout, OOPSLA 2007). A candidate and an accepted baseline are two
processes. How much two differ is measured on further processes of the baseline, which make the run's first calls again; and the candidate
is held against the centre of all of them, which is known better than any one of them is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from statistics import mean, median
from typing import Any

from swapgate.gates.evidence import FEWEST_PROCESSES, Cost, Repeat
from swapgate.gates.resampling import Estimate

REMEDY = "accept again with --null=8"
Read = Callable[[Cost], Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """How much processes differ: standard deviation of the logarithm of their medians (so relative), from so many processes.

    freedom: degrees of freedom, processes less one for each run that they are of; calls: of the process with the fewest.
    offset: by which the run's own process lies above the centre of its run's processes, a logarithm; about: processes around that centre.
    """

    deviation: float
    freedom: int
    processes: int
    calls: int
    offset: float = 0.0
    about: int = 1

    @property
    def apart(self) -> float:
        """The deviation of each of two processes that would differ as much as one more process does from the centre: s^2 (1 + 1/K) in all."""
        return self.deviation * math.sqrt((1 + 1 / self.about) / 2)


def between(repeats: Iterable[Repeat], read: Read) -> Between | None:
    """The spread of a time between processes; None where fewer than FEWEST_PROCESSES (or two degrees of freedom) measured it.

    A process counts with the mean, over tasks, of its log median less that of all processes of the run (so tasks that take longer are no
    spread). Of process 0 only the calls that the others repeat are used, at the same places in the process: then all are alike but for
    what differs between processes. The noise of so few calls is in the spread as well, which errs on the safe side: a whole run's
    medians vary less.
    """
    logs, fewest = _logs(repeats, read)
    effects: dict[tuple[str, int], list[float]] = {}
    for place in sorted({key[:2] for key in logs}):
        own = {key: value for key, value in logs.items() if key[:2] == place}
        if len(own) > 1:
            middle = mean(own.values())
            for (run, _, process), value in own.items():
                effects.setdefault((run, process), []).append(value - middle)
    freedom = len(effects) - len({run for run, _ in effects})
    if len(effects) < FEWEST_PROCESSES or freedom < FEWEST_PROCESSES - 1:
        return None
    squares = sum(mean(values) ** 2 for values in effects.values())
    counts = Counter(run for run, _ in effects)
    # Without the run's own process among them, nothing tells where it lies, and it is one more process itself.
    first = [mean(values) for (_, process), values in effects.items() if process == 0]
    whole = len(first) == len(counts)
    return Between(
        deviation=math.sqrt(squares / freedom),
        freedom=freedom,
        processes=len(effects),
        calls=fewest,
        offset=mean(first) if whole else 0.0,
        about=min(counts.values()) if whole else 1,
    )


def widened(found: Estimate, spread: float, freedom: int, *, alpha: float, log: bool) -> Estimate:
    """The estimate of a comparison of two processes, with what differs between them: bounds, deviation and degrees of freedom.

    spread: the deviation of one process in the unit of `found.deviation` (of logarithms for a ratio). Two processes differ by twice its
    variance, which is added to that of the draws; Student's t with Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946),
    rounded down. A bound is never nearer than the draws' own.
    """
    variance, more = found.deviation**2, 2 * spread**2
    pooled = (variance + more) ** 2 / (variance**2 / max(found.blocks - 1, 1) + more**2 / freedom) if variance + more else 1.0
    degrees = max(1, math.floor(pooled + 1e-9))
    reach = _quantile(alpha, degrees) * math.sqrt(variance + more)
    low, high = (found.effect * math.exp(-reach), found.effect * math.exp(reach)) if log else (found.effect - reach, found.effect + reach)
    low, high = min(low, found.low), max(high, found.high)
    return replace(found, low=low, high=high, deviation=math.sqrt(variance + more), blocks=degrees + 1)


def peak_range(repeats: Iterable[Repeat], tasks: AbstractSet[str]) -> tuple[float, int]:
    """By how much the peaks of processes differ at the same calls (MiB), over these tasks together, and of how many processes."""
    peaks: dict[tuple[str, int], float] = {}
    for one in heads(repeats):
        if one.task in tasks and one.cost.peak_mib:
            key = (one.run, one.process)
            peaks[key] = max(peaks.get(key, 0.0), *one.cost.peak_mib)
    ranges = [_range([peak for (own, _), peak in peaks.items() if own == run]) for run in {run for run, _ in peaks}]
    return max(ranges, default=0.0), len(peaks)


def heads(repeats: Iterable[Repeat]) -> list[Repeat]:
    """The processes at the calls that all of them made: process 0 goes on after the ones that the others repeat."""
    found = list(repeats)
    last: dict[tuple[str, str], int] = {}
    for one in found:
        if one.process:
            key = (one.run, one.task)
            last[key] = max(last.get(key, -1), max(one.cost.numbers, default=-1))
    return [one if one.process else replace(one, cost=_head(one.cost, last.get((one.run, one.task), -1))) for one in found]


def _logs(repeats: Iterable[Repeat], read: Read) -> tuple[dict[tuple[str, str, int], float], int]:
    """Log medians by run, task and process; and the calls of the process that made the fewest."""
    logs: dict[tuple[str, str, int], float] = {}
    calls: dict[tuple[str, int], int] = {}
    for one in heads(repeats):
        values = [value for value in read(one.cost) if math.isfinite(value) and value > 0]
        if values:
            logs[one.run, one.task, one.process] = math.log(median(values))
            calls[one.run, one.process] = calls.get((one.run, one.process), 0) + len(values)
    return logs, min(calls.values(), default=0)


def _head(cost: Cost, last: int) -> Cost:
    """The calls that a process made before it had made more than `last` images.

    Where the count starts anew the run was gone on with in another process, which is not this one.
    """
    own = next((place for place in range(1, cost.calls) if cost.numbers[place] <= cost.numbers[place - 1]), cost.calls)
    kept = [place for place, number in enumerate(cost.numbers[:own]) if number <= last]
    names = ("seconds", "first_step", "text", "denoise", "decode", "peak_mib", "held_mib", "images", "numbers")
    columns = {name: getattr(cost, name) for name in names}
    cut: dict[str, Any] = {name: tuple(values[place] for place in kept) if len(values) == cost.calls else () for name, values in columns.items()}
    return replace(cost, **cut)


def _range(values: Sequence[float]) -> float:
    return max(values) - min(values) if values else 0.0


def _quantile(alpha: float, freedom: float) -> float:
    from swapgate.gates.tails import t

    return float(t.isf(alpha, freedom))
