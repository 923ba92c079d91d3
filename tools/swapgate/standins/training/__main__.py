"""`python -m swapgate.standins.training`: trains stages here, or several chains of them in processes side by side.

--which qwen flux                        one process, stages in order
--chain cuda:0=qwen-vae,qwen-flow --chain cuda:1=flux-vae,flux-flow --chain cpu=qwen-words,flux-words
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from pathlib import Path

from swapgate.errors import UserError
from swapgate.standins.training.run import MODELS, by_model, launch, train


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when every stage came to its end, 1 when a chain failed, 2 for a mistake of the user."""
    given = _parser().parse_args(arguments)
    if given.within:
        given.deadline = time.time() + given.within
    try:
        if given.chain:
            chains = [(chain.split("=")[0], chain.split("=")[1].split(",")) for chain in given.chain]
            results = launch(chains, _passed_on(given), given.out / "logs")
            sys.stdout.write(json.dumps(results) + "\n")
            return int(any(results.values()))
        return _train(given, dict(_budget(text) for text in given.seconds))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _train(given: argparse.Namespace, seconds: dict[str, float]) -> int:
    """Train model after model; one that breaks is reported and the next one still gets its turn."""
    failed = 0
    for names in by_model(given.which):
        try:
            figures = train(
                given.out, names, budget=given.budget, device=given.device, checkpoints=given.checkpoints,
                stage_seconds=seconds, extend=given.extend, deadline=given.deadline, attention=given.attention,
            )  # fmt: skip
            sys.stdout.write(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
        except UserError:
            raise
        except Exception:
            failed = 1
            sys.stderr.write(f"{'+'.join(names)} broke:\n{traceback.format_exc()}")
    return failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m swapgate.standins.training", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder that receives the models' folders")
    parser.add_argument("--checkpoints", type=Path, help="where an interrupted training left off")
    parser.add_argument("--which", nargs="+", default=list(MODELS), help="models or stages")
    parser.add_argument("--budget", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", help="cpu, cuda:0, ...")
    parser.add_argument("--seconds", nargs="*", default=[], metavar="STAGE=S", help="budgets of single stages")
    parser.add_argument("--extend", action="store_true", help="train finished stages on for another budget")
    parser.add_argument("--within", type=float, metavar="S", help="end all stages within this many seconds from now")
    parser.add_argument("--deadline", type=float, help="the same as seconds since the epoch")
    parser.add_argument("--attention", choices=("default", "nocudnn", "efficient", "math"), default="default")
    parser.add_argument("--chain", action="append", metavar="DEVICE=STAGE,STAGE", help="one process of its own; repeat")
    return parser


def _budget(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise UserError(where="--seconds", key=name, value=value, rule="a number of seconds", remedy="--seconds qwen-flow=330") from None


def _passed_on(given: argparse.Namespace) -> list[str]:
    passed = ["--out", str(given.out), "--budget", given.budget, "--attention", given.attention]
    if given.deadline:
        passed += ["--deadline", str(given.deadline)]
    if given.checkpoints:
        passed += ["--checkpoints", str(given.checkpoints)]
    if given.seconds:
        passed += ["--seconds", *given.seconds]
    return passed + (["--extend"] if given.extend else [])


if __name__ == "__main__":
    raise SystemExit(main())
