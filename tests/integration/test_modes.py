"""Resume, replay, A/B and baselines, as a user calls them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swapgate.exits import Exit
from swapgate.plan import Request
from swapgate.pytest_plugin.options import NULL_PROCESSES

if TYPE_CHECKING:
    from conftest import Project


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_replay_gives_the_same_bytes_and_loads_nothing(project: Project) -> None:
    """A recorded run is judged again from its files alone."""
    project.accept()
    project.run("--run-dir=here")
    run = project.path / "here"
    before, journal = (run / "verdicts.json").read_bytes(), (run / "journal.jsonl").read_bytes()
    result = project.run("--replay=here")
    assert result.ret == 0, result.stdout.str()
    assert (run / "verdicts.json").read_bytes() == before
    assert (run / "journal.jsonl").read_bytes() == journal
    assert "loading" not in result.stdout.str()


def test_replay_of_a_run_that_was_cut_short_is_red(project: Project) -> None:
    """A request that was never made is an ERROR of the cells that needed it, not a smaller sample."""
    journal = project.recorded("here") / "journal.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.write_text("".join(lines[:40]), encoding="utf-8")
    result = project.run("--replay=here")
    assert result.ret == Exit.ERROR
    assert "ERROR" in project.verdicts(project.path / "here").values()


@pytest.mark.parametrize("kept", [3, 30, 70])
def test_a_run_cut_anywhere_is_resumed_without_making_an_image_again(project: Project, kept: int) -> None:
    """The verdicts are those of a run that nobody disturbed."""
    project.accept()
    run = project.recorded("cut")
    whole = project.verdicts(run)
    cut_off(run, kept)
    before = journal_lines(run)[:kept]
    result = project.run("--resume=cut")
    assert result.ret == 0, result.stdout.str()
    assert project.verdicts(run) == whole
    assert_each_made_once(project, run)
    assert journal_lines(run)[:kept] == before


def assert_each_made_once(project: Project, run: Path) -> None:
    """Every request of the plan, and beside it the changed meanings."""
    made = [event["generation"]["request"] for event in events(run, "generation")]
    assert len(made) == len(set(made)) == 108 + project.CHANGED_MEANINGS
    assert len(set(made) & set(models_by_request(run))) == 108


def models_by_request(run: Path) -> dict[str, str]:
    """The model of every request of the plan."""
    plan = json.loads((run / "manifest.json").read_text(encoding="utf-8"))["plan"]
    return {Request.from_json(request).key: request["model"] for request in plan}


def journal_lines(run: Path) -> list[str]:
    return (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()


def cut_off(run: Path, kept: int) -> None:
    """Leave what a kill would: so many whole lines and half of the next, and nothing that is written at the end."""
    journal = run / "journal.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.write_text("".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2], encoding="utf-8")
    for written in ("scores.jsonl", "verdicts.json"):
        (run / written).unlink()
    shutil.rmtree(run / "drafts")


def test_a_killed_run_is_resumed(project: Project) -> None:
    """SIGKILL in the middle of generating, then --resume: all images once, and a green run."""
    project.accept()
    project.card("toy", sleep=0.03)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--run-dir=killed", "--budget=full"]
    process = subprocess.Popen(command, cwd=project.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    journal = project.path / "killed" / "journal.jsonl"
    wait_for(lambda: journal.is_file() and journal.read_text(encoding="utf-8").count('"generation"') > 10)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    result = project.run("--resume=killed")
    assert result.ret == 0, result.stdout.str()
    assert_each_made_once(project, project.path / "killed")
    assert set(project.verdicts(project.path / "killed").values()) == {"PASS"}


def wait_for(condition: Any, seconds: float = 600.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.05)


def test_resuming_with_another_card_is_refused(project: Project) -> None:
    """A run is one recipe; half of it made by another one would be a picture of neither."""
    project.recorded("here")
    card = project.path / "fixtures" / "models" / "toy.toml"
    card.write_text(card.read_text(encoding="utf-8") + "\n[call]\nsteps = 9\n", encoding="utf-8")
    result = project.run("--resume=here")
    assert result.ret == Exit.USAGE
    assert "is not in its plan" in result.stderr.str() + result.stdout.str()


def test_a_worse_model_against_a_better_one_is_red_and_the_other_way_round_green(project: Project) -> None:
    """A/B: the same two models, each way, on the same requests, arms in turn."""
    project.card("weak", weights="other", wrong_prompt=0.4, wrong_rewording=0.9)
    worse = project.run("--model=weak", "--against=toy", "--run-dir=worse")
    assert worse.ret == Exit.REGRESSION
    found = project.verdicts(project.path / "worse")
    assert found["usability/weak/all"] == found["stability/weak/all"] == "REGRESSION"
    better = project.run("--model=toy", "--against=weak", "--run-dir=better")
    assert better.ret == 0, better.stdout.str()
    found = project.verdicts(project.path / "better")
    assert found["usability/toy/all"] == "IMPROVED"
    assert events(project.path / "better", "interleaved")
    data = json.loads((project.path / "better" / "verdicts.json").read_text(encoding="utf-8"))
    assert {row["better"] for row in data["comparison"] if row["gate"] == "usability" and row["task"] == "all"} == {"b"}


def test_arms_take_turns_request_by_request(project: Project) -> None:
    """Drift of the machine must fall on both arms alike."""
    project.card("other")
    project.run("--model=other", "--against=toy", "--run-dir=here")
    model = models_by_request(project.path / "here")
    made = [event["generation"]["request"] for event in events(project.path / "here", "generation")]
    order = [model[request] for request in made if request in model]
    assert all(set(order[place : place + 2]) == {"toy", "other"} for place in range(0, len(order), 2))
    assert order[0] != order[2]


def test_update_baselines_writes_reviewable_files_and_says_so(project: Project) -> None:
    """Run plus accept: JSON with samples and provenance, lossless pictures, and a line for each."""
    result = project.run("--update-baselines", "--allow-ci-update", "--baseline-reason=first model", "--run-dir=here")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["accepted toy/any/cup: *"])
    folder = project.path / "baselines" / "toy" / "any"
    accepted = json.loads((folder / "cup.json").read_text(encoding="utf-8"))
    assert accepted["provenance"]["reason"] == "first model"
    assert accepted["cost"] is None
    assert len(accepted["quality"]["null"]["drifts"]) == 2 * NULL_PROCESSES
    assert len(list((folder / "images").iterdir())) == len(set(_kept(folder)))


def _kept(folder: Path) -> list[str]:
    scores = [score for path in folder.glob("*.json") for score in json.loads(path.read_text(encoding="utf-8"))["quality"]["scores"]]
    return [score["image"] for score in scores if not score["edits"]]


def test_a_recorded_run_is_taken_up_with_its_own_models_tasks_and_other_arm(project: Project) -> None:
    """The command that an interrupted run prints is enough: nobody has to remember what was chosen."""
    project.card("other", weights="other")
    project.run("--model=other", "--task=cat", "--against=toy", "--run-dir=here")
    before = (project.path / "here" / "verdicts.json").read_bytes()
    result = project.run("--replay=here")
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    assert (project.path / "here" / "verdicts.json").read_bytes() == before


def test_update_baselines_in_ci_needs_permission(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI compares; it does not decide what is right."""
    monkeypatch.setenv("CI", "true")
    result = project.run("--update-baselines", "--baseline-reason=x")
    assert result.ret != 0
    assert not (project.path / "baselines").exists()
    assert "--allow-ci-update" in result.stdout.str() + result.stderr.str()


