"""The quick drill of a full run: made once, kept, told everywhere, reused by a replay, and red when a gate is DEAD."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swapgate.exits import Exit

if TYPE_CHECKING:
    from conftest import Project

DEAD, UNPROVED = Exit.ERROR, Exit.UNDECIDED


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a quick drill of the toy is kept over the tests of this file, as it is over the runs of a user."""
    return tmp_path_factory.mktemp("kept") / "quick-drills"


@pytest.fixture
def drilled(project: Project, kept: Path) -> Any:
    """The project with an accepted baseline and whatever quick drill is kept; gives the function that runs it in full."""
    project.accept(cost=True)
    if kept.is_dir():
        shutil.copytree(kept, project.path / ".swapgate" / "runs" / "quick-drills")

    def run(*arguments: str) -> pytest.RunResult:
        result = project.run("--budget=full", *arguments)
        if not kept.is_dir():
            shutil.copytree(project.path / ".swapgate" / "runs" / "quick-drills", kept)
        return result

    return run


def record(project: Project, run: str = "here") -> dict[str, Any]:
    data = json.loads((project.path / run / "quick-drill.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = data["models"][0]
    return found


def states(project: Project) -> dict[str, str]:
    return {gate["gate"]: gate["state"] for gate in record(project)["gates"]}


def test_a_full_run_drills_its_gates_and_tells_it_everywhere(project: Project, drilled: Any) -> None:
    """Green with its faults caught: on the terminal, in the run folder and on the page, with its date."""
    result = drilled("--run-dir=here")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["quick drill of toy, made 20??-??-?? *on *: latency caught (slow-steps slow:3), memory caught (leak leak:32), *"])
    assert states(project) == {"latency": "caught", "memory": "caught", "usability": "caught", "drift": "caught", "stability": "not drilled"}
    page = (project.path / "here" / "report" / "index.html").read_text(encoding="utf-8")
    assert "Quick drill: would the gates have seen it?" in page
    link = record(project)["page"]
    assert f'href="../{link}"' in page
    assert (project.path / "here" / link).resolve().is_file()


def test_the_second_full_run_reads_it_again(project: Project, drilled: Any) -> None:
    """Nothing is made for it, its date is that of the first, and it says so."""
    drilled("--run-dir=first")
    made = {path: path.stat().st_mtime_ns for path in (project.path / ".swapgate").rglob("journal.jsonl")}
    result = drilled("--run-dir=here")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["quick drill of toy, made * (read again from its folder) on *"])
    assert record(project)["made"] == record(project, "first")["made"]
    assert {path: path.stat().st_mtime_ns for path in (project.path / ".swapgate").rglob("journal.jsonl")} == made


def test_a_dead_gate_makes_the_run_red(project: Project, drilled: Any) -> None:
    """The kept runs are read again, so a gate whose run is green in its folder is dead; the command to look is named."""
    drilled("--run-dir=first")
    (leak,) = (project.path / ".swapgate").rglob("leak/*/verdicts.json")
    leak.write_text(leak.read_text(encoding="utf-8").replace("REGRESSION", "PASS"), encoding="utf-8")
    result = drilled("--run-dir=here")
    assert result.ret == DEAD
    result.stdout.fnmatch_lines(["  DEAD         memory/toy: *", "  look at .swapgate/runs/quick-drills/*"])
    assert set(project.verdicts(project.path / "here").values()) == {"PASS"}, "the verdicts themselves are green"
    assert "DEAD" in (project.path / "here" / "report" / "index.html").read_text(encoding="utf-8")


def test_a_replay_tells_what_was_recorded_and_changes_nothing(project: Project, drilled: Any) -> None:
    """Also where the kept drill is gone: the same lines, the same bytes, the same exit status."""
    drilled("--run-dir=here")
    files = [project.path / "here" / name for name in ("verdicts.json", "quick-drill.json")]
    before = [file.read_bytes() for file in files]
    shutil.rmtree(project.path / ".swapgate")
    result = drilled("--replay=here")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["quick drill of toy, made *: latency caught *"])
    assert [file.read_bytes() for file in files] == before
    assert not (project.path / ".swapgate").exists()


def test_a_replay_of_a_dead_gate_is_red_as_well(project: Project, drilled: Any) -> None:
    """A green replay would take back what the run said."""
    drilled("--run-dir=here")
    file = project.path / "here" / "quick-drill.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"state": "caught"', '"state": "DEAD"', 1), encoding="utf-8")
    assert drilled("--replay=here").ret == DEAD


def test_a_replay_without_a_recorded_drill_says_so(project: Project, drilled: Any) -> None:
    """It makes none; with --strict that is not enough."""
    project.recorded("here")
    result = drilled("--replay=here")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["quick drill: none is recorded in this run, and a replay makes no images*"])
    assert not (project.path / "here" / "quick-drill.json").exists()
    assert drilled("--replay=here", "--strict").ret == UNPROVED


def test_what_cannot_be_drilled_fails_under_strict(project: Project, drilled: Any) -> None:
    """No fault that the stability gate sees can be planted into the scripted engine: said, and not green under --strict."""
    assert drilled("--run-dir=here", "--strict").ret == UNPROVED
    assert "stability" in {gate["gate"] for gate in record(project)["gates"] if gate["state"] == "not drilled"}


def test_a_plain_run_has_no_quick_drill(project: Project) -> None:
    """It is part of full runs alone."""
    project.accept(cost=True)
    result = project.run("--run-dir=here")
    assert "quick drill" not in result.stdout.str()
    assert not (project.path / "here" / "quick-drill.json").exists()
    assert not (project.path / ".swapgate").exists()


def test_a_damaged_record_is_a_mistake_with_a_remedy(project: Project, drilled: Any) -> None:
    """Never read as a green one."""
    drilled("--run-dir=here")
    (project.path / "here" / "quick-drill.json").write_text("[broken", encoding="utf-8")
    result = drilled("--replay=here")
    assert result.ret == Exit.ERROR
    text = result.stdout.str() + result.stderr.str()
    assert "quick-drill.json" in text
    assert "remedy:" in text
    assert "Traceback" not in text


def test_an_interrupted_quick_drill_leaves_the_verdicts_and_says_how_to_go_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is judged by then; its page is there."""
    project.accept(cost=True)

    def cut_off(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("swapgate.drills.quick.quick_drills", cut_off)
    result = project.run("--budget=full", "--run-dir=here")
    assert result.ret == Exit.INTERRUPTED
    assert "the quick drill was interrupted" in result.stdout.str()
    assert (project.path / "here" / "verdicts.json").is_file()
    assert (project.path / "here" / "report" / "index.html").is_file()
