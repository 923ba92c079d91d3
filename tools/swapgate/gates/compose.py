"""What all gates share: what stops a comparison, how findings become one verdict, and which command comes next."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from swapgate.gates.evidence import FEWEST_PROCESSES, Evidence, ImageScore
from swapgate.gates.looks import excluded, fewest, worst_miss
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import POOLED, RED, Finding, Status, Verdict, worst

RUN = "{run}"  # the caller puts the run folder's path in its place
ABSOLUTE = frozenset({"total ceiling", "first step ceiling", "memory ceiling", "growth", "jitter", "floor", "forwards"})
ABSOLUTE_PREFIX = "absolute:"
NOT_CALIBRATED = "nothing was measured of how much the model differs from itself: accept again with --null=4"
_SHOWN = 3  # findings of one status that a reason quotes before it only counts them


def is_absolute(name: str) -> bool:
    """Whether a finding of this name needs no baseline: a ceiling, a floor, the health of pictures, the number of forwards."""
    return name.startswith(ABSOLUTE_PREFIX) or name in ABSOLUTE


def missing(gate: str, evidence: Evidence) -> Verdict | None:
    """The ERROR verdict of a cell that lacks images; None when all are there."""
    gone = evidence.candidate.missing
    if not gone:
        return None
    first = gone[0]
    kinds = Counter(one.kind for one in gone)
    told = f" ({', '.join(f'{count} {kind}' for kind, count in kinds.most_common())})" if len(kinds) > 1 else ""
    reason = f"{plural(len(gone), 'request')} of this cell gave no image{told}; the first is {first.pair}: {first.reason}"
    finding = claim("images", Status.ERROR, reason, n=len(gone), unit="requests", effect=float(len(gone)), limit=0.0)
    return verdict(gate, evidence, [finding])


def gap(evidence: Evidence, *, cost: bool) -> Finding | None:
    """What stands in the place of a comparison that cannot be made (NEW or INCOMPARABLE); None when it can.

    A missing cost baseline does not decide a cost cell that has ceilings: `by_ceilings` sees to that.
    """
    if cost and evidence.no_cost:
        status = Status.INCOMPARABLE if evidence.other_cohort else Status.NEW
        return claim("comparison", status, f"no comparison was possible: {evidence.no_cost}")
    if evidence.baseline is None:
        return claim("comparison", Status.NEW, f"no accepted baseline for {evidence.model}/{evidence.task}")
    if evidence.incomparable:
        return claim("comparison", Status.INCOMPARABLE, f"the baseline cannot be used: {evidence.incomparable}")
    if cost and (evidence.baseline.cost is None or not evidence.baseline.cost.calls):
        return claim("comparison", Status.NEW, f"no comparison was possible: {evidence.against} holds no cost samples")
    return None


def by_ceilings(evidence: Evidence, compared: Finding, absolute: Sequence[Finding]) -> list[Finding]:
    """The findings of a cost cell without a comparison: a missing cost baseline leaves the decision to ceilings, if any."""
    capped = any(one.name.endswith("ceiling") for one in absolute)
    cost_only = compared.status is Status.NEW and (bool(evidence.no_cost) or evidence.baseline is not None)
    return [*absolute, replace(compared, decides=not (cost_only and capped))]


def claim(
    name: str,
    status: Status,
    reason: str,
    *,
    effect: float | None = None,
    low: float | None = None,
    high: float | None = None,
    limit: float | None = None,
    unit: str = "",
    n: int = 0,
    confidence: float | None = None,
    baseline: float | None = None,
    candidate: float | None = None,
    decides: bool = True,
    p: float | None = None,
    futile: bool = False,
) -> Finding:
    """A finding; figures that are not finite are left out, because JSON has no word for them."""
    figures = {"effect": effect, "low": low, "high": high, "limit": limit, "baseline": baseline, "candidate": candidate, "p": p}
    finite = {key: value if value is not None and math.isfinite(value) else None for key, value in figures.items()}
    return Finding(name=name, status=status, reason=reason, unit=unit, n=n, confidence=confidence, decides=decides, futile=futile, **finite)


def verdict(gate: str, evidence: Evidence, findings: Sequence[Finding], *, note: str = "") -> Verdict:
    """One verdict from findings: red wins; then what could not be compared; then the worst of the rest.

    Among findings of that status the first leads, so gates list the claim that matters most first.
    """
    deciding = [one for one in findings if one.decides]
    if not deciding:
        deciding = [claim("evidence", Status.INCONCLUSIVE, "nothing was measured that this gate could judge")]
    status = _status([one.status for one in deciding])
    leading = [one for one in deciding if one.status is status]
    aside = [one.reason for one in findings if one.name == "comparison" and not one.decides]
    return Verdict(
        gate=gate,
        model=evidence.model,
        task=evidence.task,
        status=status,
        against=evidence.against,
        reason="; ".join([_reason(status, leading), *aside, *([note] if note else [])]),
        next=_next(gate, evidence, status, leading[0], bool(aside)),
        finding=leading[0],
        findings=tuple(findings) or tuple(deciding),
    )


def _status(statuses: list[Status]) -> Status:
    if RED.intersection(statuses):
        return worst(statuses)
    # An undecided floor must not hide that there was nothing to compare with: accepting a baseline comes first.
    return next((one for one in (Status.NEW, Status.INCOMPARABLE) if one in statuses), None) or worst(statuses)


def _reason(status: Status, leading: list[Finding]) -> str:
    if status is Status.PASS:
        return leading[0].reason
    more = len(leading) - _SHOWN
    return "; ".join([*(one.reason for one in leading[:_SHOWN]), *([f"and {more} more"] if more > 0 else [])])


def _next(gate: str, evidence: Evidence, status: Status, finding: Finding, uncompared: bool) -> str:
    """Accepting is offered for what a comparison found; a broken absolute limit has to be mended and run again."""
    cell = f"{'--with-cost ' if _cpu_cost(gate, evidence) else ''}{gate}/{evidence.model}/{evidence.task}"
    accept = f"swapgate baselines accept --run={RUN} {cell}"
    task = "" if evidence.task == POOLED else f" --task={evidence.task}"
    again = f"pytest tests/gates/test_{gate}.py --model={evidence.model}{task}"
    other = "" if evidence.against == "baseline" else f" --against={evidence.against}"
    if evidence.dry and status is not Status.NOT_APPLICABLE:
        return "" if status is Status.PASS else again + other  # pictures of random weights make no baseline
    if status is Status.PASS:
        return accept if uncompared else ""
    if status is Status.NOT_APPLICABLE:
        return ""
    if status is Status.ERROR or is_absolute(finding.name):
        return again + other
    if status is Status.INCONCLUSIVE and gate == "latency" and not other and evidence.processes < FEWEST_PROCESSES:
        return f"swapgate calibrate --model={evidence.model}"
    if status is Status.INCONCLUSIVE:
        return f"{again}{other} --null=3" if gate == "drift" else again + other
    if other:
        return f"pytest tests/gates --replay={RUN}{other}"
    if status is Status.REGRESSION:
        return f'swapgate baselines accept --run={RUN} --reason="why it may get worse" {cell}'
    return accept


def _cpu_cost(gate: str, evidence: Evidence) -> bool:
    """Whether this cell's cost is kept only if that is asked for: without --with-cost a CPU gives quality only."""
    ours = evidence.candidate
    return gate in ("latency", "memory") and ours.accelerator.startswith("cpu") and bool(ours.cost and ours.cost.calls)


