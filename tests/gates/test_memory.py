"""Is it larger? Peak memory against ceiling and baseline, jitter over the rounds, and growth per image (a leak)."""

from __future__ import annotations

from swapgate.pytest_plugin.cells import CellUnderTest


def test_memory(cell: CellUnderTest) -> None:
    """The peak keeps within ceiling and baseline, and nothing stays behind from image to image."""
    cell.check()
