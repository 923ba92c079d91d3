"""Is the store whole, and what in it is no longer needed: `verify` reports, `prune` deletes what nothing refers to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from swapgate.baselines import images, witnesses
from swapgate.baselines.record import ANY, Baseline
from swapgate.baselines.store import IMAGES, Store, problems_at, read_baseline
from swapgate.errors import UserError, written


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the project has, and a baseline of anything else is unused.

    models: card ids; tasks: task ids; of_card: the tasks that a card asks for (a card that is not named here may ask for any); pairs: the
    requests as written that a task makes (a task that is not named here may make any).
    """

    models: Collection[str]
    tasks: Collection[str]
    of_card: Mapping[str, Collection[str]] = field(default_factory=dict)
    pairs: Mapping[str, Collection[str]] = field(default_factory=dict)

    def why_unused(self, model: str, task: str, pairs: Collection[str] | None = None) -> str:
        """Why nothing will ever be held against a baseline; "" when something may. pairs: those of its pictures, None where they are not known."""
        if model not in self.models:
            return f"no card {model}"
        if task not in self.tasks:
            return f"no task {task}"
        if task not in self.of_card.get(model, (task,)):
            return f"the card {model} does not ask for the task {task}"
        if pairs and task in self.pairs and not set(pairs) & set(self.pairs[task]):
            return f"the task {task} makes none of its {len(pairs)} requests any more (languages, seeds or images a round)"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding of `verify`: which file, what is wrong, what to do. kind: damaged, missing, unreachable, orphan or unused."""

    where: str
    kind: str
    rule: str
    remedy: str


def verify(store: Store, known: Known | None = None) -> list[Problem]:
    """Everything that is wrong with the store, files in name order; unused baselines only where `known` is given."""
    outdated = unused(store, known) if known else {}
    found = [problem for path in store.paths() for problem in _of_baseline(store, path, outdated)]
    found += [problem for path in _corpora(store) for problem in _of_witnesses(store, path, outdated)]
    return found + [
        Problem(where=_shown(store, orphan), kind="orphan", rule="no baseline refers to this file", remedy="swapgate baselines prune --yes")
        for orphan in orphans(store)
    ]


def orphans(store: Store, *, without: Collection[Path] = ()) -> list[Path]:
    """Files of the store that nothing refers to: images of no baseline beside them, and remains of a killed write.

    Images beside a JSON that cannot be read are never orphans: what it refers to is not known. `without` leaves out
    baselines that are about to be deleted.
    """
    found = store.leftovers()
    for cohort in sorted(path for path in store.root.glob("*/*") if path.is_dir()):
        needed = _references([path for path in store.paths() if path.parent == cohort and path not in without])
        if needed is not None:
            found += [path for path in (cohort / IMAGES).glob("*") if path.suffix in images.SUFFIXES and path.stem not in needed]
    return sorted(set(found))


def unused(store: Store, known: Known) -> dict[Path, str]:
    """The baselines that no card, task or request names any more, and the witnesses of models without a card, each with why."""
    baselines = {path: known.why_unused(path.parent.parent.name, path.stem, _pairs(path)) for path in store.paths()}
    corpora = {path: f"no card {path.parent.name}" for path in _corpora(store) if path.parent.name not in known.models}
    return {path: why for path, why in (*baselines.items(), *corpora.items()) if why}


def _pairs(path: Path) -> Collection[str] | None:
    """The requests as written that a baseline holds; None where it cannot be read."""
    try:
        return read_baseline(path).quality.kept()
    except UserError:
        return None


def prune(store: Store, *, known: Known | None = None, dry_run: bool) -> list[Path]:
    """Delete orphans, and unused baselines where `known` is given; with `dry_run` only say which. Gives the files.

    Baselines go before their pictures: killed at any point, every baseline that is left has all of its own.
    """
    if dry_run:
        return _doomed(store, known)
    remains = store.leftovers()
    with written(), store.alone():
        doomed = _doomed(store, known)
        for path in sorted(doomed, key=lambda path: path.suffix != ".json"):
            path.unlink(missing_ok=True)
        _remove_empty(store)
    return sorted({*remains, *doomed})


def _doomed(store: Store, known: Known | None) -> list[Path]:
    outdated = unused(store, known) if known else {}
    return sorted({*outdated, *orphans(store, without=outdated)})


def _of_baseline(store: Store, path: Path, outdated: Mapping[Path, str]) -> Iterator[Problem]:
    where = _shown(store, path)
    restore = "restore the file from version control, or accept a new baseline"
    try:
        baseline = read_baseline(path)
    except UserError as error:
        yield Problem(where=where, kind="damaged", rule=error.rule, remedy=error.remedy)
        return
    for rule in problems_at(baseline, path):
        yield Problem(where=where, kind="damaged", rule=rule, remedy=restore)
    for rule in _unaccepted(baseline):
        yield Problem(where=where, kind="damaged", rule=rule, remedy="accept it through review: swapgate baselines accept --run=RUN")
    yield from _of_images(store, baseline, path.parent / IMAGES)
    yield from _of_use(store, path, outdated)


def _of_use(store: Store, path: Path, outdated: Mapping[Path, str]) -> Iterator[Problem]:
    if path in outdated:
        yield Problem(
            where=_shown(store, path),
            kind="unused",
            rule=f"something of the project is held against it: {outdated[path]}",
            remedy="add the card, task or request again, or: swapgate baselines prune --unused --yes",
        )


def _corpora(store: Store) -> list[Path]:
    return sorted(store.root.glob(f"*/{witnesses.FILE}"))


def _of_witnesses(store: Store, path: Path, outdated: Mapping[Path, str]) -> Iterator[Problem]:
    try:
        witnesses.read(store.root, path.parent.name)
    except UserError as error:
        yield Problem(where=_shown(store, path), kind="damaged", rule=error.rule, remedy=error.remedy)
    yield from _of_use(store, path, outdated)


def _of_images(store: Store, baseline: Baseline, folder: Path) -> Iterator[Problem]:
    for pair, sha in sorted(baseline.quality.kept().items()):
        file = images.find(folder, sha)
        if file is None and store.objects is not None:
            if found := store.objects.problem(sha):
                where, kind, rule = found
                remedy = "restore the object, or accept a run that drew the picture, which uploads it again: swapgate baselines accept --run=RUN"
                yield Problem(where=where, kind=kind, rule=f"{pair}: {rule}", remedy=remedy if kind != "unreachable" else "try again when it answers")
        elif file is None:
            yield Problem(
                where=_shown(store, folder / sha),
                kind="missing",
                rule=f"the reference image of {pair} must exist",
                remedy="restore it from version control",
            )
        elif wrong := images.problem(file):
            yield Problem(where=_shown(store, file), kind="damaged", rule=wrong, remedy="restore the file from version control")


def _unaccepted(baseline: Baseline) -> Iterator[str]:
    made = baseline.provenance
    if not (made.reason and made.accepted_by and made.accepted_on):
        yield "nobody accepted it: reason, accepted_by or accepted_on is empty"
    if baseline.cohort != ANY and not baseline.cohort.startswith(baseline.accelerator):
        yield f"the cohort {baseline.cohort} is not one of {baseline.accelerator}"


def _references(baselines: Collection[Path]) -> set[str] | None:
    """The images that these files need; None when one of them cannot be read."""
    needed: set[str] = set()
    for path in baselines:
        try:
            needed |= set(read_baseline(path).quality.kept().values())
        except UserError:
            return None
    return needed


def _remove_empty(store: Store) -> None:
    for folder in sorted((path for path in store.root.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)):
        if not any(folder.iterdir()):
            folder.rmdir()


def _shown(store: Store, path: Path) -> str:
    return path.relative_to(store.root.parent).as_posix()
