"""verdicts.json: every fact that the terminal, the page, JUnit and Markdown show, and nothing that changes in a replay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swapgate.canonical import digest, dumps, read_json, rounded, write_atomic
from swapgate.cards import Card
from swapgate.errors import RunBroken
from swapgate.gates.evidence import ImageScore
from swapgate.gates.family import decide
from swapgate.gates.statistics import clopper_pearson
from swapgate.gates.unjudged import REMEDY
from swapgate.gates.verdict import Status, Verdict
from swapgate.plan import Request
from swapgate.runs.folder import RunFolder
from swapgate.runs.records import Generation, read_waited
from swapgate.suite.environments import environment_of
from swapgate.suite.judging import Reference, evidence, reference
from swapgate.suite.planning import Cell
from swapgate.suite.sight import sight
from swapgate.suite.witnesses import WITNESS
from swapgate.tasks import Task

if TYPE_CHECKING:
    from swapgate.suite.session import Suite

SCHEMA = 1
FILE, PARTIAL = "verdicts.json", "verdicts.partial.json"


def write(run: RunFolder, data: dict[str, Any], *, replay: bool = False) -> Path:
    """Write `data` as the run's verdicts.json; gives the path.

    A replay of fewer cells than the file holds is written beside it: the verdicts of the whole run are not given up for a part.
    """
    judged = {verdict["id"] for verdict in data["verdicts"]}
    path = run.path / (PARTIAL if replay and _held(run.path / FILE) - judged else FILE)
    write_atomic(path, dumps(data, indent=1) + "\n")
    return path


def _held(path: Path) -> set[str]:
    """The cells in a verdicts.json; none in one that is missing or damaged, which a replay is there to mend."""
    try:
        return {verdict["id"] for verdict in read_json(path)["verdicts"]} if path.is_file() else set()
    except (RunBroken, KeyError, TypeError):
        return set()


def collect(suite: Suite, cells: Sequence[Cell]) -> dict[str, Any]:
    """The facts of a run for the cells that were planned; those not judged (interrupted) count as not measured."""
    verdicts = [suite.verdicts[cell] for cell in cells if cell in suite.verdicts]
    judged = [card for card in suite.setup.models if card.id in suite.recorded]
    held = {card.id: reference(suite, card, suite.setup.tasks[card.id]) for card in judged}
    whole = decide(verdicts, strict=suite.setup.options.strict, planned=len(cells))
    data = {
        "schema": SCHEMA,
        "run": suite.run.id,
        "path": suite.run.path.name,
        "created": suite.run.manifest["created"],
        "command": suite.run.manifest["command"],
        "against": suite.setup.options.against or "baseline",
        "strict": suite.setup.options.strict,
        "planned": {"cells": len(cells), "images": suite.plan.images(), "seconds": _seconds(suite, whole=True)},
        "measured": {
            "cells": len(verdicts),
            "images": _made(suite),
            "decided": sum(verdict.decided for verdict in verdicts),
            "seconds": _seconds(suite, whole=False),
        },
        "counts": {status.value: Counter(v.status for v in verdicts)[status] for status in Status},
        "outcome": {"red": whole.red, "reason": whole.reason, "false_alarms": suite.policy.false_alarms},
        "models": [_model(suite, card, held.get(card.id)) for card in suite.setup.cards if card.id in suite.recorded],
        "warnings": _warnings(suite),
        "suspects": [suspect for card in judged for suspect in _suspects(suite, card, held[card.id])],
        "tasks": [_task(task) for task in {task.id: task for card in judged for task in suite.setup.tasks[card.id]}.values()],
        "verdicts": [verdict.as_json() for verdict in verdicts],
        "images": [image for card in judged for image in _images(suite, card, held[card.id])],
        "costs": [cost for card in judged for cost in _costs(suite, card)],
        "wording": sorted(_wordings(suite, judged), key=lambda row: (row["change"], row["model"], row["task"])),
        "nulls": [null for card in judged for null in _nulls(suite, card)],
        "sight": [row for card in judged for row in sight(suite, card)],
        "comparison": [row for verdict in verdicts for row in _compared(verdict)] if suite.setup.against else [],
        "policy": asdict(suite.policy),
        "environment": suite.run.manifest["environment"],
        "baselines": _marks(suite, judged),
    }
    plain: dict[str, Any] = rounded(data)
    return plain


def _marks(suite: Suite, cards: Sequence[Card]) -> dict[str, str]:
    """What was accepted for these models and tasks when they were judged, by id: to accept over anything else would overlook it."""
    if suite.setup.against is not None:
        return {}
    places = ((card.id, cohort, task.id) for card in cards for task in suite.setup.tasks[card.id] for cohort in suite.store.cohorts(card.id, task.id))
    return {one.id: one.mark for place in places if (one := suite.store.get(*place))}


def _warnings(suite: Suite) -> list[str]:
    """What hosts warned of while images were made: each once, in the order of the journal; then rate limits, and the checks that were not judged."""
    told = [f"{event['model']}: {event['text']}" for event in suite.run.events() if event["event"] == "warning"]
    waits = [line for model, recorded in suite.recorded.items() for line in _waits(model, [made for _, made in recorded.generations])]
    return [*dict.fromkeys(told), *waits, *(line for model, recorded in suite.recorded.items() for line in _open_checks(model, recorded.scores))]


def _waits(model: str, generations: Sequence[Generation]) -> Iterator[str]:
    """How often a server refused a call for its rate limit before it took it; a note stands with every image of its call."""
    found = [waited for notes in {made.call: made.notes for made in generations}.values() for note in notes if (waited := read_waited(note))]
    if found:
        seconds, refusals = sum(one for one, _ in found), sum(count for _, count in found)
        yield f"{model}: the server refused {refusals} times for its rate limit (429); {seconds:.1f} s of waiting for {len(found)} calls are in none of the times"


def _open_checks(model: str, scores: Sequence[ImageScore]) -> Iterator[str]:
    for name, count in sorted(Counter(name for score in scores for name in score.unjudged).items()):
        yield f"{model}: {name} was not judged in {count} of {len(scores)} pictures; {REMEDY}"


def _made(suite: Suite) -> int:
    return sum(bool(generation.image) for recorded in suite.recorded.values() for _, generation in recorded.generations)


def _seconds(suite: Suite, *, whole: bool) -> float | None:
    """Seconds of the calls that made the planned images, or those that the whole plan takes at each model's pace; None where a model made none."""
    total = 0.0
    for model, recorded in suite.recorded.items():
        calls = {made.call: made.times.total for _, made in recorded.generations if made.times}
        images = sum(made.image is not None for _, made in recorded.generations)
        if not images or not calls:
            return None
        spent = sum(calls.values())
        planned = sum(len(call.requests) for call in suite.plan.calls[model])
        total += spent * planned / images if whole else spent
    return total if suite.recorded else None


