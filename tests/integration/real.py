"""A user's repository with the real bundled model and faulty cards of it, in which the gates are run as a user runs them.

A faulty card is the card of standin-qwen under another name with `faults = [...]`, and gets that model's committed baseline
(`baselines/standin-qwen/any`) under its name. Its ceilings are left out: they hold for an idle machine, and these tests run
on any. Every run is of two tasks with fewer seeds than they have: one task has too few repeats in the baseline's null to
tell another picture from chance, at the false-alarm budget of a run.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MODEL = "standin-qwen"
TASKS = "--task=portrait,count"
SECONDS = 1800  # a shared machine may be ten times slower than an idle one
PYPROJECT = """
[tool.swapgate]
default_models = ["standin-qwen"]
[tool.swapgate.policy]
growth_calls = 10   # of the 20 calls of a model the last twelve are warm
[tool.pytest]
testpaths = ["tests/gates"]
addopts = ["--import-mode=importlib"]
"""

Verdict = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its folder, the exit status and the output of pytest."""

    path: Path
    status: int
    output: str

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "verdicts.json").read_text(encoding="utf-8"))
        return found

    def verdict(self, gate: str, model: str) -> Verdict:
        """The verdict of a model, pooled over its tasks."""
        return next(verdict for verdict in self.data["verdicts"] if verdict["id"] == f"{gate}/{model}/all")

    def red(self, model: str) -> set[str]:
        """The gates that are red for a model, pooled or in any of its tasks; an ERROR is no answer, and counts as red."""
        bad = (verdict["id"].split("/") for verdict in self.data["verdicts"] if verdict["status"] in {"REGRESSION", "ERROR"})
        return {gate for gate, name, _ in bad if name == model}

    def finding(self, gate: str, model: str, name: str) -> Mapping[str, Any]:
        """A claim of such a verdict."""
        found: Mapping[str, Any] = next(one for one in self.verdict(gate, model)["findings"] if one["name"] == name)
        return found

    def statuses(self) -> dict[str, str]:
        return {verdict["id"]: verdict["status"] for verdict in self.data["verdicts"]}

    def images(self, model: str, name: str) -> list[float]:
        return [image[name] for image in self.data["images"] if image["model"] == model]


@dataclass(frozen=True, slots=True)
class RealProject:
    """A user's repository with the real model and its baseline; `run` judges two tasks with every gate."""

    path: Path

    def card(self, name: str, fault: str) -> None:
        """The card of the honest model with one line more, and the committed baseline under its name."""
        self.copy(name, f'faults = ["{fault}"]\n{honest_card()}')

    def copy(self, name: str, card: str) -> None:
        """Another card, and the honest model's committed baseline under its name."""
        (self.path / "fixtures" / "models" / f"{name}.toml").write_text(card, encoding="utf-8")
        shutil.copytree(self.path / "baselines" / MODEL, self.path / "baselines" / name)
        for path in (self.path / "baselines" / name).glob("*/*.json"):
            text = path.read_text(encoding="utf-8")
            assert f'"model": "{MODEL}"' in text
            path.write_text(text.replace(f'"model": "{MODEL}"', f'"model": "{name}"'), encoding="utf-8")

    def seeds(self, count: int) -> None:
        """The bundled tasks with that many of their seeds, one of them reworded: 20 images a model with three, 28 with five."""
        written = (ROOT / "fixtures" / "tasks" / "standin.toml").read_text(encoding="utf-8")
        old = "\nseeds = [11, 22, 33, 44, 55]\nreworded_seeds = [11, 22]\n"
        assert old in written, "the bundled tasks state their seeds in another way"
        new = f"\nseeds = {[11, 22, 33, 44, 55][:count]}\nreworded_seeds = [11]\n"
        (self.path / "fixtures" / "tasks" / "standin.toml").write_text(written.replace(old, new), encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Pytest in a process group of its own, whose whole tree a test may kill."""
        dropped = {"CI", "GITHUB_STEP_SUMMARY", "PYTEST_ADDOPTS"}
        kept = {name: value for name, value in os.environ.items() if name not in dropped and not name.startswith("PYTEST_XDIST")}
        command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "--rootdir", ".", "-p", "no:cacheprovider", "--benchmark-disable"]
        # One thread draws the same pictures (the baseline's null says so), and does not spin where others use the machine, too.
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.path,
            env={**kept, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, folder: str, *arguments: str, option: str = "--run-dir") -> Run:
        chosen = (TASKS,) if option == "--run-dir" else ()  # a resumed or replayed run knows its own
        process = self.start(f"{option}={folder}", *chosen, *arguments)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return Run(self.path / folder, process.returncode, output)


def honest_card() -> str:
    """The honest model's, for a machine of any speed."""
    card = (ROOT / "fixtures" / "models" / f"{MODEL}.toml").read_text(encoding="utf-8").partition("[ceilings.cpu]")[0]
    return card.replace("timeout_seconds = 60.0", f"timeout_seconds = {SECONDS}")


def project(root: Path) -> RealProject:
    """The project, written to an empty folder."""
    for folder in ("tests/gates", "fixtures/tasks", "fixtures/wording", "fixtures/weights/standin-qwen", "fixtures/weights/standin-clip"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    # The committed baseline "any" alone: a cost baseline of some machine would decide more or less from place to place.
    shutil.copytree(ROOT / "baselines" / MODEL / "any", root / "baselines" / MODEL / "any")
    (root / "fixtures" / "models").mkdir()
    (root / "fixtures" / "models" / f"{MODEL}.toml").write_text(honest_card(), encoding="utf-8")
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    return RealProject(root)
