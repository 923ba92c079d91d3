"""The policy: how sure a verdict must be, and which differences are too small to matter. Defaults with their reasons.

Read from `[tool.swapgate.policy]` in pyproject.toml; every key is optional. What a cell may claim follows from it:
rates and spreads are judged per model, pooled over its tasks, and per task only with a wider floor that is stated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from swapgate.gates.looks import look_share
from swapgate.gates.verdict import POOLED
from swapgate.reading import Table

Range = tuple[float, float]
MOST_DRAWS = 400_000  # 70 MB of signs for 22 prompts; what needs a smaller p at an early look waits for the last


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Error rates and practical floors. Rates and shares as fractions, memory in MiB, time in seconds.

    false_alarms: the chance that a run in which nothing changed is red anywhere; shared over its claims (see `budget`).
    alpha: one-sided error of a claim that is not an alarm: of PASS in spite of harm beyond the floor, and of IMPROVED.
    harm: one-sided error of a single claim of REGRESSION, the claim's share of `false_alarms`; not read from a file but
    set with `at_most` where the run's claims are counted.
    look, looks: which of the run's looks is judged (see `looks`), set with `at_look`, after which all error rates are that look's
    shares; identity: alpha before that, for the one claim whose looks are nested.
    """

    # One run in a hundred: a gate that cries wolf each month is switched off.
    false_alarms: float = 0.01
    # One in twenty per claim: a harm beyond the floor that is passed today is met again by tomorrow's run.
    alpha: float = 0.05
    # Calls are cheap and many, and several clocks are judged per cell, so time can afford to be surer.
    latency_alpha: float = 0.01
    harm: float = 0.05
    look: int = 1
    looks: int = 1
    identity: float = 0.05
    # 40 draws lie beyond a 1 % bound, which steadies it to about a tenth of its width.
    draws: int = 4000
    seed: int = 2512
    # Below five calls a bootstrap of medians only replays the extremes it saw.
    minimum_calls: int = 5
    # Run-to-run spread of one machine is 1-3 %; public suites flag from 5 to 10 %.
    latency_floor: float = 0.05
    # A relative limit flaps on stages under 10 ms; nobody sees 10 ms before a first step.
    latency_pad_seconds: float = 0.01
    # Allocated peaks repeat to well under 1 %; 128 MiB keeps small models from alarming over one more buffer. Both must be exceeded.
    memory_floor: float = 0.02
    memory_floor_mib: float = 128.0
    # Resident memory holds allocator arenas and libraries as well: public suites allow a host process twice that (256 MiB).
    memory_floor_cpu_mib: float = 256.0
    # A peak that wanders by more than a baseline may move is as likely to end in an out-of-memory error.
    jitter_floor: float = 0.02
    jitter_floor_mib: float = 128.0
    # 0.5 MiB an image fills 24 GiB in no less than 49,000 images; allocated bytes carry no noise that would reach it.
    growth_floor_device_mib: float = 0.5
    # Where a C library does not tell what is in use, resident memory is judged, whose arenas of megabytes hide slower growth.
    growth_floor_cpu_mib: float = 2.0
    # Fewer calls cannot tell a leak from one arena; the pooled cell of a model has them.
    growth_calls: int = 16
    # Caches fill and kernels compile at first: the share of a cell's calls, and the first images of a process,
    # that are left out before slope and jitter are taken.
    warmup_share: float = 0.2
    warmup_images: int = 8
    # 60 pairs without a discordant one bound a fall at 4.9 points.
    usability_drop: float = 0.05
    # 10 pairs without a discordant one bound it at 25.9 points: a single task can claim no finer.
    usability_task_drop: float = 0.30
    # Rounding differences of a legal kernel stay above 0.98; 8-bit weights measured 0.976 and below (SSIM, published for FLUX.2).
    drift_ssim: float = 0.98
    # A root-mean-square error of 8 grey levels in 255, where side by side a person begins to see it.
    drift_psnr: float = 30.0
    # Other seeds of one prompt lie lower, re-encoded or slightly rounded pictures higher.
    drift_clip: float = 0.98
    # One picture in ten that changes for a person's eye: fewer are not met in a day of fifty pictures that somebody looks at.
    drift_share: float = 0.10
    # A null as wide as this would accept another picture: the metric is then said to be blind instead of passing.
    blind_ssim: float = 0.70
    blind_psnr: float = 15.0
    blind_clip: float = 0.85
    # A tenth of what a change of seed does to alignment: less is inside what a user accepts with every seed.
    alignment_floor: float = 0.1
    # A model that hardly varies by seed would make a thousandth of cosine look large: its spread counts as at least this much.
    alignment_spread: float = 0.02
    # On the scale from 0 (a picture of another prompt) to 1 (a matched one): nearer to its own prompt than to a stranger's.
    alignment_bar: float = 0.5
    # Half of the smallest gap that a reader would call another character: the review behind this suite calls 12 % flat, 30 % steep.
    stability_change: float = 0.05
    # A drop is worse than any the baseline had once it is so by a quarter of what a picture is worth: smaller ones are its next sample.
    stability_worst: float = 0.25
    # 24 rewordings without a discordant one bound additional flips at 12 points; a per-task cell uses usability_task_drop.
    stability_flips: float = 0.15
    # Relative change is taken of at least a quarter of the scale: a picture that missed its prompt has no meaningful base.
    stability_guard: float = 0.25

    def at_most(self, harm: float) -> Policy:
        """The same policy for claims of harm that may be wrong with a chance of `harm`; ValueError outside (0, 0.5)."""
        if not 0 < harm < 0.5:
            raise ValueError(f"the chance of a wrong claim lies between 0 and 0.5, not {harm}")
        return replace(self, harm=harm)

    def at_look(self, look: int, looks: int) -> Policy:
        """The same policy at the look-th of `looks` looks: every error rate is what that look may spend. ValueError for a look out of range.

        Medians of many calls have nearly normal scores, so latency's looks are reckoned together (`spending`) and get more each.
        """
        if looks == 1:
            return replace(self, identity=self.alpha)
        from swapgate.gates.spending import spend  # numpy comes with it, which reading a policy does not need

        share = look_share(look, looks)
        return replace(
            self,
            look=look,
            looks=looks,
            identity=self.alpha,
            alpha=share * self.alpha,
            harm=share * self.harm,
            false_alarms=share * self.false_alarms,
            latency_alpha=spend(look, looks, self.latency_alpha),
        )

    @property
    def early(self) -> bool:
        """Whether more looks may follow."""
        return self.look < self.looks

    @property
    def last(self) -> Policy:
        """The policy of the last look, whichever this is."""
        if not self.early:
            return self
        more = look_share(self.looks, self.looks) / look_share(self.look, self.looks)
        return replace(self, look=self.looks, alpha=more * self.alpha, harm=more * self.harm, false_alarms=more * self.false_alarms)

    @property
    def anytime(self) -> float:
        """By how much an error rate of this look may be raised for a test that holds at all early looks together."""
        return float(self.looks - 1) if self.early else 1.0

    @property
    def harm_draws(self) -> int:
        """Random draws that resolve a p as small as `harm`, as far as MOST_DRAWS does."""
        return max(self.draws, min(MOST_DRAWS, math.ceil(10 / self.harm)))

    def usability_limit(self, task: str) -> float:
        """How far the rate of a cell may fall."""
        return self.usability_drop if task == POOLED else self.usability_task_drop

    def flip_limit(self, task: str) -> float:
        """How many more rewordings of a cell may flip from usable to unusable."""
        return self.stability_flips if task == POOLED else max(self.usability_task_drop, self.stability_flips)

    def memory_limit_mib(self, accelerator: str) -> float:
        """MiB by which the peak may exceed the baseline's on this kind of device, however small the baseline is."""
        return self.memory_floor_cpu_mib if accelerator.startswith("cpu") else self.memory_floor_mib

    def drift_limit(self, task: str) -> float:
        """The share of a cell's pictures that may change visibly."""
        return self.drift_share if task == POOLED else max(self.usability_task_drop, self.drift_share)

    def growth_limit(self, accelerator: str) -> float:
        """MiB an image by which the memory of a process may grow on this kind of device."""
        return self.growth_floor_cpu_mib if accelerator.startswith("cpu") else self.growth_floor_device_mib


