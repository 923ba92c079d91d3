"""Calibration: one run held against itself, and what its null lets the gates claim.

Everything is read from a run folder, so a calibration can be read again anywhere; `calibrate` makes what the run lacks first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from swapgate.canonical import dumps, rounded, write_atomic
from swapgate.cards import Card
from swapgate.config import Config
from swapgate.errors import UserError
from swapgate.gates import power
from swapgate.gates.budget import CLAIMS
from swapgate.gates.calibration import Mode, autocorrelation, intraclass, middles, modes, residuals, seed_deviation, spread
from swapgate.gates.evidence import Cost, ImageScore, Null, Repeat
from swapgate.gates.latency import READ
from swapgate.gates.policy import Policy
from swapgate.gates.processes import Between, between, heads, peak_range
from swapgate.gates.statistics import conformal_limit, conformal_rank
from swapgate.gates.verdict import GATES
from swapgate.gates.warning import Warn, warnings
from swapgate.suite.arms import arm
from swapgate.suite.judging import own_processes
from swapgate.suite.options import Options
from swapgate.suite.progress import Progress
from swapgate.suite.repeats import null_of, processes
from swapgate.suite.session import Suite

SCHEMA = 1
FILE = "calibration.json"
_METRICS = {"ssim": 0.01, "psnr": 3.0, "clip": 0.01}  # with how far apart two modes lie at least, in their unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """One metric of the repeats: every value in ascending order (the less alike first), its modes, and the conformal limit that they give.

    rank: which of n values, counted from the least alike, is the limit; the lowest one has a chance of 1 / (n + 1) to be undercut.
    """

    metric: str
    values: tuple[float, ...]
    limit: float
    rank: int
    modes: tuple[Mode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """One time of a model, seconds an image (a call for the first step and stages).

    within: relative spread of calls inside the run's process, tasks apart; neighbours: rank correlation of a call with the next;
    between: spread from process to process, None where fewer than three were measured. smallest: the smallest slowdown, in percent, that
    a run of as many calls finds with 95 % at its share of the budget; None where none is found. passes: whether an unchanged one passes.
    """

    name: str
    calls: int
    median: float
    within: float
    neighbours: float | None
    between: Between | None
    smallest: float | None
    passes: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The highest peak of the run (MiB), and over how much the peaks of its processes range at the same calls."""

    peak: float
    range: float
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Deviation of the alignment (cosine) between seeds of a prompt; ICC(1) of images in their rounds, None where it was not measured."""

    images: int
    prompts: int
    seeds: float | None
    rounds: float | None
    images_per_round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What one model's run against itself shows. variations: processes of the null by the name of how they ran.

    null and repeats are the samples themselves; everything else is read off them.
    """

    model: str
    accelerator: str
    variations: tuple[tuple[str, int], ...]
    pictures: tuple[Pictures, ...]
    times: tuple[Time, ...]
    peaks: Peaks | None
    alignment: Alignment
    warnings: tuple[Warn, ...]
    null: Null | None
    repeats: tuple[Repeat, ...]

    @property
    def measured(self) -> bool:
        """Whether anything was repeated."""
        return self.null is not None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What `calibrate` made: the run, its models, the page of its report, and what to type next."""

    run: str
    models: tuple[Calibration, ...]
    page: str
    next: str

    @property
    def whole(self) -> bool:
        return all(one.measured for one in self.models)

    def as_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "run": self.run, "next": self.next, "page": self.page, "models": [one.as_json() for one in self.models]}


def calibrate(config: Config, options: Options, policy: Policy, progress: Progress | None = None) -> Calibrated:
    """Make (or go on with) the run that the options name, with its null, and read the calibration off it.

    The run is judged and leaves drafts as one that pytest makes. UserError for mistakes in cards, tasks or options, and for an A/B run.
    """
    suite = Suite.open(config, options, policy, progress)
    try:
        if suite.setup.against is not None:
            raise UserError(
                where=str(suite.run.path),
                key="against",
                value=suite.setup.against.id,
                rule="a calibration is of one model against itself, and its accepted null of a run of its own",
                remedy="calibrate a run that was made without --against",
            )
        page = suite.judge_all()
        models = tuple(calibration(suite, card) for card in suite.setup.models)
        made = Calibrated(run=suite.run_name, models=models, page=str(page), next=_next(suite, models))
        write_atomic(suite.run.path / FILE, dumps(rounded(made.as_json()), indent=1) + "\n")
        return made
    finally:
        suite.run.close()


def calibration(suite: Suite, card: Card) -> Calibration:
    """What the run of `suite` shows of a model that it has scored."""
    recorded, tasks, policy = suite.recorded[card.id], suite.setup.tasks[card.id], suite.policy
    null, repeats = null_of(suite, card, tasks), own_processes(suite, card)
    whole = arm(recorded, tasks, card.id)
    costs = {task.id: cost for task in tasks if (cost := arm(recorded, [task], card.id).cost) and cost.calls}
    floor = card.ceilings_on(whole.accelerator or "cpu").compute_floor_seconds
    harm = policy.false_alarms / len(suite.setup.models) / len(GATES) / CLAIMS["latency"]
    return Calibration(
        model=card.id,
        accelerator=whole.accelerator,
        variations=tuple(sorted(Counter(one.variation for one in processes(suite, card.id)).items())),
        pictures=_pictures(null, policy) if null else (),
        times=_times(costs, repeats, policy.at_most(harm)),
        peaks=_peaks(costs, repeats),
        alignment=_alignment(whole.scores),
        warnings=warnings(costs, repeats, null, policy, floor),
        null=null,
        repeats=repeats,
    )


def _pictures(null: Null, policy: Policy) -> tuple[Pictures, ...]:
    found = []
    for metric, apart in _METRICS.items():
        values = [getattr(one, metric) for one in null.drifts]
        limit = -conformal_limit([-value for value in values], policy.alpha)
        rank = len(values) - conformal_rank(len(values), policy.alpha) + 1
        seen = modes(values, [one.variation for one in null.drifts], apart)
        found.append(Pictures(metric=metric, values=tuple(sorted(values)), limit=limit, rank=rank, modes=seen))
    return tuple(found)


def _times(costs: dict[str, Cost], repeats: Sequence[Repeat], policy: Policy) -> tuple[Time, ...]:
    """Of every time that was measured; policy: with `harm` at the share of one claim of time."""
    found = []
    for name, read in READ.items():
        # As if this time were the whole: the same reading of samples serves all of them.
        own = {task: replace(cost, seconds=tuple(read(cost))) for task, cost in costs.items() if len(read(cost)) == cost.calls}
        values = [value for cost in own.values() for value in cost.seconds if value > 0]
        if values:
            found.append(_time(name, values, residuals(own, middles(own)), between(repeats, read), policy))
    return tuple(found)


def _time(name: str, values: Sequence[float], logs: Sequence[float], apart: Between | None, policy: Policy) -> Time:
    cv, neighbours, n = spread(logs), autocorrelation(logs), len(values)
    smallest, passes = None, None
    if apart is not None and apart.deviation > 0 and n >= policy.minimum_calls:
        noise: dict[str, Any] = {"cv": cv, "correlation": min(0.95, max(0.0, neighbours or 0.0)), "between": (apart.apart, apart.freedom)}
        reaches = [power.time_harm(n, alpha=alpha, floor=policy.latency_floor, **noise).smallest for alpha in (policy.harm, policy.latency_alpha)]
        smallest = max(one for one in reaches if one is not None) if None not in reaches else None
        passes = power.time_pass(n, alpha=policy.latency_alpha, floor=policy.latency_floor, **noise).enough
    return Time(name=name, calls=n, median=median(values), within=cv, neighbours=neighbours, between=apart, smallest=smallest, passes=passes)


def _peaks(costs: dict[str, Cost], repeats: Sequence[Repeat]) -> Peaks | None:
    peaks = [peak for cost in costs.values() for peak in cost.peak_mib]
    if not peaks:
        return None
    jitter, n = peak_range(repeats, {one.task for one in heads(repeats)})
    return Peaks(peak=max(peaks), range=jitter, processes=n or 1)


def _alignment(scores: Sequence[ImageScore]) -> Alignment:
    """Of pictures of prompts as written; between seeds only those that stand for their round count."""
    written = [score for score in scores if not score.edits]
    first: dict[Any, list[float]] = {}
    rounds: dict[Any, dict[Any, list[float]]] = {}
    for score in written:
        prompt = (score.task, score.language)
        rounds.setdefault(prompt, {}).setdefault(score.seed, []).append(score.alignment)
        if score.counted:
            first.setdefault(prompt, []).append(score.alignment)
    each = max((len(images) for found in rounds.values() for images in found.values()), default=0)
    counted = sum(map(len, first.values()))
    return Alignment(images=counted, prompts=len(first), seeds=seed_deviation(first), rounds=intraclass(rounds), images_per_round=each)


def _next(suite: Suite, models: Sequence[Calibration]) -> str:
    """Cost of a CPU is kept only if that is asked for."""
    cost = " --with-cost" if any(one.accelerator.startswith("cpu") for one in models) else ""
    names = " ".join(f"'{one.model}/*'" for one in models)
    return f"swapgate baselines accept --run={suite.run_name}{cost} {names}"
