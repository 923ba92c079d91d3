"""The outlook in lines for a terminal, the same for `swapgate plan` and `pytest --plan`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swapgate.gates.compose import plural
from swapgate.report.columns import columns
from swapgate.suite.outlook import Outlook, Work
from swapgate.suite.prospect import ClaimAhead, GateAhead


def lines(seen: Outlook) -> list[str]:
    """What is made and how long it takes, the budget, what each gate can find, and what it cannot decide."""
    return [*_works(seen), "", *_budget(seen), "", *_reaches(seen.gates), "", *_verdict(seen)]


def _works(seen: Outlook) -> Iterator[str]:
    header = ("model", "first images", "rewordings", "other images", "calls", "null repeats", "s an image", "load", "in all", "by")
    rows = [(_name(one), *_made(one), *_times(one)) for one in seen.works]
    yield from columns([header, *rows])
    total = sum(one.images + one.repeats for one in seen.works)
    if seen.looks > 1:
        first = "and ends with the first" if seen.budget == "smoke" else "and asks for no more images of what is settled"
        yield f"budget {seen.budget}: at most these; the run is judged after each of {seen.looks} looks, {first}"
    yield f"{plural(total, 'image')}, {_duration(seen.seconds)} to load and make them; scoring and the report come on top"


def _name(work: Work) -> str:
    return work.model if work.judged else f"{work.model} (other arm)"


def _made(work: Work) -> tuple[str, ...]:
    repeats = f"{work.repeats} in {work.processes} processes" if work.repeats else "none"
    return str(work.first), str(work.reworded), str(work.others), str(work.calls), repeats


def _times(work: Work) -> tuple[str, ...]:
    each = "unknown" if work.seconds_per_image is None else f"{work.seconds_per_image:.3g}"
    load = "unknown" if work.load_seconds is None else f"{work.load_seconds:.3g} s"
    return each, load, _duration(work.seconds), work.timed or "no earlier run of this recipe"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown time"
    if seconds < 120:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.1f} h"


def _budget(seen: Outlook) -> Iterator[str]:
    shared = f"shared by {plural(seen.models, 'model')} and {plural(len(seen.shares), 'gate')} (Holm's first step)"
    yield f"false alarms: {100 * seen.false_alarms:.3g} % that an unchanged run is red anywhere, {shared}"
    for one in seen.shares:
        yield f"  {one.gate}: {100 * one.part:.3g} %, that is {100 * one.each:.2g} % for each of {plural(one.claims, 'tested claim')}"


def _reaches(gates: Sequence[GateAhead]) -> list[str]:
    header = ("gate", "claim", "samples", "limit", "found with 95 %", "unchanged passes", "reckoned with")
    rows = [(f"{gate.gate}/{gate.model}", *_claim(one)) for gate in gates for one in gate.claims]
    return columns([header, *rows]) if rows else ["no gate has a claim to plan"]


def _claim(one: ClaimAhead) -> tuple[str, ...]:
    limit = "" if one.limit is None else _figure(one.limit, one.unit)
    found = "unknown" if one.unknown else "nothing" if one.smallest is None else _figure(one.smallest, one.unit)
    passes = {True: "yes", False: "no", None: "unknown" if one.unknown else "-"}[one.passes]
    return one.name, plural(one.n, one.noun), limit, found, passes, one.basis


def _figure(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if abs(value) >= 1000 else f"{value:.3g} {unit}"


def _verdict(seen: Outlook) -> Iterator[str]:
    for gate in seen.undecided:
        yield f"cannot be decided: {gate.gate}/{gate.model}: {gate.undecided}"
    decided = len(seen.gates) - len(seen.undecided)
    yield f"{decided} of {plural(len(seen.gates), 'gate')} can be decided"
