"""The store: places, atomic writes, and which baseline is chosen and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapgate.baselines.store import Store
from swapgate.errors import UserError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "baselines")


def test_nothing_is_there_before_something_was_accepted(store: Store) -> None:
    """The folder need not exist."""
    choice = store.find("standin", "cpu-1", "cup")
    assert store.get("standin", "any", "cup") is None
    assert list(store.list()) == []
    assert choice.quality is None
    assert choice.cost is None
    assert choice.others == ()
    assert choice.incomparable == ""
    assert "nothing was accepted" in choice.reason
    assert choice.no_cost


def test_put_writes_the_json_and_the_pictures_as_written(store: Store, made: Any) -> None:
    """One JSON, a file for each counted picture as written; the reworded one keeps its hash only."""
    baseline = made.baseline()
    path = store.put(baseline, made.load)
    assert path == store.root / "standin" / made.COHORT / "cup.json"
    written, reworded = baseline.quality.scores[:2], baseline.quality.scores[2]
    assert {one.stem for one in (path.parent / "images").iterdir()} == {score.image for score in written}
    assert store.image_path(baseline, reworded.image) is None
    for score in written:
        assert np.array_equal(store.load_image(baseline, score.image), made.pictures[score.image])
    assert store.get("standin", made.COHORT, "cup") == replace(baseline, quality=replace(baseline.quality, scores=tuple(
        sorted(baseline.quality.scores, key=lambda score: score.pair))))  # fmt: skip


def test_put_refuses_what_could_not_be_compared_with(store: Store, made: Any) -> None:
    """A cost of 0.0 s would make every candidate infinitely slower; nothing is written."""
    with pytest.raises(UserError, match="a measurement is above 0"):
        store.put(made.baseline(cost=made.cost(1.0, 0.0)), made.load)
    assert not store.root.exists()


def test_a_hand_edited_figure_is_found_when_it_is_read(store: Store, made: Any) -> None:
    """The same rules hold for files as for runs."""
    path = store.put(made.baseline(), made.load)
    data = json.loads(path.read_text(encoding="utf-8"))
    data["cost"]["seconds"][0] = 0.0
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match=r"cup\.json.*\n.*above 0"):
        store.get("standin", made.COHORT, "cup")


def test_a_copied_file_is_not_taken_for_another_baseline(store: Store, made: Any) -> None:
    """A file says what it is; in another's place it is an error."""
    path = store.put(made.baseline(), made.load)
    path.rename(path.with_name("mug.json"))
    with pytest.raises(UserError, match="it lies at"):
        store.get("standin", made.COHORT, "mug")


@pytest.mark.parametrize(
    ("text", "said"), [("{", "valid JSON"), ('{"schema": 99}', "reads schema 1"), ("[]", "one JSON object"), ("\udcff", "valid JSON")]
)
def test_a_damaged_file_is_an_error_that_names_it(store: Store, made: Any, text: str, said: str) -> None:
    """Never a traceback, never a silent NEW."""
    path = store.put(made.baseline(), made.load)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=said) as caught:
        store.find("standin", made.COHORT, "cup")
    assert caught.value.where == str(path)


@pytest.mark.parametrize("name", ["..", "a/b", "", ".git", "a b"])
def test_names_that_are_no_file_names_are_refused(store: Store, name: str) -> None:
    """No baseline is ever looked for outside the store."""
    with pytest.raises(UserError, match="are named by"):
        store.get(name, "any", "cup")


def test_the_same_cohort_comes_first_for_quality_and_cost(store: Store, made: Any) -> None:
    """Both exist: the exact one is chosen, and the reason says so."""
    exact, general = made.baseline(), made.baseline(cohort="any", shift=10)
    store.put(general, made.load)
    store.put(exact, made.load)
    choice = store.find("standin", made.COHORT, "cup")
    assert choice.quality is not None
    assert choice.quality.cohort == made.COHORT
    assert choice.cost == choice.quality
    assert made.COHORT in choice.reason
    assert "20260101T000000Z-aaaa" in choice.reason
    assert choice.no_cost == ""


def test_other_hardware_gets_the_quality_for_any_and_no_cost(store: Store, made: Any) -> None:
    """Cost figures never cross a cohort; the reader is told which cohorts have some."""
    store.put(made.baseline(cohort="any"), made.load)
    store.put(made.baseline(), made.load)
    choice = store.find("standin", made.CPU, "cup")
    assert choice.quality is not None
    assert choice.quality.cohort == "any"
    assert choice.cost is None
    assert choice.others == (made.COHORT,)
    assert made.COHORT in choice.no_cost
    assert made.CPU in choice.reason
    assert choice.incomparable == ""


