"""What a check found: a state, what is said, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OK, NOTE, NO = "ok", "note", "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """state: OK, NOTE (it runs, and somebody should know) or NO (it does not run)."""

    name: str
    state: str
    said: str
    remedy: str = ""

    def line(self) -> str:
        """As one line, its remedy at the end."""
        return f"  {self.state:<5}{self.name:<10}{self.said}" + (f" -> {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A card and its checks."""

    card: str
    checks: Sequence[Check]

    @property
    def runs(self) -> bool:
        """Whether nothing is in the way."""
        return all(check.state != NO for check in self.checks)
