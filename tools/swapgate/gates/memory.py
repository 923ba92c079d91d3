"""The memory gate: does the model need more memory than its ceiling or its baseline, jump, or grow with every image?

All figures in MiB: allocated bytes on a device; on a CPU the engine process's resident memory at its peak, and for growth
what it has in use after a call. Other processes on the device change none of them, and are named (`gates.disturbed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swapgate.gates.compose import by_ceilings, claim, gap, mib, missing, percent, plural, verdict
from swapgate.gates.disturbed import beside
from swapgate.gates.evidence import Cost, Evidence
from swapgate.gates.policy import Policy
from swapgate.gates.processes import peak_range
from swapgate.gates.resampling import theil_sen
from swapgate.gates.verdict import POOLED, Finding, Status, Verdict


def judge(evidence: Evidence, policy: Policy) -> Verdict:
    """The verdict of one cell on memory: peak against ceiling and baseline, jitter over the rounds, growth per image."""
    stopped = missing("memory", evidence)
    cost = evidence.candidate.cost
    if stopped or cost is None or not cost.calls:
        return stopped or verdict("memory", evidence, [])
    if not cost.peak_mib:
        return verdict("memory", evidence, [_unmeasured(evidence)])
    absolute = [*_ceiling(evidence, cost), _growth(evidence, cost, policy), _jitter(evidence, cost, policy)]
    compared = gap(evidence, cost=True)
    findings = by_ceilings(evidence, compared, absolute) if compared else [*_peak(evidence, cost, policy), *absolute]
    return verdict("memory", evidence, findings, note=beside(evidence))


def _unmeasured(evidence: Evidence) -> Finding:
    """Memory that nobody can measure from here is no question, unless the card asks it by a ceiling."""
    why, limit = evidence.candidate.no_memory or "no call has a figure of it", evidence.limits.memory_mib
    if limit is None:
        return claim("memory", Status.NOT_APPLICABLE, f"memory was not measured: {why}")
    reason = f"memory was not measured, so its ceiling of {mib(limit)} was not tried: {why}"
    return claim("memory ceiling", Status.INCONCLUSIVE, reason, limit=limit, unit="MiB", futile=True)


def _ceiling(evidence: Evidence, cost: Cost) -> list[Finding]:
    limit, peak = evidence.limits.memory_mib, max(cost.peak_mib)
    if limit is None:
        return []
    status = Status.REGRESSION if peak > limit else Status.PASS
    reason = f"peak {mib(peak)} over {plural(cost.calls, 'call')}, ceiling {mib(limit)}"
    return [claim("memory ceiling", status, reason, effect=peak, limit=limit, unit="MiB", n=cost.calls, candidate=peak)]


def _peak(evidence: Evidence, cost: Cost, policy: Policy) -> list[Finding]:
    """The highest peak against the baseline's.

    Allocation repeats itself, in other processes too: a peak is the same code asking for the same sizes, so the floor alone may carry the
    doubt where no further process was measured. Where some were, the limit is never below the range of their peaks, since a
    difference that the accepted model shows against itself is no change.
    """
    other = evidence.baseline.cost if evidence.baseline else None
    assert other is not None  # `gap` has seen to it
    if not other.peak_mib:
        why = (evidence.baseline and evidence.baseline.no_memory) or "it holds no figure of it"
        return [
            claim("peak", Status.NOT_APPLICABLE, f"not compared: memory of {evidence.against} was not measured ({why})", unit="MiB", decides=False)
        ]
    ours, theirs, n = max(cost.peak_mib), max(other.peak_mib), min(cost.calls, other.calls)
    floor = max(policy.memory_floor * theirs, policy.memory_limit_mib(evidence.candidate.accelerator))
    jitter, processes = _between(evidence)
    limit = max(floor, jitter)
    added = ours - theirs
    status = Status.REGRESSION if added > limit else Status.IMPROVED if added < -limit else Status.PASS
    share = percent(added / theirs) if theirs else "from nothing"
    reason = f"peak {mib(ours)} vs {mib(theirs)}: {added:+.0f} MiB ({share}), limit +{limit:.0f} MiB"
    if processes:
        reason += (
            f"; peaks of {processes} processes of {evidence.against} range over {jitter:.0f} MiB{', which is the limit' if jitter > floor else ''}"
        )
    if n < policy.minimum_calls and status is not Status.REGRESSION:
        status, reason = Status.INCONCLUSIVE, f"{reason}; only {plural(n, 'call')} after the first, {policy.minimum_calls} are needed"
    return [claim("peak", status, reason, effect=added, limit=limit, unit="MiB", n=n, baseline=theirs, candidate=ours)]


def _between(evidence: Evidence) -> tuple[float, int]:
    """The range of peaks over the baseline's processes, on the tasks of this cell; of how many."""
    repeats = evidence.baseline.processes if evidence.baseline else ()
    return peak_range(repeats, {one.task for one in repeats} if evidence.task == POOLED else {evidence.task})


