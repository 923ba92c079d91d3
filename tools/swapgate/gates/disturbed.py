"""What disturbed a measurement of time: other work on the machine, or a device that throttled itself.

Waiting for a processor stretches a call by more than the share that was waited, since threads wait for each other: two busy loops
beside a stand-in on two processors (2026-11-25) made half of its time waiting, and its calls four times as long.
"""

from __future__ import annotations

from statistics import fmean

from swapgate.gates.evidence import Cost, Evidence
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status


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


def throttling(evidence: Evidence) -> str:
    """Which arms the device slowed down by itself, and why; "" for none."""
    arms = [("candidate", evidence.candidate), (evidence.against, evidence.baseline)]
    said = [f"{who} ({', '.join(arm.cost.throttled)})" for who, arm in arms if arm and arm.cost and arm.cost.throttled]
    return f"the device throttled during samples of: {', '.join(said)}" if said else ""


def _kept(share: float, whom: str, remedy: str) -> str:
    return f"for {100 * share:.2g} % of the time other work on the machine kept {whom} waiting for a processor: {remedy}"