_WHOLE: dict[str, tuple[int, int]] = {
    "draws": (500, 200_000),
    "seed": (0, 2**31 - 1),
    "minimum_calls": (2, 10_000),
    "growth_calls": (5, 10_000),
    "warmup_images": (0, 10_000),
}
_DERIVED = frozenset({"harm", "look", "looks", "identity"})
_PROBABILITY: Range = (1e-6, 0.25)
# A smaller budget is shared into claims so small that the draws that resolve them (`harm_draws`) fill gigabytes.
BUDGET: Range = (1e-4, 0.25)
_SHARE: Range = (0.0, 1.0)
_RANGES: dict[str, Range] = {
    "alpha": _PROBABILITY,
    "latency_alpha": _PROBABILITY,
    "false_alarms": BUDGET,
    "latency_floor": (0.001, 10.0),
    "latency_pad_seconds": (0.0, 3600.0),
    "memory_floor": (0.0, 10.0),
    "memory_floor_mib": (0.0, 1e6),
    # Peaks of standin-qwen lay 134 MiB apart in 14 processes whose faults hold no memory: a lower floor would call that a regression, as if exact.
    "memory_floor_cpu_mib": (128.0, 1e6),
    "jitter_floor": (0.0, 10.0),
    "jitter_floor_mib": (0.0, 1e6),
    "growth_floor_device_mib": (0.0, 1e6),
    "growth_floor_cpu_mib": (0.0, 1e6),
    "warmup_share": (0.0, 0.5),
    "drift_psnr": (0.0, 200.0),
    "blind_psnr": (0.0, 200.0),
    "alignment_floor": (0.0, 10.0),
    "alignment_spread": (0.0, 1.0),
    "stability_guard": (0.01, 1.0),
}


def read_policy(table: Table) -> Policy:
    """The policy that a TOML table states, defaults for what it leaves out.

    Raises UserError for an unknown key, another type, a value out of range, or a blind level above its floor.
    """
    given: dict[str, float] = {}
    for field in fields(Policy):
        if field.name in _DERIVED:
            continue
        if field.name in _WHOLE:
            low, high = _WHOLE[field.name]
            given[field.name] = table.whole(field.name, field.default, low=low, high=high)
        else:
            lowest, highest = _RANGES.get(field.name, _SHARE)
            given[field.name] = table.number(field.name, field.default, low=lowest, high=highest)
    table.finish()
    policy = Policy(**given)  # type: ignore[arg-type]
    for metric in ("ssim", "psnr", "clip"):
        floor, blind = getattr(policy, f"drift_{metric}"), getattr(policy, f"blind_{metric}")
        if blind >= floor:
            raise table.wrong(f"blind_{metric}", f"must lie below drift_{metric} = {floor:g}", "lower it, or leave it out", blind)
    return policy