def _model(suite: Suite, card: Card, held: Reference | None) -> dict[str, Any]:
    recorded = suite.recorded[card.id]
    loaded = recorded.loaded
    against = held.accepted if held else "the other arm of this run"
    counted = [score for score in recorded.scores if score.counted and not score.edits and not score.unjudged]
    usable = {
        language: [sum(s.usable for s in counted if s.language == language), sum(s.language == language for s in counted)]
        for language in sorted({score.language for score in counted})
    }
    facts = (
        {}
        if loaded is None
        else {
            "accelerator": loaded.accelerator,
            "device_name": loaded.device_name,
            "weights": loaded.weights,
            "dtype": loaded.dtype,
            "placement": loaded.placement,
            "versions": dict(loaded.versions),
            "load_seconds": loaded.seconds,
        }
    )
    why = {"chosen": dict(Counter(held.chosen)), "no_cost": held.no_cost} if held else {}
    known = {"id": card.id, "title": card.title, "licence": card.licence, "faults": list(card.faults)}
    return {**known, "baseline": against, "usable": usable, **why, **facts}


def _suspects(suite: Suite, card: Card, held: Reference) -> Iterator[dict[str, Any]]:
    """What differs between the baseline and this run: versions, driver, weights, card."""
    if suite.setup.against is not None:
        return
    loaded = suite.recorded[card.id].loaded
    if loaded is None or not held.baselines:
        return
    before, now = held.baselines[0], environment_of(suite.run.manifest, card.id)
    then = before.provenance.environment
    rows: list[tuple[str, Any, Any]] = [("weights", before.weights[:12], loaded.weights[:12])]
    names = sorted({*before.provenance.versions, *loaded.versions})
    rows += [(name, before.provenance.versions.get(name), loaded.versions.get(name)) for name in names]
    rows += [(name, then.get(name), now.get(name)) for name in ("python", "platform", "cpu")]
    rows += [("accelerators", dumps(then.get("accelerators")), dumps(now.get("accelerators")))]
    rows += [("card", digest(before.provenance.card)[:12], digest(suite.run.manifest["cards"][card.id])[:12])]
    yield from ({"model": card.id, "what": what, "baseline": old, "candidate": new} for what, old, new in rows if old != new)


