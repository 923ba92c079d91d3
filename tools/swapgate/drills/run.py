"""The drills of a model, made for real: an honest run becomes a baseline of its own, then one run for every planted fault.

    <out>/drill.json        what was asked; a drill is only gone on with as it was begun
    <out>/honest            the honest run, with its null
    <out>/baselines         what was accepted of it, cost included; the project's own baselines are neither read nor written
    <out>/runs/<drill>/<dose>-<repeat>   a run with one fault, judged by all gates against that baseline
    <out>/matrix.json, matrix.html

Drills of latency are measured in turn with the honest model, in one run: on a shared machine, processes of one model differ by more than
most slow-downs, and no number of calls tells that apart.

A run that is finished (it has verdicts.json) is not made again, one that was cut off is gone on with, and one that fails
does not stop the others. What a run showed is always read from its folder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swapgate import plan as planning
from swapgate.baselines.review import accept
from swapgate.baselines.store import Store
from swapgate.canonical import digest, dumps, read_json, write_atomic
from swapgate.cards import Card
from swapgate.config import Config
from swapgate.drills.catalogue import CATALOGUE
from swapgate.drills.early import early_runs
from swapgate.drills.jobs import Job, choose, controls, share_of
from swapgate.drills.kinds import Dose, Drill
from swapgate.drills.matrix import Matrix, tabulate
from swapgate.drills.outcome import Outcome, read_outcome
from swapgate.errors import RunBroken, UserError
from swapgate.gates.policy import Policy
from swapgate.suite.options import Options
from swapgate.suite.planning import ITSELF, Setup, prepare
from swapgate.suite.progress import Progress, Silent
from swapgate.suite.session import Suite, card_json, null_calls

SCHEMA = 1
HONEST, BASELINES, RUNS, ASKED = "honest", "baselines", "runs", "drill.json"
NULL_REPEATS = 24  # repeats that tell a third of the pictures wrong from chance at a gate's share of a 1 % budget
NULL_PROCESSES = (4, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to drill. whole: `drills` is the whole catalogue, so that a gate that nothing trips is dead. Without drills only controls run.

    null: fresh processes that measure the honest model's null; None for as many as give NULL_REPEATS repeats, from 4 to 12.
    control: also as many runs with nothing planted, the last of all, in which no gate may fire.
    share: (k, n) makes and shows only the k-th of n disjoint shares of the runs, beside which no gate can be called dead.
    repeats: runs of every drill and dose. Of a model that repeats itself to the pixel they add samples of time and memory alone.
    """

    model: str
    out: Path
    tasks: tuple[str, ...] = ()
    drills: tuple[Drill, ...] = CATALOGUE
    whole: bool = True
    doses: tuple[Dose, ...] = ("severe",)
    repeats: int = 1
    null: int | None = None
    control: bool = False
    share: tuple[int, int] = (1, 1)
    command: str = "swapgate drill"


