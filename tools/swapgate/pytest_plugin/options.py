"""The command line of the suite. Values are plain, written with `=`, and each option stands on its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from swapgate.errors import UserError
from swapgate.report.words import LANGUAGES
from swapgate.suite.options import BUDGETS, Budget, Options, share, wordings

T = TypeVar("T")
# Fresh processes that measure the null when a baseline is accepted (every second with one thread). Four of them repeat 48 pictures
# of six tasks in two languages: 20 changed pictures of 60 are then beyond chance at a gate's share of a 1 % budget.
NULL_PROCESSES = 4
_VARIABLES = {"swapgate_pickle": "SWAPGATE_ALLOW_PICKLE", "swapgate_hash_models": "SWAPGATE_HASH_MODELS"}
"""Options that are read where the weights are, in the model's own process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The group `swapgate`."""
    group = parser.getgroup("swapgate", "text-to-image models: slower, larger, less usable, different?")
    group.addoption(
        "--model", dest="swapgate_model", default="", metavar="A,B", help="model cards to judge (default: those of [tool.swapgate], else all)"
    )
    group.addoption("--task", dest="swapgate_task", default="", metavar="X,Y", help="tasks to judge them by (default: all of the card's families)")
    group.addoption(
        "--against",
        dest="swapgate_against",
        default="",
        metavar="A",
        help="A/B: judge --model against this model (or `itself`) in turn, instead of its baseline",
    )
    group.addoption(
        "--run-dir", dest="swapgate_run_dir", default="", metavar="PATH", help="where the run folder is made (default: .swapgate/runs/<time>)"
    )
    group.addoption(
        "--resume", dest="swapgate_resume", default="", metavar="RUN", help="go on with an interrupted run; finished images are not made again"
    )
    group.addoption("--replay", dest="swapgate_replay", default="", metavar="RUN", help="judge a recorded run again, without loading any model")
    group.addoption(
        "--null", dest="swapgate_null", default="0", metavar="N", help="measure in N fresh processes how much the model differs from itself"
    )
    group.addoption(
        "--gpus",
        dest="swapgate_gpus",
        default="",
        metavar="all|0,2",
        help="spread the models over these GPUs, one model a GPU at a time (a model's own tasks, and both arms of --against, stay on one GPU)",
    )
    group.addoption(
        "--false-alarms",
        dest="swapgate_false_alarms",
        default="",
        metavar="1%",
        help="chance that an unchanged run is red anywhere (default: the policy's, 1%%)",
    )
    group.addoption(
        "--wordings",
        dest="swapgate_wordings",
        default="",
        metavar="K",
        help="reword every prompt in K ways, each made with every reworded seed (default: as many as the tasks say); --plan says what that costs",
    )
    group.addoption(
        "--budget",
        dest="swapgate_budget",
        default="",
        metavar="smoke|gate|full",
        help="the most to make: as far as the first look, to the end of the plan unless all is settled before (default), or the whole plan",
    )
    group.addoption(
        "--plan", dest="swapgate_plan", action="store_true", help="say what the run would make and what its gates could decide, and make nothing"
    )
    group.addoption(
        "--dry-weights",
        dest="swapgate_dry",
        action="store_true",
        help="build every model at full size with random weights, without a download: time and memory are real, quality is not applicable",
    )
    group.addoption(
        "--hash-models",
        dest="swapgate_hash_models",
        action="store_true",
        help="read and hash the weights that ComfyUI workflows name (comfyui.folder)",
    )
    group.addoption(
        "--allow-pickle", dest="swapgate_pickle", action="store_true", help="let cards that ask for it read *.bin weights, which can run code"
    )
    group.addoption(
        "--lang",
        dest="swapgate_lang",
        default=LANGUAGES[0],
        choices=LANGUAGES,
        metavar="en|zh",
        help="language of the report that opens first (default: en)",
    )
    group.addoption("--update-baselines", dest="swapgate_update", action="store_true", help="run, then accept the run as baseline")
    group.addoption("--baseline-reason", dest="swapgate_reason", default="", metavar="TEXT", help="why the baseline is accepted; kept with it")
    group.addoption("--allow-ci-update", dest="swapgate_allow_ci", action="store_true", help="let --update-baselines write where CI is set")


def pytest_configure(config: pytest.Config) -> None:
    """Markers that the suite's own tests use."""
    config.addinivalue_line("markers", "gpu: needs a CUDA device; skipped with a reason elsewhere")
    config.addinivalue_line("markers", "browser: needs a Chromium; skipped with a reason where there is none")


