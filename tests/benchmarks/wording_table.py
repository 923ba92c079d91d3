"""Planted brittleness of wording, found and shrunk by the search of a stability run on a real pipeline, as a table. Not a test.

    PYTHONPATH=tools OMP_NUM_THREADS=1 python tests/benchmarks/wording_table.py [--seeds=20] [--wordings=48] [--steps=4] [--json=FILE]

standin-qwen is asked for its picture of a product, in each language apart, as two models: one that breaks on a synonym and on the missing full
stop (`engines.faults.wording`, amount 3), and one that draws every rewording as the prompt was written. The seed is, by the name of the task,
that of the draw of rewordings; that of the pictures takes --noises values in turn. Each is a whole run of the stability gate: plan, pictures,
scores by standin-clip, search, trial on fresh seeds, verdicts. A witness broke a fresh seed; what broke none is counted apart, as an accident.

One pipeline is loaded for all runs, in this process, and a picture is made once for what the pipeline is told (prompt, seed): it is the same
one each time. The shares have exact intervals (Clopper and Pearson), two-sided, 95 %. A row of Markdown as soon as it is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from swapgate.cards import Card
from swapgate.plan import Call, Request
from swapgate.runs.records import Generation, Loaded
from swapgate.tasks import Task

ROOT = Path(__file__).parents[2]
MODEL, TASK = "standin-qwen", "product"
HEADER = "| model | language | seeds | searched | the synonym alone | the missing full stop alone | both, nothing else | other witnesses | accidents | no longer usable | red |"
Heard = Callable[[Request], str]


@dataclass(kw_only=True)
class Pipeline:
    """The loaded model, with every picture that it has made, by what it was told."""

    engine: Any
    clock: Any
    made: dict[tuple[str, str | None, int], Any] = field(default_factory=dict)

    @classmethod
    def load(cls, card: Card, threads: int) -> Pipeline:
        from swapgate.engines.registry import Setting, create
        from swapgate.meters.clock import StageClock

        engine = create(card, Setting(threads=threads))
        engine.load()
        meters = engine.meters()
        return cls(engine=engine, clock=StageClock(now=meters.now, synchronise=meters.synchronise))

    def picture(self, request: Request, prompt: str) -> Any:
        """Pixels of the request for another prompt, [height, width, 3] uint8."""
        told = (prompt, request.negative_prompt, request.image_seed)
        if told not in self.made:
            self.clock.start()
            (self.made[told],) = self.engine.make(Call(requests=(replace(request, prompt=prompt, edits=""),)), self.clock)
            self.clock.stop()
        return self.made[told]


class Here:
    """Stands for `swapgate.hosts.process.Host`: the loaded pipeline in this process, told what `heard` makes of a request. It measures no cost."""

    warnings: tuple[str, ...] = ()

    def __init__(self, pipeline: Pipeline, heard: Heard, card: Card) -> None:
        self._pipeline, self._heard, self._card, self._number = pipeline, heard, card, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def abort(self) -> None:
        """There is no process to end."""

    def start(self) -> Loaded:
        said = self._pipeline.engine.identity()
        return Loaded(
            model=self._card.id, seconds=0.0, accelerator="cpu", device_name=platform.machine(), weights=said.weights, placement=said.placement,
            dtype=said.dtype, attention=said.attention, threads=said.threads, versions=said.versions, memory=None,
        )  # fmt: skip

    def make(self, call: Call) -> list[tuple[Generation, Any]]:
        self._number += len(call.requests)
        return [self._generation(call, request, self._pipeline.picture(request, self._heard(request))) for request in call.requests]

    def _generation(self, call: Call, request: Request, pixels: Any) -> tuple[Generation, Any]:
        from swapgate.runs.pixels import MODE, pixel_hash

        made = Generation(
            request=request.key, image=pixel_hash(pixels), width=pixels.shape[1], height=pixels.shape[0], mode=MODE, call=call.key,
            images_in_call=len(call.requests), number=self._number, first_call=False, times=None, memory=None, forwards=None,
        )  # fmt: skip
        return made, pixels


def brittle(_task: Task) -> Heard:
    """Another prompt where the wording has one synonym or lacks its full stop."""
    from swapgate.engines.faults import parse
    from swapgate.engines.faults.wording import Brittle

    planted = Brittle(None, parse("brittle:3", where="this table"))
    return lambda request: str(planted.arguments({"prompt": request.prompt})["prompt"])


def deaf(task: Task) -> Heard:
    """Every rewording is drawn as the prompt was written."""
    return lambda request: task.prompts[request.language] if request.edits else request.prompt


MODELS = {"brittle:3": brittle, "ignores wording": deaf}


def planted(task: Task, language: str) -> tuple[str, str]:
    """The edits that stand for the synonym and for the missing full stop, as witnesses name them. Nothing else breaks it alone."""
    from swapgate import wording
    from swapgate.wording.edits import AppliedEdit, reworded

    prompt, heard = task.prompts[language], brittle(task)
    book = wording.load(ROOT / "fixtures" / "wording").translated(task.prompts)
    ways = [AppliedEdit(edit=edit, place=place) for edit in book.of(language) for place in range(len(edit.changes(prompt)))]
    singles = [reworded(prompt, language, [way]) for way in ways]
    breaking = {one.kinds[0].value: one.labels[0] for one in singles if heard(_asked(one.text)) != one.text}
    if set(breaking) != {"synonym", "punctuation"}:
        sys.exit(f"the planted edits are not the only ones that break: {breaking}")
    return breaking["synonym"], breaking["punctuation"]


def _asked(text: str) -> Request:
    return Request(model="", task="", language="", seed=0, index=0, prompt=text, negative_prompt=None, width=8, height=8, call=())


def project(root: Path, task: Task, language: str, number: int, asked: argparse.Namespace) -> str:
    """A project of that task alone in one language, under another name, which is given; the other prompts of its family are what pictures are told apart from."""
    from swapgate.tasks import read_tasks

    others = [one for one in read_tasks(ROOT / "fixtures" / "tasks").values() if one.family == task.family and one.id != task.id]
    name, seed = f"{task.id}-{number}", 1 + (number - 1) % asked.noises
    lines = [
        f"width = {task.width}", f"height = {task.height}", f"seeds = [{seed}]", f"reworded_seeds = [{seed}]", f"rewordings = {asked.wordings}",
        f"checks = {json.dumps(list(task.checks))}", *_task(name, task, language),
    ]  # fmt: skip
    for facet in task.facets:
        lines += ["[[task.facets]]", f'name = "{facet.name}"', f"{language} = {json.dumps(facet.statements[language], ensure_ascii=False)}"]
    for other in others:
        lines += [*_task(other.id, other, language), "rewordings = 0"]
    for folder in ("models", "tasks"):
        (root / "fixtures" / folder).mkdir(parents=True, exist_ok=True)
    wording = root / "fixtures" / "wording"
    if not wording.exists():
        wording.symlink_to(ROOT / "fixtures" / "wording")
    (root / "fixtures" / "tasks" / f"{task.family}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card = (ROOT / "fixtures" / "models" / f"{MODEL}.toml").read_text(encoding="utf-8").replace("fixtures/weights/", "bundled:")
    card = card.replace("num_inference_steps = 8", f"num_inference_steps = {asked.steps}")
    (root / "fixtures" / "models" / f"{MODEL}.toml").write_text(card, encoding="utf-8")
    (root / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    return name


def _task(name: str, task: Task, language: str) -> list[str]:
    return ["[[task]]", f'id = "{name}"', f"prompts = {{ {language} = {json.dumps(task.prompts[language], ensure_ascii=False)} }}"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run said: the edits of its witnesses with how often each broke on fresh seeds, rewordings that cost a usable picture, red verdicts.

    accidents: smallest rewordings that broke one picture and none of a fresh seed, as the report says of them. pictures: those made beside the plan.
    """

    searched: bool
    witnesses: tuple[tuple[str, int, int], ...]
    accidents: tuple[str, ...]
    pictures: int
    flips: int
    red: int


