"""The quick drill: one severe fault for each gate, planted into the very model, policy and code of a full run, and kept.

    <runs>/quick-drills/<key>/    a drill folder as `swapgate drill` makes it: an honest run, its baseline, a run a fault

The key is a hash of all that could change the answer, so a kept result is never that of something else; and what it says is
read from its folder's runs every time, never from a mark that somebody once left.

Four faults stand for five gates, and one stands for two of them. Black pictures trip usability and drift, slow steps latency, a leak memory. Stability asks for
a fault that spares the prompts as written and not the reworded ones, which are made last: an adapter that is fused anew at every call,
in a dose by the length of the plan (`_ruin_rewordings`).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache as remembered
from pathlib import Path
from typing import Any, cast

import swapgate
from swapgate import plan as planning
from swapgate.bundled import place
from swapgate.canonical import digest, read_json
from swapgate.cards import Card
from swapgate.config import Config
from swapgate.drills import show
from swapgate.drills.catalogue import drill as drill_named
from swapgate.drills.jobs import asked_doses, not_applicable, pipeline_of
from swapgate.drills.kinds import Dose, Drill, Gate
from swapgate.drills.matrix import Mark, Matrix
from swapgate.drills.run import HONEST, RUNS, Ask, Make, drill
from swapgate.engines.weights import config_identity, weights_identity
from swapgate.errors import UserError
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import GATES
from swapgate.report.quick import QuickDrill, QuickGate, State, write
from swapgate.runs.environment import PACKAGES, versions
from swapgate.runs.records import Loaded
from swapgate.suite.options import Options
from swapgate.suite.planning import Setup, prepare
from swapgate.suite.progress import Progress
from swapgate.suite.session import Suite, card_json
from swapgate.tasks import Task

FOLDER = "quick-drills"
TASKS = 2  # the calls of one bundled task have too few independent pieces to show a slower clock within a claim's share of the budget
PROMPTS = 12  # stability flips the signs of whole prompts: 2^-12 is the largest p that a claim of it may have of a 1 % budget
FAULTS: Mapping[str, str] = {"latency": "slow-steps", "memory": "leak", "usability": "black", "drift": "black", "stability": "lora-accumulates"}
_RUIN = 1.6  # an adapter of this scale fused into the weights leaves nothing of a prompt; two fifths of it are hardly seen
_SEVERE: tuple[Dose, ...] = ("severe",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is drilled: a model as the run loaded it, on these tasks, for these gates."""

    model: str
    loaded: Loaded
    tasks: tuple[str, ...]
    gates: tuple[str, ...] = GATES


def quick(config: Config, subject: Subject, policy: Policy, *, run: Path, cache: Path, progress: Progress, make: Make | None = None) -> QuickDrill:
    """Make the quick drill of a model, or read it again where `cache` holds it. `run`: the full run's folder, to which the page is linked.

    A drill that cannot be made (UserError) is an error of its record, which is red; nothing else is raised for it.
    """
    setup = prepare(config, Options(root=config.root, models=(subject.model,), tasks=subject.tasks))
    card = setup.models[0]
    calls = planning.build(setup.models, setup.tasks, {}).calls[card.id]
    faults = {gate: fault_for(gate, card, calls) for gate in GATES if gate in subject.gates}
    planted = tuple({fault.id: fault for fault in faults.values() if isinstance(fault, Drill)}.values())
    out = cache / key(setup, subject, policy, planted)
    known: Mapping[str, Any] = {"model": card.id, "tasks": tuple(task.id for task in setup.tasks[card.id]), "folder": _named(out, config.root)}
    if not planted:
        return QuickDrill(**known, made="", cached=False, page="", gates=tuple(_idle(gate, str(why)) for gate, why in faults.items()))
    cached = finished(out, planted)
    ask = Ask(model=card.id, out=out, tasks=subject.tasks, drills=planted, whole=False, doses=_SEVERE, command="quick drill")
    try:
        matrix = drill(config, ask, policy, progress, make)
    except UserError as error:
        return QuickDrill(**known, made=_made(out), cached=False, page="", gates=(), error=str(error))
    page = os.path.relpath(show.write(matrix, out), run)
    gates = tuple(_gate(gate, fault, matrix) for gate, fault in faults.items())
    return QuickDrill(**known, made=_made(out), cached=cached, page=Path(page).as_posix(), gates=gates)


def quick_drills(suite: Suite, make: Make | None = None) -> tuple[QuickDrill, ...]:
    """The quick drill of every model that a suite judged, for the gates that it judged them by; also written into its run folder."""
    found = tuple(_of_model(suite, card, make) for card in suite.setup.models if card.id in suite.recorded)
    write(suite.run.path, found)
    return found


def pick(tasks: Sequence[Task], usable: Mapping[str, int], gates: Sequence[str] = GATES) -> tuple[str, ...]:
    """The tasks to drill on, those with the most usable pictures first, because usability must have some to lose.

    As few as let every gate decide: TASKS, and for stability as many of those with rewordings as have PROMPTS prompts. Where there
    are fewer, the gate's claims may be out of reach for the whole run as well, which is then what the drill shows.
    """
    able = sorted([task for task in tasks if task.rewordings and task.reworded_seeds] or tasks, key=lambda task: -usable.get(task.id, 0))
    prompts = PROMPTS if "stability" in gates else 0
    enough = next((n for n in range(TASKS, len(able)) if sum(len(task.prompts) for task in able[:n]) >= prompts), len(able))
    return tuple(task.id for task in able[:enough])


