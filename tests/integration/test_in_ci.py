"""What CI reads of real runs: the exit status of real processes, JUnit beside it, and verdicts.json by its published schema."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from swapgate import report as reporting
from swapgate.exits import Exit

if TYPE_CHECKING:
    from conftest import Project

PASS, REGRESSION, USAGE, UNDECIDED, ERROR, INTERRUPTED = (int(one) for one in Exit)


def shell(root: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A process as CI starts it, without this session's variables."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "GITHUB", "CI"))}
    return subprocess.run([sys.executable, "-m", *command], cwd=root, capture_output=True, text=True, check=False, timeout=300, env=own | environ)


def replayed(root: Path, run: str, *more: str) -> subprocess.CompletedProcess[str]:
    return shell(root, "pytest", "-p", "no:cacheprovider", "-q", f"--replay={run}", "--junitxml=junit.xml", *more)


USABILITY, MEMORY, DRIFT = (f"tests/gates/test_{gate}.py" for gate in ("usability", "memory", "drift"))


@pytest.mark.parametrize(
    ("run", "more", "status"),
    [
        ("same", (MEMORY, "tests/test_right.py"), PASS),
        ("worse", (USABILITY, "--strict"), REGRESSION),
        ("broken", (MEMORY, "-x"), ERROR),
        ("fresh", (MEMORY, DRIFT), PASS),
        ("fresh", (MEMORY, DRIFT, "--strict", "-x"), UNDECIDED),
        ("fresh", (MEMORY, DRIFT, "--strict", "tests/test_wrong.py"), REGRESSION),
    ],
)
def test_a_session_with_gates(runs: Path, run: str, more: tuple[str, ...], status: int) -> None:
    """What the verdicts say, and JUnit says the same."""
    done = replayed(runs, run, *more)
    assert done.returncode == status, done.stdout + done.stderr
    suite = ET.parse(runs / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    told = {one.get("name"): one.get("value") for one in suite.iterfind("properties/property")}
    assert told["swapgate.exit_status"] == str(status)
    kinds = {(one.tag, one.get("type")) for one in suite.iter() if one.tag in ("failure", "error")} - {("failure", None)}
    assert ("failure", "ERROR") not in kinds
    assert (("failure", "REGRESSION") in kinds) == (run == "worse")
    assert (("error", "ERROR") in kinds) == (run == "broken")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model=nobody",), "a model card; known: dry, other, slow, toy, weak"),
        (("--budget=most",), "--budget=most: one of smoke, gate, full"),
        (("--replay=nowhere",), "manifest.json"),
    ],
)
def test_a_mistake_is_no_statement_about_the_model(runs: Path, arguments: tuple[str, ...], said: str) -> None:
    """Found before anything is loaded, said in plain words."""
    done = shell(runs, "pytest", "-p", "no:cacheprovider", *arguments)
    assert done.returncode == USAGE, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(("arguments", "status"), [(("--no-such-option",), 4), (("-k", "nothing_at_all"), 5)])
def test_pytests_own_words_stay_pytests_own(runs: Path, arguments: tuple[str, ...], status: int) -> None:
    """As long as no gate was asked."""
    assert shell(runs, "pytest", "-p", "no:cacheprovider", *arguments).returncode == status


def test_tests_without_gates_end_as_ever(runs: Path) -> None:
    """The plug-in has no say there."""
    assert shell(runs, "pytest", "-p", "no:cacheprovider", "tests/test_wrong.py").returncode == 1


def test_a_damaged_run_is_an_error(runs: Path, tmp_path: Path) -> None:
    """And not a mistake in the command."""
    shutil.copytree(runs / "same", tmp_path / "cut")
    (tmp_path / "cut" / "manifest.json").write_text('{"schema"', encoding="utf-8")
    done = shell(runs, "pytest", "-p", "no:cacheprovider", f"--replay={tmp_path / 'cut'}")
    assert done.returncode == ERROR, done.stdout + done.stderr
    assert "valid JSON" in done.stderr
    assert shell(runs, "swapgate.cli.main", "report", str(tmp_path / "cut")).returncode == ERROR


def test_a_run_that_cannot_be_written_down_is_an_error(project: Project) -> None:
    """A full disk or a file in the way of the page: python itself would end with the status of a regression."""
    shutil.rmtree(project.recorded("here") / "report", ignore_errors=True)
    (project.path / "here" / "report").write_text("in the way", encoding="utf-8")
    result = project.run("--replay=here", MEMORY)
    assert result.ret == ERROR
    result.stdout.fnmatch_lines(["swapgate: the run could not be written down; its images are kept: *"])


def test_a_file_that_cannot_be_collected_is_a_failure_beside_the_gates(project: Project) -> None:
    """It says nothing about the model, and is not to be overlooked either."""
    project.recorded("here")
    (project.path / "tests" / "test_broken.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    result = project.run("--replay=here", MEMORY, "tests/test_broken.py", "--continue-on-collection-errors")
    assert result.ret == REGRESSION


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("check",), PASS),
        (("--version",), PASS),
        (("baselines", "verify"), PASS),
        (("baselines", "accept", "--run=worse", "--cohort=none"), REGRESSION),
        (("baselines", "approve"), USAGE),
        (("report", "nowhere"), USAGE),
        (("plan", "--model=nobody"), USAGE),
    ],
)
def test_the_commands_use_the_same_numbers(runs: Path, command: tuple[str, ...], status: int) -> None:
    """Whatever goes wrong is said without a traceback."""
    done = shell(runs, "swapgate.cli.main", *command)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_module_is_the_console_script() -> None:
    """`python -m swapgate.cli.main` is what `[project.scripts]` names."""
    assert 'swapgate = "swapgate.cli.main:main"' in (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")


def everything_named(part: Any) -> Any:
    """A schema that refuses keys which it does not describe: what is written must be documented."""
    if isinstance(part, list):
        return [everything_named(one) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {"additionalProperties": False} if "properties" in part and "required" in part else {}
    return {**{key: everything_named(value) for key, value in part.items()}, **closed}


@pytest.mark.parametrize(
    ("run", "statuses"),
    [
        ("same", {"PASS"}),
        ("worse", {"REGRESSION"}),
        ("broken", {"ERROR"}),
        ("fresh", {"NEW"}),
        ("swap", {"REGRESSION"}),
        ("dry", {"NOT_APPLICABLE"}),
    ],
)
def test_the_verdicts_of_real_runs_hold_to_the_published_schema(runs: Path, run: str, statuses: set[str]) -> None:
    """Every key that was written is described in it, of runs that ended in every way."""
    schema = json.loads((Path(reporting.__file__).parent / "verdicts.schema.json").read_text(encoding="utf-8"))
    data = json.loads((runs / run / "verdicts.json").read_text(encoding="utf-8"))
    assert statuses <= {verdict["status"] for verdict in data["verdicts"]}
    for strictness in (schema, everything_named(schema)):
        faults = [f"{fault.json_path}: {fault.message}" for fault in jsonschema.Draft202012Validator(strictness).iter_errors(data)]
        assert faults[:5] == []
    assert bool(data["comparison"]) == (run == "swap")
