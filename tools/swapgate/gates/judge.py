"""The table of gates: one function a gate, all of one shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from swapgate.gates import drift, latency, memory, stability, usability
from swapgate.gates.evidence import Evidence
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Verdict

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


def judge(gate: str, evidence: Evidence, policy: Policy) -> Verdict:
    """The verdict of `gate` on one cell. Pure: the same evidence and policy give the same verdict. ValueError for an unknown gate."""
    if gate not in TABLE:
        raise ValueError(f"no gate is called {gate!r}; there are {', '.join(TABLE)}")
    return TABLE[gate](evidence, policy)