def fault_for(gate: str, card: Card, calls: Sequence[planning.Call]) -> Drill | str:
    """The fault that `gate` has to see, or why none can be planted into this model."""
    found = drill_named(FAULTS[gate])
    if gate == "stability":
        found = _ruin_rewordings(found, calls)
    images = max(len(call.requests) for call in calls)
    if card.faults:
        return "the card has planted faults of its own"
    return not_applicable(found, asked_doses(found, _SEVERE), card, pipeline_of(card), images) or found


def key(setup: Setup, subject: Subject, policy: Policy, planted: Sequence[Drill]) -> str:
    """The hash of all that can change what the drill finds: card, weights, tasks, wording, judge, policy, faults, code, packages and device."""
    card = setup.models[0]
    found = {
        "card": [card_json(card), card.expected_forwards, card.usability_floor, {name: asdict(limits) for name, limits in card.ceilings.items()}],
        "loaded": [subject.loaded.weights, subject.loaded.accelerator, subject.loaded.device_name, subject.loaded.placement, subject.loaded.dtype],
        "versions": [dict(subject.loaded.versions), versions(PACKAGES)],
        "tasks": [_task(task) for task in setup.tasks[card.id]],
        "prompts": {language: list(prompts) for language, prompts in setup.prompts.items()},
        "wording": _files(setup.config.wording_folder, "*"),
        "judge": _judge(card),
        "policy": asdict(policy),
        "faults": [[fault.id, fault.doses, sorted(fault.fires)] for fault in planted],
        "code": source(),
    }
    return digest(found)[:16]


def finished(out: Path, planted: Sequence[Drill]) -> bool:
    """Whether every run of the drill is there with its verdicts, so that nothing will be made."""
    names = [f"{RUNS}/{fault.id}/{dose}-1" for fault in planted for dose in asked_doses(fault, _SEVERE)]
    return all((out / name / "verdicts.json").is_file() for name in (HONEST, *names))


@remembered
def source() -> str:
    """The hash of this package's own code."""
    return digest(_files(Path(swapgate.__file__).parent, "*.py"))


def _ruin_rewordings(found: Drill, calls: Sequence[planning.Call]) -> Drill:
    """The adapter's fault in a dose that ruins every rewording and spares the seeds that are reworded.

    `calls` are those of the prompts as written, after which the rewordings come; the scale grows by the dose with every call.
    The reworded seeds are the first rounds, so that a fifth to two fifths of `calls` have been made when the last of them is drawn.
    """
    fires = cast("frozenset[Gate]", frozenset({"stability"}))
    return replace(found, id="adapter-stays", severe=f"lora-stays:{_RUIN / len(calls):.3g}", fires=fires, quiet=frozenset())


def _of_model(suite: Suite, card: Card, make: Make | None) -> QuickDrill:
    recorded, config, gates = suite.recorded[card.id], suite.setup.config, suite.setup.options.gates
    if recorded.loaded is None:
        return QuickDrill(model=card.id, made="", cached=False, tasks=(), folder="", page="", gates=(), error="the model was not loaded")
    usable = Counter(score.task for score in recorded.scores if score.usable and score.counted and not score.edits)
    subject = Subject(model=card.id, loaded=recorded.loaded, tasks=pick(suite.setup.tasks[card.id], usable, gates), gates=gates)
    cache = config.root / config.runs / FOLDER
    return quick(config, subject, suite.policy, run=suite.run.path, cache=cache, progress=suite.progress, make=make)


def _gate(gate: str, fault: Drill | str, matrix: Matrix) -> QuickGate:
    if isinstance(fault, str):
        return _idle(gate, fault)
    row = next(row for row in matrix.rows if row.drill == fault.id)
    entry = next(entry for entry in row.entries if entry.gate == gate)
    state: State = {Mark.CAUGHT: "caught", Mark.ALSO: "caught", Mark.ERROR: "ERROR", Mark.OPEN: "not drilled"}.get(entry.mark, "DEAD")  # type: ignore[assignment]
    reason = "; ".join(row.errors) if state == "ERROR" else entry.reason
    if state == "not drilled":
        reason = f"{matrix.usable[0]} of {matrix.usable[1]} honest pictures are usable, so there is nothing to lose; {entry.reason}"
    return QuickGate(gate=gate, state=state, fault=f"{fault.id} {row.spec}", reason=reason)


def _idle(gate: str, why: str) -> QuickGate:
    return QuickGate(gate=gate, state="not drilled", fault="", reason=why)


def _made(out: Path) -> str:
    manifest = out / HONEST / "manifest.json"
    return str(read_json(manifest).get("created", "")) if manifest.is_file() else ""


def _named(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _task(task: Task) -> list[Any]:
    facets = [[facet.name, {language: list(texts) for language, texts in facet.statements.items()}] for facet in task.facets]
    protocol = [task.protocol.images_per_round, task.protocol.counted_index]
    drawn = [list(task.seeds), list(task.reworded_seeds), task.rewordings, task.width, task.height]
    return [task.id, dict(task.prompts), dict(task.text), facets, list(task.checks), drawn, protocol, task.usability_floor]


def _judge(card: Card) -> list[Any]:
    """The judge's name, and its files where it is a folder of the project."""
    folder = place(card.root, card.judge.source)
    own = [weights_identity(folder), config_identity(folder)] if folder.is_dir() and not card.judge.pretrained else []
    return [card.judge.source, card.judge.pretrained, *own]


def _files(folder: Path, pattern: str) -> list[list[str]]:
    files = sorted(file for file in folder.rglob(pattern) if file.is_file() and "__pycache__" not in file.parts)
    return [[file.relative_to(folder).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()] for file in files]
