"""What a cell is held against, and the evidence of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from swapgate.baselines.store import Baseline, Choice, Store
from swapgate.cards import Card
from swapgate.gates.compose import cluster
from swapgate.gates.evidence import Arm, Drift, Evidence, Null, Repeat
from swapgate.gates.verdict import POOLED
from swapgate.suite.arms import arm, changed_requests, cohort_of, limits, pooled
from swapgate.suite.planning import Setup
from swapgate.suite.repeats import repeats_of
from swapgate.suite.scoring import judge_name, rescaled
from swapgate.tasks import Task

if TYPE_CHECKING:
    from swapgate.metrics.pixels import Image
    from swapgate.suite.session import Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The other arm of a cell: accepted baselines, or another model of the same run.

    chosen: for each of the tasks why this baseline was chosen, in their order; one entry for the other arm of an A/B run.
    """

    arm: Arm | None
    null: Null | None
    accepted: str
    incomparable: str
    no_cost: str
    baselines: tuple[Baseline, ...] = ()
    other_cohort: bool = False
    chosen: tuple[str, ...] = ()


def evidence(suite: Suite, model: str, task: str, until: int | None = None) -> Evidence:
    """Everything that the cells of one model and task are judged on, up to round `until` (None: all); the same for every gate, so it is kept."""
    rounds = len(suite.schedules[model].rounds) if until is None else until
    if (model, task, rounds) not in suite.evidences:
        suite.evidences[model, task, rounds] = _evidence(suite, suite.card(model), task, rounds)
    return suite.evidences[model, task, rounds]


def reference(suite: Suite, card: Card, tasks: Sequence[Task], until: int | None = None) -> Reference:
    """What the tasks of a model are held against in this run, up to round `until` of the other arm."""
    other = suite.setup.against
    if other is not None:
        seen = suite.seen(other, len(suite.schedules[other.id].rounds) if until is None else until)
        how = "measured in turn" if suite.interleaved(card.id) else "measured one after the other: both did not fit into memory together"
        said = f"{other.id} in this run, {how}"
        return Reference(arm=arm(seen, tasks, other.id), null=None, accepted=said, incomparable="", no_cost="", chosen=(said,))
    return _accepted(suite, card, tasks)


def own_processes(suite: Suite, card: Card) -> tuple[Repeat, ...]:
    """What this run's own null shows of a model's processes, over all its tasks; () where none was measured.

    A process keeps its pace whatever it draws, so a single task's cell is held against what all tasks show of it.
    """
    again = {task.id: repeats_of(suite, card, task) for task in suite.setup.tasks[card.id]}
    if not any(again.values()):
        return ()
    recorded = suite.seen(card, len(suite.schedules[card.id].rounds))
    first = {task.id: arm(recorded, [task], card.id).cost for task in suite.setup.tasks[card.id] if again[task.id]}
    run = [Repeat(run=suite.run.id, process=0, task=task, cost=cost) for task, cost in first.items() if cost]
    return (*run, *(one for repeats in again.values() for one in repeats))


def recorded_edits(store: Store, setup: Setup, card: Card, task: Task, language: str) -> tuple[str, ...]:
    """The rewordings that an accepted baseline of this model was measured with; none in an A/B run, whose arms need the same ones."""
    if setup.against is not None:
        return ()
    for cohort in store.cohorts(card.id, task.id):
        baseline = store.get(card.id, cohort, task.id)
        if baseline is not None and _same_prompt(baseline, card, task, language):
            scores = baseline.quality.scores
            return tuple(sorted({score.edits for score in scores if score.edits and score.language == language}))
    return ()


def _evidence(suite: Suite, card: Card, task: str, until: int) -> Evidence:
    tasks = [one for one in suite.setup.tasks[card.id] if task in (POOLED, one.id)]
    recorded = suite.seen(card, until)
    ours = replace(arm(recorded, tasks, card.id), processes=own_processes(suite, card))
    other = reference(suite, card, tasks, until)
    changed = [] if suite.setup.against else changed_requests(ours.scores, other.arm.scores if other.arm else ())
    incomparable = other.incomparable
    if changed:
        incomparable = f"{len(changed)} requests ask for something else than at the baseline (prompt, size or call), {changed[0]} for one"
    return Evidence(
        model=card.id,
        task=task,
        candidate=ours,
        baseline=other.arm,
        drifts=_drifts(suite, card, ours, other),
        null=other.null,
        limits=limits(card, recorded.loaded, tasks[0] if task != POOLED else None),
        accepted=other.accepted,
        incomparable=incomparable,
        no_cost=other.no_cost,
        other_cohort=other.other_cohort,
        interleaved=suite.interleaved(card.id),
        against=suite.setup.options.against or "baseline",
        planned=_planned(suite, card, tasks, other),
        dry=card.dry or (suite.setup.against is not None and suite.setup.against.dry),
    )


