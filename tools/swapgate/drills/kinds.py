"""What a drill is: a planted fault at three doses, where it really happened, and what the gates must make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Gate = Literal["latency", "memory", "usability", "drift", "stability"]
Dose = Literal["mild", "moderate", "severe"]

QWEN, FLUX = "QwenImagePipeline", "FluxPipeline"
BOTH = (QWEN, FLUX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One drill.

    id: its name. about: what goes wrong, in a sentence. sources: public issues and commits where it did.
    mild, moderate, severe: fault specs of `swapgate.engines.faults`; mild is near the floor of the gate that should
    see it, moderate clearly beyond, None where the fault has no such dose.
    fires: gates that must be red at the moderate dose, and at the severe one; usability and stability only of a model that
    has usable pictures to lose, latency and memory only against a baseline of the same cohort. quiet: gates that must not be at any dose;
    the others may, as the dose and the prompts have it. specific: a drill of specificity, which changes no quality.
    pipelines: classes that have what the fault damages. images: how many a call must make for the fault to show.
    """

    id: str
    about: str
    sources: tuple[str, ...]
    mild: str | None
    moderate: str
    severe: str | None
    fires: frozenset[Gate]
    quiet: frozenset[Gate]
    specific: bool = False
    pipelines: tuple[str, ...] = BOTH
    images: int = 1

    @property
    def doses(self) -> dict[Dose, str]:
        """The doses that it has, by name, mildest first."""
        given: dict[Dose, str | None] = {"mild": self.mild, "moderate": self.moderate, "severe": self.severe}
        return {name: spec for name, spec in given.items() if spec is not None}
