"""`swapgate baselines …` as a person or a script calls it: output, exit status and the files left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swapgate.baselines.store import Store
from swapgate.cli.main import main
from swapgate.gates.verdict import Status

TASK = '[[task]]\nid = "{name}"\nseeds = [1]\nwidth = 64\nheight = 64\nprompts = {{ en = "a cup" }}\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a card's file and two tasks, and the user standing in it."""
    (tmp_path / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    for folder in ("models", "tasks"):
        (tmp_path / "fixtures" / folder).mkdir(parents=True)
    (tmp_path / "fixtures" / "models" / "standin.toml").write_text("", encoding="utf-8")
    (tmp_path / "fixtures" / "tasks" / "f.toml").write_text(TASK.format(name="cup") + TASK.format(name="mug"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_in(project: Path, made: Any, *drafts: Any, name: str = "r1", **more: Any) -> Path:
    path: Path = made.run(project / ".swapgate" / "runs" / name, *drafts, **more)
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_whole_way_from_a_run_to_a_baseline(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """diff says new, accept writes, diff says unchanged, list and show know it, verify is content."""
    run_in(project, made, made.draft())
    assert main(["baselines", "diff"]) == 1
    assert "new" in capsys.readouterr().out
    assert main(["baselines", "accept", "standin/cup", "--by=ann"]) == 0
    assert f"accepted standin/{made.COHORT}/cup: 3 images, 3 cost samples" in capsys.readouterr().out
    assert main(["baselines", "diff"]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert main(["baselines", "list"]) == 0
    assert f"standin/{made.COHORT}/cup" in (listed := capsys.readouterr().out)
    assert "100.0%" in listed
    assert "first baseline" in listed
    assert main(["baselines", "show", "*/cup"]) == 0
    assert '"schema": 1' in capsys.readouterr().out
    assert main(["baselines", "verify"]) == 0
    assert "1 baselines checked, 0 problems" in capsys.readouterr().out
    assert len(files(project / "baselines")) == 3


def test_every_verb_speaks_json(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON document on stdout and nothing else, in the keys that scripts rely on."""

    def said(*arguments: str) -> Any:
        main(["baselines", *arguments, "--json"])
        return json.loads(capsys.readouterr().out)

    run = run_in(project, made, made.draft(), made.draft(task="mug"))
    assert [change["kind"] for change in said("diff")["changes"]] == ["new", "new"]
    accepted = said("accept", "*/cup")
    assert accepted["done"] == [f"standin/{made.COHORT}/cup"]
    assert accepted["refused"] == []
    assert accepted["run"] == str(run)
    assert said("reject", "*/mug", "--reason=dull")["done"] == [f"standin/{made.COHORT}/mug"]
    assert said("accept", "*/mug")["refused"][0]["reason"].startswith("it was rejected")
    (listed,) = said("list")
    assert (listed["usable"], listed["seconds"], listed["peak_mib"], listed["images"], listed["null"]) == (1.0, 1.1, 1000.0, 3, True)
    assert said("show")[0]["quality"]["scores"][0]["pair"] == "cup/en/1/0"
    assert said("verify") == {"checked": 1, "problems": []}
    assert said("prune") == {"deleted": False, "files": []}


def test_an_empty_project_has_words_for_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing accepted is no error to look at; nothing run is one to accept."""
    assert main(["baselines", "list"]) == 0
    assert main(["baselines", "show"]) == 0
    assert "no baseline was accepted yet" in capsys.readouterr().out
    assert main(["baselines", "accept"]) == 2
    assert "there must be a run" in capsys.readouterr().err
    assert main(["baselines", "verify"]) == 0
    assert not (project / "baselines").exists()


def test_a_run_is_found_by_path_and_by_name_and_else_is_the_newest(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The name that the terminal printed is enough, wherever the user stands in the project."""
    first, second = run_in(project, made, made.draft(), name="a"), run_in(project, made, made.draft(task="mug"), name="b")
    for given, meant in ((["--run=a"], first), ([f"--run={first}"], first), (["--run=.swapgate/runs/a"], first), ([], second)):
        main(["baselines", "diff", "--json", *given])
        assert Path(json.loads(capsys.readouterr().out)["run"]).resolve() == meant.resolve()
    assert main(["baselines", "diff", "--run=zzz"]) == 2
    assert "there are: a, b" in capsys.readouterr().err


def test_a_pattern_that_matches_nothing_is_a_mistake(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2 and the names that there are; beside a match it is a warning and 1."""
    run_in(project, made, made.draft())
    assert main(["baselines", "accept", "*/jug"]) == 2
    assert "standin/cup" in capsys.readouterr().err
    assert not (project / "baselines").exists()
    assert main(["baselines", "accept", "*/jug", "drift/standin/cup"]) == 1
    assert "warning: '*/jug' matches no draft" in capsys.readouterr().out
    assert main(["baselines", "list", "*/jug"]) == 2
    assert main(["baselines", "reject", "*/jug", "--reason=x"]) == 2


def test_guards_stop_the_command(project: Path, made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """CI and xdist: status 2, the reason on stderr, nothing written; --allow-ci opens the first only."""
    run_in(project, made, made.draft())
    monkeypatch.setenv("CI", "true")
    assert main(["baselines", "accept"]) == 2
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    assert main(["baselines", "accept", "--allow-ci"]) == 2
    err = capsys.readouterr().err
    assert "--allow-ci" in err
    assert "parallel workers" in err
    assert "Traceback" not in err
    assert not (project / "baselines").exists()
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    assert main(["baselines", "accept", "--allow-ci"]) == 0


def test_a_refused_draft_is_status_one(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A failed floor: said, and not accepted."""
    run_in(project, made, made.draft(), verdicts=[made.verdict("usability", "standin", "cup", Status.REGRESSION, "floor")])
    assert main(["baselines", "accept", "--reason=x"]) == 1
    assert "refused" in capsys.readouterr().out
    assert not (project / "baselines").exists()


def test_a_cpu_run_goes_to_any_unless_told_otherwise(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Three commands, three places."""
    run_in(project, made, made.draft(cohort=made.CPU))
    assert main(["baselines", "accept"]) == 0
    assert "quality only" in capsys.readouterr().out
    assert main(["baselines", "accept", "--with-cost"]) == 0
    assert main(["baselines", "accept", f"--cohort={made.COHORT}"]) == 1
    assert [one.cohort for one in Store(project / "baselines").list()] == ["any", made.CPU]


def test_verify_finds_and_prune_deletes_only_when_told(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1 with the finding; a dry run by default; --yes deletes; then all is well."""
    store = Store(project / "baselines")
    store.put(made.baseline(), made.load)
    store.put(made.baseline(shift=40), made.load)
    before = files(store.root)
    assert main(["baselines", "verify"]) == 1
    assert capsys.readouterr().out.count("orphan: ") == 2
    assert main(["baselines", "prune"]) == 0
    assert main(["baselines", "prune", "--dry-run"]) == 0
    assert "nothing was deleted" in capsys.readouterr().out
    assert files(store.root) == before
    assert main(["baselines", "prune", "--yes"]) == 0
    assert len(files(store.root)) == len(before) - 2
    assert main(["baselines", "verify"]) == 0
    with pytest.raises(SystemExit) as caught:
        main(["baselines", "prune", "--yes", "--dry-run"])
    assert caught.value.code == 2


def test_unused_baselines_go_only_when_named(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A task that was removed from its family leaves its baseline until --unused."""
    store = Store(project / "baselines")
    store.put(made.baseline(task="gone"), made.load)
    assert main(["baselines", "verify"]) == 1
    assert "unused" in capsys.readouterr().out
    assert main(["baselines", "prune", "--yes"]) == 0
    assert len(list(store.list())) == 1
    assert main(["baselines", "prune", "--unused"]) == 0
    assert len(list(store.list())) == 1
    assert main(["baselines", "prune", "--unused", "--yes"]) == 0
    assert files(project / "baselines") == []


def test_a_damaged_store_is_one_message(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback; verify goes on to the next file."""
    store = Store(project / "baselines")
    store.put(made.baseline(), made.load)
    store.put(made.baseline(task="mug"), made.load).write_text("{", encoding="utf-8")
    assert main(["baselines", "list"]) == 2
    assert "mug.json" in capsys.readouterr().err
    assert main(["baselines", "verify"]) == 1
    assert "2 baselines checked, 1 problems" in capsys.readouterr().out


def test_reject_needs_a_reason(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """argparse says so; an empty one is refused as well."""
    run = run_in(project, made, made.draft())
    with pytest.raises(SystemExit) as caught:
        main(["baselines", "reject"])
    assert caught.value.code == 2
    assert main(["baselines", "reject", "--reason="]) == 2
    assert not (run / "review.jsonl").exists()
    assert main(["baselines", "reject", "--reason=too dark"]) == 0
    assert "too dark" in capsys.readouterr().out
    assert main(["baselines", "accept"]) == 1
    assert main(["baselines", "accept", "--include-rejected"]) == 0


def test_the_project_may_be_named_from_outside(
    project: Path, made: Any, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """--project stands for changing the folder."""
    run_in(project, made, made.draft())
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert main(["--project", str(project), "baselines", "accept"]) == 0
    assert len(files(project / "baselines")) == 3


def test_the_diff_shows_both_sides(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What got slower and how many pictures are the same, in one line."""
    Store(project / "baselines").put(made.baseline(), made.load)
    run_in(project, made, made.draft(shift=1, cost=made.cost(2.0, 2.0, 2.0, peak=2000.0)))
    assert main(["baselines", "diff"]) == 1
    line = capsys.readouterr().out.splitlines()[-1]
    assert "changed (images, scores, cost)" in line
    assert "1.1 → 2" in line
    assert "1000 → 2000" in line
    assert "0 of 3" in line
