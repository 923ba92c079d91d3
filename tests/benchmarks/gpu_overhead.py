"""What a whole run costs beyond the bare pipeline calls that it makes. Not a test.

    PYTHONPATH=tools python tests/benchmarks/gpu_overhead.py MODEL[,MODEL] [--tasks=X,Y] [--repeats=3] [--weights=dry|real] [--bare-calls=N]

A repeat is a run of the latency and memory gates as a user starts it, and then, for each model, the same requests in the same order in a
plain loop: a fresh process with a host's environment, the engine's own loading and placing, no clock, no meter, no hook, no file. Which of
both comes first changes with every repeat. A row of Markdown for each:

    loading    from "MODEL: loading" to the first call: process, imports and weights; on both sides, and compared on neither
    begin      from the start of pytest to the first loading: collection and plan
    run        the rest of the run: calls, meters, images on disk, looks, verdicts, report, the ends of the processes
    calls      of that, the calls themselves by the host's synchronised clock
    bare       the plain loop, first call included, until the device is idle; with --bare-calls, of so many calls, the others at their median
    beyond     run / bare - 1

The last row has the medians, and beyond as least, median and most.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GATES = ("tests/gates/test_latency.py", "tests/gates/test_memory.py")


def main() -> None:
    """Measure, or be the process of the bare calls."""
    asked = _arguments()
    if asked.bare:
        _bare(asked)
        return
    folder = Path(tempfile.mkdtemp(prefix="overhead-"))
    print(f"{asked.models}, {asked.weights} weights, tasks {asked.tasks or 'all'}; {_machine()}\n")
    print("| repeat | first | images | begin s | loading s | run s | calls s | bare s | beyond |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    rows = []
    for number in range(asked.repeats):
        bare_first = bool(number % 2) and bool(rows)  # the bare loop needs the requests of a run: those of the one before
        before = _bares(asked, folder / str(number - 1)) if bare_first else 0.0
        row = _run(asked, folder / str(number))
        row["bare"] = before or _bares(asked, folder / str(number))
        row["beyond"] = row["run"] / row["bare"] - 1
        rows.append(row)
        _show(str(number + 1), "bare" if bare_first else "run", row)
    middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    beyond = [row["beyond"] for row in rows]
    _show("median", "", middle)
    print(f"\nbeyond the bare calls: {min(beyond):+.2%} to {max(beyond):+.2%}, median {middle['beyond']:+.2%}, n={len(rows)}")


def _arguments() -> argparse.Namespace:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("models", metavar="MODEL[,MODEL]")
    made.add_argument("--tasks", default="", metavar="X,Y")
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--weights", choices=("dry", "real"), default="dry")
    made.add_argument("--bare-calls", type=int, default=0, metavar="N", help="make only the first N calls in the plain loop (3 at least)")
    made.add_argument("--bare", type=Path, metavar="RUN", help=argparse.SUPPRESS)
    return made.parse_args()


def _run(asked: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Seconds of a run by the lines that it prints, as they come."""
    options = [f"--model={asked.models}", f"--run-dir={folder}", *([f"--task={asked.tasks}"] if asked.tasks else [])]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *(["--dry-weights"] if asked.weights == "dry" else []), *GATES]
    marks: list[tuple[str, float]] = []
    begin = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout is not None
        said = []
        for line in child.stdout:
            said.append(line)
            if line.rstrip().endswith(": loading"):
                marks.append(("loading", time.perf_counter()))
            elif "images planned" in line:
                marks.append(("ready", time.perf_counter()))
    end = time.perf_counter()
    models = asked.models.split(",")
    if [what for what, _ in marks] != ["loading", "ready"] * len(models):
        raise SystemExit(f"a run loads each model once; this one said {[what for what, _ in marks]}\n{''.join(said)}")
    loading = sum(ready - loads for (_, loads), (_, ready) in zip(marks[::2], marks[1::2], strict=True))
    first = marks[0][1] - begin
    made = _calls(folder)
    if not all(one["image"] for calls in made.values() for one in calls):
        raise SystemExit(f"the run failed\n{''.join(said)}")
    calls = {one["call"]: one["times"]["total"] for several in made.values() for one in several}
    run = end - begin - first - loading
    return {"images": sum(map(len, made.values())), "begin": first, "loading": loading, "run": run, "calls": sum(calls.values())}


def _calls(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What was made, by model, in the order of the journal."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    from swapgate.plan import Request

    model = {Request.from_json(one).key: one["model"] for one in manifest["plan"]}
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[str, list[dict[str, Any]]] = {}
    for event in map(json.loads, lines):
        if event["event"] == "generation":
            found.setdefault(model[event["generation"]["request"]], []).append(event["generation"])
    return found


def _bares(asked: argparse.Namespace, folder: Path) -> float:
    """Seconds of the plain loops of all models, one process each."""
    from swapgate.hosts.running import ALLOCATOR

    environment = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "TOKENIZERS_PARALLELISM": "false", **ALLOCATOR, **os.environ}
    total = 0.0
    for model in asked.models.split(","):
        command = [sys.executable, __file__, model, f"--weights={asked.weights}", f"--bare-calls={asked.bare_calls}", f"--bare={folder}"]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"bare {model}: {', '.join(f'{one:.2f}' for one in found['each'])} s of {found['calls']} calls", file=sys.stderr)
        total += float(found["seconds"])
    return total


def _bare(asked: argparse.Namespace) -> None:
    """The plain loop over the calls that a run made of one model."""
    import torch

    from swapgate.config import find_config
    from swapgate.engines.registry import Setting, create
    from swapgate.suite.options import Options
    from swapgate.suite.planning import prepare

    setup = prepare(find_config(ROOT), Options(root=ROOT, models=(asked.models,), gates=("latency",), dry=asked.weights == "dry"))
    engine: Any = create(setup.models[0], Setting())
    engine._attach = lambda: None  # no hooks
    with torch.no_grad():
        engine.load()
        calls = [engine._arguments(call) for call in _asked(asked.bare, asked.models)]
        seconds = [_timed(engine.pipe, arguments) for arguments in calls[: max(asked.bare_calls, 3) if asked.bare_calls else None]]
    left = len(calls) - len(seconds)
    made = sum(seconds) + (left * statistics.median(seconds[1:]) if left else 0.0)
    print(json.dumps({"seconds": made, "calls": len(calls), "each": seconds}))


def _timed(pipe: Any, arguments: dict[str, Any]) -> float:
    import torch

    begin = time.perf_counter()
    pipe(**arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _asked(folder: Path, model: str) -> list[Any]:
    """The calls of a run in the order in which they were made."""
    from swapgate.runs.folder import RunFolder
    from swapgate.suite.session import planned_calls

    of = {request.key: call for call in planned_calls(RunFolder.open(folder))[model] for request in call.requests}
    return list(dict.fromkeys(of[made["request"]] for made in _calls(folder)[model]))


def _machine() -> str:
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"
    return f"{name}, torch {torch.__version__}"


def _show(number: str, first: str, row: dict[str, float]) -> None:
    figures = " | ".join(f"{row[name]:.1f}" for name in ("begin", "loading", "run", "calls", "bare"))
    print(f"| {number} | {first} | {row['images']:.0f} | {figures} | {row['beyond']:+.2%} |", flush=True)


if __name__ == "__main__":
    main()