def run(root: Path, name: str) -> Run:
    """A whole run of the stability gate, on the hosts that were put in its place."""
    from swapgate.config import find_config
    from swapgate.gates.policy import Policy
    from swapgate.suite.options import Options
    from swapgate.suite.session import Suite

    options = Options(root=root, models=(MODEL,), tasks=(name,), gates=("stability",), run_dir=root / "runs" / name, command="wording_table")
    suite = Suite.open(find_config(root), options, Policy())
    cells = suite.setup.cells()
    for cell in cells:
        suite.verdict(cell)
    data = suite.finish(cells)
    found = [row for row in data["wording"] if row["smallest"]]
    written = [score for score in suite.recorded[MODEL].scores if not score.edits]
    suite.run.close()
    return Run(
        searched=all(score.usable for score in written),
        witnesses=tuple((one["edits"], one["broke"], one["tried"]) for one in found if one["broke"]),
        accidents=tuple(one["edits"] for one in found if not one["broke"]),
        pictures=len(suite.run.generations()) - len(list(suite.plan.requests(MODEL))),
        flips=sum(row["flip"] for row in data["wording"] if not row["smallest"]),
        red=sum(verdict["status"] in ("REGRESSION", "ERROR") for verdict in data["verdicts"]),
    )


def measure(pipeline: Pipeline, model: str, language: str, asked: argparse.Namespace) -> list[Run]:
    """A run for every seed."""
    import swapgate.suite.generate as generation
    from swapgate.tasks import read_tasks

    task, found = read_tasks(ROOT / "fixtures" / "tasks")[TASK], []
    heard = MODELS[model](task)
    vars(generation)["Host"] = lambda card, threads=None, **_: Here(pipeline, heard, card)
    for number in range(1, asked.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            found.append(run(Path(folder), project(Path(folder), task, language, number, asked)))
        print(
            f"{model}, {language}, seed {number}: {', '.join(edits for edits, _, _ in found[-1].witnesses) or 'no witness'};"
            f" accidents: {', '.join(found[-1].accidents) or 'none'}; {found[-1].pictures} pictures beside the plan",
            file=sys.stderr,
            flush=True,
        )
    return found


def line(model: str, language: str, runs: Sequence[Run], edits: tuple[str, str]) -> str:
    """A row of the table."""
    from swapgate.gates.statistics import clopper_pearson

    names = [{edits for edits, _, _ in one.witnesses} for one in runs]
    both = sum(found == set(edits) for found in names)
    low, high = clopper_pearson(both, len(runs), 0.025)  # alpha is of each end
    others = sum(len(found - set(edits)) for found in names)
    cells = [
        model, language, str(len(runs)), str(sum(one.searched for one in runs)), *(_tried(one, runs) for one in edits),
        f"{both} ({100 * low:.0f} to {100 * high:.0f} %)", str(others), str(sum(len(one.accidents) for one in runs)),
        str(sum(one.flips for one in runs)), str(sum(one.red for one in runs)),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _tried(edits: str, runs: Sequence[Run]) -> str:
    """In how many runs that edit is a witness, and how often it broke on fresh seeds."""
    found = [(broke, tried) for one in runs for name, broke, tried in one.witnesses if name == edits]
    return f"{len(found)}; broke {sum(broke for broke, _ in found)} of {sum(tried for _, tried in found)}" if found else "0"


def main() -> None:
    """Measure every model in both languages."""
    from importlib.metadata import version

    from swapgate.cards import read_cards
    from swapgate.engines.registry import ENGINES
    from swapgate.tasks import read_tasks

    parser = argparse.ArgumentParser(description="Planted brittleness of wording")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--wordings", type=int, default=48)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--noises", type=int, default=5, help="different seeds of pictures; all draws differ")
    parser.add_argument("--rows", default="", help="only rows whose first cells hold this (brittle:3, en)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    names = ("torch", "diffusers", "transformers", "open_clip_torch", "hypothesis")
    print(
        f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in names)}; {asked.wordings} wordings, {asked.steps} steps\n"
    )
    card = read_cards(ROOT / "fixtures" / "models", root=ROOT, engines=ENGINES)[MODEL]
    pipeline, task, begin = Pipeline.load(card, asked.threads), read_tasks(ROOT / "fixtures" / "tasks")[TASK], time.perf_counter()
    print(f"{HEADER}\n|---|---|{'--:|' * (HEADER.count('|') - 3)}", flush=True)
    done = {}
    for model, language in [(model, language) for model in MODELS for language in task.prompts if asked.rows in f"{model}, {language}"]:
        done[f"{model}/{language}"] = runs = measure(pipeline, model, language, asked)
        print(line(model, language, runs, planted(task, language)), flush=True)
    print(f"\n{sum(map(len, done.values()))} runs, {len(pipeline.made)} pictures, {time.perf_counter() - begin:.0f} s")
    if asked.json:
        rows = {name: [{"seed": at, **vars_of(one)} for at, one in enumerate(runs, 1)] for name, runs in done.items()}
        asked.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def vars_of(one: Run) -> dict[str, Any]:
    """A run as JSON."""
    return asdict(one)


if __name__ == "__main__":
    main()
