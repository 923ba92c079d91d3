"""Shards of a run as one run: disjoint parts of one plan, made on several machines or at several times.

What one shard cannot know of another is checked before anything is written, and every contradiction is named: a request that two of
them made, a card or a task that was changed between them, a model that was other software, other weights or another device. The merged
run is built beside its place and renamed into it, so it is there whole or not at all; merging the same shards again changes nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swapgate.canonical import digest, dumps, write_atomic
from swapgate.errors import RunBroken, UserError, written
from swapgate.plan import Request, rounds
from swapgate.runs import labels
from swapgate.runs.alone import alone
from swapgate.runs.folder import RunFolder
from swapgate.suite.environments import SHARDS
from swapgate.suite.rounds import LOOK, budget_of

_SHOWN = 8  # contradictions that the message quotes before it only counts them
_ALIKE = ("accelerator", "device_name", "weights", "placement", "dtype", "attention", "threads", "versions")
_ONCE = {
    LOOK: "was looked at before its end: begin shards of one model with --budget=full",
    "null": "measured its null: measure it in one of them only",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What `merge` made. again: it was there already; images: files of pictures; made: requests with an answer, of `planned`."""

    path: Path
    shards: tuple[str, ...]
    planned: int
    made: int
    images: int
    again: bool


def merge(paths: Sequence[Path], out: Path) -> Merged:
    """Join the runs in `paths` into a new one in `out`, their pictures linked where the disk allows it, else copied.

    UserError that names every contradiction, or what lies in `out` already; RunBroken for a damaged shard or picture.
    """
    folders = _opened(paths)
    try:
        contradictions = list(_contradictions(folders))
        if contradictions:
            more = len(contradictions) - _SHOWN
            raise UserError(
                where=", ".join(str(one.path) for one in folders),
                rule="shards are disjoint parts of one plan, made alike: "
                + "; ".join(contradictions[:_SHOWN])
                + (f"; and {more} more" if more > 0 else ""),
                remedy="merge the shards that belong together, or compare whole runs: swapgate compare RUN_A RUN_B",
            )
        out.parent.mkdir(parents=True, exist_ok=True)
        with written(then="then give the command again: the shards were not changed"), alone(out.parent):
            return _merge(folders, out)
    finally:
        for one in folders:
            one.close()


def _opened(paths: Sequence[Path]) -> list[RunFolder]:
    same = [path for number, path in enumerate(paths) if path.resolve() in {other.resolve() for other in paths[:number]}]
    if len(paths) < 2 or same:
        given = str(same[0]) if same else None
        raise UserError(where="RUN", value=given, rule="at least two runs, each once", remedy="swapgate merge RUN_1 RUN_2 --out=DIR")
    return [RunFolder.open(path) for path in paths]


def _merge(folders: Sequence[RunFolder], out: Path) -> Merged:
    manifest = _manifest(folders, out.name)
    again = (out / "manifest.json").is_file() and RunFolder.open(out).manifest.get(SHARDS) == manifest[SHARDS]
    if not again:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(
                where=str(out),
                rule="the folder of a merged run is new, or holds the same merge",
                remedy="choose another --out, or remove that folder",
            )
        making = out.with_name(f".{out.name}.merging")
        shutil.rmtree(making, ignore_errors=True)  # what is left of a merge that was killed
        _write(folders, manifest, making)
        if out.is_dir():
            out.rmdir()
        os.rename(making, out)
    done = RunFolder.open(out)
    done.close()
    asked, made = done.requests(), done.generations()
    return Merged(
        path=out,
        shards=tuple(one.id for one in folders),
        planned=len(asked),
        made=sum(request.key in made for request in asked),
        images=sum(1 for _ in (out / "images").glob("*/*.png")),
        again=again,
    )


def _write(folders: Sequence[RunFolder], manifest: Mapping[str, Any], making: Path) -> None:
    making.mkdir()
    (making / "images").mkdir()
    for folder in folders:
        for sha in sorted({made.image for made in folder.generations().values() if made.image} | _others(folder)):
            _place(folder, sha, making)
    events: list[str] = []
    for folder in folders:  # what two shards say alike is said once; what one says twice (a process that was begun again) stays
        before = set(events)
        events += [text for event in folder.events() if (text := dumps(event)) not in before]
    scores: dict[str, Any] = {}
    for folder in folders:
        scores = {**folder.memo(), **scores}
    write_atomic(making / "journal.jsonl", "".join(f"{line}\n" for line in events))
    write_atomic(making / "scores.jsonl", "".join(f"{dumps({'key': key, 'value': value})}\n" for key, value in scores.items()))
    said = [label for folder in folders if (folder.path / labels.FILE).is_file() for label in labels.read_file(folder.path)]
    if said:
        labels.Labels(making).merge(said)
    write_atomic(making / "manifest.json", dumps(dict(manifest), indent=1) + "\n")