def _jitter(evidence: Evidence, cost: Cost, policy: Policy) -> Finding:
    """The range of the peaks once warm. Pooled tasks differ in what they need, so there it is only reported."""
    warm = cost.peak_mib[_steady(cost, policy)]
    if len(warm) < policy.minimum_calls:
        reason = f"jitter not judged: {plural(len(warm), 'warm call')}, {policy.minimum_calls} are needed"
        return claim("jitter", Status.INCONCLUSIVE, reason, unit="MiB", n=len(warm), decides=False)
    spread, pooled = max(warm) - min(warm), evidence.task == POOLED
    limit = max(policy.jitter_floor * sorted(warm)[len(warm) // 2], policy.jitter_floor_mib)
    status = Status.INCONCLUSIVE if pooled else Status.REGRESSION if spread > limit else Status.PASS
    reason = f"peaks range over {spread:.0f} MiB in {plural(len(warm), 'call')}, limit {limit:.0f} MiB"
    if pooled:
        reason += "; tasks differ, so reported only"
    return claim("jitter", status, reason, effect=spread, limit=limit, unit="MiB", n=len(warm), decides=not pooled)


def _growth(evidence: Evidence, cost: Cost, policy: Policy) -> Finding:
    """MiB that stay held with every image: Theil-Sen slope over images made, with Sen's bounds and a permutation p."""
    given = evidence.limits.growth_mib
    limit = policy.growth_limit(evidence.candidate.accelerator) if given is None else given
    steady = _steady(cost, policy)
    made, held = cost.numbers[steady], cost.held_mib[steady]
    if len(held) < policy.growth_calls or len(set(made)) < 2:
        # A single task with few rounds is no place to look for a leak; the model's pooled cell is, and stays undecided.
        reason = f"growth not judged: {plural(len(held), 'warm call')}, {policy.growth_calls} are needed"
        return claim("growth", Status.INCONCLUSIVE, reason, limit=limit, unit="MiB/image", n=len(held), decides=evidence.task == POOLED)
    found = theil_sen(made, held, alpha=policy.alpha, draws=policy.harm_draws // 4, seed=policy.seed)
    leaks = found.low > limit and found.p <= policy.harm
    status = Status.REGRESSION if leaks else Status.PASS if found.high <= limit else Status.INCONCLUSIVE
    reason = (
        f"held memory grows by {found.slope:.2f} MiB an image [{found.low:.2f}, {found.high:.2f}] over {made[-1] - made[0]} images, limit {limit:g}"
    )
    if status is Status.INCONCLUSIVE:
        reason += f"; {_further(made)} more images would narrow it"
    return claim(
        "growth",
        status,
        reason,
        effect=found.slope,
        low=found.low,
        high=found.high,
        limit=limit,
        unit="MiB/image",
        n=len(held),
        confidence=1 - policy.alpha,
        candidate=found.slope,
        p=found.p,
    )


def _steady(cost: Cost, policy: Policy) -> slice:
    """The calls that count: caches fill before them, in the process's first images and in a cell's first calls.

    A run that was resumed has calls of several processes, whose memory starts anew: those of the longest are taken.
    """
    own = max(_processes(cost.numbers), key=lambda calls: calls.stop - calls.start)
    young = sum(1 for made in cost.numbers[own] if made < policy.warmup_images)
    return slice(own.start + max(int(policy.warmup_share * (own.stop - own.start)), young), own.stop)


def _processes(numbers: Sequence[int]) -> list[slice]:
    """The calls of each process: the count of images made rises with every call, and starts anew with a process."""
    anew = [place for place in range(1, len(numbers)) if numbers[place] <= numbers[place - 1]]
    return [slice(start, stop) for start, stop in pairwise([0, *anew, len(numbers)])]


def _further(made: Sequence[int]) -> int:
    """As many images again: a slope's error shrinks with the 3/2 power of its length."""
    return max(1, made[-1] - made[0])
