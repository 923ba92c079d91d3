"""Review: drafts become baselines only by `accept`, which generates nothing; `reject` says that they must not.

What a draft may become depends on where it was made: cost figures of an accelerator go into its cohort together with the
quality; on a CPU only the quality is taken, into the cohort "any", unless `with_cost` keeps both in the CPU's own cohort.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swapgate.baselines import draft as drafts
from swapgate.baselines import guards, witnesses
from swapgate.baselines.record import ANY, Baseline, without_cost
from swapgate.baselines.signing import check, now, signed, user
from swapgate.baselines.store import Store
from swapgate.characters import escaped
from swapgate.errors import UserError, unwritten, written
from swapgate.gates.evidence import Null
from swapgate.gates.policy import Policy
from swapgate.gates.warning import Warn, warnings
from swapgate.runs.alone import alone

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
    over: bool = False,
    seen: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Reviewed:
    """Promote the drafts of `run` that `patterns` name (all where none is given) with their images into `store`.

    Drafts that a guard refuses are listed with the reason; the others are accepted, and no other baseline is touched. What somebody
    else put into a draft's place since the run was judged (or since it was `seen`: by id, the mark that was shown) is kept, unless
    `over`. Killed at any point, the store holds the old baseline or the new one, and the same call completes what is missing.
    UserError where nothing may be accepted at all (xdist worker, CI, a run that was never judged, no pattern matches).
    """
    guards.check_session(environ, allow_ci=allow_ci)
    check(reason, by)
    _check_run(run)
    name = by or user(store.root.parent, environ)
    with written(), alone(run), store.alone():
        selection = drafts.choose(run, patterns)
        verdicts, faults, reviews = guards.read_verdicts(run), guards.planted_faults(run), drafts.reviews(run)
        known = None if over else seen if seen is not None else guards.judged_against(run)
        made = Reviewed(done=(), unmatched=selection.unmatched, lines=tuple(unmatched_lines(selection)))
        for id_, said in selection.damaged:
            made = _refused(made, id_, said)
        for draft in selection.chosen:
            review = None if include_rejected else reviews.get(draft.id)
            try:
                wanted = target(draft, cohort=cohort, with_cost=with_cost)
                old = store.held(wanted.model, wanted.cohort, wanted.task)
                wanted = keep_null(wanted, old)
                refusal = guards.refusal(draft if wanted.cost else replace(draft, cost=None, repeats=()), verdicts, faults, review, reason=reason)
                refusal = refusal or guards.overtaken(wanted, old, known, run)
                ready = signed(wanted, old, guards.about(wanted, verdicts), reason=reason, by=by, name=name)
                made = _refused(made, draft.id, refusal) if refusal else _promote(made, run, store, draft, ready, again=ready is old)
            except UserError as error:
                made = _refused(made, draft.id, f"{error.where}: {error.rule}; {error.remedy}")
            except OSError as error:
                failed = unwritten(error, where=str(error.filename or store.root))
                made = _refused(made, draft.id, f"{failed.where}: {failed.rule}; {failed.remedy}")
        return replace(made, lines=(*made.lines, *_warnings(store, made.done)))


def reject(
    run: Path,
    *,
    store: Store,
    patterns: Sequence[str] = (),
    reason: str,
    by: str = "",
    over: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Reviewed:
    """Mark the drafts that `patterns` name as rejected, with reason and name; accept then refuses them. UserError without a reason.

    What was accepted already is refused, unless `over`: a rejection takes nothing out of the store. The witnesses of what is rejected
    are kept in `store` for the next version to stand, except where nothing may be written there (CI, xdist workers).
    """
    if not reason.strip():
        raise UserError(where="--reason", rule="a rejection says why", remedy='write --reason="…"')
    check(reason, by)
    _check_run(run)
    name = by or user(store.root.parent, environ)
    with written(), alone(run), store.alone():
        selection, reviews = drafts.choose(run, patterns), drafts.reviews(run)
        made = Reviewed(done=(), unmatched=selection.unmatched, lines=tuple(unmatched_lines(selection)))
        for id_ in (*(draft.id for draft in selection.chosen), *(id_ for id_, _ in selection.damaged)):
            before = reviews.get(id_, {})
            if before.get("action") == "accept" and not over:
                made = _refused(made, id_, _accepted_already(before))
                continue
            drafts.note_review(run, {"action": "reject", "draft": id_, "reason": reason.strip(), "by": name, "time": now()})
            made = replace(made, done=(*made.done, id_), lines=(*made.lines, f"rejected {id_}: {escaped(reason.strip())}"))
        notes = _kept_of_all(run, store, [draft for draft in selection.chosen if draft.id in made.done], environ)
        return replace(made, notes=tuple(notes), lines=(*made.lines, *(f"  note: {note}" for note in notes)))


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


def keep_null(wanted: Baseline, old: Baseline | None) -> Baseline:
    """The baseline with the null of the one that it replaces, if it brings none and the pictures of that null are its own.

    A null says how much a model differs from itself: it holds for these files, this pipeline and these pictures only.
    UserError where it does not hold any more: to drop it silently would leave the drift gate unable to decide.
    """
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


def _check_run(run: Path) -> None:
    if not run.is_dir():
        raise UserError(where=str(run), rule="a run is a folder", remedy="name one of the folders below .swapgate/runs")


def _accepted_already(review: Mapping[str, Any]) -> str:
    where = review.get("into", review["draft"])
    return (
        f"it was accepted by {review.get('by', '?')} on {review.get('time', '?')}, and a rejection takes nothing back: "
        f"restore {where}.json from version control or accept another run; to note the rejection all the same: --over"
    )


def unmatched_lines(selection: drafts.Selection) -> list[str]:
    """A warning for each pattern that chose nothing, with the names that there are."""
    return [f"warning: {pattern!r} matches no draft; there are: {', '.join(selection.names)}" for pattern in selection.unmatched]


def _promote(made: Reviewed, run: Path, store: Store, draft: Baseline, ready: Baseline, *, again: bool) -> Reviewed:
    """Put a signed baseline in place, then note it in the run. again: it is there already, and only what is missing of it is put beside it."""
    from swapgate.runs.folder import RunFolder

    folder = RunFolder.open(run)
    try:
        store.put(ready, folder.load_image)
    finally:
        folder.close()
    notes = [*_notes(store, draft, ready), *_kept(folder, store, draft), *_note(run, draft, ready)]
    lines = (*made.lines, _line(ready, again=again), *(f"  note: {note}" for note in notes))
    return replace(made, done=(*made.done, ready.id), notes=(*made.notes, *notes), lines=lines)


def _line(ready: Baseline, *, again: bool) -> str:
    signature = ready.provenance
    if again:
        return f"accepted already {ready.id}: by {escaped(signature.accepted_by)} on {signature.accepted_on}"
    line = f"accepted {ready.id}: {len(ready.quality.scores)} images" + (f", {ready.cost.calls} cost samples" if ready.cost else "")
    return line + (f" and {len(ready.repeats)} more processes" if ready.repeats else "")


def _note(run: Path, draft: Baseline, ready: Baseline) -> list[str]:
    """Note the acceptance in the run's journal of reviews. A run that cannot be written keeps nobody from accepting it: the baseline says it, too."""
    made = ready.provenance
    entry = {"action": "accept", "draft": draft.id, "into": ready.id, "reason": made.reason, "by": made.accepted_by, "time": made.accepted_on}
    if drafts.reviews(run).get(draft.id) == entry:
        return []
    try:
        drafts.note_review(run, entry)
    except OSError as error:
        return [f"accepted, but {drafts.REVIEW} of the run does not say so: {unwritten(error).rule}"]
    return []


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
    where = witnesses.path_of(store.root, draft.model)
    try:
        number = witnesses.keep(store.root, draft.model, witnesses.of_run(folder.events(), folder.id, draft.model, draft.task))
    except UserError as error:
        return [f"the rewordings that broke it were not kept: {error.where}: {error.rule}; {error.remedy}"]
    except OSError as error:
        return [f"the rewordings that broke it were not kept in {where}: {unwritten(error).rule}"]
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


def _refused(made: Reviewed, name: str, reason: str) -> Reviewed:
    lines = (*made.lines, f"refused {name}: {escaped(reason)}")
    return replace(made, refused=(*made.refused, Refused(id=name, reason=reason)), lines=lines)
