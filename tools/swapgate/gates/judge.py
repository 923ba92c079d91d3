"""The table of gates: one function a gate, all of one shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from swapgate.gates import drift, latency, memory, stability, usability
from swapgate.gates.compose import claim, verdict
from swapgate.gates.evidence import Evidence
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status, Verdict

Judge = Callable[[Evidence, Policy], Verdict]

TABLE: Mapping[str, Judge] = MappingProxyType(
    {
        "latency": latency.judge,
        "memory": memory.judge,
        "usability": usability.judge,
        "drift": drift.judge,
        "stability": stability.judge,
    }
)

OF_PICTURES = frozenset({"usability", "drift", "stability"})


def judge(gate: str, evidence: Evidence, policy: Policy) -> Verdict:
    """The verdict of `gate` on one cell. Pure: the same evidence and policy give the same verdict. ValueError for an unknown gate."""
    if gate not in TABLE:
        raise ValueError(f"no gate is called {gate!r}; there are {', '.join(TABLE)}")
    if evidence.dry and gate in OF_PICTURES:
        reason = "dry weights: pictures of random weights say nothing of the model's quality; time and memory are those of the real one"
        return verdict(gate, evidence, [claim("pictures", Status.NOT_APPLICABLE, reason)])
    return TABLE[gate](evidence, policy)
