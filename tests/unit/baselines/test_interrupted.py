"""Accept, reject and prune, killed before every change of a file, without room, without the right to write, and two at once.

Nothing that was accepted is lost, and the same command goes on.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import scipy.stats  # noqa: F401 - here and not once in each of the processes that are killed

from swapgate.baselines import draft
from swapgate.baselines.signing import unsigned
from swapgate.baselines.store import Store
from swapgate.baselines.upkeep import verify
from swapgate.cli.main import main
from swapgate.runs.alone import alone

MOST = 200  # changes of files; no command of these needs as many


@pytest.fixture
def project(tmp_path: Path, made: Any) -> Path:
    """Two accepted baselines, a task that is gone, and a run that would change the two."""
    root = tmp_path / "project"
    (root / "fixtures" / "models").mkdir(parents=True)
    (root / "fixtures" / "tasks").mkdir()
    (root / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    store = Store(root / "baselines")
    for task in ("cup", "mug", "gone"):
        store.put(made.baseline(task=task, shift=30 * len(task) + ord(task[0])), made.load)
    drafts = [made.draft(task=task, shift=900) for task in ("cup", "mug")]
    made.run(root / ".swapgate" / "runs" / "r1", *drafts, against=store)
    return root


def command(root: Path, *words: str) -> Callable[[], int]:
    return lambda: main(["--project", str(root), "baselines", *words])


def killed_everywhere(project: Path, elsewhere: Any, *words: str) -> Iterator[Path]:
    """Copies of the project in which the command was killed, each one change of a file later; then one in which it went through."""
    for number in range(1, MOST):
        root = project.with_name(f"copy-{number}")
        shutil.copytree(project, root)
        code, said = elsewhere.call(command(root, *words), kill_at=number, watch=root)
        yield root
        if code is not None:
            assert code == 0, said
            assert number > 3
            return
        shutil.rmtree(root)
    raise AssertionError(f"{MOST} changes of files")


def whole(store: Store) -> list[tuple[str, str]]:
    """What verify says, pictures that nothing needs any more left out."""
    return [(problem.kind, problem.where) for problem in verify(store) if problem.kind != "orphan"]


def test_an_acceptance_killed_anywhere_is_old_or_new_and_goes_on(project: Path, elsewhere: Any, made: Any) -> None:
    """Each baseline is whole at any time, and the same command makes both new, remembers the old ones and clears the remains."""
    before = {one.task: unsigned(one) for one in Store(project / "baselines").list()}
    after = {task: unsigned(made.baseline(task=task, shift=900)) for task in ("cup", "mug")}
    seen = set()
    for root in killed_everywhere(project, elsewhere, "accept", "--run=r1", "--reason=new", "--by=ann"):
        store = Store(root / "baselines")
        found = {one.task: unsigned(one) for one in store.list()}
        assert set(found) == set(before)
        assert all(found[task] in (before[task], after.get(task)) for task in found)
        assert whole(store) == []
        seen.add(sum(found[task] == after[task] for task in after))
        assert elsewhere.call(command(root, "accept", "--run=r1", "--reason=new", "--by=ann"))[0] == 0
        done = {one.task: one for one in store.list()}
        assert {task: unsigned(done[task]) for task in after} == after
        assert all([past.accepted_by for past in done[task].provenance.history] == ["ann"] for task in after)
        assert all(done[task].provenance.reason == "new" for task in after)
        assert {entry["action"] for entry in draft.reviews(root / ".swapgate" / "runs" / "r1").values()} == {"accept"}
        assert store.leftovers() == []
        assert whole(store) == []
    assert seen == {0, 1, 2}


def test_a_rejection_killed_anywhere_is_said_or_not_and_goes_on(project: Path, elsewhere: Any) -> None:
    """No line of it keeps the next command from being read."""
    for root in killed_everywhere(project, elsewhere, "reject", "--run=r1", "--reason=dull", "--by=ann"):
        run = root / ".swapgate" / "runs" / "r1"
        assert set(draft.reviews(run)) <= {one.id for one in draft.read(run)}
        assert elsewhere.call(command(root, "reject", "--run=r1", "--reason=dull", "--by=ann"))[0] == 0
        assert {(entry["action"], entry["by"], entry["reason"]) for entry in draft.reviews(run).values()} == {("reject", "ann", "dull")}
        assert len(draft.reviews(run)) == 2


def test_a_line_that_was_cut_off_is_not_glued_to_the_next(project: Path, elsewhere: Any) -> None:
    """What a kill in the middle of a write leaves is cut away before the next line."""
    run = project / ".swapgate" / "runs" / "r1"
    (run / draft.REVIEW).write_text('{"action":"accept","draft":"a/b/c"}\n{"action":"rej', encoding="utf-8")
    assert elsewhere.call(command(project, "reject", "*/cup", "--run=r1", "--reason=dull"))[0] == 0
    assert [entry["action"] for entry in draft.reviews(run).values()] == ["accept", "reject"]
    assert "rej\n" not in (run / draft.REVIEW).read_text(encoding="utf-8")


def test_pruning_killed_anywhere_leaves_every_baseline_with_its_pictures(project: Path, elsewhere: Any, made: Any) -> None:
    """A baseline goes before its pictures, and the same command deletes the rest."""
    for name in ("cup", "mug"):
        (project / "fixtures" / "tasks" / f"{name}.toml").write_text(
            f'[[task]]\nid = "{name}"\nseeds = [1, 2]\nwidth = 64\nheight = 64\nprompts = {{ en = "a cup" }}\n', encoding="utf-8"
        )
    (project / "fixtures" / "models" / "standin.toml").write_text("", encoding="utf-8")
    kept = Store(project / "baselines").root / "standin" / made.COHORT
    for root in killed_everywhere(project, elsewhere, "prune", "--unused", "--yes"):
        store = Store(root / "baselines")
        assert whole(store) == []
        assert {"cup", "mug"} <= {one.task for one in store.list()} <= {"cup", "mug", "gone"}
        assert elsewhere.call(command(root, "prune", "--unused", "--yes"))[0] == 0
        assert verify(store) == []
        assert {one.task for one in store.list()} == {"cup", "mug"}
        assert (store.root / "standin" / made.COHORT / "cup.json").read_bytes() == (kept / "cup.json").read_bytes()


@pytest.fixture
def public(project: Path) -> Iterator[Path]:
    """The project where everybody may read it, and only its owner may write."""
    folder = Path(tempfile.mkdtemp())
    root = folder / "project"
    shutil.copytree(project, root)
    folder.chmod(0o755)
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield root
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(folder)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("accept", "--run=r1", "--reason=new"), 1),
        (("reject", "--run=r1", "--reason=dull"), 4),
        (("prune", "--unused", "--yes"), 4),
        (("review", "r1", "--reason=new"), 1),
    ],
)
def test_without_the_right_to_write_nothing_changes_and_the_message_says_so(public: Path, elsewhere: Any, words: tuple[str, ...], code: int) -> None:
    """Somebody else's folder: no traceback, the file, the rule and what to do."""
    import io
    import sys

    before = tree(public)

    def call() -> int:
        sys.stdin = io.StringIO("aaq")
        return command(public, *words)()

    found, said = elsewhere.call(call, nobody=True)
    assert "Traceback" not in said
    assert found == code, said
    assert "this user may read and write here (Permission denied)" in said
    assert "give yourself the right" in said
    assert tree(public) == before