def _planned(suite: Suite, card: Card, tasks: Sequence[Task], other: Reference) -> dict[str, tuple[int, int]]:
    """By prompt, how many requests of the whole plan the other arm holds too, as written (and counted) and reworded."""
    stands = {task.id: task.protocol.counted_index for task in tasks}
    known = {score.pair for score in other.arm.scores} if other.arm and suite.setup.against is None else None
    found: dict[str, list[int]] = {}
    for request in suite.schedules[card.id].requests:
        if request.task in stands and (known is None or request.pair in known) and (request.edits or request.index == stands[request.task]):
            found.setdefault(cluster(request.task, request.language), [0, 0])[bool(request.edits)] += 1
    return {prompt: (written, reworded) for prompt, (written, reworded) in found.items()}


def _accepted(suite: Suite, card: Card, tasks: Sequence[Task]) -> Reference:
    loaded = suite.run.loaded().get(card.id)
    if loaded is None:
        return Reference(arm=None, null=None, accepted="the model was not loaded", incomparable="", no_cost="nothing was measured")
    every = {task.id: suite.store.find(card.id, cohort_of(card, loaded), task.id) for task in suite.setup.tasks[card.id]}
    choices = [every[task.id] for task in tasks]
    arms = [_baseline_arm(suite, card, choice) for choice in choices]
    found = tuple(choice.quality for choice in choices if choice.quality)
    nulls = [baseline.quality.null for baseline in found if baseline.quality.null]
    null = (
        Null(
            drifts=tuple(d for n in nulls for d in n.drifts),
            processes=max(n.processes for n in nulls),
            variations=tuple(sorted({v for n in nulls for v in n.variations})),
        )
        if nulls
        else None
    )
    pool = pooled([one for one in arms if one])
    processes = tuple(repeat for choice in every.values() if choice.cost for repeat in choice.cost.processes())
    compared = suite.setup.options.compared
    return Reference(
        arm=replace(pool, processes=processes) if pool else None,
        null=null,
        accepted=f"run {compared} stands for the baseline" if compared else choices[0].reason,
        other_cohort=bool(compared) and any(choice.no_cost and choice.others for choice in choices),
        baselines=found,
        chosen=tuple(choice.reason for choice in choices),
        incomparable="; ".join(dict.fromkeys(choice.incomparable for choice in choices if choice.incomparable)),
        no_cost="; ".join(dict.fromkeys(choice.no_cost for choice in choices if choice.no_cost)),
    )


def _baseline_arm(suite: Suite, card: Card, choice: Choice) -> Arm | None:
    if choice.quality is None:
        return None
    scale = suite.scales.get(judge_name(card), {})
    scores = tuple(rescaled(score, scale, suite.policy.alignment_bar) for score in choice.quality.quality.scores)
    return replace(choice.quality.arm(), scores=scores, cost=choice.cost.cost if choice.cost else None)


def _drifts(suite: Suite, card: Card, ours: Arm, other: Reference) -> tuple[Drift, ...]:
    if other.arm is None:
        return ()
    theirs = {score.pair: score for score in other.arm.scores}
    pairs = [
        (score.pair, score.image, theirs[score.pair].image) for score in ours.scores if score.counted and not score.edits and score.pair in theirs
    ]
    kept = {sha: baseline for baseline in other.baselines for sha in baseline.quality.kept().values()}

    def load(sha: str) -> Image:
        return suite.store.load_image(kept[sha], sha) if sha in kept and not suite.run.image_path(sha).is_file() else suite.run.load_image(sha)

    return tuple(suite.scorer(card).drifts(pairs, load))


def _same_prompt(baseline: Baseline, card: Card, task: Task, language: str) -> bool:
    """Whether the baseline's rewordings are of today's prompt: its requests as written have today's recipe."""
    from swapgate.plan import round_call

    today = round_call(card, task, language, task.seeds[0]).first.recipe
    return any(score.recipe == today for score in baseline.quality.scores if not score.edits and score.language == language)