def test_a_run_that_broke_an_absolute_limit_never_becomes_a_baseline(project: Project) -> None:
    """Black pictures are no baseline, whoever asks."""
    project.card("toy", black=1.0)
    result = project.run("--update-baselines", "--allow-ci-update", "--baseline-reason=x")
    assert result.ret != 0
    assert not list((project.path / "baselines").rglob("*.json"))


def test_planted_faults_are_shown_and_never_accepted(project: Project) -> None:
    """A drill must not leave its picture behind as the truth."""
    project.card("toy", faults="slow:1.01")
    result = project.run("--update-baselines", "--allow-ci-update", "--baseline-reason=x", "--run-dir=here")
    assert result.ret != 0
    assert not list((project.path / "baselines").rglob("*.json"))
    assert "slow:1.01" in (project.path / "here" / "report" / "index.html").read_text(encoding="utf-8")


def test_baselines_that_nothing_names_any_more_are_listed_and_fail_under_strict(project: Project) -> None:
    """What they guarded, nobody guards: listed in any run, a failure with --strict, and the command that deletes them is said."""
    project.accept()
    run = project.recorded("here")
    kept = project.path / "baselines" / "toy" / "any"
    shutil.copy(kept / "cup.json", kept / "jug.json")
    loose = project.run("--replay=here")
    assert loose.ret == 0, loose.stdout.str()
    loose.stdout.fnmatch_lines(["unused baseline: toy/any/jug.json: no task jug", "next: swapgate baselines prune --unused --yes*"])
    strict = project.run("--replay=here", "--strict")
    assert strict.ret == Exit.UNDECIDED
    assert set(project.verdicts(run).values()) == {"PASS"}
    (kept / "jug.json").unlink()
    assert project.run("--replay=here", "--strict").ret == 0