def cluster(task: str, language: str) -> str:
    """The prompt a picture was asked with: one task in one language."""
    return f"{task}/{language}"


def uncalibrated(evidence: Evidence) -> bool:
    """Whether a comparison with an accepted baseline lacks the null that says how much an unchanged model differs from itself.

    Of two models in one run the question is not whether anything changed, so their comparison needs none.
    """
    return evidence.against == "baseline" and (evidence.null is None or not evidence.null.drifts)


def calibrated(finding: Finding, evidence: Evidence) -> Finding:
    """The finding, but undecided instead of PASS where it rests on a comparison that lacks its null."""
    if finding.status is not Status.PASS or not uncalibrated(evidence):
        return finding
    return replace(finding, status=Status.INCONCLUSIVE, reason=f"{finding.reason}; {NOT_CALIBRATED}")


def strata(evidence: Evidence, met: Sequence[ImageScore]) -> list[tuple[int, int]]:
    """(planned, met) requests of every prompt, of the kind of those `met`: all as written, or all reworded."""
    counts = Counter(cluster(score.task, score.language) for score in met)
    kind = int(any(score.edits for score in met))
    planned = {prompt: both[kind] for prompt, both in evidence.planned.items()}
    return [(max(planned.get(prompt, 0), counts[prompt]), counts[prompt]) for prompt in sorted({*planned, *counts})]


def unchanged(evidence: Evidence, met: Sequence[ImageScore], limit: float, policy: Policy) -> tuple[bool, str]:
    """Whether pictures that are all equal settle a claim on the planned ones, more than the share `limit` of which must not have changed; and in words.

    Equal pictures leave nothing to estimate but what the requests that were not made yet would have shown (`looks.excluded`).
    """
    found = strata(evidence, met)
    planned, seen = sum(whole for whole, _ in found), sum(one for _, one in found)
    if seen == planned:
        return True, ""
    enough, few = excluded(found, limit, policy.identity), fewest(limit, planned)
    chance = worst_miss(tuple(sorted(found)), few)
    said = f"had {few} or more of the {planned} planned ones changed, these {seen} would have missed them with a chance of at most {chance:.2g}"
    return enough, f"; {said}" if enough else f"; {said}, so the others have to be made"


def cluster_labels(prompts: Sequence[str], originals: Sequence[str]) -> list[str]:
    """What is flipped as a whole: prompts where there are six or more, else the single requests.

    A cell with fewer prompts can only claim something of these very prompts over their seeds, and then requests
    are the independent units; six clusters are the fewest whose sign patterns resolve 5 % (1/64).
    """
    return list(prompts if len(set(prompts)) >= 6 else originals)


def percent(share: float) -> str:
    """A signed share as whole percent, with a decimal where it would otherwise read as nothing: +33 %, -0.4 %."""
    if not math.isfinite(share):
        return "unbounded"
    return f"{share * 100:+.0f} %" if abs(share) >= 0.0995 else f"{share * 100:+.1f} %"


def points(share: float) -> str:
    """A signed share as percentage points: -10.0 points."""
    return f"{share * 100:+.1f} points" if math.isfinite(share) else "unbounded"


def seconds(value: float) -> str:
    """A time as people say it: 412 ms, 3.81 s."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.2f} s"


def mib(value: float) -> str:
    """Memory as people say it: 412 MiB, 17.9 GiB."""
    return f"{value:.0f} MiB" if abs(value) < 4096 else f"{value / 1024:.1f} GiB"


def plural(n: int, noun: str) -> str:
    """ "1 image", "3 images"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
