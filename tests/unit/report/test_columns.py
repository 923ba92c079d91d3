"""Tables of plain text."""

from __future__ import annotations

from swapgate.report.columns import columns


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """Two spaces between, none at the end."""
    assert columns([["name", "n"], ["standin-qwen", "60"], ["a", ""]]) == ["name          n", "standin-qwen  60", "a"]
