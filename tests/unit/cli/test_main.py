"""The console script as a whole: speed, help, errors; and the smaller commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swapgate import __version__
from swapgate.cli import main as script
from swapgate.cli.main import main
from swapgate.errors import UserError

CARD = """\
engine = "scripted"
source = "any"
tasks = ["f"]
judge = { source = "scripted" }
"""
TASK = '[[task]]\nid = "cup"\nseeds = [1]\nwidth = 64\nheight = 64\nprompts = { en = "a cup" }\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project that is all right."""
    for folder, name, text in (("models", "m", CARD), ("tasks", "f", TASK)):
        (tmp_path / "fixtures" / folder).mkdir(parents=True)
        (tmp_path / "fixtures" / folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_imports_nothing_heavy() -> None:
    """No torch, no numpy: that is what makes it quick; how quick is for the benchmarks to say."""
    heavy = ("torch", "numpy", "PIL", "diffusers", "scipy", "jinja2", "hypothesis", "pytest")
    code = f"import sys\nfrom swapgate.cli.main import parser\nparser().format_help()\nprint([n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["baselines", "--help"], ["baselines", "accept", "--help"], ["standins", "train", "--help"], ["init", "-h"]]
)
def test_every_level_has_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0 and a usage line."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: swapgate")


@pytest.mark.parametrize("arguments", [[], ["baselines"], ["standins"], ["nonsense"], ["baselines", "approve"]])
def test_half_a_command_is_a_mistake(arguments: list[str]) -> None:
    """Status 2 from argparse."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug report needs."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == f"swapgate {__version__}"


def test_an_interrupt_is_no_traceback(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C: status 130."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("swapgate.cli.baselines.store_of", interrupted)
    assert script.main(["baselines", "list"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("error", "said"), [(OSError(28, "No space left on device", "x.json"), "x.json"), (ZeroDivisionError("a defect"), "ZeroDivisionError")]
)
def test_what_goes_wrong_elsewhere_has_its_own_status(
    project: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python itself would end with 1, which is a regression."""

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("swapgate.cli.baselines.store_of", broken)
    assert script.main(["baselines", "list"]) == 4
    err = capsys.readouterr().err
    assert said in err
    assert ("Traceback" in err) == (not isinstance(error, OSError))


def test_a_reader_that_leaves_early_is_no_error(project: Path, made: Any) -> None:
    """`swapgate baselines show | head -1`: the script ends quietly."""
    from swapgate.baselines.store import Store

    for number in range(40):
        Store(project / "baselines").put(made.baseline(task=f"t{number}"), made.load)
    command = f"{sys.executable} -m swapgate.cli.main baselines show | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=600)
    assert done.stdout.startswith("== ")
    assert done.stderr == ""


