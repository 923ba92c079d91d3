"""`swapgate report` on any recorded run: judged or not, from elsewhere, damaged, or where nothing may be written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from swapgate.cli.main import main


@pytest.fixture
def run(bench: Any) -> Path:
    """A judged run of one gate, small enough to be made for each test."""
    bench.whole(gates=("usability",), tasks=("cat",))[0].run.close()
    path: Path = bench.root / "here"
    return path


def test_a_judged_run_gets_its_page_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From verdicts.json alone, which stays as it is; the path is what is printed."""
    before = (run / "verdicts.json").read_bytes()
    assert main(["--project", str(run.parent), "report", "here"]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report" / "index.html")
    assert (run / "report" / "index.html").is_file()
    assert (run / "verdicts.json").read_bytes() == before


def test_a_run_that_was_never_judged_is_judged_first(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that was cut off: what was not made is an error of its cells, and the page says so."""
    (run / "verdicts.json").unlink()
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "journal.jsonl").write_text("".join(lines[:-2]), encoding="utf-8")
    assert main(["--project", str(run.parent), "report", "here", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"].endswith("index.html")
    told = {one["id"]: one["status"] for one in json.loads((run / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]}
    assert told["usability/toy/cat"] == "ERROR"


def test_a_run_of_another_project_needs_nothing_of_it(
    run: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Copied from another machine: no card and no task of it is here."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    shutil.copytree(run, elsewhere / "copied")
    assert main(["--project", str(elsewhere), "report", str(elsewhere / "copied")]) == 0
    assert str(elsewhere / "copied" / "report" / "index.html") in capsys.readouterr().out


def test_the_page_may_lie_elsewhere(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that may not be written: its page beside a copy of its verdicts, and the run as it was."""
    shutil.rmtree(run / "report", ignore_errors=True)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    out = run.parent / "page"
    assert main(["--project", str(run.parent), "report", "here", f"--out={out}"]) == 0
    capsys.readouterr()
    assert (out / "report" / "index.html").is_file()
    assert (out / "verdicts.json").read_bytes() == (run / "verdicts.json").read_bytes()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_damage_and_mistakes_are_one_message(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """verdicts.json that does not parse, a folder that is no run."""
    (run / "verdicts.json").write_text("{", encoding="utf-8")
    for name, code, said in (("here", 4, "valid JSON"), ("nowhere", 2, "manifest.json")):
        assert main(["--project", str(run.parent), "report", name]) == code
        err = capsys.readouterr().err
        assert said in err
        assert "Traceback" not in err
