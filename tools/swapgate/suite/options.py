"""What the user asked of this run, as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swapgate.errors import UserError
from swapgate.gates.policy import BUDGET
from swapgate.gates.verdict import GATES
from swapgate.tasks import MOST_REWORDINGS

Budget = Literal["smoke", "gate", "full"]
BUDGETS: tuple[Budget, ...] = ("smoke", "gate", "full")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one run; see `pytest --help`, group swapgate, for their meaning.

    gates: those whose cells were selected, so that nothing is generated for a gate that nobody asked.
    false_alarms: budget of the run in (0, 0.25]; None for the policy's.
    null: fresh processes that repeat part of the requests, to measure how much the model differs from itself.
    budget: how far the run may go (see `suite.rounds`); None for as recorded, and for the whole plan in a new run.
    first_red: make no more images of a model once one of its cells is red at a look (pytest -x).
    gpus: "all", or numbers of devices ("0,2") that the models are spread over (see `suite.devices`); "" for the one that CUDA takes first.
    dry: build every model at full size with random weights; only time and memory are judged.
    wordings: rewordings of every prompt, each drawn with every reworded seed of its task; None for as many as the tasks say.
    compared: the run that stands for the baseline (swapgate compare); "" where it is what was accepted.
    faults: specs of `swapgate.engines.faults`, planted into the judged models beside those of their cards (drills).
    """

    root: Path
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    gates: tuple[str, ...] = GATES
    against: str | None = None
    run_dir: Path | None = None
    resume: Path | None = None
    replay: Path | None = None
    update_baselines: bool = False
    reason: str = ""
    allow_ci: bool = False
    strict: bool = False
    false_alarms: float | None = None
    null: int = 0
    budget: Budget | None = None
    first_red: bool = False
    wordings: int | None = None
    faults: tuple[str, ...] = ()
    dry: bool = False
    gpus: str = ""
    compared: str = ""
    command: str = "pytest"


def wordings(option: str, text: str) -> int | None:
    """How many rewordings of every prompt are asked for; None for nothing. UserError for what is no number from 0 to MOST_REWORDINGS."""
    if not text:
        return None
    if not text.isdecimal() or int(text) > MOST_REWORDINGS:
        raise UserError(
            where=option,
            value=text,
            rule=f"a whole number from 0 to {MOST_REWORDINGS}",
            remedy="write 8, or leave it out for as many as the tasks say",
        )
    return int(text)


def share(option: str, text: str) -> float | None:
    """A share written as 1% or 0.01; None for nothing. UserError outside the policy's range, [0.0001, 0.25]."""
    if not text:
        return None
    try:
        found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        found = math.nan
    low, high = BUDGET
    if not low <= found <= high:
        raise UserError(where=option, value=text, rule="a share of at least 0.01% and at most 25%", remedy="write it as 1% or 0.01")
    return found
