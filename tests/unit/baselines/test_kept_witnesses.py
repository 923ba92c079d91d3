"""Witnesses as a regression corpus: what is kept, by which review, and what a damaged file says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.baselines import witnesses
from swapgate.baselines.review import accept, reject
from swapgate.baselines.store import Store
from swapgate.baselines.upkeep import Known, prune, verify
from swapgate.baselines.witnesses import Witness, keep, of_run, path_of, read
from swapgate.errors import UserError
from swapgate.runs.folder import RunFolder

ONE = Witness(
    task="cup", language="en", prompt="a cup", edits="synonym: cup→mug @1", text="a mug", tried=5, broke=3, run="r1"
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "baselines")


def event(**changes: Any) -> dict[str, Any]:
    """As the search of a run writes it."""
    made = {
        "event": "witness", "model": "standin", "pair": f"cup/en/1/0/{ONE.edits}", "prompt": ONE.prompt, "edits": ONE.edits, "text": ONE.text,
        "fresh": {"tried": 5, "broke": 3, "change": -0.5},
    }  # fmt: skip
    return {**made, **changes}


def run_with(made: Any, path: Path, *events: dict[str, Any], cards: dict[str, Any] | None = None) -> Path:
    run = made.run(path, made.draft(), made.draft(task="mug"), cards=cards)
    folder = RunFolder.open(run)
    for one in events:
        folder.append(one)
    folder.close()
    return run


def test_what_is_kept_is_read_back_the_surest_first(tmp_path: Path) -> None:
    """By the share of fresh seeds that it broke; a model without any has none."""
    surest = replace(ONE, edits="punctuation: full stop removed @1", broke=5)
    assert keep(tmp_path, "standin", [ONE, surest]) == 2
    assert read(tmp_path, "standin") == (surest, ONE)
    assert read(tmp_path, "other") == ()


def test_another_run_of_the_same_rewording_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """The same task, language and edits; the others stay."""
    other = replace(ONE, language="zh")
    keep(tmp_path, "standin", [ONE, other])
    keep(tmp_path, "standin", [replace(ONE, broke=1, run="r2")])
    assert {(one.language, one.run, one.broke) for one in read(tmp_path, "standin")} == {("en", "r2", 1), ("zh", "r1", 3)}


def test_an_accident_of_one_seed_is_not_kept(tmp_path: Path) -> None:
    """It broke none of the fresh ones; no file is made for it, and none is taken out."""
    assert keep(tmp_path, "standin", [replace(ONE, broke=0)]) == 0
    assert not path_of(tmp_path, "standin").exists()
    keep(tmp_path, "standin", [ONE])
    assert keep(tmp_path, "standin", [replace(ONE, broke=0)]) == 0
    assert read(tmp_path, "standin") == (ONE,)


def test_the_file_can_be_reviewed_in_a_diff_and_is_the_same_for_the_same_witnesses(tmp_path: Path) -> None:
    """One fact a line, in the order of names."""
    keep(tmp_path, "standin", [ONE, replace(ONE, language="zh")])
    before = path_of(tmp_path, "standin").read_text(encoding="utf-8")
    keep(tmp_path, "standin", [replace(ONE, language="zh"), ONE])
    assert path_of(tmp_path, "standin").read_text(encoding="utf-8") == before
    assert before.count("\n") > 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "JSON"),
        ('{"schema": 2, "witnesses": []}', "schema 2"),
        ("[]", "TypeError"),
        ('{"schema": 1}', "witnesses"),
        ('{"schema": 1, "witnesses": [{"task": "cup"}]}', "missing"),
        (json.dumps({"schema": 1, "witnesses": [{**event()["fresh"], "task": "t"}]}), "unexpected"),
    ],
)
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: str, said: str) -> None:
    """File, rule and remedy."""
    path_of(tmp_path, "standin").parent.mkdir()
    path_of(tmp_path, "standin").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path, "standin")
    assert caught.value.where == str(path_of(tmp_path, "standin"))
    assert "version control" in caught.value.remedy


@pytest.mark.parametrize(("tried", "broke"), [(5, 0), (2, 3), (0, 0)])
def test_counts_that_cannot_be_are_refused(tmp_path: Path, tried: int, broke: int) -> None:
    """A witness broke at least one of the seeds it was tried on."""
    keep(tmp_path, "standin", [ONE])
    path = path_of(tmp_path, "standin")
    data = json.loads(path.read_text(encoding="utf-8"))
    data["witnesses"][0].update(tried=tried, broke=broke)
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match=f"broke {broke} of {tried}"):
        read(tmp_path, "standin")


def test_a_runs_witnesses_are_those_of_its_journal() -> None:
    """Of one model and task; those of a run from before they were kept are passed over."""
    old = event()
    del old["prompt"]
    events = [event(), event(model="other"), event(pair="mug/en/1/0/x"), old, {"event": "loaded"}]
    assert of_run(events, "r1", "standin", "cup") == [ONE]


@pytest.mark.parametrize("review", ["accept", "reject"])
def test_a_review_keeps_the_witnesses_of_what_it_reviews(tmp_path: Path, store: Store, made: Any, review: str) -> None:
    """The version that wording upset is the one whose rewordings the next has to stand; those of another task wait for its own review."""
    run = run_with(made, tmp_path / "run", event(), event(pair="mug/en/1/0/x"))
    done = (
        accept(run, store=store, patterns=["*/cup"], environ={})
        if review == "accept"
        else reject(run, store=store, patterns=["*/cup"], reason="brittle", environ={})
    )
    assert [one.name for one in read(store.root, "standin")] == [ONE.name]
    assert any("1 rewording that broke it kept in" in note for note in done.notes)
    assert any("1 rewording that broke it kept in" in line for line in done.lines)


@pytest.mark.parametrize("environ", [{"CI": "true"}, {"PYTEST_XDIST_WORKER": "gw0"}])
def test_nothing_is_kept_where_nothing_may_be_written(tmp_path: Path, store: Store, made: Any, environ: dict[str, str]) -> None:
    """A rejection itself is the run's own."""
    run = run_with(made, tmp_path / "run", event())
    assert reject(run, store=store, reason="brittle", environ=environ).done
    assert read(store.root, "standin") == ()


def test_planted_faults_leave_no_witness(tmp_path: Path, store: Store, made: Any) -> None:
    """A drill broke it, not the model."""
    run = run_with(made, tmp_path / "run", event(), cards={"standin": {"faults": ["noise:1"]}})
    reject(run, store=store, reason="a drill", environ={})
    assert read(store.root, "standin") == ()


def test_verify_and_prune_know_them(tmp_path: Path, store: Store, made: Any) -> None:
    """Damaged, of a model without a card, and what a killed write left; a good one is no finding."""
    store.put(made.baseline(), made.load)
    keep(store.root, "standin", [ONE])
    known = Known(models=["standin"], tasks=["cup"])
    assert verify(store, known) == []
    keep(store.root, "gone", [ONE])
    assert [(one.kind, Path(one.where).parent.name) for one in verify(store, known)] == [("unused", "gone")]
    path_of(store.root, "standin").write_text("{", encoding="utf-8")
    left = store.root / "standin" / f".{witnesses.FILE}.abcd1234"
    left.write_text("x", encoding="utf-8")
    assert {(one.kind, Path(one.where).name) for one in verify(store, known)} == {
        ("damaged", witnesses.FILE), ("unused", witnesses.FILE), ("orphan", left.name),
    }  # fmt: skip
    assert prune(store, known=known, dry_run=False) == sorted([path_of(store.root, "gone"), left])
    assert not (store.root / "gone").exists()
    assert path_of(store.root, "standin").is_file()
