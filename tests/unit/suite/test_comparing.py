"""`swapgate compare`: one recorded run judged with another as its baseline, and neither is changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from swapgate.cli.main import main
from swapgate.errors import UserError
from swapgate.suite.comparing import compare

RUNS: dict[str, dict[str, Any]] = {
    "one": {},
    "two": {},
    "worse": {"blank": 1.0, "weights": "changed"},
    "elsewhere": {"accelerator": "nvidia-h200"},
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test of this file leaves its runs for the others."""
    return tmp_path_factory.mktemp("kept") / "project"


@pytest.fixture
def runs(bench: Any, kept: Path) -> Path:
    """Runs of one model: twice as it is, once worse, once on another accelerator; one of another model and one of both."""
    root: Path = bench.root
    if not kept.exists():
        bench.seeds(12)
        (root / "pyproject.toml").write_text("[tool.swapgate.policy]\ndraws = 500\n", encoding="utf-8")
        for name, options in RUNS.items():
            bench.card("toy", more=bench.ceilings, **options)
            bench.whole(run_dir=root / name)[0].run.close()
        bench.card("toy", more=bench.ceilings)
        bench.card("other", more=bench.ceilings, weights="other")
        bench.whole(run_dir=root / "other", models=("other",))[0].run.close()
        bench.whole(run_dir=root / "both", models=("toy", "other"), tasks=("cat",))[0].run.close()
        shutil.copytree(root, kept, ignore=shutil.ignore_patterns("wording"))
    else:
        shutil.copytree(kept, root, dirs_exist_ok=True)
    return root


def said(root: Path, *words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    code = main(["--project", str(root), "compare", *words, "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out) if out.out else out.err


def statuses(data: Any, gate: str) -> dict[str, str]:
    return {one["id"].partition("/")[2]: one["status"] for one in data["verdicts"] if one["gate"] == gate}


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_runs_pass_and_neither_is_changed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verdicts, page and scores lie apart; the reason names the run that stands for the baseline; again, it is the same to the byte."""
    before = {name: tree(runs / name) for name in ("one", "two")}
    code, data = said(runs, "one", "two", capsys=capsys)
    assert code == 0
    assert set(statuses(data, "drift").values()) == {"PASS"}
    assert set(statuses(data, "usability").values()) <= {"PASS", "INCONCLUSIVE"}
    assert {name: tree(runs / name) for name in ("one", "two")} == before
    out = runs / ".swapgate" / "compare" / "one..two"
    assert (out / "report" / "index.html").is_file()
    told = json.loads((out / "verdicts.json").read_text(encoding="utf-8"))
    assert told["run"] == "two"
    assert "run one stands for the baseline" in json.dumps(told)
    first = (out / "verdicts.json").read_bytes()
    assert said(runs, "one", "two", capsys=capsys)[0] == 0
    assert (out / "verdicts.json").read_bytes() == first


def test_a_worse_run_is_red_and_the_next_command_names_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blank pictures: usability and drift say so, against the other run's pictures, and the exit status is 1."""
    code, data = said(runs, "one", "worse", f"--out={runs / 'here'}", capsys=capsys)
    assert code == 1
    assert statuses(data, "usability")["toy/all"] == "REGRESSION"
    nexts = {one["next"] for one in data["verdicts"] if one["next"]}
    assert all("swapgate-compare-" not in one for one in nexts)


def test_the_other_way_round_it_got_better(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first names the baseline."""
    code, data = said(runs, "worse", "one", capsys=capsys)
    assert code == 0
    assert statuses(data, "usability")["toy/all"] == "IMPROVED"


def test_costs_of_another_cohort_are_incomparable_and_pictures_are_not(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another accelerator: seconds and memory of the one say nothing of the other, whatever ceilings the card has."""
    code, data = said(runs, "one", "elsewhere", "--strict", capsys=capsys)
    assert code == 3
    assert set(statuses(data, "latency").values()) == set(statuses(data, "memory").values()) == {"INCOMPARABLE"}
    assert set(statuses(data, "drift").values()) == {"PASS"}
    reasons = [one["reason"] for one in data["verdicts"] if one["gate"] == "latency"]
    assert all("cost is compared only inside a cohort" in one for one in reasons)


def test_two_models_of_one_run_each_are_held_against_one_another(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By request, with other weights; times are left to a run in turn."""
    code, data = said(runs, "one", "other", capsys=capsys)
    assert code in (0, 1)
    assert {one["model"] for one in data["verdicts"]} == {"other"}
    assert set(statuses(data, "latency").values()) == {"INCOMPARABLE"} or set(statuses(data, "latency").values()) <= {"PASS", "INCONCLUSIVE"}
    assert "NEW" not in set(statuses(data, "usability").values())


def test_models_that_only_one_run_has_are_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are NEW, or not judged; runs without a model in common are a mistake when there are several."""
    code, data = said(runs, "one", "both", capsys=capsys)
    assert data["only_after"] == ["other"]
    assert statuses(data, "usability")["other/cat"] == "NEW"
    assert code == 0
    code, data = said(runs, "both", "one", capsys=capsys)
    assert data["only_before"] == ["other"]


def test_runs_that_share_nothing_are_a_mistake(runs: Path, bench: Any) -> None:
    """The message names the models of both, and how a swap is made."""
    bench.card("third", more=bench.ceilings)
    bench.card("fourth", more=bench.ceilings)
    bench.whole(run_dir=runs / "more", models=("third", "fourth"), tasks=("cat",), gates=("usability",))[0].run.close()
    with pytest.raises(UserError, match=r"they have toy and third, fourth") as caught:
        compare(bench.config, runs / "one", runs / "more", runs / "out")
    assert "pytest --model=B --against=A" in str(caught.value)
    assert not (runs / "out").exists()


def test_a_changed_task_is_told_and_nothing_is_judged(runs: Path, bench: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What was drawn by another prompt is not judged by today's."""
    path = runs / "fixtures" / "tasks" / "toys.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("a red cup on", "a green cup on"), encoding="utf-8")
    code, err = said(runs, "one", "two", capsys=capsys)
    assert code == 2
    assert "undo the change to the card or task" in err


def test_a_damaged_run_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line of its journal, and a picture that has to be looked at; neither is a traceback."""
    journal = runs / "two" / "journal.jsonl"
    good = journal.read_bytes()
    journal.write_bytes(b"{\n" + good)
    code, err = said(runs, "one", "two", capsys=capsys)
    assert (code, "journal.jsonl:1" in err) == (4, True)
    journal.write_bytes(good)
    for path in (runs / "worse" / "images").rglob("*.png"):
        path.write_bytes(b"no picture")
    (runs / "worse" / "scores.jsonl").unlink()
    code, err = said(runs, "one", "worse", capsys=capsys)
    assert code == 4
    assert "a PNG file that decodes" in err


def test_a_full_disk_says_so(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the comparison is written, and only there."""
    from swapgate.suite import comparing

    def full(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", str(path))

    real = comparing.write_atomic
    monkeypatch.setattr(comparing, "write_atomic", lambda path, *more: full(path) if path.name == "verdicts.json" else real(path, *more))
    code, err = said(runs, "one", "two", capsys=capsys)
    assert code == 4
    assert "there is room on the disk" in err
