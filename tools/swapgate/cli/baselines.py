"""`swapgate baselines`: list, show, diff, accept, reject, verify, prune; review and picture stand in `swapgate.cli.review`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from swapgate.characters import escaped
from swapgate.cli import review
from swapgate.cli.common import BY, FOUND, OK, PATTERNS, add_json, add_run, config_of, run_of, show, store_of
from swapgate.errors import UserError
from swapgate.report.columns import columns

if TYPE_CHECKING:
    from swapgate.baselines.compare import Change, Figures
    from swapgate.baselines.review import Reviewed
    from swapgate.baselines.store import Baseline, Store
    from swapgate.cli.common import Groups


def add(groups: Groups) -> None:
    """Add the group to the command line."""
    group = groups.add_parser("baselines", help="accepted baselines: look, compare, accept, reject, check, tidy")
    verbs = group.add_subparsers(required=True, metavar="VERB")
    _verb(verbs, "list", "every baseline in one line", _list)
    _verb(verbs, "show", "one or more baselines in full", _show)
    diff = _verb(verbs, "diff", "what accepting a run would change; exit status 1 when it would change anything", _diff)
    review.add(verbs)
    accept = _verb(verbs, "accept", "make drafts of a run the baselines; generates nothing", _accept)
    for verb in (diff, accept):
        add_run(verb)
        verb.add_argument("--cohort", metavar="NAME", help='"any" (quality only) or the cohort of the run; default: on a CPU "any"')
        verb.add_argument("--with-cost", action="store_true", help="on a CPU: keep quality and cost in the CPU's own cohort")
    accept.add_argument("--reason", default="", metavar="TEXT", help="why; needed where something got worse")
    accept.add_argument("--by", default="", metavar="NAME", help=BY)
    accept.add_argument("--allow-ci", action="store_true", help="accept although CI is set")
    accept.add_argument("--include-rejected", action="store_true", help="accept drafts that were rejected")
    accept.add_argument("--over", action="store_true", help="accept over what somebody else accepted since the run was judged")
    reject = _verb(verbs, "reject", "mark drafts of a run as not to be accepted", _reject)
    add_run(reject)
    reject.add_argument("--reason", required=True, metavar="TEXT", help="why")
    reject.add_argument("--by", default="", metavar="NAME", help=BY)
    reject.add_argument("--over", action="store_true", help="reject what was accepted already; that takes nothing out of the store")
    _verb(verbs, "verify", "check every file of the store; exit status 1 when anything is wrong", _verify, patterns=False)
    prune = _verb(verbs, "prune", "delete what no baseline refers to", _prune, patterns=False)
    prune.add_argument("--unused", action="store_true", help="also baselines that no card, task or request names any more")
    how = prune.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only say what would be deleted (the default)")
    how.add_argument("--yes", action="store_true", help="delete")


def _verb(verbs: Groups, name: str, summary: str, handler: Any, *, patterns: bool = True) -> argparse.ArgumentParser:
    made = verbs.add_parser(name, help=summary, description=summary)
    if patterns:
        made.add_argument("patterns", nargs="*", metavar="PATTERN", help=PATTERNS)
    add_json(made)
    made.set_defaults(handler=handler)
    return made


def _list(given: argparse.Namespace) -> int:
    from swapgate.baselines.compare import figures

    found = _matching(store_of(given), given.patterns)
    data = [_summary(one, figures(one)) for one in found]
    head = ("baseline", "usable", "s/image", "peak MiB", "images", "accepted", "by", "run", "reason")
    rows = [head, *(_row(one, figures(one)) for one in found)]
    show(given, data, columns(rows) if found else ["no baseline was accepted yet: swapgate baselines accept --run=RUN"])
    return OK


def _show(given: argparse.Namespace) -> int:
    from swapgate.baselines.compare import figures
    from swapgate.baselines.layout import pretty

    found = _matching(store_of(given), given.patterns)
    lines: list[str] = []
    for one in found:
        lines += [
            f"== {one.id}",
            *(f"{key}: {escaped(str(value))}" for key, value in _summary(one, figures(one)).items() if key not in ("id", "history")),
            pretty(one.as_json()).rstrip(),
        ]
    show(given, [one.as_json() for one in found], lines or ["no baseline was accepted yet"])
    return OK


def _diff(given: argparse.Namespace) -> int:
    from swapgate.baselines.compare import diff
    from swapgate.baselines.draft import choose
    from swapgate.baselines.review import unmatched_lines

    run = run_of(given)
    changes = diff(run, store_of(given), patterns=given.patterns, cohort=given.cohort, with_cost=given.with_cost)
    rows = [("baseline", "change", "usable", "s/image", "peak MiB", "identical images", "review"), *(_change_row(one) for one in changes)]
    chosen = choose(run, given.patterns)
    data = {
        "run": str(run),
        "changes": [asdict(one) for one in changes],
        "damaged": dict(chosen.damaged),
        "unmatched": list(chosen.unmatched),
    }
    amiss = [*(f"damaged {name}: {said}" for name, said in chosen.damaged), *unmatched_lines(chosen)]
    show(given, data, [f"run: {run}", *columns(rows), *amiss])
    return FOUND if amiss or any(one.kind != "unchanged" for one in changes) else OK


def _accept(given: argparse.Namespace) -> int:
    from swapgate.baselines.review import accept

    run = run_of(given)
    done = accept(
        run,
        store=store_of(given),
        patterns=given.patterns,
        cohort=given.cohort,
        with_cost=given.with_cost,
        reason=given.reason,
        by=given.by,
        allow_ci=given.allow_ci,
        include_rejected=given.include_rejected,
        over=given.over,
    )
    return _reviewed(given, str(run), done)


def _reject(given: argparse.Namespace) -> int:
    from swapgate.baselines.review import reject

    run = run_of(given)
    done = reject(run, store=store_of(given), patterns=given.patterns, reason=given.reason, by=given.by, over=given.over)
    return _reviewed(given, str(run), done)


def _reviewed(given: argparse.Namespace, run: str, done: Reviewed) -> int:
    data = {
        "run": run,
        "done": list(done.done),
        "refused": [asdict(one) for one in done.refused],
        "unmatched": list(done.unmatched),
        "notes": list(done.notes),
    }
    show(given, data, [f"run: {run}", *done.lines])
    return OK if done.complete else FOUND


def _verify(given: argparse.Namespace) -> int:
    from swapgate.baselines.upkeep import verify
    from swapgate.suite.known import known

    store = store_of(given)
    problems = verify(store, known(config_of(given)))
    lines = [f"{one.kind}: {one.where}\n  rule: {one.rule}\n  remedy: {one.remedy}" for one in problems]
    checked = len(store.paths())
    show(
        given, {"checked": checked, "problems": [asdict(one) for one in problems]}, [*lines, f"{checked} baselines checked, {len(problems)} problems"]
    )
    return FOUND if problems else OK


def _prune(given: argparse.Namespace) -> int:
    from swapgate.baselines.upkeep import prune
    from swapgate.suite.known import known

    store = store_of(given)
    asked = known(config_of(given)) if given.unused else None
    files = [path.relative_to(store.root).as_posix() for path in prune(store, known=asked, dry_run=not given.yes)]
    word = "deleted" if given.yes else "would delete"
    last = f"{len(files)} files deleted" if given.yes else f"{len(files)} files; nothing was deleted, to delete them: --yes"
    show(given, {"deleted": given.yes, "files": files}, [*(f"{word} {name}" for name in files), last])
    return OK


def _matching(store: Store, patterns: Sequence[str]) -> list[Baseline]:
    from swapgate.baselines.draft import select

    selection = select(list(store.list()), patterns)
    if selection.unmatched:
        raise UserError(
            where="PATTERN",
            value=list(selection.unmatched),
            rule=f"it matches a baseline; there are: {', '.join(selection.names) or 'none'}",
            remedy="swapgate baselines list",
        )
    return list(selection.chosen)


def _summary(one: Baseline, numbers: Figures) -> dict[str, Any]:
    made = one.provenance
    return {
        "id": one.id,
        "model": one.model,
        "cohort": one.cohort,
        "task": one.task,
        "accelerator": one.accelerator,
        **asdict(numbers),
        "null": one.quality.null is not None,
        "accepted_on": made.accepted_on,
        "accepted_by": made.accepted_by,
        "reason": made.reason,
        "run": made.run,
        "weights": one.weights,
        "history": [asdict(past) for past in made.history],
    }


def _row(one: Baseline, numbers: Figures) -> tuple[str, ...]:
    made = one.provenance
    return (
        one.id,
        _share(numbers.usable),
        _number(numbers.seconds),
        _number(numbers.peak_mib),
        str(numbers.images),
        made.accepted_on[:10],
        escaped(made.accepted_by),
        escaped(made.run),
        escaped(made.reason),
    )


def _change_row(one: Change) -> tuple[str, ...]:
    before, after = one.before, one.after
    kind = f"{one.kind} ({', '.join(one.parts)})" if one.parts else one.kind
    return (
        one.id,
        kind,
        _both(_share(before.usable) if before else None, _share(after.usable)),
        _both(_number(before.seconds) if before else None, _number(after.seconds)),
        _both(_number(before.peak_mib) if before else None, _number(after.peak_mib)),
        f"{one.identical} of {one.shared}" if before else "-",
        one.state,
    )


def _both(before: str | None, after: str) -> str:
    return after if before is None or before == after else f"{before} → {after}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" if value < 1000 else f"{value:.0f}"
