"""`swapgate drill` from the command line to the matrix, on the scripted engine in processes of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swapgate.cli.main import main

if TYPE_CHECKING:
    from conftest import Project

DRILLS = ("slow-steps", "leak", "black", "weight-noise")


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Path:
    """A project in which four drills were made, one for each gate but stability, and one that the engine cannot act."""
    root = tmp_path_factory.mktemp("drilled")
    shutil.copytree(template / "fixtures", root / "fixtures")
    shutil.copy(template / "pyproject.toml", root / "pyproject.toml")
    assert drill(root, *DRILLS, "rope-theta") == 0
    return root


def drill(root: Path, *drills: str, model: str = "toy") -> int:
    options = [f"--drill={','.join(drills)}"] if drills else []
    return main(["--project", str(root), "drill", f"--model={model}", f"--out={root / 'out'}", *options])


def matrix(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "out" / "matrix.json").read_text(encoding="utf-8"))
    return found


def marks(root: Path) -> dict[str, dict[str, str]]:
    return {row["drill"]: {entry["gate"]: entry["mark"] for entry in row["entries"]} for row in matrix(root)["rows"]}


def test_every_fault_is_caught_by_its_own_gates_and_by_no_forbidden_one(drilled: Path) -> None:
    """Slower steps by the clock, a leak by memory, black pictures by what a person would see."""
    found = marks(drilled)
    assert tuple(found) == DRILLS
    assert found["slow-steps"] == {"latency": "CAUGHT", "memory": "QUIET", "usability": "QUIET", "drift": "QUIET", "stability": "QUIET"}
    assert found["leak"] == {"latency": "OPEN", "memory": "CAUGHT", "usability": "QUIET", "drift": "QUIET", "stability": "QUIET"}
    assert {gate: found["black"][gate] for gate in ("latency", "memory", "usability", "drift")} == {
        "latency": "QUIET", "memory": "QUIET", "usability": "CAUGHT", "drift": "CAUGHT",
    }  # fmt: skip
    assert found["weight-noise"]["drift"] == "CAUGHT"


def test_the_matrix_says_what_was_proved_and_what_does_not_apply(drilled: Path) -> None:
    """Each run's fault acted; the one that this engine lacks is listed and not counted."""
    data = matrix(drilled)
    assert [row["proof"] for row in data["rows"]] == ["scripted"] * 4
    assert [row["errors"] for row in data["rows"]] == [[]] * 4
    assert [one["drill"] for one in data["skipped"]] == ["rope-theta"]
    assert data["counts"]["not_applicable"] == 1
    assert data["tripped"] == ["latency", "memory", "usability", "drift"] or "stability" in data["tripped"]


def test_the_project_is_left_as_it_was(drilled: Path) -> None:
    """No baseline of its own, no run among its runs."""
    assert not (drilled / "baselines").exists()
    assert not (drilled / ".swapgate").exists()
    assert len(list((drilled / "out" / "baselines").glob("*/*/*.json"))) == 2


def test_every_run_has_its_report_and_the_page_links_to_it(drilled: Path) -> None:
    """With the banner of a planted fault, so that nobody takes it for a regression of the model."""
    page = (drilled / "out" / "matrix.html").read_text(encoding="utf-8")
    for name in DRILLS:
        (report,) = (drilled / "out" / "runs" / name).glob("*/report/index.html")
        assert report.relative_to(drilled / "out").as_posix() in page
        assert "carries planted faults (a drill)" in report.read_text(encoding="utf-8")


def test_a_second_call_makes_only_what_is_missing(drilled: Path, tmp_path: Path) -> None:
    """A finished run is read; one that lost its verdicts is judged again from its pictures, none of which is made anew."""
    root = tmp_path / "again"
    shutil.copytree(drilled, root)
    before = marks(root)
    (cut,) = (root / "out" / "runs" / "black").iterdir()
    (cut / "verdicts.json").unlink()
    journals = {path: path.read_bytes() for path in (root / "out").rglob("journal.jsonl")}
    assert drill(root, *DRILLS, "rope-theta") == 0
    assert marks(root) == before
    assert {path: path.read_bytes() for path in journals} == journals


