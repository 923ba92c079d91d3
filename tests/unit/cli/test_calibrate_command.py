"""`swapgate calibrate`: what it asks for, what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swapgate.cli.main import main
from swapgate.suite.calibration import Alignment, Calibrated, Calibration
from swapgate.suite.options import Options

ALIGNMENT = Alignment(images=0, prompts=0, seeds=None, rounds=None, images_per_round=0)
EMPTY = Calibration(
    model="m", accelerator="cpu", variations=(), pictures=(), times=(), peaks=None, alignment=ALIGNMENT, warnings=(), null=None, repeats=()
)


class Runner:
    """Stands for `swapgate.suite.calibration.calibrate`, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[Options] = []

    def __call__(self, config: Any, options: Options, policy: Any, progress: Any = None) -> Calibrated:
        self.asked.append(options)
        progress.note("one run")
        return Calibrated(run="here", models=(EMPTY,), page="page.html", next="swapgate baselines accept --run=here")


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    found = Runner()
    monkeypatch.setattr("swapgate.suite.calibration.calibrate", found)
    (tmp_path / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return found


def test_a_new_run_is_asked_for_with_eight_processes(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands on stdout is the calibration alone; nothing repeated is status 1."""
    assert main(["calibrate", "--model=m", "--task=cup,cat", "--gpus=0,1"]) == 4
    (asked,) = runner.asked
    assert (asked.models, asked.tasks, asked.null, asked.run_dir, asked.resume, asked.gpus) == (("m",), ("cup", "cat"), 8, None, None, "0,1")
    out, error = capsys.readouterr()
    assert "next: swapgate baselines accept --run=here" in out
    assert "one run" not in out
    assert "one run" in error


def test_json_is_the_same_as_the_file_would_hold(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """Schema, run, next command, models."""
    main(["calibrate", "--json", "--processes=3"])
    data = json.loads(capsys.readouterr().out)
    assert set(data) == {"schema", "run", "next", "page", "models"}
    assert data["models"][0]["null"] is None
    assert runner.asked[0].null == 3


def test_a_run_is_named_as_everywhere(runner: Runner, tmp_path: Path) -> None:
    """A folder or a name among the runs; without models and tasks of its own the run's are taken."""
    folder = tmp_path / ".swapgate" / "runs" / "old"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    main(["calibrate", "--run=old"])
    (asked,) = runner.asked
    assert asked.resume is not None
    assert asked.resume.resolve() == folder.resolve()
    assert (asked.models, asked.tasks, asked.run_dir) == ((), (), None)


def test_a_folder_for_the_new_run(runner: Runner, tmp_path: Path) -> None:
    """As an absolute path, whatever the working folder later is."""
    main(["calibrate", "--run-dir=some/where"])
    assert runner.asked[0].run_dir == tmp_path / "some" / "where"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--processes=0"], "--processes"), (["--run=none"], "RUN = 'none'"), (["--run=x", "--run-dir=y"], "give one")],
)
def test_mistakes_are_explained(runner: Runner, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 with rule and remedy, and nothing is made."""
    assert main(["calibrate", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert runner.asked == []
