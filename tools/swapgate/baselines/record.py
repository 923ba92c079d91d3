"""The accepted baseline of one model, cohort and task: its data, its JSON and what must hold of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeGuard

from swapgate.canonical import digest, rounded
from swapgate.cards import NAME
from swapgate.errors import UserError
from swapgate.gates.evidence import Arm, Cost, Drift, ImageScore, Null, Repeat

SCHEMA = 1
ANY = "any"  # the cohort of baselines that hold quality only, for whatever hardware
SHA = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What the accepted pictures were like.

    references: pair to SHA-256 of the pixels, for every scored image; null: how much the same model differs from itself.
    """

    scores: tuple[ImageScore, ...]
    references: Mapping[str, str]
    null: Null | None = None

    def kept(self) -> dict[str, str]:
        """Pair to SHA-256 of the images that are stored as files: as written, and counted for their round."""
        return {score.pair: score.image for score in self.scores if not score.edits and score.counted}

    def usable_rate(self) -> float | None:
        """Share of usable images among those that count, in [0, 1]; None for none."""
        counted = [score.usable for score in self.scores if score.counted]
        return sum(counted) / len(counted) if counted else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An acceptance that a later one took the place of. mark: `Baseline.mark` of what was accepted, to be found in version control."""

    run: str
    reason: str
    accepted_by: str
    accepted_on: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a baseline comes from, and who let it in.

    environment: the run's, with device_memory_mib or host_memory_mib where known; card: the declared recipe; faults:
    planted ones, for which nothing is ever accepted; reason and accepted_by are empty in a draft. Dates are ISO 8601 in UTC.
    history: the acceptances before this one, oldest first.
    """

    run: str
    date: str
    environment: Mapping[str, Any]
    versions: Mapping[str, str]
    card: Mapping[str, Any]
    faults: tuple[str, ...]
    reason: str = ""
    accepted_by: str = ""
    accepted_on: str = ""
    history: tuple[Past, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Accepted samples of one task; `cohort` is "any" (quality only) or where its cost figures may be compared.

    repeats: the same first calls in further processes that ran as the card says; () in older files and where none was measured.
    """

    model: str
    task: str
    cohort: str
    accelerator: str
    pipeline: str
    weights: str
    quality: Quality
    cost: Cost | None
    provenance: Provenance
    repeats: tuple[Repeat, ...] = ()
    schema: int = SCHEMA

    @property
    def id(self) -> str:
        """model/cohort/task: its place in the store."""
        return f"{self.model}/{self.cohort}/{self.task}"

    @property
    def cell(self) -> str:
        """model/task: what patterns of the command line match."""
        return f"{self.model}/{self.task}"

    @property
    def mark(self) -> str:
        """SHA-256 of what is accepted, signature included: another one means that somebody accepted something else meanwhile."""
        return digest(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Plain data with floats of six significant digits; scores in the order of their pairs; what is not finite is null.

        A null where a number belongs is one of the `problems`: a draft of a broken run can be read and refused.
        """
        data = asdict(replace(self, quality=replace(self.quality, scores=())))
        data["quality"]["scores"] = [score.as_json() for score in sorted(self.quality.scores, key=lambda score: score.pair)]
        if not self.repeats:  # as in the files of before there were any
            del data["repeats"]
        if not self.provenance.history:
            del data["provenance"]["history"]
        plain: dict[str, Any] = rounded(_nulls(data))
        return plain

    def arm(self) -> Arm:
        """The baseline as one side of a comparison."""
        return Arm(
            model=self.model,
            weights=self.weights,
            accelerator=self.accelerator,
            cohort=self.cohort,
            pipeline=self.pipeline,
            scores=self.quality.scores,
            cost=self.cost,
            source=f"baseline {self.id}, run {self.provenance.run}",
            processes=self.processes(),
        )

    def processes(self) -> tuple[Repeat, ...]:
        """The cost of every process that was measured, the run's own first; () where there is only that one."""
        if self.cost is None or not self.repeats:
            return ()
        return (Repeat(run=self.provenance.run, process=0, task=self.task, cost=self.cost), *self.repeats)


def from_json(data: Any, *, where: str) -> Baseline:
    """The baseline in parsed JSON; UserError for another schema, a missing or an unknown key, or a value of another kind."""
    if not isinstance(data, dict):
        raise _damaged(where, "the file must hold one JSON object")
    if data.get("schema") != SCHEMA:
        raise UserError(
            where=where,
            key="schema",
            value=data.get("schema"),
            rule=f"this version of swapgate reads schema {SCHEMA}",
            remedy="update swapgate, or accept a new baseline: swapgate baselines accept --run=RUN",
        )
    try:
        return Baseline(
            **{
                **data,
                "quality": _quality(data["quality"]),
                "provenance": _provenance(data["provenance"]),
                "cost": None if data["cost"] is None else _cost(data["cost"]),
                "repeats": tuple(Repeat(**{**one, "cost": _cost(one["cost"])}) for one in data.get("repeats", ())),
            }
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(where, f"a whole baseline ({type(error).__name__}: {error})") from None


def problems(baseline: Baseline) -> list[str]:
    """What is wrong with the content of a baseline, in words; empty when it can be compared with."""
    return [*_wrong_names(baseline), *_wrong_scores(baseline.quality), *_wrong_null(baseline.quality.null), *_wrong_cost(baseline)]


def without_cost(baseline: Baseline) -> Baseline:
    """The quality of `baseline` for the cohort "any"."""
    return replace(baseline, cohort=ANY, cost=None, repeats=())


def _quality(data: Mapping[str, Any]) -> Quality:
    null = data["null"]
    if null is not None:
        null = Null(drifts=tuple(Drift(**one) for one in null["drifts"]), processes=null["processes"], variations=tuple(null["variations"]))
    scores = tuple(ImageScore.from_json(one) for one in data["scores"])
    return Quality(**{**data, "scores": scores, "references": dict(data["references"]), "null": null})


def _provenance(data: Mapping[str, Any]) -> Provenance:
    history = tuple(Past(**one) for one in data.get("history", ()))
    return Provenance(**{**data, "faults": tuple(data["faults"]), "history": history})


def _cost(data: Mapping[str, Any]) -> Cost:
    made: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return Cost(**made)


def _damaged(where: str, rule: str) -> UserError:
    return UserError(
        where=where, rule=rule, remedy="restore the file from version control, or accept a new baseline: swapgate baselines accept --run=RUN"
    )


def _wrong_names(baseline: Baseline) -> Iterator[str]:
    for name in ("model", "cohort", "task"):
        if not NAME.fullmatch(str(getattr(baseline, name))):
            yield f"{name} is not usable as a file name: {getattr(baseline, name)!r}"
    if baseline.cohort == ANY and baseline.cost is not None:
        yield 'cost figures in the cohort "any": cost is compared only inside its own cohort'
    if not baseline.weights:
        yield "no hash of the weights"
    if baseline.provenance.faults:
        yield f"made with planted faults: {', '.join(baseline.provenance.faults)}"


def _wrong_scores(quality: Quality) -> Iterator[str]:
    if not quality.scores:
        yield "no scored image"
    if len({score.pair for score in quality.scores}) != len(quality.scores):
        yield "a pair stands twice: one picture would be counted twice"
    for score in quality.scores:
        numbers = {"alignment": score.alignment, "normalised": score.normalised, **score.margins}
        yield from (f"{score.pair}: {name} is {value!r}, not a finite number" for name, value in numbers.items() if not _finite(value))
        if _finite(score.alignment) and abs(score.alignment) > 1:
            yield f"{score.pair}: alignment {score.alignment} is no cosine"
        if score.usable != all(score.bits.values()):
            yield f"{score.pair}: usable = {score.usable} contradicts its checks"
        if not SHA.fullmatch(score.image):
            yield f"{score.pair}: image {score.image!r} is no SHA-256"
        if quality.references.get(score.pair) != score.image:
            yield f"{score.pair}: its score and its reference name different images"


def _wrong_null(null: Null | None) -> Iterator[str]:
    if null is None:
        return
    if not null.drifts:
        yield "quality.null.drifts is empty: a null without a single repeat says nothing"
    for drift in null.drifts:
        wrong = [name for name in ("ssim", "psnr", "clip") if not _finite(getattr(drift, name))]
        yield from (f"quality.null.drifts of {drift.pair}: {name} is {getattr(drift, name)!r}, not finite" for name in wrong)
    if not _finite(null.processes) or null.processes < 1:
        yield f"quality.null.processes is {null.processes!r}: a null is of at least one process"


def _wrong_cost(baseline: Baseline) -> Iterator[str]:
    total = baseline.provenance.environment.get(_memory_key(baseline.accelerator))
    if baseline.cost is not None:
        yield from _wrong_samples("cost", baseline.cost, total)
    elif baseline.repeats:
        yield "repeats without a cost that they repeat"
    keys = [(one.run, one.process) for one in baseline.processes()]
    if len(set(keys)) != len(keys):
        yield "repeats name a process twice: it would be counted twice"
    for place, one in enumerate(baseline.repeats):
        if one.task != baseline.task:
            yield f"repeats[{place}].task is {one.task!r} in a baseline of {baseline.task}"
        yield from _wrong_samples(f"repeats[{place}].cost", one.cost, total)


def _wrong_samples(where: str, cost: Cost, total: object) -> Iterator[str]:
    """total: MiB of the machine's memory, where it is known."""
    if not cost.seconds:
        yield f"{where} without a single call"
    for name in ("seconds", "first_step", "peak_mib"):
        wrong = [value for value in getattr(cost, name) if not _finite(value) or value <= 0]
        yield from (f"{where}.{name} holds {value!r}: a measurement is above 0" for value in wrong)
    for name in ("text", "denoise", "decode", "held_mib", "waited"):
        wrong = [value for value in getattr(cost, name) if not _finite(value) or value < 0]
        yield from (f"{where}.{name} holds {value!r}: a measurement is not below 0" for value in wrong)
    for name in ("first_step", "text", "denoise", "decode", "peak_mib", "held_mib", "images", "numbers", "waited"):
        if (count := len(getattr(cost, name))) not in (0, cost.calls):
            yield f"{where}.{name} has {count} entries for {cost.calls} calls"
    peak = max((value for value in cost.peak_mib if _finite(value)), default=0.0)
    if _finite(total) and peak > total:
        yield f"{where}.peak_mib reaches {peak:g}, above the {total:g} MiB that the machine has"


def _nulls(data: Any) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, Mapping):
        return {key: _nulls(value) for key, value in data.items()}
    return [_nulls(value) for value in data] if isinstance(data, (list, tuple)) else data


def _memory_key(accelerator: str) -> str:
    return "host_memory_mib" if accelerator.startswith("cpu") else "device_memory_mib"


def _finite(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