def test_looking_needs_no_right_to_write(public: Path, elsewhere: Any) -> None:
    """list, show, diff and verify read."""
    for words, code in ((("list",), 0), (("show", "*/cup"), 0), (("diff", "--run=r1"), 1), (("verify",), 1), (("prune",), 0)):
        found, said = elsewhere.call(command(public, *words), nobody=True)
        assert (found, "Traceback" in said) == (code, False), said


def test_a_run_that_cannot_be_written_can_be_accepted(public: Path, elsewhere: Any) -> None:
    """An artefact of CI, mounted for reading: the baseline says who accepted it, and the command says that the run does not."""
    for path in (public, public / "baselines", *(public / "baselines").rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    found, said = elsewhere.call(command(public, "accept", "--run=r1", "--reason=new", "--by=ann"), nobody=True)
    assert found == 0, said
    assert "review.jsonl of the run does not say so" in said
    assert {one.provenance.accepted_by for one in Store(public / "baselines").list() if one.task != "gone"} == {"ann"}


@pytest.fixture
def full(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every new file is on a disk without room: what is written goes to the system's own full device."""
    from swapgate.runs import lines

    def mkstemp(*_: object, dir: Path, prefix: str) -> tuple[int, str]:  # noqa: A002 - as the function in its place has it
        return os.open("/dev/full", os.O_WRONLY), str(Path(dir) / f"{prefix}abcdefgh")

    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    monkeypatch.setattr(lines.Lines, "_opened", lambda _: open("/dev/full", "w", encoding="utf-8"))  # noqa: SIM115


@pytest.mark.parametrize(("words", "code"), [(("accept", "--run=r1", "--reason=new"), 1), (("reject", "--run=r1", "--reason=dull"), 4)])
@pytest.mark.usefixtures("full")
def test_on_a_full_disk_nothing_is_lost(project: Path, elsewhere: Any, words: tuple[str, ...], code: int) -> None:
    """The old baselines stand, nothing half written is left, and the message says to make room and give the command again."""
    before = tree(project)
    found, said = elsewhere.call(command(project, *words))
    assert found == code, said
    assert "there is room on the disk (No space left on device)" in said
    assert "free some space, then give the command again" in said
    assert "Traceback" not in said
    assert tree(project) == before


def test_a_disk_that_fills_up_between_two_baselines(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The first is accepted and said so, the second is refused and said why; with room again, the command does the rest."""
    real, calls = tempfile.mkstemp, []

    def mkstemp(*words: Any, **named: Any) -> tuple[int, str]:
        calls.append(named)
        if str(named["prefix"]).startswith(".mug.json"):
            raise OSError(errno.ENOSPC, "No space left on device", str(named["dir"]))
        return real(*words, **named)

    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    accept = command(project, "accept", "--run=r1", "--reason=new")
    assert accept() == 1
    said = capsys.readouterr().out
    assert "accepted standin/nvidia-h200-1a2b3c4d/cup" in said
    assert "refused standin/nvidia-h200-1a2b3c4d/mug" in said
    monkeypatch.setattr(tempfile, "mkstemp", real)
    assert accept() == 0
    said = capsys.readouterr().out
    assert "accepted already standin/nvidia-h200-1a2b3c4d/cup" in said
    assert "accepted standin/nvidia-h200-1a2b3c4d/mug" in said


def test_two_reviewers_of_different_tasks_both_get_their_way(project: Path, elsewhere: Any, made: Any) -> None:
    """At the same time, from two runs."""
    made.run(project / ".swapgate" / "runs" / "r2", made.draft(task="mug", shift=1200), against=Store(project / "baselines"))
    children = [
        elsewhere.start(command(project, "accept", f"*/{task}", f"--run={run}", "--reason=new", f"--by={by}"))
        for task, run, by in (("cup", "r1", "ann"), ("mug", "r2", "bo"))
    ]
    for child in children:
        code, said = elsewhere.end(child)
        assert code == 0, said
    signed = {one.task: one.provenance.accepted_by for one in Store(project / "baselines").list()}
    assert (signed["cup"], signed["mug"]) == ("ann", "bo")


def test_of_two_reviewers_of_one_task_the_second_is_told(project: Path, elsewhere: Any, made: Any) -> None:
    """Both judged their runs against the same baseline; whoever comes second sees who was first, and what to do."""
    store = Store(project / "baselines")
    second = made.draft(shift=1200)
    from dataclasses import replace

    second = replace(second, provenance=replace(second.provenance, run="r2"))
    made.run(project / ".swapgate" / "runs" / "r2", second, against=store)
    # The runs of the fixtures carry one name; the first is given its own.
    first = replace(made.draft(shift=900), provenance=replace(made.draft().provenance, run="r1"))
    draft.write(project / ".swapgate" / "runs" / "r1", first)
    children = [
        elsewhere.start(command(project, "accept", "*/cup", f"--run={run}", f"--reason={run}", f"--by={by}"))
        for run, by in (("r1", "ann"), ("r2", "bo"))
    ]
    ended = [elsewhere.end(child) for child in children]
    assert sorted(code for code, _ in ended) == [0, 1], ended
    loser = next(said for code, said in ended if code == 1)
    winner = store.get("standin", made.COHORT, "cup")
    assert winner is not None
    made_by = winner.provenance
    assert f"{made_by.accepted_by} accepted run {made_by.run}" in loser
    assert "pytest --replay=" in loser
    assert "accept over it: --over" in loser
    other = "r1" if made_by.run == "r2" else "r2"
    assert command(project, "accept", "*/cup", f"--run={other}", "--reason=both looked at", "--over")() == 0
    now = store.get("standin", made.COHORT, "cup")
    assert now is not None
    assert now.provenance.run == other
    assert [past.accepted_by for past in now.provenance.history] == ["ann", made_by.accepted_by]


def test_who_finds_the_store_busy_changes_nothing(project: Path, elsewhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that hangs is named with the way to find it."""
    before = tree(project)
    with alone(project):
        began = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: began + 1000 * (time.time() - began_at))
        began_at = time.time()
        code, said = elsewhere.call(command(project, "accept", "--run=r1", "--reason=new"))
    assert code == 4, said
    assert "one process at a time changes this folder" in said
    assert tree(project) == before
