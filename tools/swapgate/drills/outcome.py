"""What one drilled run showed, read from its folder: what each gate said, and the proof that the fault really acted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swapgate.baselines.guards import planted_faults, read_verdicts
from swapgate.canonical import digest
from swapgate.drills.jobs import Job
from swapgate.engines.faults import read_note
from swapgate.errors import UserError
from swapgate.gates.verdict import GATES, POOLED, Verdict
from swapgate.runs.folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a gate said of a run: the pooled cell, or the first red one of a task where only tasks are red."""

    status: str
    red: bool
    decided: bool
    cell: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One drilled run. `error` says why it proves nothing; "" when it does.

    run: its folder as a reader should name it. proof: what the fault did, in its own measured words. seen: by gate.
    pictures: a digest of all pictures, equal for runs that made the same ones: of their quality they are one sample.
    alarms: every red cell of the run, pooled or of a task. pooled: the status of every gate's pooled cell.
    """

    job: Job
    run: str
    proof: str = ""
    pictures: str = ""
    error: str = ""
    seen: Mapping[str, Seen] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    pooled: Mapping[str, str] = field(default_factory=dict)


def read_outcome(job: Job, path: Path, model: str, *, run: str) -> Outcome:
    """The outcome of a finished run. Raises UserError or RunBroken for a folder that holds none, or another fault's."""
    planted = planted_faults(path).get(model, ())
    if planted != job.faults:
        raise UserError(
            where=str(path),
            key="faults",
            value=list(planted),
            rule=f"the run of {job.spec or 'nothing'}",
            remedy="remove that folder, or name another --out",
        )
    verdicts = read_verdicts(path)
    folder = RunFolder.open(path)
    try:
        proof, acted = _proof(folder, job.spec) if job.spec else ("nothing was planted", True)
        error = "" if acted else f"the fault did not act: {_why(folder, proof)}"
        pictures = digest(sorted((key, made.image) for key, made in folder.generations().items()))
    finally:
        folder.close()
    alarms = tuple(verdict.id for verdict in verdicts if verdict.red)
    seen = {gate: _seen(gate, verdicts) for gate in GATES}
    pooled = {verdict.gate: str(verdict.status) for verdict in verdicts if verdict.task == POOLED}
    return Outcome(job=job, run=run, proof=proof, pictures=pictures, error=error, seen=seen, alarms=alarms, pooled=pooled)


def _proof(folder: RunFolder, spec: str) -> tuple[str, bool]:
    """The last line in which the fault says that it acted, else its last line."""
    lines = [*(note for one in folder.loads() for note in one.notes), *_notes(folder)]
    said = [found for line in lines if (found := read_note(line, spec))]
    acted = [found for found in said if found[1]]
    return (acted or said or [("", False)])[-1]


def _notes(folder: RunFolder) -> Iterable[str]:
    return (note for generation in folder.generations().values() for note in generation.notes)


def _why(folder: RunFolder, proof: str) -> str:
    failed = [str(event.get("message", "")) for event in folder.events() if event["event"] == "load-failed"]
    failed += [made.failure.message for made in folder.generations().values() if made.failure]
    return proof or next(iter(failed), "the run's journal has no line of it")


def _seen(gate: str, verdicts: Sequence[Verdict]) -> Seen:
    own = [verdict for verdict in verdicts if verdict.gate == gate]
    pool = [verdict for verdict in own if verdict.task == POOLED]
    shown = next((verdict for verdict in (*pool, *own) if verdict.red), next(iter((*pool, *own)), None))
    if shown is None:
        return Seen(status="not judged", red=False, decided=False, cell=gate, reason="the run has no verdict of this gate")
    return Seen(status=str(shown.status), red=shown.red, decided=shown.decided, cell=shown.id, reason=shown.reason)
