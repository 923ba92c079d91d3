"""Planted faults in the real bundled pipeline, run as a user runs the gates: each turns its own gate red and no other.

The pictures are held against the committed baseline (`baselines/standin-qwen/any`): a faulty card is the card of
standin-qwen under another name with `faults = [...]`, and gets that baseline under its name. What a CPU run costs has no
committed baseline, so the slow model is judged against the honest one, arms in turn.

Noise on the denoiser's weights, dose in spreads of each tensor; 20 images (portrait and count, zh and en), measured:

    dose    SSIM median (least)    PSNR median (least)    drift
    0.005   0.9995 (0.9995)        57.4 dB (54.6 dB)      PASS
    0.02    0.9981 (0.9975)        47.3 dB (43.9 dB)      PASS
    0.05    0.9938 (0.9909)        39.3 dB (35.6 dB)      PASS
    0.1     0.9795 (0.9704)        33.1 dB (30.1 dB)      REGRESSION

A difference is visible below SSIM 0.98 or PSNR 30 dB, so 0.1 is the smallest dose of that grid that changes pictures visibly.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MODEL = "standin-qwen"
TASKS = "--task=portrait,count"
NOISE = "noise:0.1"
UNDISTURBED = "unguided"  # judged first, so that the scale of alignment is its own in every run
FAULTS = {UNDISTURBED: "no-guidance", "noisy": NOISE, "black": "black-decoder"}
LEAK = "leak:5"
SECONDS = 1800  # a shared machine may be ten times slower than an idle one
PYPROJECT = '[tool.swapgate]\ndefault_models = ["standin-qwen"]\n[tool.pytest]\ntestpaths = ["tests/gates"]\naddopts = ["--import-mode=importlib"]\n'

pytestmark = [pytest.mark.xdist_group("real")]  # one worker: they share the runs below, and two at once would slow each other down

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

    def statuses(self) -> dict[str, str]:
        return {verdict["id"]: verdict["status"] for verdict in self.data["verdicts"]}

    def images(self, model: str, name: str) -> list[float]:
        return [image[name] for image in self.data["images"] if image["model"] == model]


@dataclass(frozen=True, slots=True)
class Project:
    """A user's repository with the real model, its baseline and faulty cards."""

    path: Path

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
        process = self.start(f"{option}={folder}", *arguments)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return Run(self.path / folder, process.returncode, output)


