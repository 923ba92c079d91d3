"""Which drills a model gets: a run for every drill, dose and repeat that its pipeline can show, the others with the reason why not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from swapgate.bundled import place
from swapgate.canonical import read_json
from swapgate.cards import Card
from swapgate.drills.kinds import Dose, Drill
from swapgate.engines.faults import parse
from swapgate.engines.scripted_options import ACTED
from swapgate.errors import RunBroken

DOSES: tuple[Dose, ...] = ("mild", "moderate", "severe")
CONTROL = Drill(
    id="nothing", about="Nothing is planted: the honest model once more, so whatever fires is a false alarm or a busy machine.", sources=(),
    mild=None, moderate="", severe=None, fires=frozenset(), quiet=frozenset({"latency", "memory", "usability", "drift", "stability"}), specific=True,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run with one planted fault; `repeat` counts from 1. `name` is its folder below the drill's runs.

    spec: "" for the control, in which nothing is planted.
    """

    drill: Drill
    dose: Dose
    spec: str
    repeat: int

    @property
    def faults(self) -> tuple[str, ...]:
        return (self.spec,) if self.spec else ()

    @property
    def name(self) -> str:
        return f"{self.drill.id}/{self.dose}-{self.repeat}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A drill that does not apply to a model, and why; it is never counted."""

    drill: str
    reason: str


def choose(drills: Iterable[Drill], doses: Sequence[Dose], repeats: int, card: Card, *, images: int) -> tuple[tuple[Job, ...], tuple[Skipped, ...]]:
    """The runs to make, drill by drill, and the drills that do not apply to the card.

    doses: "severe" stands for the heaviest that a drill has, which is moderate where it has no other. images: of a call.
    """
    jobs: list[Job] = []
    skipped: list[Skipped] = []
    pipeline = pipeline_of(card)
    for drill in drills:
        wanted = asked_doses(drill, doses)
        reason = not_applicable(drill, wanted, card, pipeline, images)
        if reason:
            skipped.append(Skipped(drill=drill.id, reason=reason))
            continue
        jobs += [Job(drill=drill, dose=dose, spec=drill.doses[dose], repeat=repeat) for dose in wanted for repeat in range(1, repeats + 1)]
    return tuple(jobs), tuple(skipped)


def controls(repeats: int) -> tuple[Job, ...]:
    """Runs in which nothing is planted."""
    return tuple(Job(drill=CONTROL, dose="moderate", spec=CONTROL.moderate, repeat=repeat) for repeat in range(1, repeats + 1))


def share_of(jobs: Sequence[Job], share: tuple[int, int]) -> tuple[Job, ...]:
    """Every n-th run from the k-th on, of a share (k, n): the n shares are disjoint, hold every run, and are of every drill's kind."""
    k, n = share
    return tuple(jobs[k - 1 :: n])


def asked_doses(drill: Drill, doses: Sequence[Dose]) -> tuple[Dose, ...]:
    """The doses of a drill that were asked for, mildest first."""
    heaviest = list(drill.doses)[-1]
    wanted = {heaviest if dose == "severe" else dose for dose in doses}
    return tuple(dose for dose in DOSES if dose in wanted and dose in drill.doses)


def not_applicable(drill: Drill, doses: Sequence[Dose], card: Card, pipeline: str, images: int) -> str:
    """Why a drill says nothing of this card; "" when it applies."""
    if not doses:
        return f"it has no such dose, only {', '.join(drill.doses)}"
    if card.engine == "scripted":
        unknown = sorted({kind for dose in doses if (kind := parse(drill.doses[dose], where=drill.id).kind) not in ACTED})
        return f"the scripted engine has nothing that {unknown[0]} damages" if unknown else ""
    if pipeline not in drill.pipelines:
        return f"it damages what {' and '.join(drill.pipelines)} have; this is {pipeline or 'a pipeline without a name'}"
    if images < drill.images:
        return f"it shows in calls of {drill.images} images or more, and a call of these tasks makes {images} (images_per_round)"
    return ""


def pipeline_of(card: Card) -> str:
    """The pipeline class of a card: its own word, else that of the model's folder; "" where neither says it."""
    index = place(card.root, card.source) / "model_index.json"
    if card.pipeline or not index.is_file():
        return card.pipeline or ""
    try:
        return str(read_json(index).get("_class_name", ""))
    except (RunBroken, AttributeError):
        return ""