def test_a_mistake_in_pyproject_is_a_message(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command reads it; none shows a traceback."""
    (project / "pyproject.toml").write_text("[tool.swapgate]\nbaseline = 'x'\n", encoding="utf-8")
    for command in (["baselines", "list"], ["check"], ["report"], ["init"]):
        assert main(command) == 2
        assert "did you mean `baselines`" in capsys.readouterr().err


def test_check_says_ok(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And how much it read."""
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "OK: 1 cards, 1 tasks\n"
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "cards": ["m"], "tasks": ["cup"], "errors": []}


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("fixtures/models/m.toml", CARD + "title = 3\n", "title"),
        ("fixtures/models/n.toml", "x", "valid TOML"),
        ("fixtures/models/m.toml", CARD.replace('["f"]', '["g"]'), "a task family; known: f"),
        ("fixtures/tasks/f.toml", TASK.replace("[1]", "[1, 1]"), "do not repeat"),
        ("fixtures/wording/en.toml", "surprise = 1\n", "surprise"),
        ("pyproject.toml", '[tool.swapgate]\ndefault_models = ["q"]\n', "the name of a card"),
        ("pyproject.toml", "[tool.swapgate.policy]\nno_such_limit = 1\n", "no_such_limit"),
    ],
)  # fmt: skip
def test_check_names_each_mistake(project: Path, file: str, text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, the file and the rule; as JSON, too."""
    (project / file).parent.mkdir(exist_ok=True)
    (project / file).write_text(text, encoding="utf-8")
    assert main(["check"]) == 2
    out = capsys.readouterr()
    assert said in out.err
    assert "OK" not in out.out
    assert main(["check", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert any(said in f"{error['key']} {error['rule']}" for error in found["errors"])


def test_check_reports_all_mistakes_at_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Mending one after another costs a person's patience."""
    for name in ("a", "b"):
        (project / "fixtures" / "models" / f"{name}.toml").write_text("engine = 3\n", encoding="utf-8")
    (project / "fixtures" / "tasks" / "f.toml").write_text("[[task]]\n", encoding="utf-8")
    assert main(["check"]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in ("a.toml", "b.toml", "f.toml"))


@pytest.mark.parametrize("folder", ["models", "tasks"])
def test_check_misses_absent_folders(project: Path, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A project without cards or tasks is not OK, and neither is one with an empty folder of cards."""
    for path in (project / "fixtures" / folder).iterdir():
        path.unlink()
    if folder == "models":
        assert main(["check"]) == 2
        assert "at least one model card" in capsys.readouterr().err
    (project / "fixtures" / folder).rmdir()
    assert main(["check"]) == 2
    assert "must exist" in capsys.readouterr().err


def test_report_builds_the_page_of_the_newest_run(
    project: Path, made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page comes from the report package; pictures from the run, else from the baselines."""
    from swapgate import report
    from swapgate.baselines.store import Store

    draft, accepted = made.draft(), made.baseline(shift=50)
    run = made.run(project / ".swapgate" / "runs" / "r", draft)
    Store(project / "baselines").put(accepted, made.load)
    seen = {}

    def build(path: Path, source: Any, **how: Any) -> Path:
        seen.update(
            path=path, how=how, own=source(draft.quality.scores[0].image), other=source(accepted.quality.scores[0].image), none=source("0" * 64)
        )
        return path / "report" / "index.html"

    monkeypatch.setattr(report, "build", build)
    assert main(["report"]) == 0
    assert capsys.readouterr().out.strip().endswith("report/index.html")
    assert seen["path"] == run
    assert run in seen["own"].parents
    assert project / "baselines" in seen["other"].parents
    assert seen["none"] is None
    assert seen["how"] == {"lang": "en", "runs": project / ".swapgate" / "runs"}
    assert main(["report", "--lang=zh"]) == 0
    assert seen["how"]["lang"] == "zh"


def test_report_in_one_file_warns_of_its_size(project: Path, made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its path on stdout, the warning on stderr, both with --json."""
    from swapgate import report
    from swapgate.report.html import Single

    run = made.run(project / ".swapgate" / "runs" / "r", made.draft())
    found = Single(path=run / "report.html", size=60 * 2**20, warning="report.html: 60 MiB, above 50 MiB")
    monkeypatch.setattr(report, "build_single", lambda *_, **__: found)
    assert main(["report", "--single-file", "--lang=zh"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(run / "report.html")
    assert said.err == "warning: report.html: 60 MiB, above 50 MiB\n"
    assert main(["report", "--single-file", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(found.path), "bytes": found.size, "warning": found.warning}


def test_report_of_a_run_that_cannot_be_judged_says_what_to_do(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Without verdicts.json it is judged first, which asks for a whole manifest."""
    run = made.run(project / ".swapgate" / "runs" / "r", made.draft())
    (run / "verdicts.json").unlink()
    assert main(["report", "r"]) == 4
    said = capsys.readouterr().err
    assert f"{run / 'manifest.json'}: command" in said
    assert "remedy: restore the file from a copy, or make the run again" in said


def test_training_gets_what_was_typed(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Names, budgets and places arrive as the trainer wants them."""
    from swapgate.standins.training import run

    calls: list[Any] = []
    monkeypatch.setattr(run, "train", lambda out, which, **more: calls.append((out, which, more)) or {"qwen-vae": {"psnr": 35.0}})
    assert main(["standins", "train", "--which=qwen, clip", "--budget=tiny", "--device=cpu", "--seconds=qwen-vae=3,clip=4.5"]) == 0
    assert calls[0][:2] == (project / "fixtures" / "weights", ("qwen", "clip"))
    assert calls[0][2] == {"budget": "tiny", "device": "cpu", "checkpoints": None, "stage_seconds": {"qwen-vae": 3.0, "clip": 4.5}, "extend": False}
    assert "qwen-vae: psnr 35.0" in capsys.readouterr().out
    assert main(["standins", "train", "--out=x", "--extend", "--json"]) == 0
    assert calls[1][:2] == (Path("x"), run.MODELS)
    assert calls[1][2]["extend"] is True
    assert main(["standins", "train", "--seconds=qwen-vae=long"]) == 2


def test_evaluation_gets_what_was_typed(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line or one JSON object a folder."""
    from swapgate.standins import evaluate

    monkeypatch.setattr(evaluate, "evaluate", lambda folder, **more: {"model": folder.name, **more})
    assert main(["standins", "evaluate", "a", "b", "-n", "3", "--seed=5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"model": name, "n": 3, "device": "cpu", "seed": 5} for name in ("a", "b")]
    assert main(["standins", "evaluate", "a", "-n", "0"]) == 2


def test_evaluation_of_no_folder_is_a_message(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real evaluator: a folder without a pipeline is the user's mistake, not a traceback."""
    assert main(["standins", "evaluate", "absent"]) == 2
    assert "remedy" in capsys.readouterr().err


def test_errors_of_the_user_are_printed_whole() -> None:
    """File, key, value, rule and remedy, as every command prints them."""
    text = str(UserError(where="f", key="k", value=1, rule="r", remedy="m"))
    assert text == "f: k = 1\n  rule: r\n  remedy: m"