def test_a_drill_run_can_be_replayed_with_its_fault(drilled: Path) -> None:
    """The recorded fault is taken up without being named, so the replay is marked as a drill as well."""
    from swapgate.config import find_config
    from swapgate.suite.options import Options
    from swapgate.suite.planning import prepare

    (run,) = (drilled / "out" / "runs" / "leak").iterdir()
    setup = prepare(find_config(drilled), Options(root=drilled, replay=run))
    assert setup.models[0].faults == ("leak:32",)


def test_a_fault_that_does_not_act_is_an_error_and_status_1(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slowed down by a factor of one: the gates are quiet, and the drill says that it proved nothing."""
    from swapgate.drills.kinds import Drill

    idle = Drill(
        id="idle", about="Nothing happens.", sources=("diffusers #1",), mild=None, moderate="slow:1", severe=None, fires=frozenset({"latency"}),
        quiet=frozenset(),
    )  # fmt: skip
    monkeypatch.setattr("swapgate.drills.catalogue.CATALOGUE", (idle,))
    assert drill(project.path, "idle") == 1
    (row,) = matrix(project.path)["rows"]
    assert row["errors"] == ["repeat 1: the fault did not act: scripted"]
    assert {entry["mark"] for entry in row["entries"]} == {"ERROR"}


def test_an_unknown_model_is_a_mistake(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and nothing is left behind."""
    assert drill(project.path, "black", model="toyy") == 2
    assert "did you mean 'toy'" in capsys.readouterr().err
    assert not (project.path / "out").exists()


def test_unchanged_runs_alone_are_made_counted_and_told(drilled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real runs of the honest model, without any fault: how many were red anywhere, with the exact interval, in all three places."""
    root = tmp_path / "nothing"
    shutil.copytree(drilled, root)
    shutil.rmtree(root / "out" / "runs")
    honest = (root / "out" / "honest" / "journal.jsonl").read_bytes()
    options = ["--project", str(root), "drill", "--model=toy", f"--out={root / 'out'}", "--drill=nothing", "--repeats=2"]
    assert main(options) == 0
    assert "unchanged runs red: 0 of 2, at most 92.9 % (99 %); by gate: latency 0, memory 0, usability 0" in capsys.readouterr().out
    assert sorted(path.name for path in (root / "out" / "runs").glob("*/*")) == ["moderate-1", "moderate-2"]
    data = matrix(root)
    assert [row["drill"] for row in data["rows"]] == ["nothing"]
    assert (data["unchanged"]["anywhere"]["red"], data["unchanged"]["anywhere"]["n"], data["unchanged"]["different"]) == (0, 2, 1)
    assert "0 of 2, at most 92.9 % (99 %)" in (root / "out" / "matrix.html").read_text(encoding="utf-8")
    assert (root / "out" / "honest" / "journal.jsonl").read_bytes() == honest


def test_shares_made_apart_are_read_together(drilled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two copies of one honest run, a share in each; copied into one folder, the whole is read and nothing is made."""
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        shutil.copytree(drilled, root)
        shutil.rmtree(root / "out" / "runs")
    options = ["drill", "--model=toy", "--drill=leak,black"]
    for k, root in ((1, one), (2, other)):
        assert main(["--project", str(root), *options, f"--out={root / 'out'}", f"--shard={k}/2"]) == 0
        assert f"note: share {k} of 2" in capsys.readouterr().out
        assert len(list((root / "out" / "runs").iterdir())) == 1
    shutil.copytree(other / "out" / "runs", one / "out" / "runs", dirs_exist_ok=True)
    journals = {path: path.read_bytes() for path in (one / "out").rglob("journal.jsonl")}
    assert main(["--project", str(one), *options, f"--out={one / 'out'}"]) == 0
    assert [row["drill"] for row in matrix(one)["rows"]] == ["leak", "black"]
    assert {path: path.read_bytes() for path in (one / "out").rglob("journal.jsonl")} == journals
