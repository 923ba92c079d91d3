"""What is known of a model before it runs: the newest earlier run of its recipe, and what was accepted.

Files are read, nothing is loaded and nothing is written. A run or baseline of another recipe says nothing about this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from swapgate.baselines import draft
from swapgate.baselines.store import ANY, Baseline, Choice, Store
from swapgate.canonical import dumps, read_json
from swapgate.cards import Card
from swapgate.errors import UserError
from swapgate.gates.evidence import Cost, ImageScore, Null, Repeat
from swapgate.plan import Request
from swapgate.runs.environment import accelerators
from swapgate.runs.folder import RunFolder
from swapgate.runs.records import Generation, Loaded
from swapgate.suite.arms import cohort_of, cost, pooled
from swapgate.tasks import Task

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Earlier samples of one model, empty where there are none.

    run: the newest run of the same recipe, "" for none; accelerator, cohort: those of that run, else of the accepted cost; else the
    kind of device that this machine has, and "".
    seconds: median seconds per image by (width, height); timed: where they and load_seconds come from. cost: samples for
    spreads, measured in `cost_source`; accepted_cost: what time and memory are compared with, processes: what its processes cost. scores and null are accepted
    ones (`quality_source`); repeated: the same requests, accepted and in the newest run, of the same weights.
    """

    model: str
    run: str = ""
    accelerator: str = ""
    cohort: str = ""
    load_seconds: float | None = None
    seconds: Mapping[Size, float]
    timed: str = ""
    cost: Cost | None = None
    cost_source: str = ""
    accepted_cost: Cost | None = None
    processes: tuple[Repeat, ...] = ()
    no_cost: str = ""
    scores: tuple[ImageScore, ...] = ()
    pipeline: str = ""
    quality_source: str = ""
    incomparable: str = ""
    null: Null | None = None
    repeated: tuple[tuple[ImageScore, ImageScore], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """The newest run: its folder, how the model was loaded, and the calls of its plan."""

    folder: RunFolder
    loaded: Loaded
    generations: tuple[tuple[Request, Generation], ...]
    cost: Cost


def earlier(card: Card, tasks: Sequence[Task], store: Store, runs: Path) -> Earlier:
    """Everything known of `card` for `tasks`. UserError for a damaged baseline; damaged runs are passed over."""
    run = newest_run(runs, card, tasks)
    cohort = cohort_of(card, run.loaded) if run else _accepted_cohort(card, tasks, store)
    choices = [store.find(card.id, cohort or ANY, task.id) for task in tasks]
    quality = [choice.quality for choice in choices if choice.quality]
    accepted_cost = _accepted_cost(choices)
    costs = [choice.cost for choice in choices if choice.cost]
    found = Earlier(
        model=card.id,
        run=run.folder.path.name if run else "",
        accelerator=run.loaded.accelerator if run else costs[0].accelerator if costs else _kind_here(card),
        cohort=cohort,
        seconds={},
        accepted_cost=accepted_cost,
        processes=tuple(repeat for one in costs for repeat in one.processes()) if accepted_cost else (),
        no_cost="; ".join(dict.fromkeys(choice.no_cost for choice in choices if choice.no_cost)) if accepted_cost is None else "",
        scores=tuple(score for one in quality for score in one.quality.scores),
        pipeline=card.pipeline or card.engine,
        quality_source=f"baseline of run {quality[0].provenance.run}" if quality else "",
        incomparable="; ".join(dict.fromkeys(choice.incomparable for choice in choices if choice.incomparable)),
        null=_null(quality),
        repeated=tuple(_repeated(run, quality)) if run else (),
    )
    return _timed(found, run, tasks, choices)


def _kind_here(card: Card) -> str:
    """Where the model would run on this machine, as far as ceilings and floors of memory ask: "cpu" or "cuda"."""
    return card.device if card.device != "auto" else "cuda" if accelerators() else "cpu"


def newest_run(runs: Path, card: Card, tasks: Sequence[Task]) -> _Run | None:
    """The newest run with a measured call of this recipe, after the first one of its process; None when there is none.

    A run that was judged comes before one that was cut off or still goes on, which holds only a part of its calls.
    """

    def order(path: Path) -> tuple[bool, int, str]:
        return (path.parent / "verdicts.json").is_file(), path.stat().st_mtime_ns, path.parent.name

    manifests = sorted(runs.glob("*/manifest.json"), key=order, reverse=True)
    return next((found for path in manifests if (found := _measured(path, card, tasks))), None)


def _measured(path: Path, card: Card, tasks: Sequence[Task]) -> _Run | None:
    try:
        if not _same_recipe(read_json(path), card):
            return None
        run = RunFolder.open(path.parent)
        requests = run.requests()
    except UserError:
        return None
    names, made, loaded = {task.id for task in tasks}, run.generations(), run.loaded().get(card.id)
    asked = [(one, made[one.key]) for one in requests if one.model == card.id and one.task in names and one.key in made]
    found = _cost_of(run, loaded, asked)
    return _Run(folder=run, loaded=loaded, generations=tuple(asked), cost=found) if loaded and found and found.calls else None


def _cost_of(run: RunFolder, loaded: Loaded | None, asked: list[tuple[Request, Generation]]) -> Cost | None:
    """As a gate has it: the calls in the order in which they were made."""
    places = {event["generation"]["request"]: place for place, event in enumerate(run.events()) if event["event"] == "generation"}
    return cost(sorted((one for _, one in asked), key=lambda one: places.get(one.request, -1)), loaded)


def _same_recipe(manifest: Any, card: Card) -> bool:
    """Whether a run loaded and called the model as the card says today, with the same planted faults and no others."""
    then = manifest.get("cards", {}).get(card.id) if isinstance(manifest, dict) else None
    now: dict[str, Any] = {**card.recipe(), "faults": list(card.faults), "options": dict(card.options)}
    return isinstance(then, dict) and dumps({key: then.get(key) for key in now}) == dumps(now)


def _accepted_cohort(card: Card, tasks: Sequence[Task], store: Store) -> str:
    """Without a run nobody knows the machine's cohort: the one accepted last with cost figures of today's recipe stands for it."""
    names = dict.fromkeys(name for task in tasks for name in store.cohorts(card.id, task.id) if name != ANY)
    held = [one for name in names for task in tasks if (one := store.get(card.id, name, task.id)) and one.cost]
    recipe = card.recipe()
    same = [one for one in held if dumps({key: one.provenance.card.get(key) for key in recipe}) == dumps(recipe)]
    return max(same, key=lambda one: one.provenance.accepted_on).cohort if same else ""


def _accepted_cost(choices: Sequence[Choice]) -> Cost | None:
    """All tasks' accepted costs as one, where every task that has a baseline has one: so the pooled cell is judged."""
    arms = [replace(choice.quality.arm(), cost=choice.cost.cost if choice.cost else None) for choice in choices if choice.quality]
    whole = pooled(arms)
    return whole.cost if whole else None


def _null(baselines: Sequence[Baseline]) -> Null | None:
    nulls = [one.quality.null for one in baselines if one.quality.null]
    if not nulls:
        return None
    variations = tuple(sorted({said for one in nulls for said in one.variations}))
    return Null(drifts=tuple(drift for one in nulls for drift in one.drifts), processes=max(one.processes for one in nulls), variations=variations)


def _repeated(run: _Run, accepted: Sequence[Baseline]) -> Iterator[tuple[ImageScore, ImageScore]]:
    """Scores of the same request in another run of the same weights: how much a repeat differs."""
    try:
        drafts = {one.task: one for one in draft.read(run.folder.path) if one.model == run.loaded.model}
    except UserError:
        return
    for one in accepted:
        again = drafts.get(one.task)
        if again is None or again.weights != one.weights or again.provenance.run == one.provenance.run:
            continue
        ours = {score.pair: score for score in again.quality.scores}
        yield from ((score, ours[score.pair]) for score in one.quality.scores if score.pair in ours and ours[score.pair].recipe == score.recipe)


def _timed(found: Earlier, run: _Run | None, tasks: Sequence[Task], choices: Sequence[Choice]) -> Earlier:
    """How long an image takes: by the newest run, else by the accepted cost; spreads the other way round."""
    accepted = {task.id: choice.cost.cost for task, choice in zip(tasks, choices, strict=True) if choice.cost and choice.cost.cost}
    sizes: dict[Size, list[float]] = {}
    if run:
        loaded_by: str = f"run {run.folder.path.name}"
        load: float | None = run.loaded.seconds
        for _, made in run.generations:
            if made.times and not made.first_call and made.image:
                sizes.setdefault((made.width, made.height), []).append(made.times.total / made.images_in_call)
    else:
        loaded_by = f"accepted cost of cohort {found.cohort}" if accepted else ""
        load = next((one.load_seconds for one in accepted.values() if one.load_seconds is not None), None)
        for task in tasks:
            if task.id in accepted:
                sizes.setdefault((task.width, task.height), []).extend(accepted[task.id].seconds)
    spreads = found.accepted_cost or (run.cost if run else None)
    source = f"accepted cost of cohort {found.cohort}" if found.accepted_cost else f"run {found.run}" if run else ""
    seconds = {size: median(values) for size, values in sizes.items() if values}
    return replace(found, seconds=seconds, timed=loaded_by, load_seconds=load, cost=spreads, cost_source=source)
