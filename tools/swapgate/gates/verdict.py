"""The verdict: what a gate says of one cell, with effect, interval, limit, n, reason and the next command to type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Every verdict is one of these; there is no other colour."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    REGRESSION = "REGRESSION"
    IMPROVED = "IMPROVED"
    CHANGED = "CHANGED"  # other weights, other pictures, not shown worse
    INCONCLUSIVE = "INCONCLUSIVE"
    NEW = "NEW"  # no baseline
    INCOMPARABLE = "INCOMPARABLE"  # other hardware or recipe
    ERROR = "ERROR"
    NOT_APPLICABLE = "NOT_APPLICABLE"  # the question has no meaning here, such as quality of random weights


DECIDED = frozenset({Status.PASS, Status.REGRESSION, Status.IMPROVED, Status.CHANGED})
RED = frozenset({Status.REGRESSION, Status.ERROR})
WORST_FIRST = (
    Status.ERROR,
    Status.REGRESSION,
    Status.INCONCLUSIVE,
    Status.INCOMPARABLE,
    Status.NEW,
    Status.CHANGED,
    Status.IMPROVED,
    Status.PASS,
    Status.NOT_APPLICABLE,
)
GATES = ("latency", "memory", "usability", "drift", "stability")
POOLED = "all"  # the task name of a cell that pools a model's tasks


def worst(statuses: list[Status]) -> Status:
    """The status that stands first in WORST_FIRST; PASS for an empty list is never assumed, so it raises ValueError."""
    return min(statuses, key=WORST_FIRST.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One claim inside a verdict (a ceiling, a ratio, a rate), judged on its own.

    effect, low, high (a confidence interval at `confidence`) and limit are in `unit`; None where the claim has none.
    `decides` is False for a claim that is reported beside the verdict and never colours it. p is the one-sided
    probability of a harm at least as large without any real one, where the claim was tested. futile: undecided, and the rest of
    the plan would hardly change that (see `futility`).
    """

    name: str
    status: Status
    effect: float | None
    low: float | None
    high: float | None
    limit: float | None
    unit: str
    n: int
    reason: str
    confidence: float | None = None
    baseline: float | None = None
    candidate: float | None = None
    decides: bool = True
    p: float | None = None
    futile: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said of one cell (gate, model, task). `finding` is the claim that decided, `findings` are all of them.

    images: how many of the model's planned images were made when this was said, of a run that may stop before its end; None elsewhere.
    """

    gate: str
    model: str
    task: str
    status: Status
    reason: str
    next: str
    finding: Finding | None
    findings: tuple[Finding, ...] = ()
    against: str = "baseline"
    images: int | None = None

    @property
    def id(self) -> str:
        """The cell's name in tests, reports and commands: gate/model/task."""
        return f"{self.gate}/{self.model}/{self.task}"

    @property
    def decided(self) -> bool:
        return self.status in DECIDED

    @property
    def applies(self) -> bool:
        """Whether the gate's question has a meaning for this model at all."""
        return self.status is not Status.NOT_APPLICABLE

    @property
    def futile(self) -> bool:
        """Whether it is undecided and what it waits for would hardly come with the rest of the plan."""
        waits = [one for one in self.findings if one.decides and one.status is Status.INCONCLUSIVE]
        return self.status is Status.INCONCLUSIVE and bool(waits) and all(one.futile for one in waits)

    @property
    def red(self) -> bool:
        return self.status in RED

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "id": self.id}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Verdict:
        made = {key: value for key, value in data.items() if key != "id"}
        made["findings"] = tuple(_finding(entry) for entry in made["findings"])
        made["finding"] = _finding(made["finding"]) if made["finding"] else None
        return Verdict(**{**made, "status": Status(made["status"])})


def _finding(data: Mapping[str, Any]) -> Finding:
    return Finding(**{**data, "status": Status(data["status"])})
