"""Two recorded runs against one another: the verdicts of one with the other standing for the accepted baseline.

Both may come from other machines. Nothing is made, and neither run is written to: they are read through shadows, whose journals and
scores are copies and whose pictures are the runs' own. What is computed (how far pictures are apart) is kept with the comparison and
taken up by the next one. Times and memory are compared inside a cohort only, as with any baseline; elsewhere they are INCOMPARABLE.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swapgate.baselines.layout import pretty
from swapgate.baselines.record import Baseline, problems, without_cost
from swapgate.baselines.store import Store
from swapgate.canonical import dumps, write_atomic
from swapgate.config import Config
from swapgate.errors import UserError, written
from swapgate.gates.policy import read_policy
from swapgate.gates.verdict import Status
from swapgate.plan import Request
from swapgate.runs.folder import RunFolder
from swapgate.suite import results
from swapgate.suite.drafts import recorded_baseline
from swapgate.suite.options import Options
from swapgate.suite.planning import ITSELF
from swapgate.suite.session import Suite

if TYPE_CHECKING:
    from swapgate.runs.pixels import Pixels

_SCORES = "scores.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What `compare` found: verdicts.json as data, the page, and models that only one of the runs has."""

    data: Mapping[str, Any]
    page: Path
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    @property
    def statuses(self) -> frozenset[Status]:
        return frozenset(Status(one["status"]) for one in self.data["verdicts"])


class _Pictures:
    """The pictures of the run that stands for the baseline, where `baselines.objects` has those of a storage."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def find(self, sha: str) -> Path | None:
        path = self._run.image_path(sha)
        return path if path.is_file() else None

    def read(self, sha: str) -> Pixels:
        return self._run.load_image(sha)

    def write(self, sha: str, _: Pixels) -> None:
        raise AssertionError(f"{sha} is the run's own")

    def problem(self, sha: str) -> tuple[str, str, str] | None:
        return None if self.find(sha) else (str(self._run.image_path(sha)), "missing", "the picture must be in the run")


def compare(config: Config, before: Path, after: Path, out: Path, *, strict: bool = False) -> Compared:
    """Judge the run `after` with the run `before` as its baseline; writes verdicts.json and the page into `out`.

    Models are paired by name; a run of a single model is held against another run of a single model whatever they are called. UserError
    where a card or task of the project is not what a run was made with, or where nothing can be paired.
    """
    with tempfile.TemporaryDirectory(prefix="swapgate-compare-") as folder:
        first, second = Path(folder) / "before" / before.resolve().name, Path(folder) / "after" / after.resolve().name
        _shadow(before, first)
        _shadow(after, second)
        if (out / _SCORES).is_file():
            shutil.copyfile(out / _SCORES, second / _SCORES)
        reference = _open(config, first, compared="", strict=False)
        suite = _open(config, second, compared=reference.run.id, strict=strict)
        try:
            pairs, only_before, only_after = _paired(reference, suite)
            suite.store = _store(Path(folder) / "baselines", reference, suite, pairs)
            data = _judged(suite, f"swapgate compare {before} {after}", str(after))
            page = _written(suite, data, out)
        finally:
            reference.run.close()
            suite.run.close()
    return Compared(data=data, page=page, only_before=only_before, only_after=only_after)


def _shadow(run: Path, folder: Path) -> None:
    """A copy of a run that may be written to, with the run's own pictures, as a run of its judged models without another arm."""
    opened = RunFolder.open(run)
    other = opened.manifest.get("against")
    manifest = {**opened.manifest, "against": None, "plan": [one for one in opened.manifest.get("plan", []) if not _other_arm(one["model"], other)]}
    folder.mkdir(parents=True)
    for name in ("journal.jsonl", _SCORES):
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    try:
        (folder / "images").symlink_to((run / "images").resolve(), target_is_directory=True)
    except OSError:  # a system without links
        shutil.copytree(run / "images", folder / "images")
    write_atomic(folder / "manifest.json", dumps(manifest, indent=1) + "\n")


def _other_arm(model: str, against: object) -> bool:
    return model == against or model.endswith(f".{ITSELF}")


def _open(config: Config, run: Path, *, compared: str, strict: bool) -> Suite:
    options = Options(root=config.root, replay=run, compared=compared, strict=strict, command="swapgate compare")
    return Suite.open(config, options, read_policy(config.policy_table()))


def _paired(before: Suite, after: Suite) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """Model of `after` to that of `before`, and the models without one. UserError where nothing can be paired."""
    ours, theirs = ([card.id for card in suite.setup.models] for suite in (after, before))
    pairs = {name: name for name in ours if name in theirs}
    if not pairs and len(ours) == len(theirs) == 1:
        pairs = {ours[0]: theirs[0]}
    if not pairs:
        raise UserError(
            where=f"{before.run.id} and {after.run.id}",
            rule=f"runs of the same models, or of one model each; they have {', '.join(theirs)} and {', '.join(ours)}",
            remedy="compare runs that share a model; a swap of one for another is best made in turn: pytest --model=B --against=A",
        )
    return pairs, tuple(name for name in theirs if name not in pairs.values()), tuple(name for name in ours if name not in pairs)


def _store(root: Path, before: Suite, after: Suite, pairs: Mapping[str, str]) -> Store:
    """A store in which every task of `before` is the baseline of its model in `after`, in its cohort with costs and for any hardware without."""
    store = Store(root, _Pictures(before.run))
    for ours, theirs in pairs.items():
        card = before.card(theirs)
        before.ensure_scored(card)
        asked = {request.pair: request for request in after.plan.requests(ours)}
        for task in before.setup.tasks[theirs]:
            held = recorded_baseline(before, card, task)
            if held is None:
                continue
            # Whoever compares two drills knows of the faults; they bar a run from the store of what is accepted.
            held = replace(held, model=ours, provenance=replace(held.provenance, faults=()))
            renamed = held if ours == theirs else _of_another_model(held, before, theirs, asked)
            for one in (renamed, without_cost(renamed)):
                if not problems(one):
                    write_atomic(store.path(one.model, one.cohort, one.task), pretty(one.as_json()))
    return store


def _of_another_model(held: Baseline, before: Suite, model: str, asked: Mapping[str, Request]) -> Baseline:
    """Scores of another model, comparable where both were asked for the same prompt in the same size: steps and guidance are each model's own."""

    def same(request: Request) -> bool:
        other = asked.get(request.pair)
        return other is not None and (other.prompt, other.width, other.height) == (request.prompt, request.width, request.height)

    alike = {request.pair for request in before.plan.requests(model) if same(request)}
    scores = tuple(replace(one, recipe=asked[one.pair].recipe) if one.pair in alike else one for one in held.quality.scores)
    return replace(held, quality=replace(held.quality, scores=scores))


def _judged(suite: Suite, command: str, name: str) -> dict[str, Any]:
    cells = suite.setup.cells()
    for cell in cells:
        suite.verdict(cell)
    data = results.collect(suite, cells)
    verdicts = [{**one, "next": one["next"].replace(suite.run_name, name)} for one in data["verdicts"]]
    return {**data, "command": command, "verdicts": verdicts, "baselines": {}}


def _written(suite: Suite, data: Mapping[str, Any], out: Path) -> Path:
    from swapgate import report

    with written(str(out)):
        write_atomic(out / results.FILE, dumps(dict(data), indent=1) + "\n")
        suite.run.close()
        if (suite.run.path / _SCORES).is_file():
            write_atomic(out / _SCORES, (suite.run.path / _SCORES).read_bytes())
        return report.build(out, suite.image_path)
