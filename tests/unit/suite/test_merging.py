"""Shards made apart are one run together: judged as the whole would be, or refused with every contradiction named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swapgate.cli.main import main
from swapgate.errors import RunBroken, UserError
from swapgate.runs.folder import RunFolder
from swapgate.suite.merging import merge

MOST = 400


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test of this file leaves its runs for the others."""
    return tmp_path_factory.mktemp("kept") / "project"


@pytest.fixture
def shards(bench: Any, kept: Path) -> Path:
    """A project with the same plan made whole, and made in two shards by task and one of another model."""
    root: Path = bench.root
    if kept.exists():
        shutil.copytree(kept, root, dirs_exist_ok=True)
        return root
    bench.card("other", blur=0.1)
    for name, asked in (("whole", {}), ("cup", {"tasks": ("cup",)}), ("cat", {"tasks": ("cat",)}), ("other", {"models": ("other",)})):
        suite, _ = bench.whole(run_dir=root / name, **{"models": ("toy",), **asked})
        suite.run.close()
    shutil.copytree(root, kept, ignore=shutil.ignore_patterns("wording"))
    return root


def pairs(run: Path) -> set[str]:
    folder = RunFolder.open(run)
    names = {f"{request.model} {request.pair}" for request in folder.requests() if request.key in folder.generations()}
    folder.close()
    return names


def verdicts(run: Path, gate: str) -> dict[str, str]:
    data = json.loads((run / "verdicts.json").read_text(encoding="utf-8"))
    return {one["id"]: one["status"] for one in data["verdicts"] if one["gate"] == gate}


