"""The false-alarm budget of a run: the chance that a run in which nothing changed is red anywhere, and how it is shared.

Who may spend it:

- Models share it evenly. Inside a model the gates' pooled cells share it by Holm's procedure (Scandinavian Journal of
  Statistics 6, 1979): each gate at first has an equal part; what a gate that is found red leaves over goes to the others.
- Inside a gate the tested claims of the pooled cell share its part evenly (CLAIMS; Bonferroni).
- Claims that count and estimate nothing (images missing, forwards, health, allocated peaks against their floor) are exact
  and spend nothing. They come first.
- A single task's cell is red by a tested claim only where the model's pooled cell of that gate is red (gatekeeping), so tasks
  add nothing to the chance that an unchanged run is red. Which tasks are then named is held to a share of wrongly named ones
  (Benjamini and Hochberg, JRSS B 57, 1995).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from swapgate.gates.compose import verdict
from swapgate.gates.evidence import Evidence
from swapgate.gates.policy import Policy
from swapgate.gates.statistics import benjamini_hochberg
from swapgate.gates.verdict import RED, Finding, Status, Verdict

CLAIMS: Mapping[str, int] = MappingProxyType({"latency": 7, "memory": 1, "usability": 2, "drift": 2, "stability": 3})
"""Tested claims that can turn a pooled cell red: two ceilings, total, first step and three stages; growth; rate and floor;
pictures (three metrics under Holm) and alignment; size of the change, flips and the worst drop."""

Judge = Callable[[str, Evidence, Policy], Verdict]


def is_tested(finding: Finding) -> bool:
    """Whether chance could have made this claim: it has a p or an interval."""
    return finding.p is not None or finding.confidence is not None


def red_by_test(verdict: Verdict) -> bool:
    """Whether a verdict is red by tested claims alone."""
    reds = [finding for finding in verdict.findings if finding.decides and finding.status in RED]
    return bool(reds) and all(map(is_tested, reds))


def settle(
    judge: Judge, evidence: Evidence, gates: Sequence[str], policy: Policy, *, models: int, settled: Mapping[str, Verdict] = MappingProxyType({})
) -> dict[str, Verdict]:
    """The verdicts of a model's pooled cells, by gate, at a false-alarm chance of `policy.false_alarms` / `models` for all together.

    Holm: gates whose tested claims hold at an even part are red, and the others are judged again at the larger part that
    is left, until no further one is. `settled` are verdicts of earlier looks at the same run: they are not judged again, and one that
    was red by test has left its part to the others (Maurer and Bretz 2013); `policy` is then that of this look.

    Raises:
        ValueError: no gates, or fewer than one model.
    """
    if not gates or models < 1:
        raise ValueError(f"a budget is shared by at least one gate of at least one model, not {len(gates)} of {models}")
    found: dict[str, Verdict] = {gate: settled[gate] for gate in gates if gate in settled}
    waiting = [gate for gate in gates if gate not in found]
    sharing = len(gates) - sum(red_by_test(one) for one in found.values())
    while waiting:
        part = policy.false_alarms / models / sharing
        judged = {gate: judge(gate, evidence, policy.at_most(part / CLAIMS[gate])) for gate in waiting}
        found.update(judged)
        still = [gate for gate in waiting if not red_by_test(judged[gate])]
        if len(still) == len(waiting):
            break
        sharing -= len(waiting) - len(still)
        waiting = still
    return found


def named(verdicts: Mapping[str, Verdict], share: float) -> frozenset[str]:
    """The tasks, of those judged (by task), that may be called red: at most `share` of them wrongly, in expectation.

    A verdict counts with the smallest p of its red claims; without a red claim it counts as 1.
    """
    if not verdicts:
        return frozenset()
    adjusted = benjamini_hochberg([_smallest_p(found) for found in verdicts.values()])
    return frozenset(task for task, p in zip(verdicts, adjusted, strict=True) if p <= share)


def within(found: Verdict, pooled: Verdict, evidence: Evidence, *, is_named: bool) -> Verdict:
    """A task's verdict as the budget allows it: tested claims of harm stay red only beside a red pooled cell."""
    if pooled.red and is_named:
        return found
    reds = [finding for finding in found.findings if finding.decides and finding.status in RED and is_tested(finding)]
    if not reds:
        return found
    why = "a single task may be one in many by chance, and the model's tasks together are not red" if not pooled.red else "other tasks explain it"
    kept = [
        replace(finding, status=Status.INCONCLUSIVE, reason=f"{finding.reason}; {why}, so the run's false-alarm budget does not cover this claim")
        if finding in reds
        else finding
        for finding in found.findings
    ]
    return verdict(found.gate, evidence, kept)


def _smallest_p(found: Verdict) -> float:
    return min((finding.p for finding in found.findings if finding.decides and finding.status in RED and finding.p is not None), default=1.0)
