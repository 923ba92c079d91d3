"""What disturbed a measurement: other work on the machine, other processes on the device, or a device that throttled itself.

Waiting for a processor stretches a call by more than the share that was waited, since threads wait for each other: two busy loops
beside a stand-in on two processors (2026-11-25) made half of its time waiting, and its calls four times as long.

Another process on the device takes turns with this one (time-slicing), fills its caches and raises its heat, and nothing tells by how
much: no time that was measured beside it is held for or against a model, by its ceiling or by the other arm. That holds for arms
in turn, too, which share it only on average: it may work during one's calls and rest during the other's. Memory is another matter: the
gate reads what this process allocated, which another cannot raise. Another only leaves less to be had, and then there is no image and an
ERROR that names it; so memory is judged as ever, and its verdict says who else was there. The whole process as NVML sees it is only recorded.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from swapgate.gates.evidence import Cost, Evidence
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Finding, Status


def waited(cost: Cost) -> float:
    """The mean share in which other work kept calls waiting for a processor, in [0, 1]; 0 where that was not measured."""
    return fmean(cost.waited) if cost.waited else 0.0


def tolerated(policy: Policy) -> float:
    """The largest share of waiting that is left out of account: half of the change of time that matters."""
    return policy.latency_floor / 2


def between_arms(status: Status, evidence: Evidence, policy: Policy) -> str:
    """Why this status of a comparison is not to be believed, as one arm was kept waiting and the other was not; "" where it is.

    Arms that were measured in turn were disturbed alike.
    """
    ours, theirs = evidence.candidate.cost, evidence.baseline.cost if evidence.baseline else None
    if evidence.interleaved or ours is None or theirs is None:
        return ""
    longer = waited(ours) - waited(theirs)
    if status is Status.REGRESSION and longer > tolerated(policy):
        return _kept(waited(ours), "it", "run again on a quiet machine, or in turn with --against=itself")
    if status in (Status.PASS, Status.IMPROVED) and -longer > tolerated(policy):
        return _kept(waited(theirs), evidence.against, "accept again on a quiet machine")
    return ""


def of_ceiling(status: Status, cost: Cost, policy: Policy) -> str:
    """Why a time above a ceiling is not to be believed; "" where it is."""
    if status is not Status.REGRESSION or waited(cost) <= tolerated(policy):
        return ""
    return _kept(waited(cost), "it", "run again on a quiet machine")


def by_foreign(finding: Finding, evidence: Evidence) -> Finding:
    """The claim on a time, but undecided where other processes used the device during calls that it rests on, with their names.

    More calls would not help: those that were disturbed stay among the samples.
    """
    if finding.status not in (Status.PASS, Status.REGRESSION, Status.IMPROVED):
        return finding
    ours, theirs = _foreign(evidence)
    if finding.name.endswith("ceiling"):
        theirs = ()
    said = [f"{who} shared the device with {', '.join(names)}" for who, names in (("it", ours), (evidence.against, theirs)) if names]
    if not said:
        return finding
    remedy = "end them (nvidia-smi, or the server's queue, lists them) and run again" if ours else "accept again on a device of its own"
    return replace(finding, status=Status.INCONCLUSIVE, futile=True, reason=f"{finding.reason}; {' and '.join(said)}: {remedy}")


def beside(evidence: Evidence) -> str:
    """Which processes had memory of the device beside an arm's, for a verdict that does not hang on them; "" for none."""
    arms = zip(("candidate", evidence.against), _foreign(evidence), strict=True)
    said = [f"{who} ({', '.join(names)})" for who, names in arms if names]
    return f"other processes held memory of the device during calls of: {', '.join(said)}; what is judged is this process's own" if said else ""


def _foreign(evidence: Evidence) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of foreign processes during calls of the candidate, and of the other arm."""
    ours, theirs = (arm.cost.foreign if arm and arm.cost else () for arm in (evidence.candidate, evidence.baseline))
    return ours, theirs


def throttling(evidence: Evidence) -> str:
    """Which arms the device slowed down by itself, and why; "" for none."""
    arms = [("candidate", evidence.candidate), (evidence.against, evidence.baseline)]
    said = [f"{who} ({', '.join(arm.cost.throttled)})" for who, arm in arms if arm and arm.cost and arm.cost.throttled]
    return f"the device throttled during samples of: {', '.join(said)}" if said else ""


def _kept(share: float, whom: str, remedy: str) -> str:
    return f"for {100 * share:.2g} % of the time other work on the machine kept {whom} waiting for a processor: {remedy}"
