"""A small project with scripted models, in which the whole suite runs in seconds."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

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
expected_forwards = 8
negative_prompt = {{ en = " ", zh = " " }}
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
reworded_seeds = [1, 2, 3, 4, 5, 6]
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


PYPROJECT = '[tool.swapgate]\n[tool.pytest]\ntestpaths = ["tests/gates"]\naddopts = ["--import-mode=importlib"]\n'


@dataclass(frozen=True, slots=True)
class Project:
    """A user's repository in a temporary folder; `run` calls pytest in it as a user would.

    template: a project of the same card and tasks whose first run was accepted and repeated once, made once a session.
    """

    CHANGED_MEANINGS: ClassVar[int] = 2  # pictures that a run makes beside its plan: one facet, in two languages

    pytester: pytest.Pytester
    template: Path

    @property
    def path(self) -> Path:
        return self.pytester.path

    def card(self, name: str, *, timeout: float = 30.0, faults: str = "", **options: Any) -> None:
        write_card(self.path, name, timeout=timeout, faults=faults, **options)

    def run(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)

    def accept(self, *, cost: bool = False) -> None:
        """The baseline of the card as it stands: a copy, because making it again is no part of what is tested."""
        shutil.copytree(self.template / ("baselines-with-cost" if cost else "baselines"), self.path / "baselines")

    def recorded(self, name: str) -> Path:
        """A copy of a finished and judged run of the card as it stands against that baseline."""
        shutil.copytree(self.template / "whole", self.path / name)
        return self.path / name

    def runs(self) -> list[Path]:
        return sorted((self.path / ".swapgate" / "runs").iterdir())

    def verdicts(self, run: Path | None = None) -> dict[str, str]:
        data = json.loads(((run or self.runs()[-1]) / "verdicts.json").read_text(encoding="utf-8"))
        return {verdict["id"]: verdict["status"] for verdict in data["verdicts"]}


def write_card(root: Path, name: str, *, timeout: float = 30.0, faults: str = "", **options: Any) -> None:
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in {"latency_noise": 0.01, **options}.items())
    planted = f"faults = {json.dumps([faults])}" if faults else ""
    text = CARD.format(options=lines, timeout=timeout, faults=planted)
    (root / "fixtures" / "models" / f"{name}.toml").write_text(text, encoding="utf-8")


def write_project(root: Path) -> None:
    """One model, two tasks, both languages."""
    for folder in ("fixtures/models", "fixtures/tasks"):
        (root / folder).mkdir(parents=True)
    shutil.copytree(ROOT / "tests" / "gates", root / "tests" / "gates", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "fixtures" / "wording", root / "fixtures" / "wording")
    (root / "fixtures" / "tasks" / "toys.toml").write_text(TASKS, encoding="utf-8")
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    write_card(root, "toy")


def judged(root: Path, name: str, **options: Any) -> Path:
    """A run of every cell of the project, without pytest."""
    from swapgate.config import find_config
    from swapgate.gates.policy import Policy
    from swapgate.suite.options import Options
    from swapgate.suite.session import Suite

    suite = Suite.open(find_config(root), Options(root=root, run_dir=root / name, **options), Policy())
    cells = suite.setup.cells()
    for cell in cells:
        suite.verdict(cell)
    suite.finish(cells)
    suite.run.close()
    return suite.run.path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `Project.template`. Six processes measure the null: 24 repeats tell a third of the pictures wrong from chance within the budget."""
    from swapgate.baselines.review import accept
    from swapgate.baselines.store import Store

    root = tmp_path_factory.mktemp("template")
    write_project(root)
    first = judged(root, "first", null=6)
    for folder, with_cost in (("baselines", False), ("baselines-with-cost", True)):
        assert accept(first, store=Store(root / folder), reason="first", with_cost=with_cost, allow_ci=True, environ={}).complete
    judged(root, "whole")
    return root


@pytest.fixture(scope="session")
def runs(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a baseline and runs that ended in every way, to be replayed; tests change nothing in it. Its model `slow` takes its time."""
    root = tmp_path_factory.mktemp("exits")
    write_project(root)
    shutil.copytree(template / "baselines-with-cost", root / "baselines")
    shutil.copytree(template / "whole", root / "same")
    write_card(root, "toy", wrong_prompt=0.6)
    judged(root, "worse", models=("toy",), gates=("usability",))
    write_card(root, "toy", raise_at="3")
    judged(root, "broken", models=("toy",), gates=("memory",))
    write_card(root, "other")
    judged(root, "fresh", models=("other",), gates=("memory", "drift"))
    write_card(root, "weak", weights="other", wrong_prompt=0.6)
    judged(root, "swap", models=("weak",), against="other", gates=("usability",))
    write_card(root, "dry")
    card = root / "fixtures" / "models" / "dry.toml"
    card.write_text(f'weights = "dry"\n{card.read_text(encoding="utf-8")}', encoding="utf-8")
    judged(root, "dry", models=("dry",), gates=("memory", "drift"))
    write_card(root, "toy")
    write_card(root, "slow", sleep=0.2)
    (root / "tests" / "test_wrong.py").write_text("def test_own():\n    assert False\n", encoding="utf-8")
    (root / "tests" / "test_right.py").write_text("def test_own():\n    assert True\n", encoding="utf-8")
    return root


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, template: Path) -> Project:
    """The toy project, without a baseline."""
    for variable in ("CI", "GITHUB_STEP_SUMMARY", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(variable, raising=False)
    write_project(pytester.path)
    return Project(pytester, template)


@pytest.fixture(scope="session")
def real_project() -> Callable[[Path], Any]:
    """Writes the project of `real.py`, with the real model, to an empty folder."""
    spec = importlib.util.spec_from_file_location("swapgate_real_project", Path(__file__).with_name("real.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a frozen dataclass looks itself up there
    spec.loader.exec_module(module)
    project: Callable[[Path], Any] = module.project
    return project


@pytest.fixture(scope="session")
def real(real_project: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """That project, for a whole session."""
    return real_project(tmp_path_factory.mktemp("real"))


@pytest.fixture(autouse=True)
def modules_of_the_package() -> Iterator[None]:
    """Pytester takes modules that a run imported out of sys.modules and leaves them in their packages, where tests that come later would patch them."""
    yield
    packages = [module for name, module in list(sys.modules.items()) if name.split(".")[0] == "swapgate"]
    for package in packages:
        for name, module in list(vars(package).items()):
            if isinstance(module, ModuleType) and module.__name__ == f"{package.__name__}.{name}" and sys.modules.get(module.__name__) is not module:
                delattr(package, name)
