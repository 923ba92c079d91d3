"""From a run folder (or accepted baselines) to the arms and the evidence that gates read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from swapgate.canonical import digest
from swapgate.cards import Card
from swapgate.gates.evidence import Arm, Cost, ImageScore, Limits, Missing
from swapgate.meters.foreign import said
from swapgate.plan import Request
from swapgate.runs.records import NO_SEED, Generation, Loaded
from swapgate.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a run holds of one model: its card, how it was loaded, requests with what came back, scores of as many.

    places: request key to the place of its last generation in the journal, the order in which calls were made.
    """

    card: Card
    loaded: Loaded | None
    generations: tuple[tuple[Request, Generation], ...]
    scores: tuple[ImageScore, ...]
    places: Mapping[str, int]


def cohort_of(card: Card, loaded: Loaded) -> str:
    """What must be equal to compare cost figures: accelerator, placement and declared recipe, as a folder name."""
    return f"{loaded.accelerator}-{digest([loaded.placement, loaded.dtype, card.recipe()])[:8]}"


def arm(recorded: Recorded, tasks: Sequence[Task], source: str) -> Arm:
    """The arm of one model for `tasks` (one, or all of them pooled)."""
    names = {task.id for task in tasks}
    own = [(request, generation) for request, generation in recorded.generations if request.task in names]
    loaded, card = recorded.loaded, recorded.card
    made = sorted((generation for _, generation in own), key=lambda generation: recorded.places.get(generation.request, -1))
    return Arm(
        model=card.id,
        weights=loaded.weights if loaded else "",
        accelerator=loaded.accelerator if loaded else "",
        cohort=cohort_of(card, loaded) if loaded else "",
        pipeline=card.pipeline or card.engine,
        scores=tuple(score for score in recorded.scores if score.task in names),
        cost=cost(made, loaded),
        missing=tuple(_missing(request, generation) for request, generation in own if not generation.image),
        forwards=_forwards(card, made),
        source=source,
        no_memory=loaded.no_memory if loaded else "",
        no_seed=_no_seed(made, loaded),
    )


def cost(generations: Iterable[Generation], loaded: Loaded | None) -> Cost | None:
    """The cost samples of the calls behind `generations`, in their order; None when nothing was measured.

    `generations` come in the order in which they were made. After a resumption or a restart there are several processes:
    each counts its images from 0, and the first call of each is left out.
    """
    calls = {generation.call: generation for generation in generations if generation.times}
    ordered = [g for g in calls.values() if not g.first_call]
    if not calls:
        return None
    times = [g.times for g in ordered if g.times]
    memory = [g.memory for g in ordered if g.memory]
    memory = memory if len(memory) == len(ordered) else []  # a figure of some calls only would pass for one of all
    first = [g.times.total / g.images_in_call for g in calls.values() if g.first_call and g.times]
    images = tuple(g.images_in_call for g in ordered)
    return Cost(
        seconds=tuple(t.total / n for t, n in zip(times, images, strict=True)),
        first_step=tuple(t.first_step for t in times if t.first_step is not None),
        text=tuple(t.text for t in times if t.text is not None),
        denoise=tuple(sum(t.steps) for t in times if t.steps),
        decode=tuple(t.decode for t in times if t.decode is not None),
        peak_mib=tuple(m.peak for m in memory),
        held_mib=tuple(m.held for m in memory),
        images=images,
        numbers=tuple(g.number for g in ordered),
        first_call_seconds=first[0] if first else None,
        load_seconds=loaded.seconds if loaded else None,
        throttled=tuple(sorted({reason for g in ordered for reason in g.device.throttle})),
        waited=tuple(g.device.waited for g in ordered if g.device.waited is not None),
        foreign=tuple(sorted({name for g in ordered for name, _ in g.device.foreign})),
    )


def pooled(arms: Sequence[Arm]) -> Arm | None:
    """Several tasks' baselines of one model as one arm; None for none."""
    if not arms:
        return None
    costs = [one.cost for one in arms]
    return replace(
        arms[0],
        scores=tuple(score for one in arms for score in one.scores),
        cost=_joined([c for c in costs if c]) if all(costs) else None,
        processes=tuple(process for one in arms for process in one.processes),
    )


def limits(card: Card, loaded: Loaded | None, task: Task | None) -> Limits:
    """The card's limits for the accelerator it ran on; a task may state a usability floor of its own."""
    found = card.ceilings_on(loaded.accelerator if loaded else "cpu")
    floor = task.usability_floor if task and task.usability_floor is not None else card.usability_floor
    return Limits(
        seconds_per_image=found.seconds_per_image,
        first_step_seconds=found.first_step_seconds,
        memory_mib=found.memory_mib,
        growth_mib=found.growth_mib,
        usability_floor=floor,
        compute_floor_seconds=found.compute_floor_seconds,
    )


def changed_requests(ours: Iterable[ImageScore], theirs: Iterable[ImageScore]) -> list[str]:
    """Pairs that both arms have but that were asked differently (prompt, size or call)."""
    recipes = {score.pair: score.recipe for score in theirs}
    return [score.pair for score in ours if recipes.get(score.pair, score.recipe) != score.recipe]


def _joined(costs: Sequence[Cost]) -> Cost:
    def all_of(name: str) -> tuple[float, ...]:
        return tuple(value for one in costs for value in getattr(one, name))

    names = ("seconds", "first_step", "text", "denoise", "decode", "peak_mib", "held_mib", "images", "numbers", "waited")
    joined: Mapping[str, tuple[float, ...]] = {name: all_of(name) for name in names}
    throttled, foreign = (tuple(sorted({said for one in costs for said in getattr(one, name)})) for name in ("throttled", "foreign"))
    return replace(costs[0], throttled=throttled, foreign=foreign, **joined)  # type: ignore[arg-type]


def _no_seed(generations: Iterable[Generation], loaded: Loaded | None) -> str:
    """Why the same seed does not give the same picture, as the engine found out when it loaded or at a call; "" where it does."""
    notes = [*(loaded.notes if loaded else ()), *(note for one in generations for note in one.notes)]
    return next((note.removeprefix(NO_SEED) for note in notes if note.startswith(NO_SEED)), "")


def _missing(request: Request, generation: Generation) -> Missing:
    failure = generation.failure
    if failure is None:
        return Missing(pair=request.pair, kind="not made", reason="the request was not made")
    reason = f"{failure.kind} in stage {failure.stage}: {failure.message}"
    if generation.device.foreign:
        reason += f"; on the device was also {said(generation.device.foreign)}"
    return Missing(pair=request.pair, kind=failure.kind, reason=reason)


def _forwards(card: Card, generations: Sequence[Generation]) -> tuple[tuple[int, int], ...]:
    if card.expected_forwards is None:
        return ()
    calls = {g.call: g.forwards for g in generations if g.image and g.forwards is not None}
    return tuple((card.expected_forwards, seen) for seen in calls.values())
