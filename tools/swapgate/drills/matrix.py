"""The detection matrix: which planted fault which gate saw, how often of how many runs, and what that proves of the gates.

What the gates make of faults is in `matrix`, what they make of runs in which nothing was planted in `unchanged`, and both by
dose in `power`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal, cast

from swapgate.drills.early import EarlyRun, saved
from swapgate.drills.jobs import DOSES, Skipped
from swapgate.drills.kinds import Dose, Drill, Gate
from swapgate.drills.outcome import Outcome, Seen
from swapgate.drills.unchanged import Unchanged, unchanged_runs
from swapgate.gates.statistics import clopper_pearson
from swapgate.gates.verdict import GATES, Status

SCHEMA = 1
QUALITY: frozenset[str] = frozenset({"usability", "drift", "stability"})
NEEDS_USABLE: frozenset[str] = frozenset({"usability", "stability"})
ALL = "all"  # gates together, where power is summed
TAIL = 0.025  # at either end of the intervals: 95 % between them
Expected = Literal["fires", "quiet", "either"]


class Mark(StrEnum):
    """What a gate's part in a drill comes to."""

    CAUGHT = "CAUGHT"  # it had to fire and did, every time
    MISSED = "MISSED"  # it had to fire and did not, at least once
    UNEXPECTED = "UNEXPECTED"  # it had to be quiet and fired
    QUIET = "QUIET"  # it had to be quiet and was
    UNDECIDED = "UNDECIDED"  # it had to be quiet and was, but only because it could not decide
    ALSO = "ALSO"  # nothing was asked of it, and it fired
    OPEN = "OPEN"  # nothing was asked of it, and it did not
    ERROR = "ERROR"  # no run of this drill proves anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A gate in a row: `hits` of `n` runs red, with the exact 95 % interval of that rate.

    n counts distinct sets of pictures for the gates of quality, since the same pictures judged again are no new sample,
    and runs for latency and memory. None of it where no run proves anything. status, cell and reason: the run that tells.
    """

    gate: str
    expected: Expected
    mark: Mark
    hits: int = 0
    n: int = 0
    low: float | None = None
    high: float | None = None
    status: str = ""
    cell: str = ""
    reason: str = ""

    @property
    def trips(self) -> bool:
        """Whether the gate saw the fault: an ERROR for want of pictures shows that only where the drill asks for the gate."""
        return bool(self.hits) and (self.expected == "fires" or (self.expected == "either" and self.status == Status.REGRESSION))

    @property
    def unsure(self) -> bool:
        """Whether the gate missed the fault only because it could not decide on so few samples."""
        return self.mark is Mark.MISSED and self.status == Status.INCONCLUSIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A drill at one dose. errors: a line for every run of it that proves nothing."""

    drill: str
    about: str
    sources: tuple[str, ...]
    specific: bool
    dose: Dose
    spec: str
    proof: str
    runs: tuple[str, ...]
    errors: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def id(self) -> str:
        return f"{self.drill}/{self.dose}" if self.spec else self.drill

    @property
    def failed(self) -> bool:
        """Whether a reader must look: a missed or unexpected alarm, or a run that proves nothing."""
        return bool(self.errors) or any(entry.mark in (Mark.MISSED, Mark.UNEXPECTED) for entry in self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """How often a gate caught the faults of a dose that it had to catch: `hits` of `n` samples, with the exact 95 % interval.

    gate: "all" for every gate together. The interval takes the samples of different drills for draws of one rate.
    """

    dose: Dose
    gate: str
    drills: int
    hits: int
    n: int
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All rows of a model. whole: the whole catalogue was asked for, so that a gate that nothing trips is dead.

    tripped: gates that some drill turned red which did not forbid it (see `Entry.trips`). usable: usable pictures of the honest run, and all.
    share: (k, n) when these are only every n-th of the runs. unchanged: what runs with nothing planted came to, None without one.
    early: the runs as if they had been looked at on the way (see `early`); unrehearsed: why others could not be.
    """

    model: str
    tasks: tuple[str, ...]
    false_alarms: float
    usable: tuple[int, int]
    whole: bool
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    tripped: tuple[str, ...]
    share: tuple[int, int] = (1, 1)
    unchanged: Unchanged | None = None
    early: tuple[EarlyRun, ...] = ()
    unrehearsed: tuple[str, ...] = ()

    @property
    def untripped(self) -> tuple[str, ...]:
        """Gates that no drill of this matrix tripped."""
        return tuple(gate for gate in GATES if gate not in self.tripped)

    @property
    def dead(self) -> tuple[str, ...]:
        """Gates that nothing trips; none are called so after a choice of drills."""
        return self.untripped if self.whole else ()

    @property
    def red(self) -> bool:
        """Whether something is wrong with the gates or the drills: dead, missed, unexpected, unproven, or nothing was drilled."""
        return bool(self.dead) or not self.rows or any(row.failed for row in self.rows)

    @property
    def power(self) -> tuple[Power, ...]:
        """By dose, mildest first, and gate, and of all gates together; of gates that had to fire alone."""
        return tuple(found for dose in DOSES for gate in (*GATES, ALL) if (found := _power(self.rows, dose, gate)))

    def count(self, mark: Mark) -> int:
        return sum(entry.mark is mark for row in self.rows for entry in row.entries)

    @property
    def errors(self) -> int:
        """Runs that prove nothing."""
        return sum(len(row.errors) for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        summary = {mark.value.lower(): self.count(mark) for mark in Mark if mark is not Mark.ERROR}
        data = asdict(self) | {
            "schema": SCHEMA,
            "dead": self.dead,
            "untripped": self.untripped,
            "red": self.red,
            "power": [asdict(one) for one in self.power],
            "saved": [asdict(one) for one in saved(self.early)],
        }
        return data | {"counts": summary | {"errors": self.errors, "not_applicable": len(self.skipped)}}


def tabulate(
    outcomes: Sequence[Outcome], skipped: Iterable[Skipped], *, model: str, tasks: Iterable[str], false_alarms: float, usable: tuple[int, int], whole: bool,
    share: tuple[int, int] = (1, 1),
) -> Matrix:  # fmt: skip
    """The matrix of a model's drilled runs, in their order."""
    groups: dict[tuple[str, Dose], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.job.drill.id, outcome.job.dose), []).append(outcome)
    rows = tuple(_row(group, can_lose=usable[0] > 0) for group in groups.values())
    tripped = {entry.gate for row in rows for entry in row.entries if entry.trips}
    return Matrix(
        model=model,
        tasks=tuple(tasks),
        false_alarms=false_alarms,
        usable=usable,
        whole=whole,
        rows=rows,
        skipped=tuple(skipped),
        tripped=tuple(gate for gate in GATES if gate in tripped),
        share=share,
        unchanged=unchanged_runs(outcomes),
    )


