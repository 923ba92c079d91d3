"""What a second GPU saves: the suite over four models on one device, and on two. Not a test.

    PYTHONPATH=tools python tests/benchmarks/gpu_two_devices.py [--steps=8] [--repeats=1] [--first=both|one]

Four cards of the bundled model, each with its committed baseline, in a project of their own; every gate, as `pytest` runs them. More steps
make a call as long as those of full-size models, where they are what a run consists of; with 8 a call is shorter than the start of a process.
A row of Markdown for every run. The quality verdicts and the pictures' figures of both are compared byte for byte; a difference ends the
script with status 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CARDS = ("standin-a", "standin-b", "standin-c", "standin-d")
HONEST = "standin-qwen"
QUALITY = ("usability", "drift", "stability")
DEVICES = {"one": (), "both": ("--gpus=0,1",)}


def main() -> None:
    """Measure, compare, and print."""
    asked = _arguments()
    print(f"{_machine()}; {len(CARDS)} cards of {HONEST}, {asked.steps} steps\n")
    print("| repeat | devices | images | run, s |\n|--:|---|--:|--:|", flush=True)
    shares = []
    with tempfile.TemporaryDirectory() as scratch:
        project = _project(Path(scratch), asked.steps)
        for number in range(asked.repeats):
            order = sorted(DEVICES, reverse=(asked.first == "one") != bool(number % 2))
            seconds = {name: _run(project, number, name) for name in order}
            shares.append(seconds["both"] / seconds["one"])
            same = _quality(project.path / f"one-{number}") == _quality(project.path / f"both-{number}")
            if not same:
                raise SystemExit("the quality verdicts of both runs differ")
    print(
        f"\ntwo devices take {min(shares):.3f} to {max(shares):.3f} of one's time, median {statistics.median(shares):.3f}, n={len(shares)}; same verdicts"
    )


def _arguments() -> argparse.Namespace:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--steps", type=int, default=8)
    made.add_argument("--repeats", type=int, default=1)
    made.add_argument("--first", choices=sorted(DEVICES), default="both", help="which run the first repeat begins with; they take turns")
    return made.parse_args()


def _project(root: Path, steps: int) -> Any:
    """The project of the integration tests with the real model, and four cards of it."""
    path = ROOT / "tests" / "integration" / "real.py"
    spec = importlib.util.spec_from_file_location("swapgate_real_project", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    project, card = module.project(root), module.honest_card()
    for old, new in (("num_inference_steps = 8", f"num_inference_steps = {steps}"), ("expected_forwards = 16", f"expected_forwards = {2 * steps}")):
        assert old in card
        card = card.replace(old, new)
    for name in CARDS:
        project.copy(name, card)
    return project


def _run(project: Any, number: int, name: str) -> float:
    """One run as a user starts it; prints its row and returns its seconds."""
    begin = time.perf_counter()
    run = project.run(f"{name}-{number}", f"--model={','.join(CARDS)}", *DEVICES[name])
    seconds = time.perf_counter() - begin
    if not (run.path / "verdicts.json").is_file():
        raise SystemExit(f"the run failed\n{run.output}")
    events = [json.loads(line) for line in (run.path / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    made = [event for event in events if event["event"] == "generation"]
    failed = [event["generation"]["failure"] for event in made if event["generation"]["failure"]]
    if failed:
        raise SystemExit(f"{len(failed)} pictures failed: {failed[0]}")
    print(f"| {number + 1} | {name} | {len(made)} | {seconds:.1f} |", flush=True)
    return seconds


def _quality(folder: Path) -> str:
    """The quality verdicts and the pictures' figures; only the run's name is its own."""
    data = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    verdicts = [verdict for verdict in data["verdicts"] if verdict["gate"] in QUALITY]
    return json.dumps([verdicts, data["images"], data["wording"]], sort_keys=True).replace(f"--run={folder.name}", "--run=RUN")


def _machine() -> str:
    import torch

    count = torch.cuda.device_count()
    return f"{count} x {torch.cuda.get_device_name()}, torch {torch.__version__}" if count else "no CUDA device"


if __name__ == "__main__":
    main()
