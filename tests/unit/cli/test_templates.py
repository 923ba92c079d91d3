"""The CI jobs that `swapgate init` writes: valid by the published schemas, the same commands on both, and this repository's own one."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from swapgate import pytest_plugin
from swapgate.cli.init import CI
from swapgate.cli.main import parser
from swapgate.pytest_plugin.options import pytest_addoption

REPOSITORY = Path(__file__).parents[3]
TEMPLATES = REPOSITORY / "tools" / "swapgate" / "cli" / "templates"
OWN = REPOSITORY / ".github" / "workflows" / "swapgate.yml"


def scripts(name: str) -> dict[str, list[str]]:
    """The commands of each job, those of a GitHub step line by line; installing a comment's tool is GitHub's alone."""
    data: dict[str, Any] = yaml.safe_load((TEMPLATES / name).read_text(encoding="utf-8"))
    if name == "github.yml":
        steps = {job: [step["run"] for step in spec["steps"] if "run" in step] for job, spec in data["jobs"].items()}
        return {job: [line for run in runs for line in run.strip().splitlines() if not line.startswith("gh ")] for job, runs in steps.items()}
    return {job: data[job]["script"] for job in ("gate", "report")}


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (TEMPLATES / "github.yml", ["--builtin-schema=vendor.github-workflows"]),
        (OWN, ["--builtin-schema=vendor.github-workflows"]),
        (TEMPLATES / "gitlab.yml", ["--builtin-schema=vendor.gitlab-ci", "--data-transform=gitlab-ci"]),
    ],
    ids=["github", "own", "gitlab"],
)
def test_a_job_is_valid_by_the_schema_that_its_ci_publishes(path: Path, options: list[str]) -> None:
    """As vendored by check-jsonschema."""
    done = subprocess.run([sys.executable, "-m", "check_jsonschema", *options, str(path)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_job_is_refused_by_that_schema(tmp_path: Path) -> None:
    """So that the test above can fail."""
    bent = (TEMPLATES / "github.yml").read_text(encoding="utf-8").replace("runs-on:", "run-on:")
    (tmp_path / "bent.yml").write_text(bent, encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema=vendor.github-workflows", str(tmp_path / "bent.yml")]
    assert subprocess.run(command, capture_output=True, check=False, timeout=120).returncode != 0


def test_both_run_the_same_commands() -> None:
    """Those of GitHub are run step by step in tests/integration/test_wheel.py, so both are tried."""
    assert scripts("gitlab.yml") == scripts("github.yml")


def test_every_command_has_options_that_there_are() -> None:
    """An option that was renamed would be found by a user's first run."""
    known = set()

    class Options:
        """What pytest gives to a plug-in."""

        def getgroup(self, *_: str) -> Options:
            return self

        def addoption(self, name: str, **_: Any) -> None:
            known.add(name)

    pytest_addoption(Options())  # type: ignore[arg-type]
    assert pytest_plugin.pytest_addoption is pytest_addoption
    commands = [line for lines in scripts("github.yml").values() for line in lines]
    used = {word.partition("=")[0] for line in commands for word in shlex.split(line) if word.startswith("--")}
    assert used - {"--junitxml"} <= known
    for line in commands:
        if "bin/swapgate " in line:
            parser().parse_args(shlex.split(line.partition("bin/swapgate ")[2]))


def test_user_input_is_never_pasted_into_a_script() -> None:
    """`${{ inputs.x }}` inside `run:` is run as it stands; in `env:` it is a variable."""
    data = yaml.safe_load((TEMPLATES / "github.yml").read_text(encoding="utf-8"))
    assert [step["run"] for job in data["jobs"].values() for step in job["steps"] if "${{" in step.get("run", "")] == []


def test_this_repository_runs_its_own_job() -> None:
    """The template with itself installed, on demand alone: whoever clones it has no GPU runner."""
    ours, theirs = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in (OWN, TEMPLATES / "github.yml"))
    assert ours["jobs"] == theirs["jobs"]
    assert {**ours["env"], "SWAPGATE_INSTALL": "swapgate"} == theirs["env"]
    assert ours["env"]["SWAPGATE_INSTALL"] == "."
    assert list(ours[True]) == ["workflow_dispatch"]  # YAML reads `on` as true


def test_a_run_from_a_fork_does_not_reach_the_gpu_machine() -> None:
    """Its code would run there."""
    job = yaml.safe_load((TEMPLATES / "github.yml").read_text(encoding="utf-8"))["jobs"]["gate"]
    assert "head.repo.full_name == github.repository" in job["if"]


@pytest.mark.parametrize("name", sorted(template for _, template in CI.values()))
def test_templates_name_every_exit_status(name: str) -> None:
    """Who reads a red job knows what it means."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    assert re.search(r"0 pass, 1 regression, 2 mistake, 3 undecided under --strict, 4 error", text)
