"""What the user asked of this run, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swapgate.gates.verdict import GATES


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one run; see `pytest --help`, group swapgate, for their meaning.

    gates: those whose cells were selected, so that nothing is generated for a gate that nobody asked.
    false_alarms: budget of the run in (0, 0.25]; None for the policy's.
    null: fresh processes that repeat part of the requests, to measure how much the model differs from itself.
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
    command: str = "pytest"
