"""Drafts: what a run would become as baselines. Accepting one copies it, so nothing is generated again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swapgate.baselines.draft import write
from swapgate.baselines.store import Baseline, Provenance, Quality
from swapgate.cards import Card
from swapgate.suite.arms import arm, cohort_of
from swapgate.suite.environments import environment_of
from swapgate.suite.repeats import null_of, repeats_of
from swapgate.tasks import Task

if TYPE_CHECKING:
    from swapgate.suite.session import Suite


def write_drafts(suite: Suite) -> None:
    """A draft for every task of a judged model of which no image is missing; none for an A/B run, whose arms share the machine.

    None either for a model that was settled before the end of its plan: `--resume=RUN --budget=full` makes the rest.
    """
    if suite.setup.against is not None:
        return
    for card in suite.setup.models:
        recorded = suite.recorded.get(card.id)
        whole = sum(len(call.requests) for call in suite.plan.calls[card.id])
        if recorded is None or recorded.loaded is None or len(recorded.generations) < whole:
            continue
        for task in suite.setup.tasks[card.id]:
            draft = _draft(suite, card, task)
            if draft is not None:
                write(suite.run.path, draft)


def _draft(suite: Suite, card: Card, task: Task) -> Baseline | None:
    return None if arm(suite.recorded[card.id], [task], card.id).missing else recorded_baseline(suite, card, task)


def recorded_baseline(suite: Suite, card: Card, task: Task) -> Baseline | None:
    """What a run holds of a scored model and task, complete or not, in the form of a baseline; None where nothing was scored."""
    recorded = suite.recorded[card.id]
    loaded = recorded.loaded
    ours = arm(recorded, [task], card.id)
    if loaded is None or not ours.scores:
        return None
    return Baseline(
        model=card.id,
        task=task.id,
        cohort=cohort_of(card, loaded),
        accelerator=loaded.accelerator,
        pipeline=ours.pipeline,
        weights=loaded.weights,
        cost=ours.cost,
        repeats=repeats_of(suite, card, task) if ours.cost else (),
        quality=Quality(scores=ours.scores, references={score.pair: score.image for score in ours.scores}, null=null_of(suite, card, [task])),
        provenance=Provenance(
            run=suite.run.id,
            date=suite.run.manifest["created"],
            environment=_environment(suite, card),
            versions=dict(loaded.versions),
            card=suite.run.manifest["cards"][card.id],
            faults=card.faults,
        ),
    )


def _environment(suite: Suite, card: Card) -> dict[str, Any]:
    """The part of the environment that can change a picture or its cost; versions stand apart."""
    whole = environment_of(suite.run.manifest, card.id)
    return {key: value for key, value in whole.items() if key not in ("packages", "git")}