def _task(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "family": task.family,
        "title": dict(task.title),
        "prompts": dict(task.prompts),
        "width": task.width,
        "height": task.height,
    }


def _images(suite: Suite, card: Card, held: Reference) -> Iterator[dict[str, Any]]:
    tasks = {task.id: task for task in suite.setup.tasks[card.id]}
    theirs = {score.pair: score for score in held.arm.scores} if held.arm else {}
    ours = {score.pair: score for score in suite.recorded[card.id].scores}
    drifts = {drift.pair: drift for task in tasks for drift in evidence(suite, card.id, task).drifts}
    for request, generation in suite.recorded[card.id].generations:
        if request.edits:
            continue
        drift = drifts.get(request.pair)
        yield {
            **_asked(request, tasks[request.task]),
            **_compare_scores(ours.get(request.pair), theirs.get(request.pair)),
            "ssim": drift.ssim if drift else None,
            "psnr": drift.psnr if drift else None,
            "clip": drift.clip if drift else None,
            "failure": _failure(generation),
        }


def _asked(request: Request, task: Task) -> dict[str, Any]:
    return {
        "model": request.model,
        "task": request.task,
        "language": request.language,
        "seed": request.seed,
        "index": request.index,
        "edits": request.edits,
        "prompt": request.prompt,
        "original": task.prompts[request.language],
    }


def _compare_scores(ours: ImageScore | None, theirs: ImageScore | None) -> dict[str, Any]:
    return {
        "candidate": ours.image if ours else None,
        "baseline": theirs.image if theirs else None,
        "identical": bool(ours and theirs and ours.image == theirs.image),
        "usable": _usable(ours),
        "baseline_usable": _usable(theirs),
        "checks": sorted({*(ours.bits if ours else ()), *(theirs.bits if theirs else ())}),
        "failed": _failed(ours),
        "baseline_failed": _failed(theirs),
        "alignment": ours.normalised if ours else None,
        "baseline_alignment": theirs.normalised if theirs else None,
    }


def _failed(score: ImageScore | None) -> list[str]:
    return [name for name, held in sorted(score.bits.items()) if not held] if score else []


def _usable(score: ImageScore | None) -> bool | None:
    """Whether the picture is usable; None where that is not known, because a check that it holds or not was not judged."""
    return None if score is None or (score.usable and score.unjudged) else score.usable


def _failure(generation: Generation) -> str | None:
    if generation.image:
        return None
    failure = generation.failure
    return f"{failure.kind} in stage {failure.stage}: {failure.message}" if failure else "the request was not made"


def _costs(suite: Suite, card: Card) -> Iterator[dict[str, Any]]:
    for task in suite.setup.tasks[card.id]:
        found = evidence(suite, card.id, task.id)
        theirs = found.baseline.cost if found.baseline else None
        ours = found.candidate.cost
        yield {"model": card.id, "task": task.id, "baseline": asdict(theirs) if theirs else None, "candidate": asdict(ours) if ours else None}


def _nulls(suite: Suite, card: Card) -> Iterator[dict[str, Any]]:
    """How far the accepted model is from itself, by task: what the pictures of this run are held against."""
    for task in suite.setup.tasks[card.id]:
        null = evidence(suite, card.id, task.id).null
        if null and null.drifts:
            figures = {name: [getattr(drift, name) for drift in null.drifts] for name in ("ssim", "psnr", "clip")}
            yield {"model": card.id, "task": task.id, "processes": null.processes, **figures}


