"""`swapgate calibrate`: a model against itself, what its null lets the gates claim, and what is amiss with it."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cli.common import FAILED, OK, add_json, add_run, config_of, progress_on_stderr, run_of, show
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.cli.common import Groups
    from swapgate.config import Config
    from swapgate.suite.options import Options

DESCRIPTION = (
    "Makes a run of a model and then its first images again in fresh processes, every second one under a legal variation (thread counts, "
    "attention kernels, accumulation, another device of the same kind). Prints the null as the set of samples that it is, the spread of "
    "times inside a process and between processes, and warnings with their remedy; writes RUN/calibration.json. Accept the run to "
    "put its null into force. Exit status 4: nothing was repeated."
)


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("calibrate", help="measure how much a model differs from itself, before a baseline is accepted", description=DESCRIPTION)
    made.add_argument("--model", default="", metavar="A,B", help="model cards (default: those of [tool.swapgate], or of the run)")
    made.add_argument("--task", default="", metavar="X,Y", help="tasks (default: all of the card's families, or those of the run)")
    made.add_argument("--processes", type=int, default=8, metavar="N", help="further processes of the null in all (default: 8)")
    made.add_argument("--gpus", default="", metavar="all|0,2", help="spread the models over these GPUs, one model a GPU at a time")
    made.add_argument("--run-dir", type=Path, metavar="FOLDER", help="where the new run goes (default: a new folder among the runs)")
    add_run(made)
    add_json(made)
    made.set_defaults(handler=_calibrate)


def _calibrate(given: argparse.Namespace) -> int:
    from swapgate.gates.policy import read_policy
    from swapgate.suite.calibration import calibrate
    from swapgate.suite.calibration_lines import lines

    config = config_of(given)
    made = calibrate(config, _options(given, config), read_policy(config.policy_table()), progress_on_stderr())
    show(given, made.as_json(), lines(made))
    return OK if made.whole else FAILED


def _options(given: argparse.Namespace, config: Config) -> Options:
    from swapgate.suite.options import Options

    if given.processes < 1:
        raise UserError(where="--processes", value=given.processes, rule="a number of processes, 1 or more", remedy="write --processes=8")
    if given.run is not None and given.run_dir is not None:
        raise UserError(where="--run-dir", value=str(given.run_dir), rule="a new run's folder, and --run names one that is there", remedy="give one")
    models, tasks = _names(given.model), _names(given.task)
    options = Options(root=config.root, models=models, tasks=tasks, null=given.processes, gpus=given.gpus, command="swapgate calibrate")
    if given.run is not None:
        return replace(options, resume=run_of(given))
    return replace(options, run_dir=Path(os.path.abspath(given.run_dir)) if given.run_dir else None)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
