"""What keeps a run from becoming a baseline (rule 8 of the design): each guard says why, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from swapgate.baselines.record import Baseline, problems
from swapgate.canonical import read_json
from swapgate.errors import RunBroken, UserError
from swapgate.gates import compose
from swapgate.gates.verdict import POOLED, RED, Finding, Status, Verdict

_OFF = ("", "0", "false", "no")


def check_session(environ: Mapping[str, str], *, allow_ci: bool) -> None:
    """UserError when baselines must not be written from here: a worker of pytest-xdist, or CI without `allow_ci`."""
    worker = environ.get("PYTEST_XDIST_WORKER")
    if worker:
        raise UserError(
            where="PYTEST_XDIST_WORKER",
            value=worker,
            rule="baselines are never written by parallel workers",
            remedy="run again without -n, or accept afterwards: swapgate baselines accept --run=RUN",
        )
    if environ.get("CI", "").lower() not in _OFF and not allow_ci:
        raise UserError(
            where="CI",
            value=environ["CI"],
            rule="baselines are accepted by a person, not by CI",
            remedy="fetch the run folder and accept it locally, or say --allow-ci (pytest: --allow-ci-update)",
        )


def read_verdicts(run: Path) -> list[Verdict]:
    """The verdicts of a run. UserError when it was never judged, RunBroken when the file cannot be used."""
    path = run / "verdicts.json"
    if not path.is_file():
        raise UserError(where=str(path), rule="only a run that was judged can become a baseline", remedy=f"pytest tests/gates --replay={run}")
    data = read_json(path)
    try:
        return [Verdict.from_json(entry) for entry in data["verdicts"]]
    except (KeyError, TypeError, ValueError) as error:
        raise RunBroken(
            where=str(path),
            key="verdicts",
            rule=f"a list of verdicts ({type(error).__name__}: {error})",
            remedy=f"judge the run again: pytest tests/gates --replay={run}",
        ) from None


def judged_against(run: Path) -> Mapping[str, str] | None:
    """By id, the mark of every baseline that there was when the run was judged; None where the run does not say (older versions)."""
    path = run / "verdicts.json"
    found = read_json(path).get("baselines") if path.is_file() else None
    return {str(name): str(mark) for name, mark in found.items()} if isinstance(found, dict) else None


def overtaken(wanted: Baseline, old: Baseline | None, known: Mapping[str, str | None] | None, run: Path) -> str:
    """Why a draft must not take the place of `old`: it is not what the reviewer knew of (by id, the mark; None: nothing is known); "" when it is.

    What another run put there meanwhile would be given up without anybody having looked at it.
    """
    if known is None or old is None or known.get(wanted.id) == old.mark or old.provenance.run == wanted.provenance.run:
        return ""
    made = old.provenance
    return (
        f"this run was not judged against what is there now: {made.accepted_by} accepted run {made.run} on {made.accepted_on} ({made.reason}); "
        f"judge it against that: pytest --replay={run}, and look again; or accept over it: --over"
    )


def planted_faults(run: Path) -> dict[str, tuple[str, ...]]:
    """The faults that the run's manifest says were planted, by model; models without any are left out."""
    path = run / "manifest.json"
    cards = read_json(path).get("cards", {}) if path.is_file() else {}
    return {model: tuple(card["faults"]) for model, card in cards.items() if isinstance(card, dict) and card.get("faults")}


def is_absolute(finding: Finding) -> bool:
    """Whether a finding needs no baseline: a ceiling, a floor, the health of a picture, the number of forwards."""
    return compose.is_absolute(finding.name)


def bars(verdict: Verdict) -> bool:
    """Whether a verdict keeps its run from becoming a baseline: an ERROR, or any red absolute finding."""
    return bool(_failed([verdict]))


def about(draft: Baseline, verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The verdicts that speak of a draft: its own cells and those of its model's pooled tasks."""
    return [one for one in verdicts if one.model == draft.model and one.task in (draft.task, POOLED)]


def needs_reason(run: Path, draft: Baseline) -> bool:
    """Whether a draft is accepted with a sentence only: something of it got worse."""
    return bool(_unexplained(about(draft, read_verdicts(run)), ""))


def refusal(
    draft: Baseline, verdicts: Sequence[Verdict], faults: Mapping[str, tuple[str, ...]], review: Mapping[str, Any] | None, *, reason: str
) -> str:
    """Why this draft must not be accepted, as a sentence; "" when nothing stands against it."""
    planted = draft.provenance.faults or faults.get(draft.model, ())
    if planted:
        return f"it was made with planted faults ({', '.join(planted)})"
    if wrong := problems(draft):
        return f"it cannot be compared with: {wrong[0]}"
    if review and review["action"] == "reject":
        return f"it was rejected by {review.get('by', '?')}: {review.get('reason', '')} (to accept it all the same: --include-rejected)"
    own = about(draft, verdicts)
    if not any(one.gate == "usability" for one in own):
        return "its usability was not judged, so nobody knows that its pictures are pictures: pytest tests/gates --replay=RUN"
    return _failed(own) or _unexplained(own, reason)


def _failed(own: Iterable[Verdict]) -> str:
    for one in own:
        if one.status is Status.ERROR:
            return f"{one.id} is an ERROR: {one.reason}"
        broken = [finding for finding in one.findings if is_absolute(finding) and finding.status in RED]
        if broken:
            return f"{one.id} fails an absolute gate, {broken[0].name}: {broken[0].reason}"
    return ""


def _unexplained(own: Iterable[Verdict], reason: str) -> str:
    worse = [one.id for one in own if one.status is Status.REGRESSION and one.against == "baseline"]
    if worse and not reason.strip():
        return f'{", ".join(worse)} got worse, and no reason was given: --reason="…" (pytest: --baseline-reason)'
    return ""
