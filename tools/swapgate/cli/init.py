"""`swapgate init`: the first card, the first tasks and the five gate tests in a user's own repository."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.canonical import write_atomic
from swapgate.cli.common import OK, add_json, show
from swapgate.config import FILE, find_config
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.cli.common import Groups

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
QUESTIONS = {
    "latency": "Is it slower? Seconds per image and time to the first step, against ceilings and the baseline of the cohort.",
    "memory": "Is it larger? Peak memory against ceiling and baseline, and growth per image.",
    "usability": "Is it less usable? The share of first images that need no second try, against the floor and the baseline.",
    "drift": "Is it different? The same request drawn again, against the baseline's pictures and the measured null.",
    "stability": "Does the wording matter? Approved rewordings, judged against the prompt as written.",
}
CARD = """\
# One model. `swapgate check` reads this without loading anything.
title = "{name}"
engine = "diffusers"
source = "{source}"          # a Hub id, or a folder inside this project
pipeline = "{pipeline}"
licence = "not stated"
tasks = ["first"]
usability_floor = 0.8
timeout_seconds = 600.0
judge = {{ source = "ViT-B-32-SigLIP2-256", pretrained = "webli" }}   # or a folder with open_clip_config.json
dtype = {{ cpu = "float32", cuda = "bfloat16" }}

[call]
num_inference_steps = 30

# [ceilings.cuda]
# seconds_per_image = 20.0
# memory_mib = 70000
"""
TASKS = """\
# A family of tasks; its keys are the defaults of its tasks. Every seed is one round, its first image counts.
width = 1024
height = 1024
seeds = [1, 2, 3, 4, 5, 6, 7, 8]

[[task]]
id = "cup"
title = { en = "A product picture", zh = "产品图" }

[task.prompts]
en = "A white ceramic cup on a wooden table"
zh = "木桌上的一只白色陶瓷杯"

[[task.facets]]
name = "colour"
en = ["a white cup", "a black cup", "a red cup"]
zh = ["白色的杯子", "黑色的杯子", "红色的杯子"]
"""
TABLE = """\
[tool.swapgate]
default_models = ["{name}"]
"""


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("init", help="begin a card, tasks and gate tests in your own repository; overwrites nothing")
    made.add_argument("--name", default="my-model", help="name of the first card (default: my-model)")
    made.add_argument("--source", default="Qwen/Qwen-Image", help="Hub id or folder of the model")
    made.add_argument("--pipeline", default="QwenImagePipeline", help="class of its diffusers pipeline")
    add_json(made)
    made.set_defaults(handler=_init)


def gate_test(gate: str) -> str:
    """The text of tests/gates/test_<gate>.py; the latency gate also plays its times back to pytest-benchmark."""
    plays = gate == "latency"
    extra = "from pytest_benchmark.fixture import BenchmarkFixture\n\n" if plays else ""
    arguments = "cell: CellUnderTest, benchmark: BenchmarkFixture" if plays else "cell: CellUnderTest"
    body = "    cell.play_back(benchmark)\n    cell.check()\n" if plays else "    cell.check()\n"
    return (
        f'"""{QUESTIONS[gate]}"""\n\nfrom __future__ import annotations\n\n{extra}'
        "from swapgate.pytest_plugin.cells import CellUnderTest\n\n\n"
        f"def test_{gate}({arguments}) -> None:\n{body}"
    )


def _init(given: argparse.Namespace) -> int:
    if not _NAME.fullmatch(given.name):
        raise UserError(where="--name", value=given.name, rule="a file name of letters, digits and . _ -", remedy="choose another name")
    for option in ("source", "pipeline"):
        value = getattr(given, option)
        if '"' in value or "\\" in value:
            raise UserError(where=f"--{option}", value=value, rule="no quotation marks or backslashes", remedy="correct it")
    config = find_config(given.project)
    files = {
        config.models / f"{given.name}.toml": CARD.format(name=given.name, source=given.source, pipeline=given.pipeline),
        config.tasks / "first.toml": TASKS,
        **{Path("tests/gates") / f"test_{gate}.py": gate_test(gate) for gate in QUESTIONS},
        Path(FILE): TABLE.format(name=given.name),
    }
    written: list[Path] = []
    kept: list[Path] = []
    for relative, text in files.items():
        (kept if (config.root / relative).exists() else written).append(relative)
        if relative in written:
            write_atomic(config.root / relative, text)
    new, old = [path.as_posix() for path in written], [path.as_posix() for path in kept]
    show(
        given,
        {"root": str(config.root), "written": new, "kept": old},
        [*(f"wrote {path}" for path in new), *(f"kept {path} as it is" for path in old), *_next(kept, given.name)],
    )
    return OK


def _next(kept: list[Path], name: str) -> list[str]:
    table = [f"    {line}" for line in TABLE.format(name=name).splitlines()]
    hint = [f"add to {FILE}, if you like:", *table] if Path(FILE) in kept else []
    return [*hint, "next: swapgate check", f"then: pytest tests/gates --model={name}"]
