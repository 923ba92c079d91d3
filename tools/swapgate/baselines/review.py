"""Review: drafts become baselines only by `accept`, which generates nothing; `reject` says that they must not.

What a draft may become depends on where it was made: cost figures of an accelerator go into its cohort together with the
quality; on a CPU only the quality is taken, into the cohort "any", unless `with_cost` keeps both in the CPU's own cohort.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.baselines import draft as drafts
from swapgate.baselines import guards, witnesses
from swapgate.baselines.record import ANY, Baseline, without_cost
from swapgate.baselines.store import Store, read_baseline
from swapgate.errors import UserError
from swapgate.gates.evidence import Null
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status, Verdict
from swapgate.gates.warning import Warn, warnings

if TYPE_CHECKING:
    from swapgate.runs.folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A draft (or an id) that was not accepted, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """What `accept` or `reject` did: ids accepted into or rejected, drafts refused, patterns that matched nothing."""

    done: tuple[str, ...]
    refused: tuple[Refused, ...] = ()
    unmatched: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for was done."""
        return not self.refused and not self.unmatched


def accept(
    run: Path,
    *,
    store: Store,
    patterns: Sequence[str] = (),
    cohort: str | None = None,
    with_cost: bool = False,
    reason: str = "",
    by: str = "",
    allow_ci: bool = False,
    include_rejected: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Reviewed:
    """Promote the drafts of `run` that `patterns` name (all where none is given) with their images into `store`.

    Drafts that a guard refuses are listed with the reason; the others are accepted, and no other baseline is touched.
    UserError where nothing may be accepted at all (xdist worker, CI, a run that was never judged, no pattern matches).
    """
    guards.check_session(environ, allow_ci=allow_ci)
    selection = drafts.choose(run, patterns)
    verdicts, faults, reviews = guards.read_verdicts(run), guards.planted_faults(run), drafts.reviews(run)
    made = Reviewed(done=(), unmatched=selection.unmatched, lines=tuple(_unmatched(selection)))
    for draft in selection.chosen:
        review = None if include_rejected else reviews.get(draft.id)
        try:
            wanted = keep_null(target(draft, cohort=cohort, with_cost=with_cost), store)
            refusal = guards.refusal(draft if wanted.cost else replace(draft, cost=None, repeats=()), verdicts, faults, review, reason=reason)
            signed = _signed(wanted, reason, by, verdicts)
            made = _refused(made, draft, refusal) if refusal else _promote(made, run, store, draft, signed)
        except UserError as error:
            made = _refused(made, draft, f"{error.where}: {error.rule}; {error.remedy}")
    return replace(made, lines=(*made.lines, *_warnings(store, made.done)))


def reject(run: Path, *, store: Store, patterns: Sequence[str] = (), reason: str, by: str = "", environ: Mapping[str, str] = os.environ) -> Reviewed:
    """Mark the drafts that `patterns` name as rejected; accept then refuses them. UserError without a reason.

    Their witnesses are kept in `store` for the next version to stand, except where nothing may be written there (CI, xdist workers).
    """
    if not reason.strip():
        raise UserError(where="--reason", rule="a rejection says why", remedy='write --reason="…"')
    selection = drafts.choose(run, patterns)
    for draft in selection.chosen:
        drafts.note_review(run, {"action": "reject", "draft": draft.id, "reason": reason, "by": by or user(), "time": now()})
    notes = _kept_of_all(run, store, selection.chosen, environ)
    lines = (*_unmatched(selection), *(f"rejected {draft.id}: {reason}" for draft in selection.chosen), *(f"  note: {note}" for note in notes))
    return Reviewed(done=tuple(draft.id for draft in selection.chosen), unmatched=selection.unmatched, notes=tuple(notes), lines=lines)


def target(draft: Baseline, *, cohort: str | None = None, with_cost: bool = False) -> Baseline:
    """The draft as the baseline that it would become. UserError for a cohort that is neither its own nor "any"."""
    if cohort not in (None, ANY, draft.cohort):
        raise UserError(
            where="--cohort",
            value=cohort,
            rule=f'"any" or the cohort that the run was made in, {draft.cohort}',
            remedy="cost figures of one cohort are no baseline for another; leave --cohort out",
        )
    if cohort == ANY and with_cost:
        raise UserError(where="--with-cost", rule='the cohort "any" holds quality only', remedy="leave --cohort out, or --with-cost")
    on_cpu = draft.accelerator.startswith("cpu")
    if cohort == ANY or (cohort is None and on_cpu and not with_cost):
        return without_cost(draft)
    return draft


def keep_null(wanted: Baseline, store: Store) -> Baseline:
    """The baseline with the null of the one that it replaces, if it brings none and the pictures of that null are its own.

    A null says how much a model differs from itself: it holds for these files, this pipeline and these pictures only.
    UserError where it does not hold any more: to drop it silently would leave the drift gate unable to decide.
    """
    path = store.path(wanted.model, wanted.cohort, wanted.task)
    # Unchecked, so that a baseline with impossible figures can still be replaced by a good one.
    old = read_baseline(path) if path.is_file() else None
    if old is None or old.quality.null is None or wanted.quality.null is not None:
        return wanted
    before, after = old.quality.references, wanted.quality.references
    pairs = {drift.pair.rpartition("#")[0] or drift.pair for drift in old.quality.null.drifts}
    same = all(pair in before and before[pair] == after.get(pair) for pair in pairs)
    if same and (old.weights, old.pipeline) == (wanted.weights, wanted.pipeline):
        # Of the old run's processes it is kept, too, how much they differ; the new run is one more, and not of their number.
        accepted = old.repeats if any(one.process == 0 for one in old.repeats) else old.processes()
        repeats = wanted.repeats or (accepted if wanted.cost else ())
        return replace(wanted, quality=replace(wanted.quality, null=old.quality.null), repeats=repeats)
    raise UserError(
        where=wanted.id,
        rule="the baseline holds a measured null, which is of other pictures than these, and this run measured none",
        remedy="run again with --null=4 (or --update-baselines)",
    )


def user() -> str:
    """The name of who is at the keyboard, as the system knows it; "unknown" where it does not."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def now() -> str:
    """UTC in ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _unmatched(selection: drafts.Selection) -> list[str]:
    return [f"warning: {pattern!r} matches no draft; there are: {', '.join(selection.names)}" for pattern in selection.unmatched]


def _signed(wanted: Baseline, reason: str, by: str, verdicts: Sequence[Verdict]) -> Baseline:
    own = guards.about(wanted, verdicts)
    said = reason.strip() or ("first baseline" if all(one.status is Status.NEW for one in own) else "reviewed, no reason given")
    return replace(wanted, provenance=replace(wanted.provenance, reason=said, accepted_by=by or user(), accepted_on=now()))


def _promote(made: Reviewed, run: Path, store: Store, draft: Baseline, signed: Baseline) -> Reviewed:
    from swapgate.runs.folder import RunFolder

    folder = RunFolder.open(run)
    try:
        store.put(signed, folder.load_image)
    finally:
        folder.close()
    signature = signed.provenance
    drafts.note_review(
        run,
        {
            "action": "accept",
            "draft": draft.id,
            "into": signed.id,
            "reason": signature.reason,
            "by": signature.accepted_by,
            "time": signature.accepted_on,
        },
    )
    notes = [*_notes(store, draft, signed), *_kept(folder, store, draft)]
    line = f"accepted {signed.id}: {len(signed.quality.scores)} images" + (f", {signed.cost.calls} cost samples" if signed.cost else "")
    line += f" and {len(signed.repeats)} more processes" if signed.repeats else ""
    lines = (*made.lines, line, *(f"  note: {note}" for note in notes))
    return replace(made, done=(*made.done, signed.id), notes=(*made.notes, *notes), lines=lines)


def _notes(store: Store, draft: Baseline, signed: Baseline) -> list[str]:
    notes = []
    if draft.cost and signed.cost is None:
        more = "; keep it for this machine with --with-cost" if draft.accelerator.startswith("cpu") else ""
        notes.append(f"quality only: the cost figures of {draft.cohort} were left out{more}")
    if signed.cohort == ANY and draft.cohort in store.cohorts(draft.model, draft.task):
        notes.append(f"runs on {draft.cohort} are still held against its own baseline, which comes before the one for any hardware")
    if signed.quality.null is None:
        notes.append("no measured null: the drift gate will not know how much the model differs from itself (pytest --null=4)")
    return notes


def _kept_of_all(run: Path, store: Store, chosen: Sequence[Baseline], environ: Mapping[str, str]) -> list[str]:
    from swapgate.runs.folder import RunFolder

    try:
        guards.check_session(environ, allow_ci=False)
    except UserError:
        return []
    folder, faults = RunFolder.open(run), guards.planted_faults(run)
    try:
        return [note for draft in chosen if draft.model not in faults for note in _kept(folder, store, draft)]
    finally:
        folder.close()


def _kept(folder: RunFolder, store: Store, draft: Baseline) -> list[str]:
    """Keep the witnesses of a draft's task; says how many."""
    found = witnesses.of_run(folder.events(), folder.id, draft.model, draft.task)
    number = witnesses.keep(store.root, draft.model, found)
    where = witnesses.path_of(store.root, draft.model)
    return [f"{number} rewording{'' if number == 1 else 's'} that broke it kept in {where}: tried first by the next run"] if number else []


def _warnings(store: Store, accepted: Sequence[str]) -> list[str]:
    """What is amiss with the samples that were let in, by model and cohort; a missing null has a note of its own."""
    places: dict[tuple[str, str], list[Baseline]] = {}
    for name in accepted:
        model, cohort, task = name.split("/")
        if one := store.get(model, cohort, task):
            places.setdefault((model, cohort), []).append(one)
    return [f"  warning for {model}/{cohort}: {found.line}" for (model, cohort), held in places.items() for found in _amiss(held)]


def _amiss(held: Sequence[Baseline]) -> tuple[Warn, ...]:
    nulls = [one.quality.null for one in held if one.quality.null]
    null = (
        Null(drifts=tuple(drift for one in nulls for drift in one.drifts), processes=max(one.processes for one in nulls), variations=())
        if nulls
        else None
    )
    costs = {one.task: one.cost for one in held if one.cost}
    return warnings(costs, [repeat for one in held for repeat in one.processes()], null, Policy())


def _refused(made: Reviewed, draft: Baseline, reason: str) -> Reviewed:
    return replace(made, refused=(*made.refused, Refused(id=draft.id, reason=reason)), lines=(*made.lines, f"refused {draft.id}: {reason}"))
