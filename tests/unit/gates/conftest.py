"""Builders of evidence for the gates' tests: everything is as accepted unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from swapgate.gates.evidence import Arm, Cost, Drift, Evidence, ImageScore, Limits, Missing, Null, Repeat
from swapgate.gates.policy import Policy

NO_LIMITS = Limits(seconds_per_image=None, first_step_seconds=None, memory_mib=None, growth_mib=None, usability_floor=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Makes the parts of an evidence; `seed` numbers make the simulated noise."""

    policy: Policy

    def score(self, **given: Any) -> ImageScore:
        """One usable picture of prompt cat, English, seed 0."""
        made: dict[str, Any] = {
            "task": "cat",
            "language": "en",
            "seed": 0,
            "index": 0,
            "edits": "",
            "usable": True,
            "alignment": 0.3,
            "normalised": 1.0,
            "margins": {},
            "recipe": "r",
            "bits": None,
            "image": None,
            "pair": None,
            **given,
        }
        tail = f"/{made['edits']}" if made["edits"] else ""
        made["pair"] = made["pair"] or f"{made['task']}/{made['language']}/{made['seed']}/{made['index']}{tail}"
        made["image"] = made["image"] or f"image of {made['pair']}"
        made["bits"] = made["bits"] or {"health:noise": True, "alignment": made["usable"]}
        return ImageScore(**made)

    def rounds(self, usable: Sequence[bool], arm: str = "", prompts: int = 12, **given: Any) -> tuple[ImageScore, ...]:
        """One picture a round, prompts in turn; `arm` makes the pictures differ from another arm's."""
        return tuple(
            self.score(task=f"task{i % prompts}", seed=i // prompts, usable=good, image=f"{arm}{i}" if arm else None, **given)
            for i, good in enumerate(usable)
        )

    def cost(self, seconds: Sequence[float] | float = 3.0, calls: int = 30, **given: Any) -> Cost:
        """Calls of one image each; stages are shares of the total; memory is level at 20,000 MiB."""
        total = np.full(calls, seconds) if isinstance(seconds, float) else np.asarray(seconds)
        n = len(total)
        made: dict[str, Any] = {
            "seconds": total,
            "first_step": total * 0.1,
            "text": total * 0.02,
            "denoise": total * 0.9,
            "decode": total * 0.08,
            "peak_mib": [20_000.0] * n,
            "held_mib": [18_000.0] * n,
            "images": [1] * n,
            "numbers": range(1, n + 1),
            **given,
        }
        tuples = {
            name: tuple(np.asarray(values).tolist())
            for name, values in made.items()
            if name not in ("first_call_seconds", "load_seconds", "throttled", "foreign")
        }
        rest = {
            "first_call_seconds": given.get("first_call_seconds", 9.0),
            "load_seconds": given.get("load_seconds", 20.0),
            "throttled": given.get("throttled", ()),
            "foreign": given.get("foreign", ()),
        }
        return Cost(**tuples, **rest)

    def noisy(self, median: float, spread: float, calls: int, seed: int, **given: Any) -> Cost:
        """Log-normal times with a relative spread and 2 % outliers of half as long again."""
        generator = np.random.default_rng(seed)
        times = median * np.exp(generator.normal(0, spread, calls)) * np.where(generator.random(calls) < 0.02, 1.5, 1.0)
        return self.cost(times, **given)

    def processes(self, cost: Cost | None, spread: float = 0.001, n: int = 10, task: str = "cat", seed: int = 7) -> tuple[Repeat, ...]:
        """The process of `cost` and n - 1 more, which make its first ten calls again, each at its own pace (log-normal spread)."""
        if cost is None:
            return ()
        paces = np.exp(np.random.default_rng(seed).normal(0, spread, n))
        again = [Repeat(run="r", process=number, task=task, cost=self.paced(cost, float(paces[number]))) for number in range(1, n)]
        return (Repeat(run="r", process=0, task=task, cost=cost), *again)

    def paced(self, cost: Cost, pace: float, calls: int = 10) -> Cost:
        """The first calls of a cost, all times longer by the same factor."""
        times = {
            name: tuple(float(value) * pace for value in getattr(cost, name)[:calls])
            for name in ("seconds", "first_step", "text", "denoise", "decode")
        }
        rest = {name: getattr(cost, name)[:calls] for name in ("peak_mib", "held_mib", "images", "numbers")}
        return replace(cost, **times, **rest)

    def arm(self, **given: Any) -> Arm:
        made: dict[str, Any] = {
            "model": "m",
            "weights": "w1",
            "accelerator": "nvidia-h200",
            "cohort": "c",
            "pipeline": "P",
            "scores": (),
            "cost": None,
            **given,
        }
        return Arm(**made)

    def evidence(self, candidate: Arm, baseline: Arm | None, **given: Any) -> Evidence:
        quiet = self.null([self.drift(identical=True)] * 48)
        made: dict[str, Any] = {"model": "m", "task": "all", "drifts": (), "null": quiet, "limits": NO_LIMITS, "accepted": "a", **given}
        return Evidence(candidate=candidate, baseline=baseline, **made)

    def limits(self, **given: Any) -> Limits:
        return replace(NO_LIMITS, **given)

    def drift(self, ssim: float = 1.0, psnr: float = 100.0, clip: float = 1.0, pair: str = "p", identical: bool = False) -> Drift:
        return Drift(pair=pair, identical=identical, ssim=ssim, psnr=psnr, clip=clip)

    def null(self, drifts: Sequence[Drift], processes: int = 3) -> Null:
        return Null(drifts=tuple(drifts), processes=processes, variations=("threads",))

    def missing(self, n: int = 2) -> tuple[Missing, ...]:
        return tuple(Missing(pair=f"cat/en/{i}/0", kind="time-out", reason="time-out in stage denoise: 600 s") for i in range(n))


@pytest.fixture(scope="session")
def build() -> Build:
    """The builders under the default policy."""
    return Build(policy=Policy())
