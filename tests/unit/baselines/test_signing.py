"""Who accepted what and why, and who did before; what another reviewer did meanwhile is not written over."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.baselines import draft, signing
from swapgate.baselines.record import from_json
from swapgate.baselines.review import accept, reject
from swapgate.baselines.store import Store
from swapgate.errors import RunBroken, UserError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "baselines")


def of_run(made: Any, run: str, **changes: Any) -> Any:
    one = made.draft(**changes)
    return replace(one, provenance=replace(one.provenance, run=run))


def test_the_name_is_gits_before_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIT_AUTHOR_NAME, then user.name of the repository, then the login."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("LOGNAME", "login")
    assert signing.user(tmp_path, {}) == "login"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "config", "user.name", "Ann Lee"], check=True)
    assert signing.user(tmp_path, {}) == "Ann Lee"
    assert signing.user(tmp_path, {"GIT_AUTHOR_NAME": "Bo"}) == "Bo"


def test_acceptances_before_this_one_are_kept_in_the_file(tmp_path: Path, store: Store, made: Any) -> None:
    """Reason, name, date, run and the mark of what was accepted, oldest first; a file of before there was a history reads as it did."""
    marks = []
    for number, by in enumerate(("ann", "bo", "cy"), start=1):
        run = made.run(tmp_path / f"r{number}", of_run(made, f"r{number}", shift=10 * number))
        assert accept(run, store=store, reason=f"reason {number}", by=by).complete
        (one,) = store.list()
        marks.append(one.mark)
    past = one.provenance.history
    assert [(entry.run, entry.accepted_by, entry.reason) for entry in past] == [("r1", "ann", "reason 1"), ("r2", "bo", "reason 2")]
    assert [entry.mark for entry in past] == marks[:2]
    assert (one.provenance.accepted_by, one.provenance.reason) == ("cy", "reason 3")
    plain = json.loads(store.path(one.model, one.cohort, one.task).read_text(encoding="utf-8"))
    assert from_json(plain, where="x") == one
    del plain["provenance"]["history"]
    assert from_json(plain, where="x").provenance.history == ()
    assert "history" not in made.baseline().as_json()["provenance"]


def test_accepting_the_same_again_changes_nothing(tmp_path: Path, store: Store, made: Any) -> None:
    """Not the file, not the journal of reviews, and the line says who did it when; another reason signs anew."""
    run = made.run(tmp_path / "run", made.draft())
    accept(run, store=store, reason="good", by="ann")
    path = store.paths()[0]
    before, journal = path.read_bytes(), (run / draft.REVIEW).read_bytes()
    done = accept(run, store=store)
    assert done.complete
    assert done.lines[0].startswith(f"accepted already standin/{made.COHORT}/cup: by ann on 2")
    assert (path.read_bytes(), (run / draft.REVIEW).read_bytes()) == (before, journal)
    accept(run, store=store, reason="better", by="ann")
    assert next(store.list()).provenance.history[0].reason == "good"


def test_what_another_run_brought_meanwhile_is_kept_until_said_otherwise(tmp_path: Path, store: Store, made: Any) -> None:
    """The second of two runs judged against one baseline is refused with name, run, reason and both ways on."""
    store.put(made.baseline(), made.load)
    first = made.run(tmp_path / "r1", of_run(made, "r1", shift=10), against=store)
    second = made.run(tmp_path / "r2", of_run(made, "r2", shift=20), against=store)
    assert accept(first, store=store, reason="brighter", by="ann").complete
    told = accept(second, store=store, reason="darker", by="bo").refused[0].reason
    assert "ann accepted run r1 on 2" in told
    assert "(brighter)" in told
    assert f"pytest --replay={second}" in told
    assert next(store.list()).provenance.run == "r1"
    assert accept(first, store=store, reason="brighter still").complete, "one's own acceptance is nobody else's"
    assert accept(second, store=store, reason="darker", by="bo", over=True).complete
    assert [past.run for past in next(store.list()).provenance.history][-1] == "r1"


def test_a_first_baseline_that_somebody_was_first_with_is_kept_too(tmp_path: Path, store: Store, made: Any) -> None:
    """Both runs were NEW."""
    first = made.run(tmp_path / "r1", of_run(made, "r1", shift=10), against=store)
    second = made.run(tmp_path / "r2", of_run(made, "r2", shift=20), against=store)
    assert accept(first, store=store).complete
    assert "not judged against what is there now" in accept(second, store=store).refused[0].reason
    judged_again = made.run(tmp_path / "r2b", of_run(made, "r2", shift=20), against=store)
    assert accept(judged_again, store=store).complete


def test_a_run_of_an_older_version_says_nothing_of_what_it_was_judged_against(tmp_path: Path, store: Store, made: Any) -> None:
    """It is accepted as before."""
    store.put(made.baseline(), made.load)
    assert accept(made.run(tmp_path / "r1", of_run(made, "r1", shift=10)), store=store).complete


def test_what_was_accepted_is_not_rejected_by_the_way(tmp_path: Path, store: Store, made: Any) -> None:
    """A rejection takes nothing out of the store, and says how to."""
    run = made.run(tmp_path / "run", made.draft(), made.draft(task="mug"))
    accept(run, store=store, patterns=["*/cup"], by="ann")
    done = reject(run, store=store, reason="no", by="bo")
    assert done.done == (f"standin/{made.COHORT}/mug",)
    assert "it was accepted by ann on 2" in done.refused[0].reason
    assert f"restore standin/{made.COHORT}/cup.json from version control" in done.refused[0].reason
    assert reject(run, store=store, patterns=["*/cup"], reason="no", by="bo", over=True).complete
    assert draft.reviews(run)[f"standin/{made.COHORT}/cup"]["action"] == "reject"


def test_a_damaged_draft_is_refused_alone(tmp_path: Path, store: Store, made: Any) -> None:
    """The others are accepted; alone, it is a refusal with the way to write it again."""
    run = made.run(tmp_path / "run", made.draft(), made.draft(task="mug"), made.draft(task="pot"))
    (run / draft.DRAFTS / "standin" / made.COHORT / "mug.json").write_bytes(b"\xff\xfe{")
    (run / draft.DRAFTS / "standin" / made.COHORT / "pot.json").write_text("[" * 100_000, encoding="utf-8")
    done = accept(run, store=store)
    assert done.done == (f"standin/{made.COHORT}/cup",)
    assert [one.id.rpartition("/")[2] for one in done.refused] == ["mug", "pot"]
    assert f"pytest --resume={run}" in done.refused[0].reason
    assert not accept(run, store=store, patterns=["*/mug"]).complete
    with pytest.raises(RunBroken, match=r"mug\.json"):
        draft.read(run)


def test_a_draft_in_anothers_place_is_damaged(tmp_path: Path, store: Store, made: Any) -> None:
    """A copied file does not become the baseline of something else."""
    run = made.run(tmp_path / "run", made.draft())
    folder = run / draft.DRAFTS / "standin" / made.COHORT
    (folder / "mug.json").write_bytes((folder / "cup.json").read_bytes())
    assert "a draft lies where it says that it does" in accept(run, store=store, patterns=["*/mug"]).refused[0].reason
    assert not store.root.exists()


def test_a_damaged_baseline_is_not_overwritten(tmp_path: Path, store: Store, made: Any) -> None:
    """What it held was accepted once: the message says how to get it back, and what to do without a copy."""
    path = store.put(made.baseline(), made.load)
    path.write_text("{", encoding="utf-8")
    told = accept(made.run(tmp_path / "run", made.draft(shift=9)), store=store).refused[0].reason
    assert "restore the file from version control; where there is no copy, delete it, and accept again" in told
    assert path.read_text(encoding="utf-8") == "{"


def test_a_damaged_journal_of_reviews_is_told_before_anything_is_written(tmp_path: Path, store: Store, made: Any) -> None:
    """A line of nonsense in the middle, and one that is JSON and no review."""
    run = made.run(tmp_path / "run", made.draft())
    for text in ('{"action": "rej\n{}\n', '{"action": "shrug", "draft": "a/b/c"}\n'):
        (run / draft.REVIEW).write_text(text, encoding="utf-8")
        for call in (lambda: accept(run, store=store), lambda: reject(run, store=store, reason="x")):
            with pytest.raises(UserError, match=r"review\.jsonl:1\n.*\n  remedy: remove that line"):
                call()
        assert (run / draft.REVIEW).read_text(encoding="utf-8") == text
    assert not store.root.exists()


def test_words_that_are_kept_for_good_are_checked(tmp_path: Path, store: Store, made: Any) -> None:
    """A control character in a name or reason is refused; several lines of a reason, and any script, are kept."""
    run = made.run(tmp_path / "run", made.draft())
    for words in ({"by": "a\x1b[2J"}, {"by": "a\nb"}, {"reason": "\x9b2J"}, {"reason": "x" * 2001}):
        with pytest.raises(UserError, match="none of them a control"):
            accept(run, store=store, **words)
    assert accept(run, store=store, reason="第一行\nשורה שנייה", by="李 ‎Ann").complete
    assert next(store.list()).provenance.reason == "第一行\nשורה שנייה"
    assert "\\u200e" in store.paths()[0].read_text(encoding="utf-8")
