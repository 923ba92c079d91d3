"""The table: for every policy of others and for this suite, false alarms on A and on B and misses on C, each with n and an exact interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from swapgate.drills.matrix import TAIL
from swapgate.drills.peers.judging import Case, Measured, judge
from swapgate.drills.peers.metrics import TooSmallError
from swapgate.drills.peers.policies import KINDS, Kind, Policy
from swapgate.drills.peers.trials import GATES_OF, PICTURES, PLACES, Place, Trial, Trials, place
from swapgate.gates.statistics import clopper_pearson

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """`wrong` of `n`: false alarms on A and B, misses on C and on mild doses; low, high: the exact 95 % interval of that share.

    same: how many of the n were equal to the pixel, so that no rule on pictures could fire. unsure: how many of the wrong
    ones were misses in which this suite said that it could not decide. which: the runs that were judged wrongly.
    """

    wrong: int
    n: int
    low: float | None
    high: float | None
    same: int = 0
    unsure: int = 0
    which: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A set under one policy: cases as the peer judges (one picture, or a few calls), and whole runs, red when any case is."""

    cases: Count | None
    runs: Count | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy. reason: why it was not run, "" when it was; partly: what of it was left out. ours: a verdict of this suite."""

    id: str
    peer: str
    kind: Kind
    text: str
    source: str
    images: int
    reason: str = ""
    partly: str = ""
    ours: bool = False
    cells: Mapping[Place, Cell] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All rows. sets: trials of each set for rules of each kind. hardware: what made the pictures. left_out: runs that prove nothing."""

    model: str
    tasks: tuple[str, ...]
    hardware: str
    created: str
    false_alarms: float
    command: str
    rows: tuple[Row, ...]
    sets: Mapping[Kind, Mapping[Place, tuple[str, ...]]]
    left_out: tuple[str, ...]

    @property
    def run(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.reason)

    @property
    def not_run(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.reason)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"schema": SCHEMA}


def tabulate(policies: Iterable[Policy], trials: Trials, **facts: Any) -> Table:
    """The table of a drill's trials. facts: the other fields of `Table`."""
    measured = Measured(load=trials.load)
    rows = [_row(policy, trials, measured) for policy in policies]
    ours = [_own(kind, trials) for kind in KINDS]
    ordered = [row for kind in KINDS for row in (*ours, *rows) if row.kind == kind]
    sets = {kind: {where: tuple(t.name for t in trials.trials if place(t, kind) == where) for where in PLACES} for kind in KINDS}
    return Table(rows=tuple(ordered), sets=sets, left_out=trials.left_out, **facts)


def _row(policy: Policy, trials: Trials, measured: Measured) -> Row:
    made = Row(
        id=policy.id, peer=policy.peer, kind=policy.kind, text=policy.text, source=policy.source, images=policy.images, reason=policy.reason,
        partly=policy.partly,
    )  # fmt: skip
    if policy.reason:
        return made
    try:
        judged = [(trial, judge(policy, trial, trials.honest, measured)) for trial in trials.trials]
    except TooSmallError as error:
        return replace(made, reason=str(error), partly="")
    cells = {where: _cell(judged, policy.kind, where) for where in PLACES}
    if not any(cell.cases for cell in cells.values()):
        return replace(made, reason=_few_calls(policy, trials.honest) if policy.cost else "no run has pictures to judge", partly="")
    return replace(made, cells=cells)


def _few_calls(policy: Policy, honest: Trial) -> str:
    assert policy.cost is not None
    return f"it needs {max(policy.cost.samples, 1)} timed calls of one size in a run, and the honest run has {len(honest.calls)}"


def _own(kind: Kind, trials: Trials) -> Row:
    gates = sorted(GATES_OF[kind])
    cells = {where: _own_cell(trials, kind, where) for where in PLACES}
    reason = "" if any(cell.runs for cell in cells.values()) else "no whole run was judged"
    return Row(
        id=f"swapgate-{kind}", peer=f"Swapgate, {' and '.join(gates)}", kind=kind, text=f"a run in which {' or '.join(gates)} is red",
        source="this suite", images=len(trials.honest.pairs), reason=reason, ours=True, cells={} if reason else cells,
    )  # fmt: skip


def _own_cell(trials: Trials, kind: Kind, where: Place) -> Cell:
    chosen = [trial for trial in _distinct(trials.trials, kind) if trial.whole and place(trial, kind) == where]
    red = [(trial, bool((trial.red or frozenset()) & GATES_OF[kind])) for trial in chosen]
    unsure = sum(not fired and bool(trial.unsure & GATES_OF[kind]) for trial, fired in red) if _fault(where) else 0
    wrong = [trial for trial, fired in red if fired != _fault(where)]
    return Cell(cases=None, runs=_count(len(wrong), len(red), same=_same(chosen, kind), unsure=unsure, which=[trial.name for trial in wrong]))


def _cell(judged: Sequence[tuple[Trial, list[Case]]], kind: Kind, where: Place) -> Cell:
    """Cases that are the same two pictures count once, and so do runs of the same pictures: judged again they are no new sample.

    On C that holds within a fault: two faults that blacken every picture are two faults.
    """
    own = [(trial, cases) for trial, cases in judged if place(trial, kind) == where and cases]
    counted: dict[tuple[str, str], Case] = {}
    for trial, cases in own:
        for case in cases:
            if case.changed or not _fault(where):
                counted.setdefault((_fault_of(trial, where), case.key), case)
    wrong = sum(case.red != _fault(where) for case in counted.values())
    kept = {trial.name for trial in _distinct([trial for trial, _ in own if trial.whole], kind)}
    runs = [(trial, any(case.red for case in cases)) for trial, cases in own if trial.name in kept]
    failed = [trial.name for trial, red in runs if red != _fault(where)]
    return Cell(
        cases=_count(wrong, len(counted), same=sum(not case.changed for case in counted.values())),
        runs=_count(len(failed), len(runs), same=_same([trial for trial, _ in runs], kind), which=failed),
    )


def _fault(where: Place | None) -> bool:
    """Whether a rule ought to fire on the set."""
    return where in ("C", "mild")


def _fault_of(trial: Trial, where: Place | None) -> str:
    """Which fault a trial of C is a sample of; "" in the other sets, whose samples are told apart by their pictures alone."""
    return f"{trial.drill.id}/{trial.dose}" if trial.drill and _fault(where) else ""


def _distinct(trials: Iterable[Trial], kind: Kind) -> list[Trial]:
    """Trials whose pictures differ from those of every earlier one in the same set (on C: of the same fault); all of them for costs."""
    if kind not in PICTURES:
        return list(trials)
    found: dict[tuple[Place | None, str, bool, str], Trial] = {}
    for trial in trials:
        where = place(trial, kind)
        found.setdefault((where, _fault_of(trial, where), trial.whole, trial.pictures), trial)
    return list(found.values())


def _same(trials: Iterable[Trial], kind: Kind) -> int:
    return sum(not trial.changed for trial in trials) if kind in PICTURES else 0


def _count(wrong: int, n: int, *, same: int = 0, unsure: int = 0, which: Sequence[str] = ()) -> Count | None:
    if not n:
        return None
    low, high = clopper_pearson(wrong, n, TAIL)
    return Count(wrong=wrong, n=n, low=low, high=high, same=same, unsure=unsure, which=tuple(which))