def test_only_other_hardware_is_incomparable_and_named(store: Store, made: Any) -> None:
    """Not NEW: something was accepted, for a machine that this is not."""
    store.put(made.baseline(), made.load)
    choice = store.find("standin", made.CPU, "cup")
    assert choice.quality is None
    assert choice.others == (made.COHORT,)
    assert made.COHORT in choice.incomparable


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("with_cost", [False, True])
def test_cost_comes_from_the_exact_cohort_whatever_else_there_is(store: Store, made: Any, beside: bool, with_cost: bool) -> None:
    """A baseline for any hardware neither gives nor hides cost figures."""
    store.put(made.baseline() if with_cost else made.baseline(cost=None), made.load)
    if beside:
        store.put(made.baseline(cohort="any"), made.load)
    choice = store.find("standin", made.COHORT, "cup")
    assert (choice.cost is not None) is with_cost
    assert (choice.no_cost == "") is with_cost


def test_a_baseline_without_cost_in_the_same_cohort_gives_quality_only(store: Store, made: Any) -> None:
    """And the reason for the missing cost is that one, not another cohort."""
    store.put(made.baseline(cost=None), made.load)
    choice = store.find("standin", made.COHORT, "cup")
    assert choice.quality is not None
    assert choice.cost is None
    assert "holds no cost figures" in choice.no_cost


def test_the_list_is_in_the_order_of_names(store: Store, made: Any) -> None:
    """Model, cohort, task; temporary files of a killed write are not baselines."""
    for model, cohort, task in (("b", "any", "cup"), ("a", made.COHORT, "mug"), ("a", made.COHORT, "cup")):
        store.put(made.baseline(model=model, cohort=cohort, task=task), made.load)
    (store.root / "a" / made.COHORT / ".cup.json.abcdefgh").write_text("{", encoding="utf-8")
    (store.root / "a" / made.COHORT / ".x.json").write_text("{", encoding="utf-8")
    assert [one.id for one in store.list()] == [f"a/{made.COHORT}/cup", f"a/{made.COHORT}/mug", "b/any/cup"]


def test_replacing_one_task_touches_no_other(store: Store, made: Any) -> None:
    """A partial selection never deletes: not the other tasks, not the images that were replaced."""
    for task in ("cup", "mug"):
        store.put(made.baseline(task=task), made.load)
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    store.put(made.baseline(shift=20), made.load)
    changed = [path.name for path, content in before.items() if path.read_bytes() != content]
    assert changed == ["cup.json"]


def test_an_image_that_cannot_be_had_leaves_the_old_baseline(store: Store, made: Any) -> None:
    """The JSON is written last."""
    path = store.put(made.baseline(), made.load)
    before = path.read_bytes()

    def lost(sha: str) -> Any:
        raise UserError(where=sha, rule="lost", remedy="-")

    with pytest.raises(UserError, match="lost"):
        store.put(made.baseline(shift=20), lost)
    assert path.read_bytes() == before


def test_an_error_before_the_rename_leaves_the_old_file_and_no_rest(store: Store, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk or a Ctrl-C: the old baseline stands, nothing lies about."""
    path = store.put(made.baseline(), made.load)
    before, files = path.read_bytes(), sorted(store.root.rglob("*"))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.put(made.baseline(cost=made.cost(9.0)), made.load)
    assert path.read_bytes() == before
    assert sorted(store.root.rglob("*")) == files


def test_a_process_killed_before_the_rename_leaves_the_old_file(store: Store, made: Any) -> None:
    """Killed for good, between the temporary file and the rename: the old baseline is read, and the rest is an orphan."""
    path = store.put(made.baseline(cost=made.cost(1.0)), made.load)
    before = path.read_bytes()
    code = textwrap.dedent("""
        import os, sys
        from dataclasses import replace
        from pathlib import Path
        from swapgate.baselines.store import Store
        store = Store(Path(sys.argv[1]))
        old = next(store.list())
        os.replace = lambda *_: os._exit(9)
        store.put(replace(old, weights="cd" * 32), lambda sha: store.load_image(old, sha))
    """)
    done = subprocess.run([sys.executable, "-c", code, str(store.root)], check=False, timeout=600)
    assert done.returncode == 9
    assert path.read_bytes() == before
    assert [one.weights for one in store.list()] == ["ab" * 32]
    rest = [one for one in path.parent.iterdir() if one.name.startswith(".cup.json.")]
    assert len(rest) == 1
    assert "cdcdcd" in rest[0].read_text(encoding="utf-8")
