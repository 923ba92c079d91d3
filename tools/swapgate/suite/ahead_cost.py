"""What latency and memory of one model can find and pass, before an image is made.

As `ahead_quality` for the pooled cells of cost. Samples are the calls after the first of a process.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import mean, median, quantiles
from typing import Any

from swapgate.gates import power
from swapgate.gates.compose import mib, plural, seconds
from swapgate.gates.evidence import FEWEST_PROCESSES, Cost
from swapgate.gates.latency import READ, STAGES
from swapgate.gates.processes import Between, between, peak_range
from swapgate.suite.earlier import Earlier
from swapgate.suite.prospect import CHANCE, ClaimAhead, GateAhead, Prospect, closed

TYPICAL_CV = 0.03
_QUARTILES = 1.349  # standard deviations between the quartiles of a normal sample
_SEN_EFFICIENCY = 0.955  # of Theil-Sen's slope against least squares in normal noise (Sen, 1968)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clock:
    """Earlier samples of one time: their median (None: unknown), relative spread, correlation with the next call, and origin."""

    middle: float | None
    cv: float
    correlation: float
    said: str
    assumed: bool = False


def latency(prospect: Prospect) -> GateAhead:
    """Total, first step and stages against the other arm's, and the card's ceilings."""
    none = _no_comparison(prospect)
    ceilings = _time_ceilings(prospect)
    compared = [] if none else [_total(prospect), *_first_step(prospect), *_stages(prospect)]
    return _with_ceilings("latency", prospect, compared, ceilings, none)


def memory(prospect: Prospect) -> GateAhead:
    """The peak against the other arm's and the card's ceiling, and growth per image."""
    none = _no_comparison(prospect)
    compared = [] if none else [_peak(prospect)]
    return _with_ceilings("memory", prospect, compared, _memory_ceiling(prospect), none, [_growth(prospect)])


def _with_ceilings(
    gate: str, prospect: Prospect, compared: Sequence[ClaimAhead], ceilings: Sequence[ClaimAhead], none: str, more: Sequence[ClaimAhead] = ()
) -> GateAhead:
    """Without a comparison the ceilings decide alone; without those either nothing does."""
    claims = [*compared, *ceilings, *more]
    if none:
        basis = f"{none}; the ceilings decide alone" if ceilings else none
        short = "" if ceilings else f"{none}: accept a run with --with-cost, or set ceilings in the card"
        claims.insert(0, ClaimAhead(name="comparison", n=0, noun="call", unit="", limit=None, smallest=None, passes=None, short=short, basis=basis))
    return closed(gate, prospect, claims)


def _no_comparison(prospect: Prospect) -> str:
    if prospect.theirs is not None or prospect.known.accepted_cost is not None:
        return ""
    return prospect.known.no_cost or "no cost figures were accepted"


def _calls(prospect: Prospect) -> int:
    """Samples an arm: the calls of this run but the first, and no more than the other arm has."""
    ours = max(0, len(prospect.calls) - 1)
    if prospect.theirs is not None:
        return min(ours, max(0, len(prospect.theirs) - 1))
    accepted = prospect.known.accepted_cost
    return min(ours, accepted.calls) if accepted else ours


def _clock(values: Sequence[float], known: Earlier) -> _Clock:
    """The spread of earlier calls; the typical one where there are too few."""
    if len(values) < 5 or min(values) <= 0:
        return _Clock(
            middle=median(values) if values else None, cv=TYPICAL_CV, correlation=0.0, said="no earlier samples: assumed 3 % (typical)", assumed=True
        )
    cv, correlation = _middle_spread(values), _correlation(values)
    said = f"{plural(len(values), 'call')} of {known.cost_source}: median {seconds(median(values))}, spread {100 * cv:.3g} %, correlation {correlation:.2f}"
    return _Clock(middle=median(values), cv=cv, correlation=correlation, said=said)


def _middle_spread(values: Sequence[float]) -> float:
    """Relative deviation by the quartiles, as of a normal sample: the error of a median is set by the middle, and stalls do not widen it."""
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return (high - low) / _QUARTILES / middle


def _correlation(values: Sequence[float]) -> float:
    """Rank correlation of a call with the next, from 0 to 0.95: a negative one is not counted upon."""
    order = sorted(values)
    ranks = [(bisect_left(order, value) + bisect_right(order, value)) / 2 - len(values) / 2 for value in values]
    total = sum(rank * rank for rank in ranks)
    return min(0.95, max(0.0, sum(a * b for a, b in pairwise(ranks)) / total)) if total else 0.0


def _total(prospect: Prospect) -> ClaimAhead:
    cost = prospect.known.cost
    return _ratio("total", prospect, _clock(cost.seconds if cost else (), prospect.known), 0.0)


def _first_step(prospect: Prospect) -> list[ClaimAhead]:
    """Where no engine has ever told the first step nobody knows whether there will be one."""
    cost, pad = prospect.known.cost, prospect.policy.latency_pad_seconds
    return [_ratio("first step", prospect, _clock(cost.first_step, prospect.known), pad)] if cost and cost.first_step else []


def _stages(prospect: Prospect) -> list[ClaimAhead]:
    """A stage counts once the time it adds is also the floor's share of a whole call."""
    cost = prospect.known.cost
    if cost is None or (prospect.other and prospect.other.pipeline != prospect.known.pipeline):
        return []
    pad = prospect.policy.latency_floor * median(cost.seconds) * median(cost.images)
    values = {name: [value for value in getattr(cost, name) if value > 0] for name in STAGES}
    return [
        _ratio(name, prospect, _clock(found, prospect.known), pad) for name, found in values.items() if len(found) >= prospect.policy.minimum_calls
    ]


