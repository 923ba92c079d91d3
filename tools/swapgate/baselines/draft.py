"""Drafts: what a run offers as new baselines, kept in the run folder until someone accepts or rejects them.

A draft, RUN/drafts/<model>/<cohort>/<task>.json, is a Baseline without reason and without a name; its images stay in
the run. RUN/review.jsonl says what was accepted and rejected, by whom and why; lines are only ever appended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from swapgate.baselines.layout import pretty
from swapgate.baselines.record import Baseline
from swapgate.baselines.store import read_baseline
from swapgate.canonical import dumps, write_atomic
from swapgate.errors import RunBroken, UserError
from swapgate.gates.verdict import GATES, POOLED

DRAFTS, REVIEW = "drafts", "review.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The drafts that patterns chose, the patterns that chose none, and every name that could have been written."""

    chosen: tuple[Baseline, ...]
    unmatched: tuple[str, ...]
    names: tuple[str, ...]


def write(run: Path, baseline: Baseline) -> Path:
    """Write a draft of one model and task; cost figures without a single call are left out."""
    if baseline.cost is not None and not baseline.cost.calls:
        baseline = replace(baseline, cost=None, repeats=())
    path = run / DRAFTS / f"{baseline.id}.json"
    write_atomic(path, pretty(baseline.as_json()))
    return path


def read(run: Path) -> list[Baseline]:
    """Every draft of a run, in name order. UserError when the run has none."""
    if not run.is_dir():
        raise UserError(where=str(run), rule="a run is a folder", remedy="name one of the folders below .swapgate/runs")
    found = [read_baseline(path) for path in sorted((run / DRAFTS).glob("*/*/*.json")) if not path.name.startswith(".")]
    if not found:
        raise UserError(
            where=str(run / DRAFTS),
            rule="a finished run offers a draft for each task without a missing image; an A/B run none",
            remedy=f"finish the run: pytest --resume={run}",
        )
    return found


def select(drafts: Sequence[Baseline], patterns: Sequence[str]) -> Selection:
    """The drafts that any of `patterns` matches; all of them where no pattern is given."""
    chosen = tuple(draft for draft in drafts if not patterns or any(matches(draft, pattern) for pattern in patterns))
    unmatched = tuple(pattern for pattern in patterns if not any(matches(draft, pattern) for draft in drafts))
    return Selection(chosen=chosen, unmatched=unmatched, names=tuple(sorted({draft.cell for draft in drafts})))


def choose(run: Path, patterns: Sequence[str]) -> Selection:
    """The drafts of `run` that `patterns` match. UserError that names the drafts when they match none."""
    selection = select(read(run), patterns)
    if not selection.chosen:
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
    cells = (f"{gate}/{baseline.model}/{task}" for gate in GATES for task in (baseline.task, POOLED))
    return any(fnmatchcase(name, pattern) for name in (baseline.cell, baseline.id, *cells))


def note_review(run: Path, entry: Mapping[str, Any]) -> None:
    """Append one line to the review journal; it is on disk when this returns."""
    with (run / REVIEW).open("a", encoding="utf-8") as file:
        file.write(dumps(dict(entry)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def reviews(run: Path) -> dict[str, dict[str, Any]]:
    """The last word on each draft, by its id (model/cohort/task). A last line that a crash cut off is left out."""
    return {entry["draft"]: entry for entry in _entries(run / REVIEW)}


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            entry["draft"], entry["action"]
        except (json.JSONDecodeError, TypeError, KeyError):
            if number == len(lines):
                return
            raise RunBroken(where=f"{path}:{number}", rule="each line is one review as JSON", remedy="remove that line") from None
        yield entry
