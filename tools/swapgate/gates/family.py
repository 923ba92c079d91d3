"""All verdicts of a run together: how many of each, what was decided, and whether the run is red."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A run's verdicts as one decision.

    counts: cells by status, all statuses present; red with `reason`, both of the whole run; confirmed: ids of tested
    red cells that stay red when the whole run's false-alarm budget is shared (Holm), or whose limit is absolute.
    """

    counts: Mapping[Status, int]
    decided: int
    undecided: int
    red: bool
    reason: str
    confirmed: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """What a process returns: 1 when red."""
        return 1 if self.red else 0


def decide(verdicts: Iterable[Verdict], policy: Policy, *, strict: bool = False) -> Family:
    """Red if any cell is red, or if nothing was decided; with `strict` also if any cell stayed undecided."""
    cells = list(verdicts)
    counts = {status: sum(1 for cell in cells if cell.status is status) for status in Status}
    decided = sum(cell.decided for cell in cells)
    undecided = sum(not cell.decided and not cell.red for cell in cells)
    alarm = _alarm(cells, decided, undecided, strict)
    return Family(
        counts=MappingProxyType(counts),
        decided=decided,
        undecided=undecided,
        red=bool(alarm),
        reason=alarm or f"{decided} of {_cells(len(cells))} decided, none red",
        confirmed=_confirmed(cells, policy),
    )


def _alarm(cells: Sequence[Verdict], decided: int, undecided: int, strict: bool) -> str:
    red = [cell.id for cell in cells if cell.red]
    if red:
        return f"{_cells(len(red))} red: {', '.join(red)}"
    if not decided:
        return "nothing was decided: a run that measured nothing is not green" if cells else "no cell was judged"
    if strict and undecided:
        return f"{_cells(undecided)} undecided, and --strict asks for a decision on each"
    return ""


def _confirmed(cells: Sequence[Verdict], policy: Policy) -> tuple[str, ...]:
    """Holm over the cells whose deciding claim was tested; exact and absolute claims need no correction."""
    from swapgate.gates.statistics import holm

    tested = [cell for cell in cells if cell.finding and cell.finding.p is not None]
    adjusted = holm([cell.finding.p for cell in tested if cell.finding and cell.finding.p is not None])
    kept = {cell.id for cell, p in zip(tested, adjusted, strict=True) if p <= policy.budget}
    exact = {cell.id for cell in cells if cell.finding and cell.finding.p is None}
    return tuple(cell.id for cell in cells if cell.red and cell.id in kept | exact)


def _cells(n: int) -> str:
    return f"{n} cell" if n == 1 else f"{n} cells"
