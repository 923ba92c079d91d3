"""Is it less usable? The share of first images that need no second try, against the card's floor and the baseline."""

from __future__ import annotations

from swapgate.pytest_plugin.cells import CellUnderTest


def test_usability(cell: CellUnderTest) -> None:
    """First images pass health, alignment and facet checks as often as the baseline's do."""
    cell.check()
