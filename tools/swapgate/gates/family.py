"""All verdicts of a run together: how many of each, what was decided, and whether the run is red."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from swapgate.gates.verdict import Status, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A run's verdicts as one decision.

    counts: cells by status, all statuses present; red with `reason`, both of the whole run.
    """

    counts: Mapping[Status, int]
    decided: int
    undecided: int
    red: bool
    reason: str


def decide(verdicts: Iterable[Verdict], *, strict: bool = False, planned: int | None = None) -> Family:
    """Red if any cell is red, if nothing was decided or if cells are missing of those planned; with `strict` also if any stayed undecided.

    planned: how many cells the run set out to judge; None for as many as there are verdicts.
    """
    cells = list(verdicts)
    counts = {status: sum(1 for cell in cells if cell.status is status) for status in Status}
    decided = sum(cell.decided for cell in cells)
    undecided = sum(cell.applies and not cell.decided and not cell.red for cell in cells)
    alarm = _alarm(cells, undecided, strict, len(cells) if planned is None else planned)
    return Family(
        counts=MappingProxyType(counts),
        decided=decided,
        undecided=undecided,
        red=bool(alarm),
        reason=alarm or f"{decided} of {_cells(sum(cell.applies for cell in cells))} decided, none red",
    )


def _alarm(cells: Sequence[Verdict], undecided: int, strict: bool, planned: int) -> str:
    red = [cell.id for cell in cells if cell.red]
    short = f"{len(cells)} of {planned} planned cells were judged" if len(cells) < planned else ""
    if red:
        return "; ".join([f"{_cells(len(red))} red: {', '.join(red)}", *([short] if short else [])])
    if short:
        return short
    if not any(cell.decided for cell in cells):
        return "nothing was decided: a run that measured nothing is not green" if cells else "no cell was judged"
    if strict and undecided:
        return f"{_cells(undecided)} undecided, and --strict asks for a decision on each"
    return ""


def _cells(n: int) -> str:
    return f"{n} cell" if n == 1 else f"{n} cells"
