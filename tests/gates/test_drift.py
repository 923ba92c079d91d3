"""Is it different? The same request drawn again, against the baseline's pictures and the measured null."""

from __future__ import annotations

from swapgate.pytest_plugin.cells import CellUnderTest


def test_drift(cell: CellUnderTest) -> None:
    """The same weights draw the same pictures; other weights may draw others, if they follow the prompt as well."""
    cell.check()
