"""What early stopping saves: every finished run of a drill, judged at its end and as if it had been looked at on the way.

Both judge the same pictures and times with the same errors to spend (`suite.rehearsal`). Counted are the images that a run had made when a
gate's pooled cell was settled, and those it had made when every cell was; the plan of fixed size makes all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from swapgate.config import Config
from swapgate.drills.outcome import Outcome
from swapgate.errors import UserError
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import DECIDED, GATES
from swapgate.suite.options import Options
from swapgate.suite.rehearsal import Rehearsal, rehearse
from swapgate.suite.session import Suite

DRILLS, UNCHANGED = "with a fault", "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyGate:
    """A gate of a run: what it said at the end of the whole plan and when it was looked at on the way, and after how many images."""

    gate: str
    fixed: str
    early: str
    images: int

    @property
    def lost(self) -> bool:
        """Whether it decided at the end but not on the way."""
        return self.fixed in DECIDED and self.early not in DECIDED

    @property
    def won(self) -> bool:
        """Whether it decided on the way but not at the end."""
        return self.early in DECIDED and self.fixed not in DECIDED


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyRun:
    """A run: images of its plan, until every cell was settled, until it was certain whether it is red; its gates, and seconds of calls (early, whole)."""

    run: str
    kind: str
    planned: int
    images: int
    answer: int
    gates: tuple[EarlyGate, ...]
    seconds: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Of some runs: the median share of the planned images until a gate's verdict, a run's answer (is it red?), and its last settled cell.

    gates: by gate; gate: over all verdicts of all gates; answer, run: over runs; seconds: of calls, the early ones over all. changed: verdicts
    that the early test decided otherwise than the fixed one, other than by not deciding; lost and won: decided only at the end, or only on the way.
    """

    kind: str
    runs: int
    verdicts: int
    gate: float
    answer: float
    run: float
    seconds: float
    gates: Mapping[str, float]
    changed: int
    lost: int
    won: int


def early_runs(config: Config, policy: Policy, out: Path, model: str, outcomes: Iterable[Outcome]) -> tuple[tuple[EarlyRun, ...], tuple[str, ...]]:
    """Every run that proves something, rehearsed; and why others could not be. config: with the drill's own baselines."""
    found: list[EarlyRun] = []
    failed: list[str] = []
    for outcome in outcomes:
        if outcome.error:
            continue
        try:
            found.append(_early(outcome, _rehearsed(config, policy, out / outcome.run, model)))
        except UserError as error:
            failed.append(f"{outcome.run}: {error}")
    return tuple(found), tuple(failed)


def saved(runs: Sequence[EarlyRun]) -> tuple[Saved, ...]:
    """Medians of the runs with a fault, of the unchanged ones, and of all together."""
    groups = {DRILLS: [one for one in runs if one.kind == DRILLS], UNCHANGED: [one for one in runs if one.kind == UNCHANGED], "all": list(runs)}
    return tuple(_saved(kind, some) for kind, some in groups.items() if some)


def lines(runs: Sequence[EarlyRun]) -> list[str]:
    """What was saved, for a terminal."""
    return [
        f"stopping early, {one.kind}: {100 * one.gate:.0f} % of the planned images to a gate's verdict (median of {one.verdicts}), "
        f"{100 * one.answer:.0f} % until a run is known to be red or not, {100 * one.run:.0f} % until every cell of a run is settled (median of {one.runs}), {100 * one.seconds:.0f} % of the seconds; "
        f"verdicts otherwise than at the end: {one.changed}, decided only at the end: {one.lost}, only on the way: {one.won}"
        for one in saved(runs)
    ]


def _rehearsed(config: Config, policy: Policy, path: Path, model: str) -> Rehearsal:
    suite = Suite.open(config, Options(root=config.root, models=(model,), replay=path), policy)
    try:
        return rehearse(suite, model)
    finally:
        suite.run.close()


def _early(outcome: Outcome, found: Rehearsal) -> EarlyRun:
    gates = tuple(
        EarlyGate(gate=gate, fixed=outcome.pooled[gate], early=str(verdict.status), images=images) for gate, (verdict, images) in found.gates.items()
    )
    kind = DRILLS if outcome.job.spec else UNCHANGED
    return EarlyRun(run=outcome.run, kind=kind, planned=found.planned, images=found.images, answer=found.answer, gates=gates, seconds=found.seconds)


def _saved(kind: str, runs: Sequence[EarlyRun]) -> Saved:
    shares = [(one.gate, one.images / run.planned) for run in runs for one in run.gates]
    every = [one for run in runs for one in run.gates]
    differs = Counter("lost" if one.lost else "won" if one.won else "changed" for one in every if one.early != one.fixed)
    whole = sum(run.seconds[1] for run in runs)
    return Saved(
        kind=kind,
        runs=len(runs),
        verdicts=len(every),
        gate=median(share for _, share in shares),
        answer=median(run.answer / run.planned for run in runs),
        run=median(run.images / run.planned for run in runs),
        seconds=sum(run.seconds[0] for run in runs) / whole if whole else 1.0,
        gates={gate: median(found) for gate in GATES if (found := [share for name, share in shares if name == gate])},
        changed=differs["changed"],
        lost=differs["lost"],
        won=differs["won"],
    )