def test_two_shards_are_judged_as_the_whole(bench: Any, shards: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same requests in the same order, the same verdicts of quality, and drafts that can be accepted; nothing is made again."""
    monkeypatch.chdir(shards)
    assert main(["merge", "cup", "cat", "--out=both"]) == 0
    said = capsys.readouterr().out
    assert "merged: cup, cat into both: 15 of 15 requests made" in said
    assert "next: pytest --resume=both" in said
    whole, both = (RunFolder.open(shards / name) for name in ("whole", "both"))
    assert [one.key for one in both.requests()] == [one.key for one in whole.requests()]
    assert {key: one.image for key, one in both.generations().items()}.items() <= {key: one.image for key, one in whole.generations().items()}.items()
    journal = (shards / "both" / "journal.jsonl").read_bytes()
    suite, _ = bench.whole(resume=shards / "both")
    suite.run.close()
    assert verdicts(shards / "both", "usability") == verdicts(shards / "whole", "usability")
    assert (shards / "both" / "journal.jsonl").read_bytes().startswith(journal)
    assert b'"event":"loaded"' not in (shards / "both" / "journal.jsonl").read_bytes()[len(journal) :]
    assert main(["baselines", "accept", "--run=both", "--reason=merged", "--allow-ci"]) == 0
    capsys.readouterr()


def test_models_apart_are_one_run(shards: Path) -> None:
    """Three shards, of two models; each model keeps the environment of its own shard."""
    done = merge([shards / name for name in ("cup", "cat", "other")], shards / "all")
    assert pairs(shards / "all") == pairs(shards / "whole") | pairs(shards / "other")
    manifest = json.loads((shards / "all" / "manifest.json").read_text(encoding="utf-8"))
    assert [one["models"] for one in manifest["shards"]] == [["toy"], ["toy"], ["other"]]
    assert done.images == len({path.name for name in ("cup", "cat", "other") for path in (shards / name / "images").rglob("*.png")})


def test_merging_again_changes_nothing(shards: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after the merged run was judged; other shards, or a folder of something else, are refused."""
    monkeypatch.chdir(shards)
    assert main(["merge", "cup", "cat", "--out=both", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["again"] is False
    before = {path: path.stat().st_mtime_ns for path in (shards / "both").rglob("*")}
    assert main(["merge", "cup", "cat", "--out=both", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["again"] is True
    assert {path: path.stat().st_mtime_ns for path in (shards / "both").rglob("*")} == before
    assert main(["merge", "cup", "other", "--out=both"]) == 2
    assert main(["merge", "cup", "cat", "--out=whole"]) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_pictures_are_linked_and_copied_where_that_is_impossible(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes either way."""
    merge([shards / "cup", shards / "cat"], shards / "linked")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(18, "Invalid cross-device link")))
    merge([shards / "cup", shards / "cat"], shards / "copied")
    links, copies = ({path.name: path for path in (shards / name / "images").rglob("*.png")} for name in ("linked", "copied"))
    assert {name: path.read_bytes() for name, path in links.items()} == {name: path.read_bytes() for name, path in copies.items()}
    assert {path.stat().st_nlink for path in links.values()} == {2}
    assert {path.stat().st_nlink for path in copies.values()} == {1}


def edited(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = run / "manifest.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def journalled(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = run / "journal.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        change(line)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("other", "change", "said"),
    [
        ("whole", None, "toy cup/en/"),
        ("cat", lambda run: edited(run, lambda data: data["cards"]["toy"].update(title="new")), "the card toy is not the same in cup and cat"),
        ("cat", lambda run: edited(run, lambda data: data["tasks"].update(cup="0")), "the task cup is not the same in cup and cat"),
        ("cat", lambda run: edited(run, lambda data: data.update(faults=["noise"])), "faults is [] in cup and ['noise'] in cat"),
        ("cat", lambda run: edited(run, lambda data: data.update(budget="gate")), "--budget is full in cup and gate in cat"),
        ("cat", lambda run: journalled(run, lambda line: line.get("loaded", {}).update(weights="0", versions={})), "toy had other weights, versions in cup than in cat"),
    ],
)  # fmt: skip
def test_contradictions_are_named_and_nothing_is_written(shards: Path, other: str, change: Callable[[Path], None] | None, said: str) -> None:
    """What does not belong together is not made to."""
    if change:
        change(shards / other)
    with pytest.raises(UserError) as caught:
        merge([shards / "cup", shards / other], shards / "out")
    assert said in str(caught.value)
    assert "swapgate compare RUN_A RUN_B" in str(caught.value)
    assert not (shards / "out").exists()


def test_what_only_one_shard_may_have_done(shards: Path) -> None:
    """Two nulls of one model, or looks at two parts of it, cannot be told apart afterwards."""
    for name in ("cup", "cat"):
        with (shards / name / "journal.jsonl").open("a", encoding="utf-8") as file:
            file.write('{"event":"null","model":"toy","repeat":1,"threads":0,"variation":"plain"}\n')
            file.write('{"event":"look","model":"toy","look":1,"open":[],"images":9}\n')
    with pytest.raises(UserError, match=r"begin shards of one model with --budget=full.*measure it in one of them only"):
        merge([shards / "cup", shards / "cat"], shards / "out")


def test_the_same_run_twice_or_a_single_one_is_a_mistake(shards: Path) -> None:
    """And a folder that is no run."""
    for runs in ([shards / "cup"], [shards / "cup", shards / "cat" / ".." / "cup"]):
        with pytest.raises(UserError, match="at least two runs, each once"):
            merge(runs, shards / "out")
    assert main(["--project", str(shards), "merge", "cup", "nowhere", "--out=x"]) == 2


def test_a_damaged_picture_or_journal_is_told_before_anything_stands_in_the_place(shards: Path) -> None:
    """File, rule and remedy; the next merge, after it was restored, goes through."""
    picture = next(path for path in sorted((shards / "cat" / "images").rglob("*.png")) if not list((shards / "cup").rglob(path.name)))
    good = picture.read_bytes()
    for content in (b"", good[: len(good) // 2], good[:-20] + b"\0" * 20):
        picture.write_bytes(content)
        with pytest.raises(RunBroken, match=rf"{picture.name}\n  rule: a whole PNG file"):
            merge([shards / "cup", shards / "cat"], shards / "out")
        assert not (shards / "out").exists()
    picture.unlink()
    with pytest.raises(RunBroken, match=picture.name):
        merge([shards / "cup", shards / "cat"], shards / "out")
    picture.write_bytes(good)
    journal = shards / "cat" / "journal.jsonl"
    lines = journal.read_bytes()
    journal.write_bytes(b"{\n" + lines)
    with pytest.raises(RunBroken, match=r"journal\.jsonl:1"):
        merge([shards / "cup", shards / "cat"], shards / "out")
    journal.write_bytes(lines)
    assert merge([shards / "cup", shards / "cat"], shards / "out").made == 15


def small(root: Path) -> None:
    """Two runs of a few pictures, so that a merge is killed at every change of a file in seconds."""
    for name in ("cup", "cat"):
        run = root / name
        lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if '"event":"generation"' not in line] + [line for line in lines if '"event":"generation"' in line][:3]
        (run / "journal.jsonl").write_text("".join(kept), encoding="utf-8")


def test_a_merge_killed_anywhere_is_there_whole_or_not_at_all(shards: Path, elsewhere: Any) -> None:
    """Before every link, file, folder and rename; the same command then goes through, and the shards are as they were."""
    small(shards)
    before = {path: path.read_bytes() for name in ("cup", "cat") for path in (shards / name).rglob("*") if path.is_file()}
    out = shards / "out"
    for number in range(1, MOST):
        code, said = elsewhere.call(lambda: 0 * merge([shards / "cup", shards / "cat"], out).planned, kill_at=number, watch=shards)
        assert not out.exists() or RunFolder.open(out).generations()
        assert merge([shards / "cup", shards / "cat"], out).made == 6
        assert {path.name for path in shards.iterdir() if path.name.startswith(".")} <= {".swapgate"}
        assert {path: path.read_bytes() for path in before} == before
        if code is not None:
            assert code == 0, said
            assert number > 10
            return
        shutil.rmtree(out)
    raise AssertionError(f"{MOST} changes of files")


def test_a_full_disk_leaves_no_half_run(shards: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Said in words; with room again the same command goes through."""
    monkeypatch.chdir(shards)
    with monkeypatch.context() as full:
        full.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(18, "Invalid cross-device link")))
        full.setattr(shutil, "copyfile", lambda _, target: (_ for _ in ()).throw(OSError(28, "No space left on device", str(target))))
        assert main(["merge", "cup", "cat", "--out=both"]) == 4
    err = capsys.readouterr().err
    assert "there is room on the disk (No space left on device)" in err
    assert "the shards were not changed" in err
    assert not (shards / "both").exists()
    assert main(["merge", "cup", "cat", "--out=both"]) == 0


def test_labels_of_shards_come_together(shards: Path) -> None:
    """What people said of the pictures of either is said of the merged run."""
    from swapgate.runs.labels import Labels

    for name, person in (("cup", "ann"), ("cat", "bo")):
        folder = RunFolder.open(shards / name)
        request = next(one for one in folder.requests() if folder.generations()[one.key].image)
        Labels(shards / name).add(person=person, image=str(folder.generations()[request.key].image), pair=request.pair, usable=True)
    merge([shards / "cup", shards / "cat"], shards / "out")
    assert {label.person for label in Labels(shards / "out")} == {"ann", "bo"}