def _ratio(name: str, prospect: Prospect, clock: _Clock, pad: float) -> ClaimAhead:
    """A ratio of medians: red beyond the floor by `harm` and, with the seconds it may add, by the latency's own alpha."""
    policy, n = prospect.policy, _calls(prospect)
    floor = policy.latency_floor
    allowed = max(floor, pad / clock.middle) if clock.middle else floor
    if n < policy.minimum_calls:
        short = f"{plural(n, 'call')} after the first cannot decide on time, {policy.minimum_calls} are needed"
        return _timed(name, n, allowed, None, False, short, clock)
    spread, apart = None, prospect.theirs is None
    if apart and ((spread := between(prospect.known.processes, READ[name])) is None or spread.deviation == 0):
        return _timed(name, n, allowed, None, False, _unmeasured(name), clock)
    more = (spread.apart, spread.freedom) if spread else None
    noise: dict[str, Any] = {"cv": clock.cv, "correlation": clock.correlation, "between": more}
    beyond = power.time_harm(n, alpha=policy.harm, floor=floor, **noise).smallest
    padded = power.time_harm(n, alpha=policy.latency_alpha, floor=allowed, **noise).smallest
    within = power.time_pass(n, alpha=policy.latency_alpha, floor=allowed, **noise)
    found = None if beyond is None or padded is None else max(beyond, padded) / 100
    clock = replace(clock, said=f"{clock.said}; {_said(spread)}") if spread else clock
    return _timed(name, n, allowed, found, within.enough, _short(name, n, allowed, found, within, spread), clock)


def _unmeasured(name: str) -> str:
    why = f"fewer than {FEWEST_PROCESSES} processes measured how much {name} differs from process to process"
    return f"{why}: accept a run with --null=8" if name == "total" else f"nor how much {name} does"


def _said(spread: Between) -> str:
    return f"{spread.processes} processes differ by {100 * spread.deviation:.3g} %"


def _short(name: str, n: int, floor: float, found: float | None, within: power.Reach, spread: Between | None) -> str:
    if not within.enough and spread and within.needed is None:
        return f"{_said(spread)}, so no number of calls can show that {name} got no slower (limit {100 * floor:.3g} %): a null of more processes, --null=16"
    if not within.enough:
        more = f"; {within.needed} an arm would" if within.needed else ""
        return f"{plural(n, 'call')} cannot show that {name} got no slower (limit {100 * floor:.3g} %){more}"
    return f"{plural(n, 'call')} cannot show harm at this share of the budget" if found is None else ""


