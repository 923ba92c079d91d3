"""A small project with scripted models, in which the whole suite runs in seconds."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2  # noqa: F401
import numpy as np  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import skimage.metrics  # noqa: F401 - pytester forgets modules that an inner session imported first, and extension modules load once

ROOT = Path(__file__).parents[2]
CARD = """
engine = "scripted"
source = "scripted"
tasks = ["toys"]
judge = {{ source = "scripted" }}
usability_floor = 0.3
timeout_seconds = {timeout}
expected_forwards = 4
{faults}
[options]
{options}
[ceilings.cpu]
seconds_per_image = 1.0
memory_mib = 4000
"""
TASKS = """
width = 64
height = 64
seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
reworded_seeds = [1, 2, 3]
rewordings = 2
[[task]]
id = "cup"
prompts = { en = "a red cup on a wooden table, watercolour", zh = "木桌上一只红色的杯子，水彩" }
[[task.facets]]
name = "colour"
en = ["a red cup", "a blue cup"]
zh = ["红色的杯子", "蓝色的杯子"]
[[task]]
id = "cat"
prompts = { en = "an orange cat by a sunlit window, film grain", zh = "阳光窗边一只橙色的猫，胶片颗粒" }
"""


@dataclass(frozen=True, slots=True)
class Project:
    """A user's repository in a temporary folder; `run` calls pytest in it as a user would."""

    pytester: pytest.Pytester

    @property
    def path(self) -> Path:
        return self.pytester.path

    def card(self, name: str, *, timeout: float = 30.0, faults: str = "", **options: Any) -> None:
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in {"latency_noise": 0.01, **options}.items())
        planted = f"faults = {json.dumps([faults])}" if faults else ""
        text = CARD.format(options=lines, timeout=timeout, faults=planted)
        (self.path / "fixtures" / "models" / f"{name}.toml").write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)

    def accept(self, *arguments: str) -> None:
        result = self.run("--update-baselines", "--allow-ci-update", "--baseline-reason=first", "--run-dir=accepted", *arguments)
        assert result.ret == 0, result.stdout.str()

    def runs(self) -> list[Path]:
        return sorted((self.path / ".swapgate" / "runs").iterdir())

    def verdicts(self, run: Path | None = None) -> dict[str, str]:
        data = json.loads(((run or self.runs()[-1]) / "verdicts.json").read_text(encoding="utf-8"))
        return {verdict["id"]: verdict["status"] for verdict in data["verdicts"]}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The toy project: one model, two tasks, both languages."""
    for variable in ("GITHUB_STEP_SUMMARY", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(variable, raising=False)
    made = Project(pytester)
    for folder in ("fixtures/models", "fixtures/tasks"):
        (pytester.path / folder).mkdir(parents=True)
    shutil.copytree(ROOT / "tests" / "gates", pytester.path / "tests" / "gates", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "fixtures" / "wording", pytester.path / "fixtures" / "wording")
    (pytester.path / "fixtures" / "tasks" / "toys.toml").write_text(TASKS, encoding="utf-8")
    pytester.makepyprojecttoml('[tool.swapgate]\n[tool.pytest]\ntestpaths = ["tests/gates"]\naddopts = ["--import-mode=importlib"]\n')
    made.card("toy")
    return made
