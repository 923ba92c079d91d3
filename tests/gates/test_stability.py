"""Does the wording matter? Approved rewordings drawn by hypothesis, judged against the prompt as written."""

from __future__ import annotations

from swapgate.pytest_plugin.cells import CellUnderTest


def test_stability(cell: CellUnderTest) -> None:
    """A rewording that means the same changes the picture's worth by little, and no more than at the baseline."""
    cell.check()
