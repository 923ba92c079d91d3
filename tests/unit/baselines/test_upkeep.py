"""Verify finds everything that is wrong; prune deletes what nothing refers to, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.baselines.store import Store
from swapgate.baselines.upkeep import Known, orphans, prune, unused, verify


@pytest.fixture
def store(tmp_path: Path, made: Any) -> Store:
    """Two tasks of one model, and one for any hardware."""
    store = Store(tmp_path / "baselines")
    store.put(made.baseline(), made.load)
    store.put(made.baseline(task="mug", shift=4), made.load)
    store.put(made.baseline(cohort="any"), made.load)
    return store


def kinds(store: Store, known: Known | None = None) -> list[tuple[str, str]]:
    return [(problem.kind, problem.where.rpartition("/")[2]) for problem in verify(store, known)]


def test_a_whole_store_has_no_problem(store: Store) -> None:
    """And an absent one neither."""
    assert verify(store) == []
    assert verify(Store(store.root / "none")) == []


def edit(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        place = data
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(json.dumps(data), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"schema": 7}, "schema 1"), ({"cost__seconds": [1.0, 0.0, 1.0]}, "above 0"), ({"provenance__accepted_by": ""}, "nobody accepted it"),
     ({"accelerator": "tpu"}, "is not one of tpu"), ({"task": "other"}, "it lies at"),
     ({"provenance__environment": {"device_memory_mib": 10.0}}, "above the 10 MiB")],
)  # fmt: skip
def test_each_kind_of_damage_is_reported_with_its_file(store: Store, made: Any, changes: dict[str, Any], said: str) -> None:
    """One edit, one finding, in the file that was edited."""
    edit(store.root / "standin" / made.COHORT / "cup.json", **changes)
    found = [problem for problem in verify(store) if problem.kind == "damaged"]
    assert len(found) == 1
    assert said in found[0].rule
    assert found[0].where.endswith(f"{made.COHORT}/cup.json")
    assert found[0].remedy


def test_missing_exchanged_and_needless_images_are_told_apart(store: Store, made: Any) -> None:
    """Removed: missing. Another picture under the name: damaged. Needed by nobody: orphan."""
    folder = store.images_of("standin", made.COHORT)
    gone, exchanged = (made.baseline().quality.scores[n].image for n in (0, 1))
    next(folder.glob(f"{gone}.*")).unlink()
    next(folder.glob(f"{exchanged}.*")).write_bytes(next(folder.glob(f"{made.picture(5)}.*")).read_bytes())
    (folder / f"{'e' * 64}.png").write_bytes(b"x")
    assert sorted(kind for kind, _ in kinds(store)) == ["damaged", "missing", "orphan"]


def test_unused_baselines_are_found_where_the_project_is_known(store: Store) -> None:
    """A baseline whose card or task is gone is never compared with."""
    assert kinds(store, Known(models=["standin"], tasks=["cup", "mug"])) == []
    assert kinds(store, Known(models=["standin"], tasks=["cup"])) == [("unused", "mug.json")]
    assert len(kinds(store, Known(models=[], tasks=["cup", "mug"]))) == 3


def test_prune_says_first_and_deletes_only_orphans(store: Store, made: Any) -> None:
    """A dry run deletes nothing and names exactly what the real one deletes."""
    store.put(made.baseline(shift=30), made.load)
    (store.root / "standin" / "any" / ".cup.json.a1b2c3d4").write_text("{", encoding="utf-8")
    needed = {path for path in store.root.rglob("*") if path.is_file()} - set(orphans(store))
    said = prune(store, dry_run=True)
    assert len(said) == 3
    assert all(path.exists() for path in said)
    assert prune(store, dry_run=False) == said
    assert {path for path in store.root.rglob("*") if path.is_file()} == needed
    assert verify(store) == []
    assert prune(store, dry_run=False) == []


def test_images_shared_by_two_tasks_stay_while_one_needs_them(store: Store, made: Any) -> None:
    """The folder of images belongs to all tasks of a cohort."""
    store.put(made.baseline(task="jug"), made.load)
    (store.root / "standin" / made.COHORT / "cup.json").unlink()
    assert orphans(store) == []


def test_images_beside_a_damaged_baseline_are_not_deleted(store: Store, made: Any) -> None:
    """What it refers to is not known, so nothing there is an orphan."""
    (store.root / "standin" / made.COHORT / "cup.json").write_text("{", encoding="utf-8")
    assert prune(store, dry_run=False) == []


def test_prune_of_unused_baselines_takes_their_images_too(store: Store, made: Any) -> None:
    """Only when asked for: the JSON, and the images that nothing else needs."""
    known = Known(models=["standin"], tasks=["cup"])
    said = prune(store, known=known, dry_run=True)
    assert prune(store, known=known, dry_run=False) == said
    assert [path.name for path in said if path.suffix == ".json"] == ["mug.json"]
    assert len(said) == 3
    assert [one.task for one in store.list()] == ["cup", "cup"]
    assert verify(store) == []


def test_empty_folders_go_and_other_files_stay(store: Store) -> None:
    """A note that someone put into the store is not ours to delete."""
    (store.root / "NOTES.md").write_text("why", encoding="utf-8")
    prune(store, known=Known(models=[], tasks=[]), dry_run=False)
    assert [path.name for path in store.root.rglob("*")] == ["NOTES.md"]


def test_a_baseline_whose_scores_lost_their_picture_is_damaged(store: Store, made: Any) -> None:
    """References and scores name the same pictures."""
    baseline = made.baseline()
    path = store.root / baseline.model / baseline.cohort / "cup.json"
    edit(path, quality__references=dict.fromkeys(replace(baseline.quality).references, "0" * 64))
    assert [kind for kind, _ in kinds(store)] == ["damaged"] * 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"models": ["other"]}, "no card standin"),
        ({"tasks": ["mug"]}, "no task cup"),
        ({"of_card": {"standin": ["mug"]}}, "the card standin does not ask for the task cup"),
        ({"of_card": {"other": []}}, ""),
        ({"pairs": {"cup": ["cup/en/7/0", "cup/zh/1/0"]}}, "makes none of its 2 requests any more"),
        ({"pairs": {"cup": ["cup/en/2/0"]}}, ""),
        ({"pairs": {"mug": []}}, ""),
    ],
)
def test_whatever_no_longer_names_a_baseline_is_said(tmp_path: Path, made: Any, changes: dict[str, Any], why: str) -> None:
    """Card, task, the card's families, the task's requests; one request that is still made is enough."""
    store = Store(tmp_path / "baselines")
    path = store.put(made.baseline(), made.load)
    found = unused(store, Known(**{"models": ["standin"], "tasks": ["cup"], **changes}))
    assert (found == {}) if not why else (why in found[path])
    told = [problem.rule for problem in verify(store, Known(**{"models": ["standin"], "tasks": ["cup"], **changes}))]
    assert (told == []) if not why else (why in told[0])


def test_a_damaged_baseline_is_not_called_unused_for_what_it_might_hold(tmp_path: Path, made: Any) -> None:
    """It is damaged, and pruning leaves it: somebody may still restore it."""
    store = Store(tmp_path / "baselines")
    path = store.put(made.baseline(), made.load)
    path.write_text("{", encoding="utf-8")
    known = Known(models=["standin"], tasks=["cup"], pairs={"cup": []})
    assert unused(store, known) == {}
    assert prune(store, known=known, dry_run=False) == []
