"""What a gate reads: scored images and costs of the candidate, the same of the baseline, and the measured null.

An *arm* is one side of a comparison: the candidate run, or what it is held against (an accepted baseline or another model).
Gates are pure functions of `Evidence` and a policy; nothing here knows of files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FEWEST_PROCESSES = 3  # two give a spread of a single degree of freedom, whose bounds are a hundred spreads wide


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScore:
    """One scored image.

    pair: names the request across arms ("task/language/seed/index[/edits]"); recipe: hash of what was asked;
    image: SHA-256 of its pixels; bits: every check that the task requires, by name ("health:noise", "alignment",
    "facet:colour"); usable: all of them hold; alignment: cosine of picture and *original* prompt, in [-1, 1];
    normalised: alignment on the scale 0 = a picture of another task, 1 = the mean matched picture of the baseline's
    judge calibration; margins: facet margins (cosine over the best counterfactual). counted: stands for its round.
    unjudged: checks that the task requires and that could not be judged; they are in no bit, and `usable` says nothing of them.
    """

    pair: str
    recipe: str
    task: str
    language: str
    seed: int
    index: int
    edits: str
    image: str
    bits: Mapping[str, bool]
    usable: bool
    alignment: float
    normalised: float
    margins: Mapping[str, float]
    counted: bool = True
    unjudged: tuple[str, ...] = ()

    @property
    def original(self) -> str:
        """The pair of the request as written, of which this is a rewording (or itself)."""
        return f"{self.task}/{self.language}/{self.seed}/{self.index}"

    def as_json(self) -> dict[str, Any]:
        plain = {**asdict(self), "bits": dict(self.bits), "margins": dict(self.margins), "unjudged": list(self.unjudged)}
        return plain if self.unjudged else {name: value for name, value in plain.items() if name != "unjudged"}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ImageScore:
        return ImageScore(**{**data, "unjudged": tuple(data.get("unjudged", ()))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost samples in the order in which calls were made, the first call after loading left out (it is in `first_*`).

    Seconds are per image (a call's time over its images); first_step is per call. Memory in MiB per call:
    peak (allocated on a device, resident on a CPU) and held after the call (allocated, in use). `numbers` counts
    the images that the process had made before the call. waited: shares of the time it could have run in which other work kept a call
    waiting for a processor; empty where that was not measured. One entry a call in every tuple of figures.
    foreign: names of other processes that were on the device during any of these calls.
    """

    seconds: tuple[float, ...]
    first_step: tuple[float, ...]
    text: tuple[float, ...]
    denoise: tuple[float, ...]
    decode: tuple[float, ...]
    peak_mib: tuple[float, ...]
    held_mib: tuple[float, ...]
    images: tuple[int, ...]
    numbers: tuple[int, ...]
    first_call_seconds: float | None
    load_seconds: float | None
    throttled: tuple[str, ...] = ()
    waited: tuple[float, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def calls(self) -> int:
        return len(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """The cost of one task in one process, of several that were started as the card says and made the same first calls.

    run, process: which process it was; process 0 is the one that made the run itself, the others repeat its first calls.
    """

    run: str
    process: int
    task: str
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A request of this cell that has no image, and why."""

    pair: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One side of a comparison, for one cell (a task, or all tasks of a model pooled).

    weights identifies the model's files; cohort is accelerator, placement and declared recipe; accelerator is the slug.
    forwards: (asked, seen) number of transformer forwards of every call whose card states it.
    processes: what differs from process to process, by process and task, of all tasks of the model that were measured so;
    empty where a single process is all there is. `cost` is in it as process 0 of its run.
    no_memory, no_seed: why memory was not measured, and why a seed does not give its picture again; "" where neither is so.
    """

    model: str
    weights: str
    accelerator: str
    cohort: str
    pipeline: str
    scores: tuple[ImageScore, ...]
    cost: Cost | None
    missing: tuple[Missing, ...] = ()
    forwards: tuple[tuple[int, int], ...] = ()
    source: str = ""
    processes: tuple[Repeat, ...] = ()
    no_memory: str = ""
    no_seed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far one candidate image is from the baseline's image of the same request.

    ssim in [-1, 1], psnr in dB (capped), clip = cosine of the two pictures; identical: the same pixels.
    variation: of a drift of the null, how its process differed from the run's ("" where it was not recorded).
    """

    pair: str
    identical: bool
    ssim: float
    psnr: float
    clip: float
    variation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """How much the accepted model differs from itself: drift of repeats in fresh processes, under every legal variation at hand."""

    drifts: tuple[Drift, ...]
    processes: int
    variations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The card's absolute limits that hold for this arm's accelerator; None where it sets none.

    compute_floor_seconds: no image can take less, because the arithmetic alone takes as long.
    """

    seconds_per_image: float | None
    first_step_seconds: float | None
    memory_mib: float | None
    growth_mib: float | None
    usability_floor: float
    compute_floor_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything one cell is judged on.

    baseline is None when nothing was accepted (NEW) and `incomparable` says why a baseline exists but cannot be used
    for quality; `no_cost` says why cost cannot be compared ("" when it can). interleaved: the arms were measured in turn.
    other_cohort: costs of the other side are there, and are of another cohort: asked for a comparison, that is INCOMPARABLE whatever ceilings say.
    against names the other arm: "baseline" or the model given with --against.
    planned: by prompt, how many requests that the other arm holds the whole plan has, as (as written and counted, reworded), where images
    may be left to make; empty where everything was asked. dry: an arm has random weights, so that only cost is judged.
    """

    model: str
    task: str
    candidate: Arm
    baseline: Arm | None
    drifts: tuple[Drift, ...]
    null: Null | None
    limits: Limits
    accepted: str
    incomparable: str = ""
    no_cost: str = ""
    other_cohort: bool = False
    interleaved: bool = False
    against: str = "baseline"
    planned: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    dry: bool = False

    @property
    def processes(self) -> int:
        """In how many processes the times of an arm were measured: of the baseline, or of the candidate where those are more."""
        arms = [arm for arm in (self.baseline, self.candidate) if arm]
        counts = [Counter(run for run, _ in {(one.run, one.process) for one in arm.processes}) for arm in arms]
        return max((n for runs in counts for n in runs.values()), default=0)

    @property
    def same_weights(self) -> bool:
        return self.baseline is not None and self.baseline.weights == self.candidate.weights