def _timed(name: str, n: int, floor: float, found: float | None, passes: bool, short: str, clock: _Clock) -> ClaimAhead:
    return ClaimAhead(
        name=name,
        n=n,
        noun="call",
        unit="%",
        limit=100 * floor,
        smallest=None if found is None else 100 * found,
        passes=passes,
        short=short,
        basis=clock.said,
        assumed=clock.assumed,
    )


def _time_ceilings(prospect: Prospect) -> list[ClaimAhead]:
    limits, cost = prospect.card.ceilings_on(prospect.known.accelerator), prospect.known.cost
    rows = (
        ("total", limits.seconds_per_image, cost.seconds if cost else ()),
        ("first step", limits.first_step_seconds, cost.first_step if cost else ()),
    )
    return [_time_ceiling(name, limit, values, prospect) for name, limit, values in rows if limit is not None]


def _time_ceiling(name: str, limit: float, values: Sequence[float], prospect: Prospect) -> ClaimAhead:
    """One median against a fixed limit: as twice the calls of two arms, because their ratio has two medians' errors."""
    policy, n, clock = prospect.policy, max(0, len(prospect.calls) - 1), _clock(values, prospect.known)
    named, cv, correlation = f"{name} ceiling", clock.cv, clock.correlation
    if clock.middle is None:
        return _unknown(named, n, f"no earlier times: how far below the ceiling of {seconds(limit)} an image lies is not known")
    room, slower, passes, short = limit / clock.middle - 1, None, False, ""
    if n < policy.minimum_calls:
        short = f"{plural(n, 'call')} after the first cannot decide on time, {policy.minimum_calls} are needed"
    elif room <= 0:
        short = f"{name} took {seconds(clock.middle)} in {prospect.known.cost_source}, above the ceiling of {seconds(limit)}"
    else:
        slower = power.time_harm(2 * n, alpha=min(policy.harm, policy.latency_alpha), floor=room, cv=cv, correlation=correlation).smallest
        within = power.time_pass(2 * n, alpha=policy.latency_alpha, floor=room, cv=cv, correlation=correlation)
        passes = within.enough
        more = f"; {math.ceil(within.needed / 2)} would" if within.needed else ""
        short = "" if passes else f"{plural(n, 'call')} cannot show that {name} stays below the ceiling of {seconds(limit)}{more}"
    return ClaimAhead(
        name=named,
        n=n,
        noun="call",
        unit="s",
        limit=limit,
        smallest=None if slower is None else clock.middle * (1 + slower / 100),
        passes=passes,
        short=short,
        basis=clock.said,
        assumed=clock.assumed,
    )


def _unknown(name: str, n: int, basis: str, *, decides: bool = True) -> ClaimAhead:
    """A claim whose reach nobody can tell before the first run."""
    return ClaimAhead(name=name, n=n, noun="call", unit="", limit=None, smallest=None, passes=None, basis=basis, unknown=True, decides=decides)


def _memory_ceiling(prospect: Prospect) -> list[ClaimAhead]:
    limit, cost, n = prospect.card.ceilings_on(prospect.known.accelerator).memory_mib, prospect.known.cost, max(0, len(prospect.calls) - 1)
    if limit is None:
        return []
    if cost is None or not cost.peak_mib:
        return [_unknown("memory ceiling", n, f"no earlier peaks: how far below the ceiling of {mib(limit)} they lie is not known")]
    peak = max(cost.peak_mib)
    short = f"the peak was {mib(peak)} in {prospect.known.cost_source}, above the ceiling of {mib(limit)}" if peak > limit else ""
    said = f"peak {mib(peak)} in {prospect.known.cost_source}"
    return [
        ClaimAhead(name="memory ceiling", n=n, noun="call", unit="MiB", limit=limit, smallest=limit, passes=peak <= limit, short=short, basis=said)
    ]


