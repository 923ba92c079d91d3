"""What accepting a run would change, in figures that a person can weigh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from swapgate.baselines import draft as drafts
from swapgate.baselines.record import Baseline
from swapgate.baselines.review import target
from swapgate.baselines.store import Store
from swapgate.canonical import rounded

Kind = Literal["new", "changed", "unchanged"]
State = Literal["open", "accepted", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One baseline in a few numbers: share usable in [0, 1], median seconds per image, highest peak in MiB, images."""

    usable: float | None
    seconds: float | None
    peak_mib: float | None
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One draft beside the baseline in its place. parts: what differs (weights, images, scores, cost, repeats, null).

    identical of `shared` requests that both have show the very same pixels; state: whether it was reviewed already.
    """

    id: str
    kind: Kind
    parts: tuple[str, ...]
    before: Figures | None
    after: Figures
    identical: int
    shared: int
    state: State


def diff(
    run: Path,
    store: Store,
    *,
    patterns: Sequence[str] = (),
    cohort: str | None = None,
    with_cost: bool = False,
) -> list[Change]:
    """A Change for each draft of `run` that `patterns` name (all where none is given), in name order."""
    selection = drafts.choose(run, patterns)
    reviews = drafts.reviews(run)
    words: dict[str, State] = {"accept": "accepted", "reject": "rejected"}
    return [
        change(target(draft, cohort=cohort, with_cost=with_cost), store, words.get(reviews.get(draft.id, {}).get("action", ""), "open"))
        for draft in selection.chosen
    ]


def change(after: Baseline, store: Store, state: State = "open") -> Change:
    """What putting `after` into the store would change."""
    before = store.get(after.model, after.cohort, after.task)
    old = before.quality.references if before else {}
    shared = [pair for pair in after.quality.references if pair in old]
    parts = _parts(before, after) if before else ()
    kind: Kind = "new" if before is None else "changed" if parts else "unchanged"
    return Change(
        id=after.id,
        kind=kind,
        parts=parts,
        before=figures(before) if before else None,
        after=figures(after),
        identical=sum(old[pair] == after.quality.references[pair] for pair in shared),
        shared=len(shared),
        state=state,
    )


def figures(baseline: Baseline) -> Figures:
    """The few numbers of a baseline."""
    seconds = [value for value in baseline.cost.seconds if value is not None] if baseline.cost else []
    peaks = [value for value in baseline.cost.peak_mib if value is not None] if baseline.cost else []
    return Figures(
        usable=baseline.quality.usable_rate(),
        seconds=median(seconds) if seconds else None,
        peak_mib=max(peaks, default=None),
        images=len(baseline.quality.scores),
    )


def _parts(before: Baseline, after: Baseline) -> tuple[str, ...]:
    ours, theirs = before.as_json(), after.as_json()
    pairs = {
        "weights": (before.weights, after.weights),
        "images": (ours["quality"]["references"], theirs["quality"]["references"]),
        "scores": (ours["quality"]["scores"], theirs["quality"]["scores"]),
        "null": (ours["quality"]["null"], theirs["quality"]["null"]),
        "cost": (ours["cost"], theirs["cost"]),
        "repeats": (ours.get("repeats"), theirs.get("repeats")),
    }
    return tuple(name for name, (one, other) in pairs.items() if rounded(one) != rounded(other))