def options_of(config: pytest.Config) -> Options:
    """The options of this session; UsageError for combinations that contradict each other."""
    value = config.getoption
    resume, replay = _path(value("swapgate_resume")), _path(value("swapgate_replay"))
    update = bool(value("swapgate_update"))
    _check_recorded(value, resume, replay)
    if replay and update:
        raise pytest.UsageError("a recorded run is accepted without running: swapgate baselines accept --run=RUN")
    null = _number("--null", value("swapgate_null"))
    if replay and null:
        raise pytest.UsageError("--null measures the model in fresh processes; --replay starts none: leave one of them out")
    if replay and value("swapgate_gpus"):
        raise pytest.UsageError("--gpus says where models run; --replay runs none: leave one of them out")
    if update and value("swapgate_against"):
        raise pytest.UsageError("--update-baselines accepts a run that was judged against its baseline; --against judges it against another model")
    os.environ.update({variable: "1" for option, variable in _VARIABLES.items() if value(option)})
    return Options(
        root=config.rootpath,
        models=_names(value("swapgate_model")),
        tasks=_names(value("swapgate_task")),
        against=value("swapgate_against") or None,
        run_dir=_path(value("swapgate_run_dir")),
        resume=resume,
        replay=replay,
        update_baselines=update,
        reason=value("swapgate_reason"),
        allow_ci=bool(value("swapgate_allow_ci")),
        strict=is_strict(config),
        false_alarms=_checked(share, "--false-alarms", value("swapgate_false_alarms")),
        null=null or (NULL_PROCESSES if update else 0),
        budget=_budget(value("swapgate_budget"), recorded=bool(resume or replay), whole=update or bool(null)),
        wordings=_checked(wordings, "--wordings", value("swapgate_wordings")),
        gpus=value("swapgate_gpus").strip(),
        dry=bool(value("swapgate_dry")),
        first_red=config.getoption("maxfail") == 1,
        command="pytest " + " ".join(argument for argument in config.invocation_params.args if isinstance(argument, str)),
    )


def _check_recorded(value: Callable[[str], Any], resume: Path | None, replay: Path | None) -> None:
    """UsageError for what only a new run can be asked."""
    if resume and replay:
        raise pytest.UsageError("--resume and --replay exclude each other: the first makes images, the second never does")
    if value("swapgate_plan") and (resume or replay):
        raise pytest.UsageError("--plan looks ahead at a new run; --resume and --replay work in the recorded one")
    if (resume or replay) and value("swapgate_run_dir"):
        raise pytest.UsageError("--run-dir names a new run; --resume and --replay work in the recorded one")
    if (resume or replay) and value("swapgate_wordings"):
        raise pytest.UsageError("--wordings says what a new run makes; --resume and --replay have the rewordings of the recorded one")


def is_strict(config: pytest.Config) -> bool:
    """Whether `--strict` was given: pytest's own option, under which undecided cells fail, too.

    pytest 9 turns it into an override of its ini option `strict`; a project that sets that ini option for its own tests
    has not asked for a decision on every cell.
    """
    return "strict=true" in (config.getoption("override_ini") or [])


def _budget(text: str, *, recorded: bool, whole: bool) -> Budget | None:
    """The budget asked for; None, as the run needs it, for a recorded run and for one whose whole plan is needed. UsageError where the whole plan is needed and less is asked for."""
    if whole and text not in ("", "full"):
        raise pytest.UsageError(f"--budget={text}: a baseline and its null need the whole plan; leave it out, or write --budget=full")
    asked = next((one for one in BUDGETS if one == text), None)
    if text and asked is None:
        raise pytest.UsageError(f"--budget={text}: one of {', '.join(BUDGETS)}")
    return asked or (None if recorded or whole else "gate")


def _number(option: str, text: str) -> int:
    """Read here and not by pytest, so that a mistake in any option of the suite ends with the same status."""
    if not (text.isascii() and text.isdecimal()):
        raise pytest.UsageError(f"{option}={text}: a number of processes, 0 or more")
    return int(text)


def _checked(read: Callable[[str, str], T], option: str, text: str) -> T:
    """What `read` makes of the option; its UserError as one of usage."""
    try:
        return read(option, text)
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _path(text: str) -> Path | None:
    return Path(os.path.abspath(text)) if text else None