def _peak(prospect: Prospect) -> ClaimAhead:
    """The highest peak against the other arm's: the floor alone carries the doubt, since peaks repeat."""
    known, policy, n = prospect.known, prospect.policy, _calls(prospect)
    theirs = prospect.other.cost if prospect.other else known.accepted_cost
    base = max(theirs.peak_mib) if theirs and theirs.peak_mib else 0.0
    jitter, processes = (0.0, 0) if prospect.other else peak_range(known.processes, {one.task for one in known.processes})
    least = max(policy.memory_limit_mib(known.accelerator), jitter)
    found = power.memory(n, baseline_mib=base, share=policy.memory_floor, least_mib=least, calls=policy.minimum_calls)
    passes = n >= policy.minimum_calls
    short = "" if passes else f"{plural(n, 'call')} after the first cannot decide on memory, {policy.minimum_calls} are needed"
    limit = max(policy.memory_floor * base, least)
    said = f"peak {mib(base)}" if base else "no earlier peak: the smallest limit of this kind of device"
    said += f", which ranges over {jitter:.0f} MiB in {processes} processes" if processes else ""
    return ClaimAhead(
        name="peak", n=n, noun="call", unit="MiB", limit=limit, smallest=found.smallest, passes=passes, short=short, basis=said, assumed=not base
    )


def _growth(prospect: Prospect) -> ClaimAhead:
    """MiB an image that stay held: the error of a slope over the images of the warm calls, from the noise of earlier held memory."""
    policy, known = prospect.policy, prospect.known
    given = prospect.card.ceilings_on(known.accelerator).growth_mib
    limit = policy.growth_limit(known.accelerator) if given is None else given
    made = _warm([len(call.requests) for call in prospect.calls], policy.warmup_share, policy.warmup_images)
    if len(made) < policy.growth_calls:
        short = f"{plural(len(made), 'warm call')} cannot show that memory does not grow, {policy.growth_calls} are needed: more seeds"
        return ClaimAhead(name="growth", n=len(made), noun="warm call", unit="MiB/image", limit=limit, smallest=None, passes=False, short=short)
    noise = _noise(known.cost, policy.warmup_images)
    if noise is None:
        return _unknown("growth", len(made), "no earlier samples of held memory: the smallest leak that is found is not known")
    error = noise / math.sqrt(_SEN_EFFICIENCY * sum((one - mean(made)) ** 2 for one in made))
    surely, shown, alarm = (_quantile(chance) for chance in (1 - CHANCE, policy.alpha, policy.harm))
    passes = (surely + shown) * error <= limit
    found = max(limit + (surely + shown) * error, (surely + alarm) * error)
    short = "" if passes else f"{plural(len(made), 'warm call')} cannot show that memory grows by less than {limit:g} MiB an image"
    said = f"held memory wandered by ±{noise:.2g} MiB in {known.cost_source}"
    return ClaimAhead(
        name="growth", n=len(made), noun="warm call", unit="MiB/image", limit=limit, smallest=found, passes=passes, short=short, basis=said
    )


def _warm(images: Sequence[int], share: float, young: int) -> list[int]:
    """How many images the process had made before each call that the gate looks at."""
    made = [sum(images[:place]) for place in range(1, len(images))]
    return made[max(int(share * len(made)), sum(one < young for one in made)) :]


def _noise(cost: Cost | None, young: int) -> float | None:
    """The deviation of warm held memory from its own straight line, in MiB."""
    import numpy as np

    rows = sorted((made, held) for made, held in zip(cost.numbers, cost.held_mib, strict=False) if made >= young) if cost else []
    if len({made for made, _ in rows}) < 5:
        return None
    made, held = np.array(rows, dtype=np.float64).T
    return float(np.std(held - np.polyval(np.polyfit(made, held, 1), made), ddof=2))


def _quantile(alpha: float) -> float:
    """Of the normal distribution, from above."""
    from scipy.special import ndtri

    return -float(ndtri(alpha))
