"""Drafts: what a run offers as new baselines, kept in the run folder until someone accepts or rejects them.

A draft, RUN/drafts/<model>/<cohort>/<task>.json, is a Baseline without reason and without a name; its images stay in
the run. RUN/review.jsonl says what was accepted and rejected, by whom and why; lines are only ever appended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from swapgate.baselines.layout import pretty
from swapgate.baselines.record import Baseline
from swapgate.baselines.store import read_baseline
from swapgate.canonical import write_atomic
from swapgate.errors import RunBroken, UserError
from swapgate.gates.verdict import GATES, POOLED
from swapgate.runs.lines import Lines

DRAFTS, REVIEW = "drafts", "review.jsonl"
ACTIONS = ("accept", "reject")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The drafts that patterns chose, the patterns that chose none, and every name that could have been written.

    damaged: id and reason of every chosen draft whose file cannot be used.
    """

    chosen: tuple[Baseline, ...]
    unmatched: tuple[str, ...]
    names: tuple[str, ...]
    damaged: tuple[tuple[str, str], ...] = ()


def write(run: Path, baseline: Baseline) -> Path:
    """Write a draft of one model and task; cost figures without a single call are left out."""
    if baseline.cost is not None and not baseline.cost.calls:
        baseline = replace(baseline, cost=None, repeats=())
    path = run / DRAFTS / f"{baseline.id}.json"
    write_atomic(path, pretty(baseline.as_json()))
    return path


def read(run: Path) -> list[Baseline]:
    """Every draft of a run, in name order. UserError when the run has none, RunBroken at the first damaged one."""
    found, damaged = _scan(run)
    if damaged:
        raise next(iter(damaged.values()))
    return found


def select(drafts: Sequence[Baseline], patterns: Sequence[str], damaged: Mapping[str, RunBroken] | None = None) -> Selection:
    """The drafts that any of `patterns` matches; all of them where no pattern is given. damaged: what is wrong, by the draft's id."""
    broken = damaged or {}
    names = [*((one.model, one.cohort, one.task) for one in drafts), *(_parts(name) for name in broken)]
    return Selection(
        chosen=tuple(one for one in drafts if not patterns or any(matches(one, pattern) for pattern in patterns)),
        unmatched=tuple(pattern for pattern in patterns if not any(_hit(pattern, *name) for name in names)),
        names=tuple(sorted({f"{model}/{task}" for model, _, task in names})),
        damaged=tuple(
            (name, f"{error.where}: {error.rule}; {error.remedy}")
            for name, error in broken.items()
            if not patterns or any(_hit(pattern, *_parts(name)) for pattern in patterns)
        ),
    )


def choose(run: Path, patterns: Sequence[str]) -> Selection:
    """The drafts of `run` that `patterns` match. UserError that names the drafts when they match none."""
    found, damaged = _scan(run)
    selection = select(found, patterns, damaged)
    if not selection.chosen and not selection.damaged:
        raise UserError(
            where=str(run),
            key="patterns",
            value=list(patterns),
            rule=f"at least one matches a draft; there are: {', '.join(selection.names)}",
            remedy="write model/task or gate/model/task; * stands for anything",
        )
    return selection


def matches(baseline: Baseline, pattern: str) -> bool:
    """Whether a shell pattern names model/task, model/cohort/task, or a cell gate/model/task (also the pooled one)."""
    return _hit(pattern, baseline.model, baseline.cohort, baseline.task)


def note_review(run: Path, entry: Mapping[str, Any]) -> None:
    """Append one line to the review journal; it is on disk when this returns. What a crash cut off before it goes."""
    path = run / REVIEW
    _entries(path)  # a damaged line in the middle is told before anything is added behind it
    lines = Lines(path)
    try:
        lines.append(entry, durable=True)
    finally:
        lines.close()


def reviews(run: Path) -> dict[str, dict[str, Any]]:
    """The last word on each draft, by its id (model/cohort/task). A last line that a crash cut off is left out."""
    return {entry["draft"]: entry for entry in _entries(run / REVIEW)}


def _scan(run: Path) -> tuple[list[Baseline], dict[str, RunBroken]]:
    """Every draft of a run, in name order, and by id what is wrong with those that cannot be used. UserError when the run has none."""
    if not run.is_dir():
        raise UserError(where=str(run), rule="a run is a folder", remedy="name one of the folders below .swapgate/runs")
    found: list[Baseline] = []
    damaged: dict[str, RunBroken] = {}
    for path in sorted((run / DRAFTS).glob("*/*/*.json")):
        name = f"{path.parent.parent.name}/{path.parent.name}/{path.stem}"
        if path.name.startswith("."):
            continue
        try:
            one = read_baseline(path)
            found.append(_in_place(one, path, name))
        except UserError as error:
            remedy = f"write it again, which makes no image: pytest --resume={run}"
            damaged[name] = RunBroken(where=str(path), key=error.key, value=error.value, rule=error.rule, remedy=remedy)
    if not found and not damaged:
        raise UserError(
            where=str(run / DRAFTS),
            rule="a finished run offers a draft for each task without a missing image; an A/B run none",
            remedy=f"finish the run: pytest --resume={run}",
        )
    return found, damaged


def _in_place(one: Baseline, path: Path, name: str) -> Baseline:
    if one.id != name:
        raise UserError(where=str(path), rule=f"a draft lies where it says that it does; this one says {one.id}", remedy="")
    return one


def _parts(name: str) -> tuple[str, str, str]:
    model, cohort, task = name.split("/")
    return model, cohort, task


def _hit(pattern: str, model: str, cohort: str, task: str) -> bool:
    cells = (f"{gate}/{model}/{one}" for gate in GATES for one in (task, POOLED))
    return any(fnmatchcase(name, pattern) for name in (f"{model}/{task}", f"{model}/{cohort}/{task}", *cells))


def _entries(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    try:
        lines = Lines(path)
    except RunBroken as error:
        raise RunBroken(where=error.where, rule=error.rule, remedy="remove that line; the others hold") from None
    for number, entry in enumerate(lines, start=1):
        if not isinstance(entry.get("draft"), str) or entry.get("action") not in ACTIONS:
            rule = f"each line is one review: draft, and action ({' or '.join(ACTIONS)})"
            raise RunBroken(where=f"{path}:{number}", rule=rule, remedy="remove that line; the others hold")
        found.append(entry)
    return found
