"""Figures are printed even when the test passes: a benchmark whose figure nobody sees measures nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a line past pytest's capture."""

    def print_it(line: str) -> None:
        with capfd.disabled():
            print(f"\n{line}", end="", flush=True)

    return print_it
