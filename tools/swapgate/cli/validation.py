"""The tables of `swapgate standins validate`: how often each check of health and each facet check is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swapgate.metrics.counts import Answers, Count

SPECIFICITY, SENSITIVITY = 0.99, 0.97
"""What every check of health has to reach, on healthy pictures and at the severe dose."""
ALPHA = 0.025


def interval(right: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a rate, each end 0 to 1."""
    from swapgate.gates.statistics import clopper_pearson

    return clopper_pearson(right, n, ALPHA)


def as_json(kept: Sequence[Count], found: Sequence[Count], facets: Sequence[Answers]) -> dict[str, Any]:
    """All figures with their intervals, and whether every check of health reaches what it has to."""
    return {
        "reached": not short(kept, found),
        "required": {"specificity": SPECIFICITY, "sensitivity": SENSITIVITY},
        "specificity": [{"bit": one.bit, **_rate(one.right, one.n)} for one in kept],
        "sensitivity": [{"bit": one.bit, "fault": one.fault, "dose": one.dose, **_rate(one.right, one.n)} for one in found],
        "facets": [
            {
                "language": one.language,
                "attribute": one.attribute,
                "sensitivity": _rate(one.held, one.n),
                "specificity": _rate(one.refused, one.n),
            }
            for one in facets
        ],
    }


def short(kept: Sequence[Count], found: Sequence[Count]) -> list[str]:
    """What falls short: bits below the specificity, faults below the sensitivity at the severe dose."""
    alarms = [f"{one.bit}: specificity {_share(one.right, one.n)}" for one in kept if one.rate < SPECIFICITY]
    missed = [f"{one.fault}: sensitivity {_share(one.right, one.n)}" for one in found if one.dose == "severe" and one.rate < SENSITIVITY]
    return alarms + missed


def lines(kept: Sequence[Count], found: Sequence[Count], facets: Sequence[Answers]) -> Iterator[str]:
    """The tables as Markdown."""
    yield from _health(kept, found)
    if facets:
        yield ""
        yield from _facets(facets)
    yield ""
    failed = short(kept, found)
    needs = f"specificity of at least {SPECIFICITY:.0%}, sensitivity of at least {SENSITIVITY:.0%} at the severe dose"
    yield f"Falls short ({needs}): {'; '.join(failed)}." if failed else f"Every check of health reaches what it has to: {needs}."


def _health(kept: Sequence[Count], found: Sequence[Count]) -> Iterator[str]:
    alarms = {one.bit: one for one in kept}
    rates = {(one.fault, one.dose): _share(one.right, one.n) for one in found}
    bits = {one.fault: one.bit for one in found}
    doses = list(dict.fromkeys(one.dose for one in found))
    yield f"| check | healthy pictures kept | planted fault | {' | '.join(f'found, {dose}' for dose in doses)} |"
    yield "|---" * (3 + len(doses)) + "|"
    for fault, bit in bits.items():
        told = " | ".join(rates[fault, dose] for dose in doses)
        yield f"| {bit} | {_share(alarms[bit].right, alarms[bit].n)} | {fault} | {told} |"


def _facets(facets: Sequence[Answers]) -> Iterator[str]:
    yield "| facet | language | true claims held | false claims refused |"
    yield "|---|---|---|---|"
    for one in facets:
        yield f"| {one.attribute} | {one.language} | {_share(one.held, one.n)} | {_share(one.refused, one.n)} |"


def _share(right: int, n: int) -> str:
    low, high = interval(right, n)
    return f"{right}/{n} = {100 * right / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _rate(right: int, n: int) -> dict[str, Any]:
    low, high = interval(right, n)
    return {"right": right, "n": n, "rate": right / n, "low": low, "high": high}
