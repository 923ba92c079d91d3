"""`swapgate init`: what it writes into an empty folder and into somebody's repository, and that it spoils nothing there."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from swapgate import bundled
from swapgate.cards import read_card
from swapgate.cli import init
from swapgate.cli.main import main
from swapgate.config import find_config
from swapgate.engines.registry import ENGINES

REPOSITORY = Path(__file__).parents[3]
GATES = [f"tests/gates/test_{gate}.py" for gate in ("drift", "latency", "memory", "stability", "usability")]
WORKFLOW = ".github/workflows/swapgate.yml"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_an_empty_folder_becomes_a_project_that_runs_at_once(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stand-in's card and tasks, the gate tests, the table and a CI job; `check` and `plan` are content with them."""
    assert main(["init", "--json"]) == 0
    told = said(capsys)
    assert sorted(told["written"]) == sorted(files(empty))
    assert sorted(files(empty)) == sorted(
        [".gitignore", WORKFLOW, "fixtures/models/standin-qwen.toml", "fixtures/tasks/standin.toml", "pyproject.toml", *GATES]
    )
    assert told["kept"] == told["added"] == []
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "OK: 1 cards, 6 tasks\n"
    assert main(["plan", "--json"]) == 0
    assert "standin-qwen" in capsys.readouterr().out


def test_its_card_is_that_of_this_project_with_the_weights_of_the_package(empty: Path) -> None:
    """The same everywhere, and no path of this machine in it."""
    assert main(["init"]) == 0
    card = read_card(empty / "fixtures" / "models" / "standin-qwen.toml", root=empty, engines=ENGINES)
    ours = read_card(REPOSITORY / "fixtures" / "models" / "standin-qwen.toml", root=REPOSITORY, engines=ENGINES)
    assert card.recipe() == ours.recipe()
    assert (card.source, card.judge.source) == ("bundled:standin-qwen", "bundled:standin-clip")
    assert bundled.place(empty, card.source).samefile(REPOSITORY / ours.source)
    assert str(REPOSITORY) not in "".join(text.decode() for text in files(empty).values())


def test_a_model_of_ones_own(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a first task that is for any model."""
    assert main(["init", "--name=mine", "--source=Qwen/Qwen-Image-2512", "--ci=none"]) == 0
    assert sorted(files(empty)) == sorted([".gitignore", "fixtures/models/mine.toml", "fixtures/tasks/first.toml", "pyproject.toml", *GATES])
    card = read_card(empty / "fixtures" / "models" / "mine.toml", root=empty, engines=ENGINES)
    assert (card.title, card.source, card.pipeline) == ("mine", "Qwen/Qwen-Image-2512", "QwenImagePipeline")
    capsys.readouterr()
    assert main(["check"]) == 0


def test_a_job_for_gitlab(empty: Path) -> None:
    """At the place where GitLab looks."""
    assert main(["init", "--ci=gitlab"]) == 0
    assert ".gitlab-ci.yml" in files(empty)
    assert WORKFLOW not in files(empty)


def test_nothing_is_overwritten(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every file that was there stays to the byte, and is named; a second call writes nothing."""
    assert main(["init"]) == 0
    for name in files(empty):
        (empty / name).write_bytes(
            (empty / name).read_bytes() + b"\n# mine\n" if name != "pyproject.toml" else b"[tool.swapgate]\r\nscoring = 'cpu'\r\n"
        )
    before = files(empty)
    capsys.readouterr()
    assert main(["init"]) == 0
    out = capsys.readouterr().out
    assert files(empty) == before
    assert "wrote" not in out
    assert all(f"kept {name} as it is" in out for name in before)
    assert 'default_models = ["standin-qwen"]' in out, "what could not be added is shown"


PYPROJECTS = {
    "plain": '[project]\nname = "mine"\n',
    "without a line end": '[project]\nname = "mine"',
    "comments": "# kept\n\n[tool.ruff]   # spaced\nline-length=99\n\n\n",
    "windows": '[project]\r\nname = "mine"\r\n',
    "ends in an array of tables": '[[tool.mypy.overrides]]\nmodule = ["a"]\n',
    "empty": "",
    "chinese": '[project]\nname = "mine"\ndescription = "图片"\n',
}


@pytest.mark.parametrize("kind", PYPROJECTS)
def test_the_table_is_added_to_a_pyproject_without_spoiling_it(empty: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every byte before it is as it was, and so is every value."""
    path, before = empty / "pyproject.toml", PYPROJECTS[kind].encode()
    path.write_bytes(before)
    assert main(["init", "--json"]) == 0
    assert said(capsys)["added"] == ["pyproject.toml"]
    after = path.read_bytes()
    assert after.startswith(before)
    assert after.count(b"\r\n") in (0, after.count(b"\n")), "one kind of line end"
    known, read = tomllib.loads(before.decode()), tomllib.loads(after.decode())
    assert read["tool"].pop("swapgate") == {"default_models": ["standin-qwen"]}
    assert {**read, "tool": read["tool"]} == {"tool": {}, **known}
    assert find_config(empty).default_models == ("standin-qwen",)


@pytest.mark.parametrize("text", ["tool = { other = { a = 1 } }\n", '[tool.swapgate]\nscoring = "cpu"\n', "[tool]\nswapgate = { scoring = 'cpu' }\n"])
def test_a_pyproject_to_which_nothing_can_be_added_stays_as_it_is(empty: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table is shown, to be added by hand."""
    (empty / "pyproject.toml").write_text(text, encoding="utf-8")
    assert main(["init"]) == 0
    out = capsys.readouterr().out
    assert (empty / "pyproject.toml").read_text(encoding="utf-8") == text
    assert "kept pyproject.toml as it is" in out
    assert '    default_models = ["standin-qwen"]' in out


@pytest.mark.parametrize(("before", "after"), [("", ".swapgate/\nswapgate-run/\n"), ("*.pyc\n.swapgate/\n", "*.pyc\n.swapgate/\nswapgate-run/\n")])
def test_run_folders_are_kept_out_of_version_control(empty: Path, before: str, after: str) -> None:
    """They are large; what is ignored already is not written twice."""
    if before:
        (empty / ".gitignore").write_text(before, encoding="utf-8")
    assert main(["init"]) == 0
    assert (empty / ".gitignore").read_text(encoding="utf-8") == after


@pytest.mark.parametrize("option", ["--name=../x", "--name=a b", '--source=a"b', "--pipeline=a\\b"])
def test_values_that_would_break_a_file_are_refused(empty: Path, option: str) -> None:
    """Nothing is written."""
    assert main(["init", option]) == 2
    assert files(empty) == {}


def test_a_pyproject_that_cannot_be_read_stops_it(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is written."""
    (empty / "pyproject.toml").write_text("[broken\n", encoding="utf-8")
    assert main(["init"]) == 2
    assert "valid TOML" in capsys.readouterr().err
    assert list(files(empty)) == ["pyproject.toml"]


def code_of(text: str) -> str:
    """A module without its docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


@pytest.mark.parametrize("gate", list(init.QUESTIONS))
def test_a_user_gets_the_gate_tests_of_this_repository(gate: str) -> None:
    """The generated file is the code of tests/gates, so that it cannot fall behind."""
    ours = (REPOSITORY / "tests" / "gates" / f"test_{gate}.py").read_text(encoding="utf-8")
    assert code_of(init.gate_test(gate)) == code_of(ours)
