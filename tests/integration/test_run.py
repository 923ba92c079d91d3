"""A run from `pytest` to verdicts.json: what it prints, what it leaves, and how it ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from swapgate.exits import Exit

if TYPE_CHECKING:
    from conftest import Project


GATES = ("latency", "memory", "usability", "drift", "stability")


def test_a_first_run_is_new_and_says_how_to_accept(project: Project) -> None:
    """Without a baseline quality is NEW, cost is decided by its ceilings, and the last lines name counts and report."""
    result = project.run()
    assert result.ret == 0
    found = project.verdicts()
    assert {found[f"{gate}/toy/all"] for gate in ("usability", "drift", "stability")} == {"NEW"}
    assert found["latency/toy/all"] == found["memory/toy/all"] == "PASS"
    result.stdout.fnmatch_lines(["verdicts: *NEW*PASS", "*baselines accept*", "measured: 15 of 15 cells*", "report: file://*index.html"])


def test_an_unchanged_model_passes_every_cell(project: Project) -> None:
    """The same model against its own baseline is decided everywhere, and green."""
    project.accept()
    result = project.run("--strict")
    assert result.ret == 0, result.stdout.str()
    assert set(project.verdicts().values()) == {"PASS"}
    assert len(project.verdicts()) == len(GATES) * 3


def test_collecting_makes_no_run(project: Project) -> None:
    """--collect-only reads cards and tasks, and leaves nothing behind."""
    result = project.run("--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_latency*toy-all*"])
    assert not (project.path / ".swapgate").exists()


def test_the_run_folder_holds_manifest_journal_images_and_report(project: Project) -> None:
    """One line a generation, one file a distinct picture, and the page beside them."""
    project.run("--run-dir=here")
    run = project.path / "here"
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    made = [event["generation"] for event in events if event["event"] == "generation"]
    assert len(made) == 2 * 2 * (15 + 6 * 2) + project.CHANGED_MEANINGS
    assert all((run / "images" / one["image"][:2] / f"{one['image']}.png").is_file() for one in made)
    assert (run / "report" / "index.html").is_file()
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    assert {"environment", "cards", "plan", "command"} <= set(manifest)
    assert len(list((run / "drafts").rglob("*.json"))) == 2


def test_a_used_run_folder_is_refused(project: Project) -> None:
    """Nothing that was recorded is ever written over."""
    project.recorded("here")
    before = (project.path / "here" / "journal.jsonl").read_bytes()
    result = project.run("--run-dir=here")
    assert result.ret == Exit.USAGE
    result.stderr.fnmatch_lines(["*a new run needs a folder that holds no run*"])
    assert (project.path / "here" / "journal.jsonl").read_bytes() == before


def test_model_and_task_narrow_the_run(project: Project) -> None:
    """Only what was asked for is generated and judged."""
    project.card("other")
    result = project.run("--model=other", "--task=cat", "--run-dir=here")
    assert result.ret == 0
    assert {cell.split("/", 1)[1] for cell in project.verdicts(project.path / "here")} == {"other/all", "other/cat"}


def test_a_selection_of_gates_leaves_out_what_they_do_not_need(project: Project) -> None:
    """Without a stability cell no rewording is drawn."""
    project.run("tests/gates/test_usability.py", "--run-dir=here")
    plan = json.loads((project.path / "here" / "manifest.json").read_text(encoding="utf-8"))["plan"]
    assert plan
    assert not [request for request in plan if request["edits"]]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model=toyy", "did you mean 'toy'"),
        ("--task=cap", "did you mean 'cup'"),
        ("--against=nobody", "a model card"),
        ("--against=toy", "another model than the one judged"),
        ("--resume=nowhere", "manifest.json"),
        ("--null=-1", "0 or more"),
    ],
)
def test_mistakes_end_before_anything_is_loaded(project: Project, option: str, message: str) -> None:
    """A wrong name is a usage error with a suggestion, not a failed test."""
    result = project.run(option)
    assert result.ret == Exit.USAGE
    assert message in result.stderr.str() + result.stdout.str()
    assert not (project.path / ".swapgate").exists()


def test_a_mistake_in_a_card_names_file_key_and_remedy(project: Project) -> None:
    """The error of the reader reaches the terminal whole."""
    path = project.path / "fixtures" / "models" / "toy.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("usability_floor", "usability_flor"), encoding="utf-8")
    result = project.run()
    assert result.ret != 0
    output = result.stdout.str() + result.stderr.str()
    assert "toy.toml: usability_flor" in output
    assert "did you mean `usability_floor`" in output


def test_undecided_cells_are_counted_and_fail_only_under_strict(project: Project) -> None:
    """Undecided is a word of its own in the output, never a pass and never a plain skip."""
    loose = project.run("--run-dir=a")
    assert loose.ret == 0
    assert "9 undecided" in loose.stdout.str()
    assert "skipped" not in loose.stdout.str()
    strict = project.run("--strict", "--run-dir=b")
    assert strict.ret == Exit.UNDECIDED
    strict.stdout.fnmatch_lines(["*--strict: NEW*"])


def test_a_run_that_decided_nothing_is_red(project: Project) -> None:
    """Only undecided cells: nothing failed, and still the run is not green."""
    result = project.run("tests/gates/test_drift.py")
    assert result.ret == Exit.UNDECIDED
    assert "3 undecided" in result.stdout.str()


def test_junit_and_markdown_carry_the_verdicts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What CI reads says the same as the terminal: the properties in JUnit, the summary in GITHUB_STEP_SUMMARY."""
    summary = project.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    project.run("--junitxml=junit.xml")
    junit = (project.path / "junit.xml").read_text(encoding="utf-8")
    assert 'name="swapgate.verdict" value="NEW"' in junit
    assert "drift/toy/all" in summary.read_text(encoding="utf-8")


def test_benchmark_json_holds_the_hosts_clock(project: Project) -> None:
    """pytest-benchmark records the seconds of the journal, not those of the test."""
    project.run("tests/gates/test_latency.py", "--benchmark-json=bench.json", "--run-dir=here")
    recorded = json.loads((project.path / "bench.json").read_text(encoding="utf-8"))["benchmarks"]
    pooled = next(one for one in recorded if one["param"] == "toy-all")
    events = [json.loads(line) for line in (project.path / "here" / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    totals = [e["generation"]["times"]["total"] for e in events if e["event"] == "generation" and not e["generation"]["first_call"]]
    assert sorted(pooled["stats"]["data"]) == pytest.approx(sorted(totals), rel=1e-6)


def test_gates_do_not_run_under_xdist(project: Project) -> None:
    """A model loaded by several workers would be measured against itself."""
    pytest.importorskip("xdist")
    result = project.pytester.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider")
    assert result.ret != 0
    assert not (project.path / ".swapgate").exists()


def test_progress_is_plain_lines_where_there_is_no_terminal(project: Project) -> None:
    """In CI: one line when a model loads, one with the plan, one when it is done."""
    result = project.run()
    result.stdout.fnmatch_lines(["*toy: loading", "*toy: 108 images planned", "*toy: 108/108 images, * s an image"])


def test_a_project_without_pyproject_table_uses_the_defaults(project: Project) -> None:
    """The folders of the layout are the defaults of [tool.swapgate]."""
    (project.path / "pyproject.toml").write_text('[tool.pytest]\ntestpaths = ["tests/gates"]\n', encoding="utf-8")
    assert project.run("--collect-only", "-q").ret == 0
    assert Path(os.getcwd()) == project.path