def _wordings(suite: Suite, cards: Sequence[Card]) -> Iterator[dict[str, Any]]:
    """Each rewording's change of normalised alignment, and the smallest ones that broke the model."""
    for card in cards:
        scores = suite.recorded[card.id].scores
        requests = {request.pair: request for request, _ in suite.recorded[card.id].generations}
        originals = {score.original: score for score in scores if not score.edits}
        theirs = _changes(suite, card)
        for score in scores:
            before = originals.get(score.original)
            if score.edits and before:
                change, flip = score.normalised - before.normalised, before.usable and not score.usable
                row = _wording(suite, card, before, score.edits, requests[score.pair].prompt, score.image, change, flip, smallest=False)
                yield {**row, "baseline_change": theirs.get(score.pair)}
        witnesses = [
            event for event in suite.run.events() if event["event"] == WITNESS and event["model"] == card.id and event["original"] in originals
        ]
        for event in witnesses:
            yield _witness(suite, card, originals[event["original"]], event, len(witnesses))


def _witness(suite: Suite, card: Card, before: ImageScore, event: Mapping[str, Any], witnesses: int) -> dict[str, Any]:
    """What is told of a witness: how it went on fresh seeds alone, with an exact interval that holds for all `witnesses` of the model together."""
    fresh = event.get("fresh", {})
    tried, broke = fresh.get("tried", 0), fresh.get("broke", 0)
    low, high = clopper_pearson(broke, tried, suite.policy.alpha / 2 / witnesses) if tried else (None, None)
    change = event["change"] if fresh.get("change") is None else fresh["change"]
    row = _wording(suite, card, before, event["edits"], event["text"], event["after"], change, event.get("flip", True), smallest=True)
    whole = "".join(event.get("pair", "").split("/", 4)[4:])  # task/language/seed/index/edits: the rewording that was shrunk
    return {**row, "tried": tried, "broke": broke, "low": low, "high": high, "kept": event.get("kept", False), "whole": whole}


def _changes(suite: Suite, card: Card) -> dict[str, float]:
    """By pair, how much the same rewordings change the alignment of the other arm's pictures."""
    held = reference(suite, card, suite.setup.tasks[card.id])
    scores = held.arm.scores if held.arm else ()
    written = {score.original: score for score in scores if not score.edits}
    return {one.pair: one.normalised - written[one.original].normalised for one in scores if one.edits and one.original in written}


def _wording(
    suite: Suite, card: Card, before: ImageScore, edits: str, text: str, after: str, change: float, flip: bool, *, smallest: bool
) -> dict[str, Any]:
    task = suite.task(card, before.task)
    kinds = sorted({label.split(":")[0] for label in edits.split("; ")})
    return {
        "model": card.id,
        "task": before.task,
        "language": before.language,
        "seed": before.seed,
        "prompt": task.prompts[before.language],
        "reworded": text,
        "edits": edits,
        "kinds": kinds,
        "change": change,
        "flip": flip,
        "before": before.image,
        "after": after,
        "smallest": smallest,
    }


def _compared(verdict: Verdict) -> Iterator[dict[str, Any]]:
    """Rows of the A/B table: who is better at what. a is the other arm, b the judged model; alignment is told as a change alone."""
    better = {Status.REGRESSION: "a", Status.IMPROVED: "b", Status.PASS: "same"}
    for finding in verdict.findings:
        if (finding.baseline is not None and finding.candidate is not None) or finding.name == "alignment":
            yield {
                "gate": verdict.gate,
                "task": verdict.task,
                "model": verdict.model,
                "claim": finding.name,
                "a": finding.baseline,
                "b": finding.candidate,
                "effect": finding.effect,
                "low": finding.low,
                "high": finding.high,
                "unit": finding.unit,
                "better": better.get(finding.status, "unclear"),
                "confidence": finding.confidence,
                "p": finding.p,
                "decides": finding.decides,
                "n": finding.n,
            }