def write_card(root: Path, name: str, fault: str) -> None:
    """The card of the honest model with one line more, and the committed baseline under its name."""
    honest = (ROOT / "fixtures" / "models" / f"{MODEL}.toml").read_text(encoding="utf-8")
    (root / "fixtures" / "models" / f"{name}.toml").write_text(f'faults = ["{fault}"]\n{honest}', encoding="utf-8")
    shutil.copytree(root / "baselines" / MODEL, root / "baselines" / name)
    for path in (root / "baselines" / name).glob("*/*.json"):
        text = path.read_text(encoding="utf-8")
        assert f'"model": "{MODEL}"' in text
        path.write_text(text.replace(f'"model": "{MODEL}"', f'"model": "{name}"'), encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("real")
    for folder in ("tests/gates", "fixtures/tasks", "fixtures/wording", "fixtures/weights/standin-qwen", "fixtures/weights/standin-clip"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    # The committed baseline "any" alone: a cost baseline of some machine would decide more or less from place to place.
    shutil.copytree(ROOT / "baselines" / MODEL / "any", root / "baselines" / MODEL / "any")
    (root / "fixtures" / "models").mkdir()
    shutil.copyfile(ROOT / "fixtures" / "models" / f"{MODEL}.toml", root / "fixtures" / "models" / f"{MODEL}.toml")
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    for name, fault in {**FAULTS, "leaky": LEAK, "slow": "slow:1.3"}.items():
        write_card(root, name, fault)
    return Project(root)


@pytest.fixture(scope="module")
def faulty(project: Project) -> Run:
    """Three faulty models against the committed baseline, all gates, in one run: the judge is loaded once."""
    return project.run("faulty", f"--model={','.join(FAULTS)}", TASKS)


def finding(verdict: Verdict, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(one for one in verdict["findings"] if one["name"] == name)
    return found


def test_noise_on_the_weights_is_drift(faulty: Run) -> None:
    """The smallest dose that visibly changes pictures; whether they are less usable is not said."""
    assert faulty.status == pytest.ExitCode.TESTS_FAILED, faulty.output
    assert faulty.verdict("drift", "noisy")["status"] == "REGRESSION", faulty.output
    assert {"latency", "memory"} & faulty.red("noisy") == set(), faulty.output
    ssim = faulty.images("noisy", "ssim")
    assert 0.9 < min(ssim) < 0.98, "the docstring's figures are of another dose"


def test_guidance_switched_off_is_drift_and_is_named(faulty: Run) -> None:
    """Eight forwards where the card expects sixteen; half the work is no speed-up, and no slow-down either."""
    verdict = faulty.verdict("drift", "unguided")
    assert verdict["status"] == "REGRESSION", faulty.output
    forwards = finding(verdict, "forwards")
    assert (forwards["status"], forwards["candidate"], forwards["limit"]) == ("REGRESSION", 8.0, 16.0)
    assert "guidance was off" in forwards["reason"]
    assert {"latency", "memory"} & faulty.red("unguided") == set(), faulty.output


def test_a_black_decoder_is_unusable_and_drifts(faulty: Run) -> None:
    """It costs what it did: latency and memory have nothing to say."""
    assert faulty.verdict("usability", "black")["status"] == "REGRESSION", faulty.output
    assert faulty.verdict("drift", "black")["status"] == "REGRESSION", faulty.output
    assert {"latency", "memory"} & faulty.red("black") == set(), faulty.output


def test_a_leak_is_growth_of_memory_and_nothing_else(project: Project) -> None:
    """Five MiB an image over the six tasks: the arenas that a few images leave free take in the first hundred MiB."""
    faulty = project.run("leaky", "--model=leaky")
    verdict = faulty.verdict("memory", "leaky")
    assert verdict["status"] == "REGRESSION", faulty.output
    growth = finding(verdict, "growth")
    assert growth["status"] == "REGRESSION"
    assert growth["low"] > growth["limit"]
    assert faulty.red("leaky") == {"memory"}, faulty.output


def test_memory_of_models_that_do_not_leak_is_not_said_to_grow(faulty: Run) -> None:
    """The same run, the same number of images, no leak."""
    for model in FAULTS:
        assert finding(faulty.verdict("memory", model), "growth")["status"] != "REGRESSION", faulty.output


def test_a_slow_down_of_thirty_per_cent_is_latency_and_nothing_else(project: Project) -> None:
    """Against the honest model on the same machine, arms in turn; the pictures are the same."""
    run = project.run("slower", "--model=slow", f"--against={MODEL}", TASKS)
    verdict = run.verdict("latency", "slow")
    assert run.status == pytest.ExitCode.TESTS_FAILED, run.output
    assert verdict["status"] == "REGRESSION", run.output
    assert finding(verdict, "denoise")["status"] == "REGRESSION", run.output
    assert finding(verdict, "denoise")["low"] > 5.0
    assert run.red("slow") == {"latency"}, run.output
    assert min(run.images("slow", "ssim")) > 0.9999


def test_a_run_killed_and_resumed_gives_the_verdicts_of_an_undisturbed_one(project: Project, faulty: Run) -> None:
    """SIGKILL to the whole tree in the middle of generating; no finished image is made again.

    Growth is read within one process, and of so few images the second process may have made too few to decide it.
    """
    process = project.start("--run-dir=killed", f"--model={UNDISTURBED}", TASKS)
    journal = project.path / "killed" / "journal.jsonl"
    try:
        wait_for(lambda: len(generations(journal)) >= 8, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    before = generations(journal)
    assert 8 <= len(before) < 36
    assert not (project.path / "killed" / "verdicts.json").exists()
    resumed = project.run("killed", option="--resume")
    after = generations(journal)
    assert after[: len(before)] == before
    assert len(after) == len(set(after)) == 36
    whole = {cell: status for cell, status in faulty.statuses().items() if f"/{UNDISTURBED}/" in cell}
    assert resumed.status == faulty.status, resumed.output
    growth = f"memory/{UNDISTURBED}/all"
    assert {**resumed.statuses(), growth: ""} == {**whole, growth: ""}, resumed.output
    assert resumed.statuses()[growth] in {whole[growth], "INCONCLUSIVE"}
    for name in ("ssim", "psnr", "clip"):
        assert resumed.images(UNDISTURBED, name) == pytest.approx(faulty.images(UNDISTURBED, name), rel=1e-3)


def test_a_replay_gives_identical_bytes_and_loads_no_model(project: Project, faulty: Run) -> None:
    """Every gate's verdict of every faulty model, from the files of the run alone."""
    before, journal = (faulty.path / "verdicts.json").read_bytes(), (faulty.path / "journal.jsonl").read_bytes()
    replayed = project.run("faulty", option="--replay")
    assert replayed.status == faulty.status, replayed.output
    assert (faulty.path / "verdicts.json").read_bytes() == before
    assert (faulty.path / "journal.jsonl").read_bytes() == journal
    assert "loading" not in replayed.output


def generations(journal: Path) -> list[str]:
    """Keys of the requests that were made, in order; a line that a kill cut short is not counted."""
    if not journal.is_file():
        return []
    whole = journal.read_text(encoding="utf-8", errors="replace").rpartition("\n")[0].splitlines()
    return [event["generation"]["request"] for event in map(json.loads, whole) if event["event"] == "generation"]


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)
