"""`swapgate standins`: train the bundled stand-in models, measure how well they follow captions, and validate the checks on known pictures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cli.common import FOUND, OK, add_json, config_of, show
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.cli.common import Groups

WEIGHTS = Path("fixtures/weights")
JUDGE = "standin-clip"
VALIDATE = (
    "Measures sensitivity and specificity, with exact 95 % intervals: of every check of health, on healthy pictures (photographs of scikit-image, "
    "renders of the picture world, the reference images of the project's baselines) and on the same with planted faults in three doses; and of facet "
    "checks by standin-clip, on rendered scenes with true and false claims. Takes minutes. Exit status 1: a check of health falls short."
)


def add(groups: Groups) -> None:
    """Add the group to the command line."""
    group = groups.add_parser("standins", help="the bundled stand-in models: train, evaluate, validate the checks")
    verbs = group.add_subparsers(required=True, metavar="VERB")
    train = verbs.add_parser("train", help="train stand-ins and write their folders")
    train.add_argument("--which", default="", metavar="A,B", help="models or stages: qwen,flux,clip or qwen-vae (default: all)")
    train.add_argument("--out", type=Path, metavar="DIR", help=f"where the folders go (default: {WEIGHTS} of the project)")
    train.add_argument("--checkpoints", type=Path, metavar="DIR", help="where an interrupted training left off")
    train.add_argument("--budget", choices=("full", "tiny"), default="full", help="tiny rehearses everything in a few steps")
    train.add_argument("--device", metavar="NAME", help="cpu, cuda:0, … (default: the accelerator if there is one)")
    train.add_argument("--seconds", default="", metavar="STAGE=S,…", help="budgets of single stages in seconds")
    train.add_argument("--extend", action="store_true", help="train finished stages on for another budget")
    train.set_defaults(handler=_train)
    evaluate = verbs.add_parser("evaluate", help="how often stand-ins draw what held-out captions say")
    evaluate.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="folder of a stand-in: fixtures/weights/standin-qwen")
    evaluate.add_argument("-n", type=int, default=128, metavar="N", help="scenes per language (default: 128)")
    evaluate.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda:0, … (default: cpu)")
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.set_defaults(handler=_evaluate)
    validate = verbs.add_parser("validate", help="how often the checks of pictures are right on pictures whose state is known", description=VALIDATE)
    validate.add_argument("-n", type=int, default=500, metavar="N", help="pictures of each fault and dose, and claims of each facet (default: 500)")
    validate.add_argument("--seed", type=int, default=0)
    validate.set_defaults(handler=_validate)
    for verb in (train, evaluate, validate):
        add_json(verb)


def _train(given: argparse.Namespace) -> int:
    budgets = dict(_budget(text) for text in given.seconds.split(",") if text.strip())
    from swapgate.standins.training import run

    which = tuple(name.strip() for name in given.which.split(",") if name.strip()) or run.MODELS
    figures = run.train(
        given.out or config_of(given).root / WEIGHTS,
        which,
        budget=given.budget,
        device=given.device,
        checkpoints=given.checkpoints,
        stage_seconds=budgets,
        extend=given.extend,
    )
    show(given, figures, [f"{stage}: {_plain(found)}" for stage, found in figures.items()])
    return OK


def _evaluate(given: argparse.Namespace) -> int:
    if given.n < 1:
        raise UserError(where="-n", value=given.n, rule="a number of scenes, 1 or more", remedy="leave it out for 128")
    from swapgate.standins.evaluate import evaluate

    found = [evaluate(folder, n=given.n, device=given.device, seed=given.seed) for folder in given.folders]
    show(given, found, [f"{figures['model']}: {_plain(figures)}" for figures in found])
    return OK


def _validate(given: argparse.Namespace) -> int:
    if given.n < 1:
        raise UserError(where="-n", value=given.n, rule="a number of pictures, 1 or more", remedy="leave it out for 500")
    from swapgate.cli import validation
    from swapgate.metrics import known
    from swapgate.metrics.open_clip_judge import LOCAL, OpenClipJudge
    from swapgate.standins import known as world

    config = config_of(given)
    judge = OpenClipJudge(f"{LOCAL}{config.root / WEIGHTS / JUDGE}")
    references = known.pictures_in(config.root / config.baselines)
    healthy = [*known.photographs(seed=given.seed), *references, *world.scenes(given.n, given.seed)[1]]
    measured = known.specificity(healthy), known.sensitivity(healthy, given.n, seed=given.seed), world.answers(judge, given.n, seed=given.seed)
    show(given, validation.as_json(*measured), validation.lines(*measured))
    return FOUND if validation.short(*measured[:2]) else OK


def _plain(figures: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items() if name != "model")


def _budget(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise UserError(where="--seconds", key=name, value=value, rule="a number of seconds", remedy="--seconds=qwen-flow=330") from None
