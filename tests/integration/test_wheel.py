"""In someone else's repository: the built wheel and nothing of this checkout, `swapgate init` in an empty folder, and the CI job that it wrote, step by step.

Heavy packages are lent by the environment of these tests, all but swapgate itself; nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from swapgate.exits import Exit

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
SMALL = "--task=portrait --budget=smoke"
PYTHON = """#!/bin/bash
# The python of a CI image: an environment that it makes finds the heavy packages, and no older one of its own before them.
"{python}" "$@" || exit
if [ "$1 $2" = "-m venv" ]; then for site in "$3"/lib/python*/site-packages; do
  rm -rf "$site"/setuptools* "$site"/pkg_resources "$site"/_distutils_hack "$site"/distutils-precedence.pth
  echo "{lent}" > "$site/lent.pth"
done; fi
"""
GH = '#!/bin/bash\nwhile [ "$1" != --body-file ]; do echo "$1"; shift; done > "{log}"; cp "$2" "{log}.md"\n'


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what a release is built from."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("tools", "fixtures"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=source, check=True, capture_output=True, text=True, timeout=300)
    (made,) = out.glob("*.whl")
    return made


@dataclass(frozen=True, slots=True)
class Runner:
    """A machine that runs the steps of a job; `log` is where its `gh` writes what it was told."""

    path: Path
    wheel: Path

    @property
    def log(self) -> Path:
        return self.path / "gh"

    def run(self, script: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """A step as GitHub runs it: bash -e, with the variables of the job."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV_", "VIRTUAL_ENV"))}
        env = kept | {
            "PATH": f"{self.path / 'bin'}:{os.environ['PATH']}",
            "CI": "true",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "SWAPGATE_INSTALL": str(self.wheel),
            "SWAPGATE_ARGUMENTS": SMALL,
            "GITHUB_STEP_SUMMARY": str(cwd / "step.md"),
            **environ,
        }
        return subprocess.run(["bash", "-e", "-c", script], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def runner(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    path = tmp_path_factory.mktemp("runner")
    lent = path / "lent"
    lent.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.startswith(("swapgate", "__editable__", "__pycache__", "pip", "_virtualenv")) and entry.suffix != ".pth":
            (lent / entry.name).symlink_to(entry)
    (path / "bin").mkdir()
    for name, text in (("python3", PYTHON.format(python=sys.executable, lent=lent)), ("gh", GH.format(log=path / "gh"))):
        (path / "bin" / name).write_text(text, encoding="utf-8")
        (path / "bin" / name).chmod(0o755)
    return Runner(path, wheel)


@dataclass(frozen=True, slots=True)
class Repository:
    """A user's folder after `swapgate init`, and the jobs of the workflow that it wrote."""

    path: Path
    said: str
    jobs: dict[str, Any]
    strict: str

    def steps(self, job: str) -> dict[str, str]:
        """The scripts of a job by the name of their step."""
        return {step["name"]: step["run"] for step in self.jobs[job]["steps"] if "run" in step}


@pytest.fixture(scope="module")
def repository(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """An empty folder, the package installed as the workflow installs it, and `swapgate init`."""
    path = tmp_path_factory.mktemp("empty")
    template = yaml.safe_load((ROOT / "tools" / "swapgate" / "cli" / "templates" / "github.yml").read_text(encoding="utf-8"))
    install = next(step["run"] for step in template["jobs"]["gate"]["steps"] if step.get("name") == "Install")
    done = runner.run(install, path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = runner.run(".venv/bin/swapgate init", path)
    assert done.returncode == 0, done.stdout + done.stderr
    card = path / "fixtures" / "models" / "standin-qwen.toml"
    card.write_text(
        card.read_text(encoding="utf-8").replace("_image = 2.5", "_image = 120.0").replace("_seconds = 1.5", "_seconds = 120.0"), encoding="utf-8"
    )
    written = yaml.safe_load((path / ".github" / "workflows" / "swapgate.yml").read_text(encoding="utf-8"))
    found = Repository(path, done.stdout, written["jobs"], written["env"]["SWAPGATE_STRICT"])
    assert found.steps("gate")["Install"] == install
    return found


@pytest.fixture(scope="module")
def gate(runner: Runner, repository: Repository) -> dict[str, subprocess.CompletedProcess[str]]:
    """The steps of the job with the GPU, by name, the installation left out, which is done."""
    steps = {name: script for name, script in repository.steps("gate").items() if name != "Install"}
    return {name: runner.run(script, repository.path, SWAPGATE_STRICT=repository.strict) for name, script in steps.items()}


@pytest.fixture(scope="module")
def report(
    runner: Runner, repository: Repository, gate: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, subprocess.CompletedProcess[str]]]:
    """The steps of the job without one, on another checkout, to which only the artefact was handed."""
    assert gate
    path = tmp_path_factory.mktemp("other") / "checkout"
    shutil.copytree(repository.path, path, ignore=shutil.ignore_patterns(".venv", "swapgate-run", ".swapgate", "step.md", "__pycache__"))
    shutil.copytree(repository.path / "swapgate-run", path / "swapgate-run")
    (path / ".venv").symlink_to(repository.path / ".venv")
    steps = {name: script for name, script in repository.steps("report").items() if name != "Install"}
    return path, {name: runner.run(script, path, SWAPGATE_STRICT=repository.strict, NUMBER="7") for name, script in steps.items()}


def test_the_wheel_holds_what_is_needed_and_no_more(wheel: Path) -> None:
    """Code, the stand-ins' weights, edits, cards, tasks, templates and the schema; no test, no baseline; small enough for an index."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for part in (
        "fixtures/weights/standin-qwen/model_index.json",
        "fixtures/weights/standin-flux/model_index.json",
        "fixtures/weights/standin-clip/open_clip_config.json",
        "fixtures/wording/en.toml",
        "fixtures/wording/zh.toml",
        "fixtures/tasks/standin.toml",
        "fixtures/models/standin-qwen.toml",
        "report/verdicts.schema.json",
        "cli/templates/github.yml",
        "cli/templates/gitlab.yml",
        "py.typed",
    ):
        assert f"swapgate/{part}" in names
    ours = {path.relative_to(ROOT / "fixtures").as_posix() for path in (ROOT / "fixtures").rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {name.removeprefix("swapgate/fixtures/") for name in names if name.startswith("swapgate/fixtures/")} == ours
    code = {path.relative_to(ROOT / "tools").as_posix() for path in (ROOT / "tools" / "swapgate").rglob("*.py") if "fixtures" not in path.parts}
    assert code <= set(names)
    assert {name.split("/")[0] for name in names} == {"swapgate", next(name for name in names if ".dist-info" in name).split("/")[0]}
    size = wheel.stat().st_size / 2**20
    print(f"\nthe wheel: {size:.1f} MiB")
    assert size < 95, "what an index takes without being asked"


def test_what_runs_is_the_wheel(runner: Runner, repository: Repository) -> None:
    """Installed into the fresh environment, and not this checkout."""
    done = runner.run('.venv/bin/python -c "import swapgate; print(swapgate.__file__)"', repository.path)
    assert Path(done.stdout.strip()).is_relative_to(repository.path / ".venv"), done.stdout + done.stderr
    done = runner.run(".venv/bin/swapgate --version && .venv/bin/python -m pytest --help", repository.path)
    assert done.stdout.startswith("swapgate ")
    assert "--dry-weights" in done.stdout, "the plug-in is found by its entry point"


def test_init_begins_a_project(repository: Repository) -> None:
    """Everything that a run needs, each file named."""
    for name in (
        "pyproject.toml",
        "fixtures/models/standin-qwen.toml",
        "fixtures/tasks/standin.toml",
        ".github/workflows/swapgate.yml",
        ".gitignore",
    ):
        assert f"wrote {name}" in repository.said
        assert (repository.path / name).is_file()
    assert len(list((repository.path / "tests" / "gates").glob("test_*.py"))) == 5
    assert not (repository.path / "fixtures" / "weights").exists(), "weights stay with the package"


def test_the_gate_gives_verdicts_and_a_report(repository: Repository, gate: dict[str, subprocess.CompletedProcess[str]]) -> None:
    """Without a baseline quality is NEW, which is not green under --strict and no regression either."""
    assert gate["Check cards and tasks"].returncode == 0, gate["Check cards and tasks"].stderr
    done = gate["Gate"]
    assert done.returncode == Exit.UNDECIDED, done.stdout + done.stderr
    run = repository.path / "swapgate-run"
    verdicts = {one["id"]: one["status"] for one in json.loads((run / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]}
    assert set(verdicts.values()) <= {"PASS", "NEW", "INCONCLUSIVE"}
    assert "PASS" in verdicts.values(), "by a ceiling, here one that the slowest machine keeps"
    assert verdicts["drift/standin-qwen/portrait"] == "NEW"
    assert "standin-qwen" in (run / "report" / "index.html").read_text(encoding="utf-8")
    assert 'value="NEW"' in (run / "junit.xml").read_text(encoding="utf-8")
    assert "drift/standin-qwen/portrait" in (repository.path / "step.md").read_text(encoding="utf-8")


def test_the_report_job_says_the_same_from_the_artefact_alone(
    runner: Runner, repository: Repository, report: tuple[Path, dict[str, subprocess.CompletedProcess[str]]]
) -> None:
    """Replayed without loading a model: the same exit status, the same verdicts to the byte, a page, and a comment that GitHub takes."""
    path, steps = report
    done = steps["Judge again and report"]
    assert done.returncode == Exit.UNDECIDED, done.stdout + done.stderr
    assert "loading" not in done.stdout
    ours, theirs = (root / "swapgate-run" / "verdicts.json" for root in (path, repository.path))
    assert ours.read_bytes() == theirs.read_bytes()
    assert (path / "swapgate-run" / "report" / "index.html").is_file()
    assert steps["Comment"].returncode == 0, steps["Comment"].stderr
    assert runner.log.read_text(encoding="utf-8").split() == ["pr", "comment", "7", "--edit-last", "--create-if-none"]
    body = Path(f"{runner.log}.md").read_text(encoding="utf-8")
    assert body.startswith("## Swapgate · ")
    assert len(body) < 65_536


def test_without_strict_undecided_cells_are_told_and_do_not_fail(runner: Runner, report: tuple[Path, Any], repository: Repository) -> None:
    """The switch of the workflow."""
    done = runner.run(repository.steps("report")["Judge again and report"], report[0], SWAPGATE_STRICT="")
    assert done.returncode == Exit.PASS, done.stdout + done.stderr
    assert "undecided" in done.stdout