Make = Callable[[Options], None]
"""Makes and judges the run that the options name (run_dir) or takes it up (resume); leaves verdicts.json in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drilling:
    ask: Ask
    policy: Policy
    setup: Setup
    options: Options
    make: Make
    progress: Progress = field(default_factory=Silent)

    @property
    def card(self) -> Card:
        return self.setup.models[0]

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(task.id for task in self.setup.tasks[self.card.id])


def drill(config: Config, ask: Ask, policy: Policy, progress: Progress | None = None, make: Make | None = None) -> Matrix:
    """Make every run that is not finished yet, and give the matrix of all.

    Raises UserError for a mistake in cards, tasks or `ask`, for a folder that another drill was begun in, and for an honest
    run that no one could accept. What goes wrong in a drilled run is an error of that drill alone.
    """
    progress = progress or Silent()
    own = replace(config, baselines=ask.out.resolve() / BASELINES)
    options = Options(root=config.root, models=(ask.model,), tasks=ask.tasks, false_alarms=policy.false_alarms, command=ask.command)
    setup = prepare(own, options)
    drilling = _Drilling(
        ask=ask, policy=policy, setup=setup, options=options, make=make or _makes(own, policy, progress), progress=progress
    )  # fmt: skip
    _check(drilling)
    calls = planning.build(setup.models, setup.tasks, {}).calls[drilling.card.id]
    jobs, skipped = choose(ask.drills, ask.doses, ask.repeats, drilling.card, images=max(len(call.requests) for call in calls))
    if ask.control:
        jobs += controls(ask.repeats)
    null = _null(ask, null_calls(calls))
    _begin(drilling, null)
    usable = _honest(drilling, null)
    jobs = share_of(jobs, ask.share)
    outcomes = [_drilled(drilling, job, f"{number} of {len(jobs)}") for number, job in enumerate(jobs, start=1)]
    early, unrehearsed = early_runs(own, policy, ask.out, ask.model, outcomes)
    matrix = tabulate(
        outcomes, skipped, model=ask.model, tasks=drilling.tasks, false_alarms=policy.false_alarms, usable=usable,
        whole=ask.whole and ask.share == (1, 1), share=ask.share,
    )  # fmt: skip
    return replace(matrix, early=early, unrehearsed=unrehearsed)


def _makes(config: Config, policy: Policy, progress: Progress) -> Make:
    def make(options: Options) -> None:
        suite = Suite.open(config, options, policy, progress)
        try:
            suite.judge_all()
        finally:
            suite.run.close()

    return make


def _check(drilling: _Drilling) -> None:
    card, ask = drilling.card, drilling.ask
    if card.faults:
        raise UserError(
            where=str(card.path), key="faults", value=list(card.faults), rule="drills plant their own faults into an honest model",
            remedy="name the card without faults",
        )  # fmt: skip
    for option, value in (("--repeats", ask.repeats), ("--null", 1 if ask.null is None else ask.null)):
        if value < 1:
            raise UserError(where=option, value=value, rule="a number, 1 or more", remedy=f"write {option}=4")
    k, n = ask.share
    if not 1 <= k <= n:
        raise UserError(where="--shard", value=f"{k}/{n}", rule="K of N shares, K from 1 to N", remedy="write --shard=1/4")
    if not (ask.drills or ask.control):
        raise UserError(where="--drill", value="", rule="at least one drill, or nothing for control runs", remedy="write --drill=black,nothing")


def _null(ask: Ask, calls: Sequence[planning.Call]) -> int:
    low, high = NULL_PROCESSES
    each = sum(len(call.requests) for call in calls)
    return ask.null or min(max(low, math.ceil(NULL_REPEATS / each)), high)


def _begin(drilling: _Drilling, null: int) -> None:
    """Note what is drilled, or check that this folder was begun with the same: drills of other things cannot share a baseline."""
    card, path = drilling.card, drilling.ask.out / ASKED
    now: Mapping[str, Any] = {
        "schema": SCHEMA,
        "model": card.id,
        "card": digest(card_json(card)),
        "tasks": list(drilling.tasks),
        "false_alarms": drilling.policy.false_alarms,
        "null": null,
    }
    if not path.is_file():
        write_atomic(path, dumps(now, indent=1) + "\n")
        return
    before = read_json(path)
    if not isinstance(before, dict):
        raise RunBroken(where=str(path), rule="what a drill was begun with", remedy="name another --out")
    for key, value in now.items():
        if before.get(key) != value:
            raise UserError(
                where=str(path), key=key, value=value, rule=f"a drill is gone on with as it was begun: {before.get(key)!r}",
                remedy="name another --out, or the first choice",
            )  # fmt: skip


def _honest(drilling: _Drilling, null: int) -> tuple[int, int]:
    """Make and accept the honest run where that was not done; gives its usable pictures, and all of its pictures."""
    path, store = drilling.ask.out / HONEST, Store(drilling.setup.config.baselines)
    if not (path / "verdicts.json").is_file():
        drilling.progress.note(f"{drilling.card.id}: the honest run, with {null} processes for the null")
        _make(drilling, path, null=null)
    if len(store.paths()) < len(drilling.tasks):
        # No variable of the environment forbids this: it is written where the user asked, and is no baseline of the project.
        done = accept(path, store=store, with_cost=True, reason="the honest run of a drill", by="swapgate drill", allow_ci=True, environ={})
        if not done.complete or len(store.paths()) < len(drilling.tasks):
            raise UserError(
                where=str(path),
                rule="an honest run that can be accepted as baseline: " + ("; ".join(done.lines) or "it left no draft"),
                remedy=f"mend the model or its card first: pytest --model={drilling.card.id}",
            )
    return _usable(path, drilling.card.id)


def _usable(path: Path, model: str) -> tuple[int, int]:
    data = read_json(path / "verdicts.json")
    try:
        counts = next(one["usable"] for one in data["models"] if one["id"] == model).values()
        return sum(int(good) for good, _ in counts), sum(int(n) for _, n in counts)
    except (KeyError, TypeError, ValueError, StopIteration):
        raise RunBroken(where=str(path / "verdicts.json"), key="models", rule="usable pictures by language", remedy="name another --out") from None


def _drilled(drilling: _Drilling, job: Job, place: str) -> Outcome:
    folder = drilling.ask.out / RUNS / job.name
    name = folder.relative_to(drilling.ask.out).as_posix()
    try:
        if not (folder / "verdicts.json").is_file():
            drilling.progress.note(f"drill {place}: {job.drill.id}" + (f", {job.dose} ({job.spec})" if job.spec else ""))
            _make(drilling, folder, faults=job.faults, in_turn="latency" in job.drill.fires)
        return read_outcome(job, folder, drilling.card.id, run=name)
    except UserError as error:
        return Outcome(job=job, run=name, error=str(error))
    except Exception as error:  # one drill that fails must not take the others' results with it
        return Outcome(job=job, run=name, error=f"{type(error).__name__}: {error}")


def _make(drilling: _Drilling, folder: Path, *, null: int = 0, faults: tuple[str, ...] = (), in_turn: bool = False) -> None:
    """Make a run. `in_turn`: request by request with the honest model, so that a slow-down is told from a machine that has others to serve."""
    begun = (folder / "manifest.json").is_file()
    options = replace(drilling.options, null=null, faults=faults, against=ITSELF if in_turn else None)
    drilling.make(replace(options, resume=folder) if begun else replace(options, run_dir=folder))
