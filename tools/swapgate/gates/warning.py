"""Warnings about a calibration, by name and with the remedy, as pyperf gives them about a benchmark: pure functions of the samples.

Each is given by chance to one set of samples in a hundred, at most, that is as it should be (`calibration.CHANCE`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from swapgate.gates.calibration import Mode, autocorrelation, by_process, cold, correlated, middles, modes, residuals
from swapgate.gates.disturbed import tolerated, waited
from swapgate.gates.evidence import FEWEST_PROCESSES, Cost, Drift, Null, Repeat
from swapgate.gates.policy import Policy
from swapgate.gates.processes import heads

_APART = {"ssim": 0.01, "clip": 0.01}  # modes of pictures that differ by less are nothing that a gate could trip over
_APART_TIME = 0.02  # of the logarithm of a time
_MODE_CALLS = 20  # fewer calls fall into two groups by a few stalls


class Name(StrEnum):
    """The warnings, the gravest first."""

    BELOW_COMPUTE_FLOOR = "BELOW_COMPUTE_FLOOR"
    TOO_FEW_SAMPLES = "TOO_FEW_SAMPLES"
    BIMODAL_NULL = "BIMODAL_NULL"
    THROTTLED = "THROTTLED"
    BUSY_MACHINE = "BUSY_MACHINE"
    AUTOCORRELATED = "AUTOCORRELATED"
    COLD_GPU = "COLD_GPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warn:
    """What is wrong with the samples of a calibration, and what to do about it."""

    name: Name
    said: str
    remedy: str

    @property
    def line(self) -> str:
        return f"{self.name}: {self.said}; {self.remedy}"


def warnings(
    costs: Mapping[str, Cost], processes: Sequence[Repeat], null: Null | None, policy: Policy, floor: float | None = None
) -> tuple[Warn, ...]:
    """Every warning about one model's samples, the gravest first.

    Args:
        costs: of the run itself, by task.
        processes: of the run and its null, at their calls.
        null: the repeated pictures; None where there are none, of which the drift gate itself says so.
        policy: whose alpha and least calls the samples have to serve.
        floor: the card's compute_floor_seconds.
    """
    found: list[Warn | None] = []
    if costs:
        found += _of_time(costs, processes, policy, floor)
    if null:
        found += [few_repeats(len(null.drifts), policy.alpha), bimodal_pictures(null.drifts)]
    order = {name: place for place, name in enumerate(Name)}
    return tuple(sorted((one for one in found if one), key=lambda one: order[one.name]))


def _of_time(costs: Mapping[str, Cost], processes: Sequence[Repeat], policy: Policy, floor: float | None) -> list[Warn | None]:
    middle, again = middles(costs), by_process(heads(processes))
    own = residuals(costs, middle)
    each = [residuals(found, middle) for found in again.values()]
    calls = [len(found) for (_, number), found in zip(again, each, strict=True) if number]
    seconds = [value for cost in costs.values() for value in cost.seconds]
    others = [value for (_, number), found in zip(again, each, strict=True) if number for value in found]
    return [
        impossible(median(seconds), floor) if seconds else None,
        few_processes(sum(1 for found in each if found) if again else min(1, len(own)), FEWEST_PROCESSES),
        few_calls(min(calls), policy.minimum_calls) if calls else None,
        bimodal_times([*own, *others]),
        autocorrelated(own),
        throttled([*costs.values(), *(one.cost for one in processes)]),
        busy([*costs.values(), *(one.cost for one in processes)], tolerated(policy)),
        cold_start([*([own] if not again else []), *each]),
    ]


def few_processes(n: int, fewest: int) -> Warn | None:
    """TOO_FEW_SAMPLES of processes as the card says, for time."""
    if n >= fewest:
        return None
    said = f"time was measured in {n} {'process' if n == 1 else 'processes'} as the card says, {fewest} are needed before latency can be claimed"
    return Warn(name=Name.TOO_FEW_SAMPLES, said=said, remedy="measure more: --null=8 (every second one is a variation, whose time does not count)")


def few_repeats(n: int, alpha: float) -> Warn | None:
    """TOO_FEW_SAMPLES of pictures: fewer repeats than a conformal limit of that level is made of."""
    needed = math.ceil(round(1 / alpha, 9)) - 1
    if n >= needed:
        return None
    said = f"{n} repeated pictures, of which one more would lie beyond all with a chance of {100 / (n + 1):.3g} %; a limit of {100 * alpha:g} % takes {needed}"
    return Warn(name=Name.TOO_FEW_SAMPLES, said=said, remedy="measure more: a larger --null, or more tasks")


def few_calls(n: int, fewest: int) -> Warn | None:
    """TOO_FEW_SAMPLES of calls in the process of the null that made the fewest."""
    if n >= fewest:
        return None
    said = (
        f"a process of the null made {n} {'call' if n == 1 else 'calls'} after its first, so their noise is taken for a difference between processes"
    )
    return Warn(name=Name.TOO_FEW_SAMPLES, said=said, remedy="measure more tasks: each adds a call a language")


def bimodal_pictures(drifts: Sequence[Drift]) -> Warn | None:
    """BIMODAL_NULL of the pictures, by SSIM or CLIP, with the variations that each mode came under."""
    finite = [one for one in drifts if math.isfinite(one.ssim) and math.isfinite(one.clip)]
    for metric, apart in _APART.items():
        found = modes([getattr(one, metric) for one in finite], [one.variation or "unnamed" for one in finite], apart)
        if len(found) > 1:
            parts = " and ".join(f"{metric.upper()} {one.middle:.3f} in {one.n} ({_labels(one)})" for one in found)
            remedy = "the limit covers both modes and is as wide as the wider one: find what switches between them, or pin the kernel"
            return Warn(name=Name.BIMODAL_NULL, said=f"repeats of the same picture come in two kinds: {parts}", remedy=remedy)
    return None


def bimodal_times(logs: Sequence[float]) -> Warn | None:
    """BIMODAL_NULL of the times; logs: `residuals` of a process, or of many."""
    found = modes(logs, [""] * len(logs), _APART_TIME) if len(logs) >= _MODE_CALLS else ()
    if len(found) < 2:
        return None
    factor = 100 * math.expm1(found[1].middle - found[0].middle)
    said = f"calls take two times: {found[1].n} of {len(logs)} take {factor:.3g} % longer than the others"
    return Warn(name=Name.BIMODAL_NULL, said=said, remedy="look for two clocks, two kernels or a neighbour on the machine; fix the clocks if you can")


def autocorrelated(logs: Sequence[float]) -> Warn | None:
    """AUTOCORRELATED calls of one process; logs: its `residuals`."""
    if not correlated(logs):
        return None
    said = f"a call resembles the one before it (rank correlation {autocorrelation(logs):.2f} over {len(logs)} calls)"
    return Warn(
        name=Name.AUTOCORRELATED, said=said, remedy="calls count for less than their number: make more, let the device rest, or fix its clocks"
    )


def throttled(costs: Iterable[Cost]) -> Warn | None:
    """THROTTLED: what the device itself reported while calls ran."""
    reasons = sorted({reason for cost in costs for reason in cost.throttled})
    if not reasons:
        return None
    remedy = "cool the device or lower its power limit for good, and measure again"
    return Warn(name=Name.THROTTLED, said=f"the device slowed itself down ({', '.join(reasons)})", remedy=remedy)


def busy(costs: Iterable[Cost], most: float) -> Warn | None:
    """BUSY_MACHINE: a task in a process whose calls other work kept waiting for a processor, for more than the share `most` of their time."""
    longest = max((waited(cost) for cost in costs), default=0.0)
    if longest <= most:
        return None
    said = f"other work on the machine kept calls waiting for a processor for {100 * longest:.2g} % of their time"
    return Warn(name=Name.BUSY_MACHINE, said=said, remedy="leave the machine to the measurement, and measure again")


def cold_start(processes: Iterable[Sequence[float]]) -> Warn | None:
    """COLD_GPU: see `cold`."""
    slower = cold(processes)
    if slower is None:
        return None
    said = f"the first warm calls of a process are {100 * slower:.3g} % slower than its others"
    return Warn(name=Name.COLD_GPU, said=said, remedy="warm the device up before the run, or set persistence mode and fix its clocks")


def impossible(seconds: float, floor: float | None) -> Warn | None:
    """BELOW_COMPUTE_FLOOR: a median time (seconds an image) below the card's compute_floor_seconds."""
    if floor is None or seconds >= floor:
        return None
    said = f"an image takes {seconds:.3g} s, and its arithmetic alone {floor:.3g} s"
    return Warn(
        name=Name.BELOW_COMPUTE_FLOOR,
        said=said,
        remedy="a synchronisation is missing: time the engine with the device waited for; the times void the run",
    )


def _labels(mode: Mode) -> str:
    return ", ".join(f"{count} of {label}" for label, count in mode.labels)
