"""Runs in which nothing was planted: how many of them were red anywhere, and what that says of the false-alarm rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swapgate.drills.outcome import Outcome
from swapgate.gates.statistics import clopper_pearson
from swapgate.gates.verdict import GATES

TAIL = 0.005  # at either end of the interval: 99 % between them


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`red` of `n` runs, with the exact 99 % interval of that rate (Clopper and Pearson, Biometrika 26, 1934); rates in [0, 1]."""

    red: int
    n: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRate:
    """A gate's share of the false alarms. undecided: runs in which it could not decide, and so could hardly have cried wolf."""

    gate: str
    rate: Rate
    undecided: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An unchanged run that was red, and its red cells."""

    run: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """All runs with nothing planted. anywhere: runs of which any gate is red in any cell, pooled or of a task.

    Every run counts, also one that made the same pictures as another: what is asked is how often a user's run would be red.
    different: distinct sets of pictures among them. failed: runs that were not made or not judged, which are not in n.
    """

    anywhere: Rate
    gates: tuple[GateRate, ...]
    alarms: tuple[Alarm, ...]
    different: int
    failed: tuple[str, ...]


def unchanged_runs(outcomes: Sequence[Outcome]) -> Unchanged | None:
    """What the control runs among `outcomes` came to; None when no control was judged or tried."""
    controls = [outcome for outcome in outcomes if not outcome.job.spec]
    judged = [outcome for outcome in controls if not outcome.error]
    if not controls:
        return None
    return Unchanged(
        anywhere=rate(sum(bool(one.alarms) for one in judged), len(judged)),
        gates=tuple(_gate(gate, judged) for gate in GATES),
        alarms=tuple(Alarm(run=one.run, cells=one.alarms) for one in judged if one.alarms),
        different=len({one.pictures for one in judged}),
        failed=tuple(f"{one.run}: {one.error}" for one in controls if one.error),
    )


def rate(red: int, n: int) -> Rate:
    """The rate of `red` in `n`; of no run at all, anything is possible."""
    low, high = clopper_pearson(red, n, TAIL) if n else (0.0, 1.0)
    return Rate(red=red, n=n, low=low, high=high)


def _gate(gate: str, judged: Sequence[Outcome]) -> GateRate:
    seen = [one.seen[gate] for one in judged]
    return GateRate(gate=gate, rate=rate(sum(one.red for one in seen), len(seen)), undecided=sum(not (one.decided or one.red) for one in seen))