def expectation(drill: Drill, dose: Dose, gate: str, *, can_lose: bool) -> Expected:
    """What a drill asks of a gate at a dose; a mild dose lies at a gate's floor and asks for no alarm.

    can_lose: the honest model has usable pictures; without one neither usability nor its loss by rewording can be seen.
    """
    name = cast("Gate", gate)
    if name in drill.quiet or (drill.specific and gate in QUALITY and name not in drill.fires):
        return "quiet"
    asked = name in drill.fires and dose != "mild" and (can_lose or gate not in NEEDS_USABLE)
    return "fires" if asked else "either"


def _row(group: Sequence[Outcome], *, can_lose: bool) -> Row:
    job = group[0].job
    proven = [outcome for outcome in group if not outcome.error]
    return Row(
        drill=job.drill.id,
        about=job.drill.about,
        sources=job.drill.sources,
        specific=job.drill.specific,
        dose=job.dose,
        spec=job.spec,
        proof=next((outcome.proof for outcome in proven), ""),
        runs=tuple(outcome.run for outcome in group),
        errors=tuple(f"repeat {outcome.job.repeat}: {outcome.error}" for outcome in group if outcome.error),
        entries=tuple(_entry(gate, expectation(job.drill, job.dose, gate, can_lose=can_lose), proven) for gate in GATES),
    )


def _entry(gate: str, expected: Expected, proven: Sequence[Outcome]) -> Entry:
    samples = _distinct(proven) if gate in QUALITY else proven
    if not samples:
        return Entry(gate=gate, expected=expected, mark=Mark.ERROR)
    said = [outcome.seen[gate] for outcome in samples]
    hits, n = sum(one.red for one in said), len(said)
    mark = _mark(expected, hits, n)
    if mark is Mark.QUIET and not all(one.decided for one in said):
        mark = Mark.UNDECIDED
    telling = next((one for one in said if _tells(one, mark)), said[0])
    low, high = clopper_pearson(hits, n, TAIL)
    return Entry(
        gate=gate, expected=expected, mark=mark, hits=hits, n=n, low=low, high=high, status=telling.status, cell=telling.cell, reason=telling.reason
    )


def _power(rows: Iterable[Row], dose: Dose, gate: str) -> Power | None:
    """None where no gate had to fire at that dose, or no run of it proves anything."""
    asked = [(row, e) for row in rows if row.dose == dose for e in row.entries if e.expected == "fires" and e.n and gate in (e.gate, ALL)]
    if not asked:
        return None
    hits, n = sum(entry.hits for _, entry in asked), sum(entry.n for _, entry in asked)
    low, high = clopper_pearson(hits, n, TAIL)
    return Power(dose=dose, gate=gate, drills=len({row.drill for row, _ in asked}), hits=hits, n=n, low=low, high=high)


def _distinct(proven: Sequence[Outcome]) -> list[Outcome]:
    """The first run of each set of pictures."""
    found: dict[str, Outcome] = {}
    for outcome in proven:
        found.setdefault(outcome.pictures, outcome)
    return list(found.values())


def _tells(one: Seen, mark: Mark) -> bool:
    """Whether a run shows why a gate has its mark."""
    if mark is Mark.UNDECIDED:
        return not one.decided
    return one.red is (mark in (Mark.CAUGHT, Mark.UNEXPECTED, Mark.ALSO))


def _mark(expected: Expected, hits: int, n: int) -> Mark:
    match expected:
        case "fires":
            return Mark.CAUGHT if hits == n else Mark.MISSED
        case "quiet":
            return Mark.UNEXPECTED if hits else Mark.QUIET
        case "either":
            return Mark.ALSO if hits else Mark.OPEN