def _others(folder: RunFolder) -> set[str]:
    """Pictures that no request of the plan made, and that events name: those of witnesses."""
    named = {str(event[key]) for event in folder.events() for key in ("after", "before") if isinstance(event.get(key), str)}
    return {sha for sha in named if len(sha) == 64 and folder.image_path(sha).is_file()}


def _place(folder: RunFolder, sha: str, making: Path) -> None:
    """Link (or copy) one picture; a file that does not read as a whole PNG is told now, and not when it is judged elsewhere."""
    from PIL import Image

    source = folder.image_path(sha)
    target = making / "images" / sha[:2] / source.name
    if target.exists():
        return
    try:
        with Image.open(source) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError) as error:
        raise RunBroken(
            where=str(source), rule=f"a whole PNG file ({error})", remedy="restore the file from a copy, or make the run again; nothing was merged"
        ) from None
    target.parent.mkdir(exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links; whether there is room shows in the copy
        shutil.copyfile(source, target)


def _manifest(folders: Sequence[RunFolder], name: str) -> dict[str, Any]:
    first = folders[0].manifest
    shards = [
        {
            "id": one.id,
            "journal": digest(one.events()),
            "environment": one.manifest.get("environment"),
            "models": sorted({request.model for request in one.requests()}),
            "command": one.manifest.get("command"),
        }
        for one in folders
    ]
    return {
        **first,
        "id": name,
        "created": max(str(one.manifest.get("created")) for one in folders),
        "command": "swapgate merge " + " ".join(one.id for one in folders),
        "cards": {key: card for one in folders for key, card in one.manifest.get("cards", {}).items()},
        "tasks": {key: task for one in folders for key, task in one.manifest.get("tasks", {}).items()},
        "plan": [request.as_json() for request in _plan(folders)],
        SHARDS: shards,
    }


def _plan(folders: Sequence[RunFolder]) -> list[Request]:
    """The requests of all shards, model by model and round by round, as one run would have asked for them."""
    from swapgate.suite.session import planned_calls

    plans = [planned_calls(one) for one in folders]
    found: dict[str, Request] = {}
    for model in dict.fromkeys(model for plan in plans for model in plan):
        shards = [rounds(plan[model]) for plan in plans if model in plan]
        for number in range(max(map(len, shards))):
            calls = [call for shard in shards if number < len(shard) for call in shard[number]]
            for call in sorted(calls, key=lambda one: bool(one.first.edits)):  # a round asks as written first
                found.update((request.key, request) for request in call.requests if request.key not in found)
    return list(found.values())


def _contradictions(folders: Sequence[RunFolder]) -> Iterator[str]:
    first = folders[0]
    for other in folders[1:]:
        for key in ("against", "faults", "dry"):
            if first.manifest.get(key) != other.manifest.get(key):
                yield f"{key} is {first.manifest.get(key)!r} in {first.id} and {other.manifest.get(key)!r} in {other.id}"
        if budget_of(first) != budget_of(other):
            yield f"--budget is {budget_of(first)} in {first.id} and {budget_of(other)} in {other.id}"
    for kind in ("cards", "tasks"):
        yield from _changed(folders, kind)
    yield from _made_twice(folders)
    yield from _made_otherwise(folders)
    yield from _once_only(folders)


def _changed(folders: Sequence[RunFolder], kind: str) -> Iterator[str]:
    held: dict[str, tuple[str, str]] = {}
    for one in folders:
        for name, value in one.manifest.get(kind, {}).items():
            where, before = held.setdefault(name, (one.id, dumps(value)))
            if before != dumps(value):
                yield f"the {kind[:-1]} {name} is not the same in {where} and {one.id}"


def _made_twice(folders: Sequence[RunFolder]) -> Iterator[str]:
    held: dict[str, tuple[str, str]] = {}
    for one in folders:
        names = {request.key: f"{request.model} {request.pair}" for request in one.requests()}
        for key, made in one.generations().items():
            where, before = held.setdefault(key, (one.id, dumps(made.as_json())))
            if before != dumps(made.as_json()):
                yield f"{names.get(key, 'a repeat')} was made in {where} and in {one.id}"


def _made_otherwise(folders: Sequence[RunFolder]) -> Iterator[str]:
    held: dict[str, tuple[str, dict[str, Any]]] = {}
    for one in folders:
        for model, loaded in one.loaded().items():
            where, before = held.setdefault(model, (one.id, loaded.as_json()))
            unlike = [key for key in _ALIKE if before[key] != loaded.as_json()[key]]
            if unlike:
                yield f"{model} had other {', '.join(unlike)} in {where} than in {one.id}"


def _once_only(folders: Sequence[RunFolder]) -> Iterator[str]:
    for kind, why in _ONCE.items():
        held: dict[str, str] = {}
        for one in folders:
            for model in dict.fromkeys(str(event["model"]) for event in one.events() if event["event"] == kind):
                where = held.setdefault(model, one.id)
                if where != one.id:
                    yield f"in both {where} and {one.id}, {model} {why}"
