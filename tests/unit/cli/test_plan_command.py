"""`swapgate plan` and `pytest --plan`: the same words, quickly, and nothing loaded, made or written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swapgate.cli import init
from swapgate.cli.main import main
from swapgate.gates.verdict import GATES

REPOSITORY = Path(__file__).parents[3]
CARD = 'engine = "scripted"\nsource = "any"\ntasks = ["f"]\njudge = { source = "scripted" }\n'
TASK = 'width = 64\nheight = 64\nseeds = [1, 2]\n[[task]]\nid = "cup"\nprompts = { en = "a cup" }\n[[task]]\nid = "cat"\nprompts = { en = "a cat" }\n'
CLAIM = {"name", "n", "noun", "unit", "limit", "smallest", "passes", "short", "basis", "assumed", "unknown", "decides"}
WORK = {
    "model", "judged", "first", "others", "reworded", "images", "calls", "repeats", "processes",
    "seconds_per_image", "load_seconds", "seconds", "timed",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models and two tasks, with the gate tests of a user."""
    for folder, name, text in (("models", "m", CARD), ("models", "other", CARD), ("tasks", "f", TASK)):
        (tmp_path / "fixtures" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "fixtures" / folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (tmp_path / "fixtures" / "wording").symlink_to(REPOSITORY / "fixtures" / "wording")
    settings = '[tool.swapgate]\n[tool.pytest]\ntestpaths = ["tests/gates"]\naddopts = ["--import-mode=importlib"]\n'
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    gates = tmp_path / "tests" / "gates"
    gates.mkdir(parents=True)
    for gate in GATES:
        (gates / f"test_{gate}.py").write_text(init.gate_test(gate), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["plan", "--json", *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def planned(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--plan", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_the_plan_says_what_is_made_shared_and_found(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Images and times by model, the budget by gate, and what cannot be decided; status 0 all the same."""
    assert main(["plan", "--budget=full"]) == 0
    out = capsys.readouterr().out
    for said in (
        "8 images, unknown time to load and make them",
        "false alarms: 1 % that an unchanged run is red anywhere, shared by 2 models and 5 gates",
        "usability: 0.1 %, that is 0.05 % for each of 2 tested claims",
        "cannot be decided: usability/m: nothing was accepted yet",
        "no earlier run of this recipe",
    ):
        assert said in out


def test_the_json_holds_the_same_facts(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every key, whatever is known; what is not is null."""
    found = data(capsys, "--null=3")
    assert set(found) == {"schema", "against", "images", "looks", "seconds", "models", "budget", "gates", "undecided"}
    assert found["seconds"] is None
    assert [set(one) for one in found["models"]] == [WORK] * 2
    assert [one["repeats"] for one in found["models"]] == [3 * 6, 3 * 6], "two calls, made three times in each of three processes"
    assert found["images"] == 2 * 4 + 2 * 18
    assert {one["gate"] for one in found["gates"]} == set(GATES)
    assert all({"gate", "model", "alpha", "claims", "undecided", "decidable"} == set(one) for one in found["gates"])
    claims = [claim for one in found["gates"] for claim in one["claims"]]
    assert claims
    assert all(set(claim) == CLAIM for claim in claims)
    assert set(found["budget"]) == {"images", "false_alarms", "models", "shares"}
    assert (found["looks"], found["budget"]["images"]) == (1, "full"), "a null takes the whole plan"


@pytest.mark.parametrize(("option", "share"), [([], 0.01), (["--false-alarms=5%"], 0.05), (["--false-alarms=0.2"], 0.2)])
def test_the_budget_is_what_was_asked(project: Path, option: list[str], share: float, capsys: pytest.CaptureFixture[str]) -> None:
    """The policy's where nothing was, in either way of writing."""
    budget = data(capsys, "--budget=full", *option)["budget"]
    assert budget["false_alarms"] == share
    assert sum(one["part"] for one in budget["shares"]) * budget["models"] == pytest.approx(share)
    early = data(capsys, *option)
    assert early["looks"] > 1
    assert early["budget"]["false_alarms"] == share
    left = sum(one["part"] for one in early["budget"]["shares"]) * budget["models"]
    assert left == pytest.approx(0.95 * share), "early looks have the rest"


def test_models_tasks_and_gates_are_chosen_by_name(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One model, one task, two gates; the budget is theirs alone."""
    found = data(capsys, "--model=m", "--task=cat", "--gate=drift,latency")
    assert found["images"] == 2
    assert [(one["gate"], one["model"]) for one in found["gates"]] == [("latency", "m"), ("drift", "m")]
    assert found["budget"]["models"] == 1


def test_the_other_arm_is_planned_and_not_judged(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its images are made, its gates are not asked."""
    found = data(capsys, "--model=m", "--against=other")
    assert [(one["model"], one["judged"]) for one in found["models"]] == [("m", True), ("other", False)]
    assert found["against"] == "other"
    assert {one["model"] for one in found["gates"]} == {"m"}


def test_strict_fails_on_what_cannot_be_decided(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1 for an undecided gate; 0 once every gate asked can be decided."""
    assert main(["plan", "--strict"]) == 3
    assert "0 of 10 gates can be decided" in capsys.readouterr().out
    text = "seeds = " + str(list(range(1, 40))) + "\n"
    (project / "fixtures" / "tasks" / "f.toml").write_text(TASK.replace("seeds = [1, 2]\n", text), encoding="utf-8")
    assert main(["plan", "--strict", "--gate=latency,memory", "--model=m", "--against=other"]) == 0
    assert "2 of 2 gates can be decided" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--model=othr", "did you mean 'other'?"),
        ("--task=cu", "did you mean 'cup'?"),
        ("--against=nobody", "a model card; known: m, other"),
        ("--gate=speed", "a gate: latency, memory, usability, drift, stability"),
        ("--false-alarms=0", "a share of at least 0.01% and at most 25%"),
        ("--false-alarms=half", "write it as 1% or 0.01"),
        ("--null=-1", "a number of processes, 0 or more"),
    ],
)
def test_mistakes_are_explained(project: Path, option: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, the rule and the remedy, and no plan."""
    assert main(["plan", option]) == 2
    found = capsys.readouterr()
    assert said in found.err
    assert found.out == ""


def test_pytest_plans_in_the_same_words(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of the command, status 0, no test run and no run folder."""
    assert main(["plan"]) == 0
    done = planned()
    assert done.returncode == 0, done.stdout + done.stderr
    printed = [line.rstrip() for line in done.stdout.splitlines()]
    assert [line for line in capsys.readouterr().out.splitlines() if line.rstrip() not in printed] == []
    assert "no tests ran" in done.stdout
    assert not (project / ".swapgate").exists()


def test_pytest_plans_the_gates_that_were_selected(project: Path) -> None:
    """The budget is shared by them alone; `--strict` makes the session fail on what cannot be decided."""
    done = planned("--strict", "--model=m", "tests/gates/test_drift.py")
    assert "shared by 1 model and 1 gate" in done.stdout
    assert "cannot be decided: drift/m" in done.stdout
    assert done.returncode == 3


@pytest.mark.parametrize("option", ["--replay=here", "--resume=here"])
def test_pytest_plans_no_recorded_run(project: Path, option: str) -> None:
    """There is nothing to look ahead at: a mistake, said before anything happens."""
    done = planned(option)
    assert done.returncode == 2
    assert "--plan looks ahead at a new run" in done.stdout + done.stderr


def test_a_mistake_of_the_plan_ends_the_session(project: Path) -> None:
    """The usual words, without a traceback; tests that are no gates give nothing to plan."""
    done = planned("--model=nobody")
    assert done.returncode == 2
    assert "a model card; known: m, other" in done.stdout + done.stderr
    (project / "tests" / "test_plain.py").write_text("def test_it():\n    raise AssertionError\n", encoding="utf-8")
    done = planned("tests/test_plain.py")
    assert done.returncode == 2
    assert "--plan needs gate tests" in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["plan", "pytest"])
def test_the_bundled_models_are_planned_without_loading_anything(command: str) -> None:
    """Neither torch nor what imports it is loaded."""
    heavy = ("torch", "diffusers", "transformers", "open_clip")
    call = "from swapgate.cli.main import main; status = main(['plan'])"
    if command == "pytest":
        call = "import pytest; status = pytest.main(['--plan', '-q', '-p', 'no:cacheprovider', 'tests/gates'])"
    code = f"import sys\n{call}\nprint(int(status), [name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600, cwd=REPOSITORY)
    assert done.stdout.splitlines()[-1] == "0 []", done.stdout[-2000:]
    assert "of 10 gates can be decided" in done.stdout
