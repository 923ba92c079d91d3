"""The latency gate: is an image, or the wait for its first step, slower than the ceiling or than the baseline?

Times are medians over calls, compared as ratios with bootstrap bounds; the first call and loading are reported only.
Arms that were not measured in turn are different processes, so what differs from process to process is part of every bound
(`gates.processes`), and where that was never measured nothing is claimed. Nor is it where other work on the machine kept one arm
waiting for a processor, and not the other: such an arm was slower, but not because of what is to be judged. Nor where other processes
used the device (`gates.disturbed`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, exp, isfinite, sqrt
from statistics import median
from types import MappingProxyType

from swapgate.gates.compose import by_ceilings, claim, gap, missing, percent, plural, seconds, verdict
from swapgate.gates.disturbed import between_arms, by_foreign, of_ceiling, throttling
from swapgate.gates.evidence import Cost, Evidence
from swapgate.gates.policy import Policy
from swapgate.gates.processes import REMEDY, Between, Read, between, widened
from swapgate.gates.resampling import Estimate, difference_of_medians, median_bounds, ratio_of_medians
from swapgate.gates.statistics import mcnemar
from swapgate.gates.verdict import Finding, Status, Verdict

STAGES = ("text", "denoise", "decode")
READ: Mapping[str, Read] = MappingProxyType(
    {
        "total": lambda cost: cost.seconds,
        "first step": lambda cost: cost.first_step,
        "text": lambda cost: cost.text,
        "denoise": lambda cost: cost.denoise,
        "decode": lambda cost: cost.decode,
    }
)
"""How a time is read from cost samples, by the name of its claim."""


def judge(evidence: Evidence, policy: Policy) -> Verdict:
    """The verdict of one cell on time. REGRESSION when a ceiling or the floor over the baseline is clearly exceeded."""
    stopped = missing("latency", evidence)
    cost = evidence.candidate.cost
    if stopped or cost is None or not cost.calls:
        return stopped or verdict("latency", evidence, [])
    if impossible := _impossible(evidence, cost):
        return verdict("latency", evidence, [impossible])
    ceilings = _ceilings(evidence, cost, policy)
    reported = _reported(cost, evidence.baseline.cost if evidence.baseline else None)
    compared = gap(evidence, cost=True) or _other_work(evidence)
    findings = by_ceilings(evidence, compared, ceilings) if compared else [*_compared(evidence, cost, policy), *ceilings]
    return verdict("latency", evidence, [*(by_foreign(one, evidence) for one in findings), *reported], note=throttling(evidence))


def spread_between(evidence: Evidence, name: str) -> Between | None:
    """How much a time of this evidence differs between processes: of the baseline's, else of the candidate's own repeats; None: unmeasured.

    name: "total", "first step", or one of STAGES.
    """
    arms = (evidence.baseline, evidence.candidate)
    return next((found for arm in arms if arm and (found := between(arm.processes, READ[name]))), None)


def _impossible(evidence: Evidence, cost: Cost) -> Finding | None:
    """Times below what the arithmetic alone takes are no times of finished work, and void every other claim."""
    floor, middle = evidence.limits.compute_floor_seconds, _median(cost.seconds)
    if floor is None or middle >= floor:
        return None
    reason = (
        f"an image takes {seconds(middle)}, below the compute floor of {seconds(floor)}: a synchronisation is missing, so no time of this run counts"
    )
    return claim("compute floor", Status.ERROR, reason, effect=middle, limit=floor, unit="s", n=cost.calls, candidate=middle)


def _ceilings(evidence: Evidence, cost: Cost, policy: Policy) -> list[Finding]:
    limits = (("total", cost.seconds, evidence.limits.seconds_per_image), ("first step", cost.first_step, evidence.limits.first_step_seconds))
    return [_ceiling(name, values, limit, cost, policy) for name, values, limit in limits if limit is not None and values]


def _ceiling(name: str, values: Sequence[float], limit: float, cost: Cost, policy: Policy) -> Finding:
    """A median under a ceiling: shown above, shown below, or undecided."""
    found = median_bounds(values, alpha=policy.latency_alpha, draws=policy.draws, seed=policy.seed)
    p = found.p_below(limit)
    status = Status.REGRESSION if found.low > limit and p <= policy.harm else Status.PASS if found.high <= limit else Status.INCONCLUSIVE
    reason = f"{name} {seconds(found.effect)} [{seconds(found.low)}, {seconds(found.high)}], ceiling {seconds(limit)}"
    if len(values) < policy.minimum_calls:
        status, reason = Status.INCONCLUSIVE, f"{reason}; {_too_few(len(values), policy)}"
    elif disturbed := of_ceiling(status, cost, policy):
        status, reason = Status.INCONCLUSIVE, f"{reason}; {disturbed}"
    return claim(
        f"{name} ceiling",
        status,
        reason,
        effect=found.effect,
        low=found.low,
        high=found.high,
        limit=limit,
        unit="s",
        n=len(values),
        confidence=1 - policy.latency_alpha,
        candidate=found.effect,
        p=p,
    )


def _other_work(evidence: Evidence) -> Finding | None:
    """Times of calls that did not run their recipe are times of other work, and neither better nor worse."""
    for arm in (evidence.candidate, evidence.baseline):
        wrong = [pair for pair in arm.forwards if pair[0] != pair[1]] if arm else []
        if arm and wrong:
            reason = f"{arm.model} ran {wrong[0][1]} forwards a call where its card expects {wrong[0][0]}, so its times are of other work"
            return claim("comparison", Status.INCOMPARABLE, reason)
    floor, theirs = evidence.limits.compute_floor_seconds, evidence.baseline.cost if evidence.baseline else None
    if floor is not None and theirs and theirs.calls and _median(theirs.seconds) < floor:
        reason = f"an image of {evidence.against} took {seconds(_median(theirs.seconds))}, below the compute floor of {seconds(floor)}: accept again"
        return claim("comparison", Status.INCOMPARABLE, reason)
    return None


def _compared(evidence: Evidence, cost: Cost, policy: Policy) -> list[Finding]:
    baseline = evidence.baseline
    if baseline is None or baseline.cost is None:
        return []
    other = baseline.cost
    findings = [_ratio("total", cost.seconds, other.seconds, evidence, policy)]
    if cost.first_step and other.first_step:
        findings.append(_ratio("first step", cost.first_step, other.first_step, evidence, policy, pad=policy.latency_pad_seconds))
    return findings + _stages(evidence, policy)


def _unknown(name: str, ours: Sequence[float], theirs: Sequence[float], evidence: Evidence, *, decides: bool = True) -> Finding | None:
    """The claim of a time of which nobody knows how much it differs from process to process; None where that was measured.

    More calls of the same process would tell nothing of that.
    """
    spread = None if evidence.interleaved else spread_between(evidence, name)
    if evidence.interleaved or (spread and spread.deviation > 0):
        return None
    change = _median(ours) / _median(theirs) - 1
    seen = f"{name} {seconds(_median(ours))} vs {seconds(_median(theirs))}: {percent(change)}"
    why = "as of total, nothing was measured of what differs from process to process"
    if spread:
        why = f"{spread.processes} processes took the same time to the last digit, which no clock measures: {REMEDY}"
    elif name == "total":
        why = f"nothing was measured of how much the time differs from process to process: {REMEDY}"
    return claim(
        name,
        Status.INCONCLUSIVE,
        f"{seen}; {why}",
        effect=100 * change,
        unit="%",
        n=min(len(ours), len(theirs)),
        baseline=_median(theirs),
        candidate=_median(ours),
        decides=decides,
        futile=True,
    )


def _ratio(
    name: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    evidence: Evidence,
    policy: Policy,
    pad: float = 0.0,
) -> Finding:
    """The ratio of medians against 1 ± floor; an added time up to `pad` seconds passes, whatever its ratio."""
    fewest = min(len(ours), len(theirs))
    if fewest < policy.minimum_calls or min(*ours, *theirs) <= 0:
        reason = _too_few(fewest, policy) if fewest < policy.minimum_calls else "a recorded time is not positive"
        return claim(name, Status.INCONCLUSIVE, f"{name}: {reason}", n=fewest, unit="%")
    if unknown := _unknown(name, ours, theirs, evidence):
        return unknown
    found, added = _estimates(name, ours, theirs, evidence, policy)
    p = _p_of_harm(found, ours, theirs, evidence, policy)
    status = _status(found, added, p, policy, pad)
    reason = _ratio_reason(name, ours, theirs, found, policy.latency_floor)
    if disturbed := between_arms(status, evidence, policy):
        return _ratio_claim(name, Status.INCONCLUSIVE, f"{reason}; {disturbed}", found, p, ours, theirs, policy)
    if status is Status.INCONCLUSIVE:
        reason += f"; {_would_decide(name, found, p, evidence, policy, fewest)}"
    if status in (Status.REGRESSION, Status.INCONCLUSIVE) and not evidence.interleaved:
        reason += f"; the arms were not measured in turn{_said_spread(name, evidence)}"
    futile = status is Status.INCONCLUSIVE and bool(_hidden(name, found, evidence, policy))
    return replace(_ratio_claim(name, status, reason, found, p, ours, theirs, policy), futile=futile)


def _status(found: Estimate, added: Estimate, p: float, policy: Policy, pad: float) -> Status:
    floor = policy.latency_floor
    if found.low > 1 + floor and added.low > pad and p <= policy.harm:
        return Status.REGRESSION
    if found.high < 1 - floor and added.high < -pad:
        return Status.IMPROVED
    return Status.PASS if found.high < 1 + floor or added.high <= pad else Status.INCONCLUSIVE


def _p_of_harm(found: Estimate, ours: Sequence[float], theirs: Sequence[float], evidence: Evidence, policy: Policy) -> float:
    """That of "no slower than the floor allows".

    Of arms that were measured in turn each pair of neighbours is a witness of its own, whatever both shared: an exact sign test
    (Arbuthnot 1710; Dixon and Mood, JASA 41, 1946). Otherwise the ratio's own p, which must allow for calls that follow each other.
    """
    if evidence.interleaved and len(ours) == len(theirs):
        slower = sum(mine > (1 + policy.latency_floor) * other for mine, other in zip(ours, theirs, strict=True))
        return mcnemar(slower, len(ours) - slower)
    return found.p_below(1 + policy.latency_floor, log=True)


def _stages(evidence: Evidence, policy: Policy) -> list[Finding]:
    """Stages of the same pipeline decide; of different ones they are reported, since their borders lie elsewhere."""
    ours, theirs = evidence.candidate.cost, evidence.baseline.cost if evidence.baseline else None
    if ours is None or theirs is None:
        return []
    pairs = [(name, _measured(getattr(ours, name)), _measured(getattr(theirs, name))) for name in STAGES]
    total = _median(theirs.seconds) * _median(theirs.images)
    measured = [(name, a, b) for name, a, b in pairs if min(len(a), len(b)) >= policy.minimum_calls]
    return [_stage(name, a, b, total, evidence, policy) for name, a, b in measured]


def _stage(name: str, ours: Sequence[float], theirs: Sequence[float], total: float, evidence: Evidence, policy: Policy) -> Finding:
    """A stage's ratio, which counts only once the time it adds is also the floor's share of a whole call."""
    same = evidence.baseline is not None and evidence.candidate.pipeline == evidence.baseline.pipeline
    if unknown := _unknown(name, ours, theirs, evidence, decides=same):
        return unknown
    found, added = _estimates(name, ours, theirs, evidence, policy)
    p = _p_of_harm(found, ours, theirs, evidence, policy)
    status = _status(found, added, p, policy, policy.latency_floor * total)
    reason = f"{_ratio_reason(name, ours, theirs, found, policy.latency_floor)}; it adds {percent(added.effect / total)} of a whole call"
    if not same:
        reason += "; other pipeline, so reported only"
    futile = status is Status.INCONCLUSIVE and bool(_hidden(name, found, evidence, policy))
    if disturbed := between_arms(status, evidence, policy):
        status, reason = Status.INCONCLUSIVE, f"{reason}; {disturbed}"
    return replace(_ratio_claim(name, status, reason, found, p, ours, theirs, policy, decides=same), futile=futile)


def _ratio_claim(
    name: str,
    status: Status,
    reason: str,
    found: Estimate,
    p: float,
    ours: Sequence[float],
    theirs: Sequence[float],
    policy: Policy,
    decides: bool = True,
) -> Finding:
    return claim(
        name,
        status,
        reason,
        effect=100 * (found.effect - 1),
        low=100 * (found.low - 1),
        high=100 * (found.high - 1),
        limit=100 * policy.latency_floor,
        unit="%",
        n=min(len(ours), len(theirs)),
        confidence=1 - policy.latency_alpha,
        baseline=_median(theirs),
        candidate=_median(ours),
        decides=decides,
        p=p,
    )


def _ratio_reason(name: str, ours: Sequence[float], theirs: Sequence[float], found: Estimate, floor: float) -> str:
    return (
        f"{name} {seconds(_median(ours))} vs {seconds(_median(theirs))}: {percent(found.effect - 1)} "
        f"[{percent(found.low - 1)}, {percent(found.high - 1)}], limit {percent(floor)}"
    )


def _said_spread(name: str, evidence: Evidence) -> str:
    spread = spread_between(evidence, name)
    return f", and {spread.processes} processes differ by {percent(spread.deviation).lstrip('+')}" if spread else ""


def _would_decide(name: str, found: Estimate, p: float, evidence: Evidence, policy: Policy, n: int) -> str:
    """Bounds narrow with the root of n, which gives the calls after which the nearer side of the limit is shown.

    What differs between processes stays however many calls are made: where that alone reaches the limit, more processes may help.
    """
    if found.low > 1 + policy.latency_floor:
        share = f"this claim's share of the run's false-alarm budget is {policy.harm:.2g}"
        more = "calls" if evidence.interleaved else "calls, or more processes in the baseline's null,"
        return f"slower at p = {p:.2g}, while {share}: more {more} would tell"
    if hidden := _hidden(name, found, evidence, policy):
        return f"{hidden} processes are too few, or differ too much, for a limit of {percent(policy.latency_floor)}: a null of more (--null=16)"
    distance = 1 + policy.latency_floor - found.effect
    width = found.high - found.effect if distance > 0 else found.effect - found.low
    factor = (width / distance) ** 2 if distance else float("inf")
    if factor > 16:
        return f"it lies so near the limit that even {16 * n} calls an arm would not decide"
    return f"about {max(1, ceil(n * factor) - n)} more calls an arm would decide"


def _hidden(name: str, found: Estimate, evidence: Evidence, policy: Policy) -> int:
    """How many processes were measured, where what differs between them hides the limit however many calls are made; 0 where it does not."""
    spread = None if evidence.interleaved else spread_between(evidence, name)
    if spread is None or 2 * spread.apart**2 <= found.deviation**2 / 2:
        return 0
    still = replace(found, low=found.effect, high=found.effect, deviation=0.0)
    alone = widened(still, spread.apart, spread.freedom, alpha=policy.latency_alpha, log=True)
    return spread.processes if alone.low <= 1 + policy.latency_floor <= alone.high else 0


def _reported(cost: Cost, baseline: Cost | None) -> list[Finding]:
    """One figure each, with nothing to tell its spread: shown, never judged."""
    rows = [
        ("first call", cost.first_call_seconds, baseline.first_call_seconds if baseline else None),
        ("load", cost.load_seconds, baseline.load_seconds if baseline else None),
    ]
    return [_single(name, ours, theirs) for name, ours, theirs in rows if ours is not None]


def _single(name: str, ours: float, theirs: float | None) -> Finding:
    against = f" vs {seconds(theirs)}" if theirs else ""
    change = 100 * (ours / theirs - 1) if theirs else None
    return claim(
        name,
        Status.INCONCLUSIVE,
        f"{name} {seconds(ours)}{against}; a single figure, reported only",
        effect=change,
        unit="%",
        n=1,
        baseline=theirs,
        candidate=ours,
        decides=False,
    )


def _too_few(n: int, policy: Policy) -> str:
    return f"only {plural(n, 'call')} after the first, {policy.minimum_calls} are needed"


def _measured(values: Sequence[float]) -> list[float]:
    return [value for value in values if isfinite(value) and value > 0]


def _estimates(name: str, ours: Sequence[float], theirs: Sequence[float], evidence: Evidence, policy: Policy) -> tuple[Estimate, Estimate]:
    """The ratio and the difference (seconds) of the medians, from the same draws, with what differs between the arms' processes."""
    alpha, draws, seed, turns = policy.latency_alpha, policy.draws, policy.seed, evidence.interleaved
    ratio = ratio_of_medians(ours, theirs, alpha=alpha, draws=draws, seed=seed, interleaved=turns)
    added = difference_of_medians(ours, theirs, alpha=alpha, draws=draws, seed=seed, interleaved=turns)
    spread = None if turns else spread_between(evidence, name)
    if spread is None:
        return ratio, added
    ratio, added = _to_centre(ratio, added, spread, _median(theirs), _median(ours), of_baseline=_from_baseline(evidence, name))
    typical = sqrt((_median(ours) ** 2 + _median(theirs) ** 2) / 2)  # of two medians that each differ by the same share
    return (
        widened(ratio, spread.apart, spread.freedom, alpha=alpha, log=True),
        widened(added, spread.apart * typical, spread.freedom, alpha=alpha, log=False),
    )


def _from_baseline(evidence: Evidence, name: str) -> bool:
    return evidence.baseline is not None and between(evidence.baseline.processes, READ[name]) is not None


def _to_centre(ratio: Estimate, added: Estimate, spread: Between, theirs: float, ours: float, *, of_baseline: bool) -> tuple[Estimate, Estimate]:
    """Both estimates with the one process of the arm whose processes were measured moved to their centre."""
    factor = exp(spread.offset if of_baseline else -spread.offset)
    step = theirs * (1 - 1 / factor) if of_baseline else ours * (factor - 1)
    moved = replace(ratio, effect=ratio.effect * factor, low=ratio.low * factor, high=ratio.high * factor)
    return moved, replace(added, effect=added.effect + step, low=added.low + step, high=added.high + step)


def _median(values: Sequence[float]) -> float:
    return float(median(values))
