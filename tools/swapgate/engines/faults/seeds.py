"""Faults of the noise that a picture starts from."""

from __future__ import annotations

import zlib
from typing import Any

import torch

from swapgate.engines.faults.base import Fault, Passive


class SeedLost(Passive):
    """`amount` of all seeds count as unset, and such a picture starts from noise that nobody can repeat."""

    def __init__(self, _pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._seen = self._lost = 0

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return with_generators(given, self._kept_or_lost)

    def activity(self) -> str:
        return self.note(f"{self._lost} of {self._seen} seeds ignored")

    def acted(self) -> bool:
        return self._lost > 0

    def _kept_or_lost(self, generator: torch.Generator) -> torch.Generator:
        self._seen += 1
        if zlib.crc32(str(generator.initial_seed()).encode()) / 2**32 >= self.fault.amount:
            return generator
        self._lost += 1
        fresh = torch.Generator(generator.device)
        fresh.seed()
        return fresh


class OtherGenerator(Passive):
    """Noise of another generator for the same seed, as when its device changes: every picture is another, none is worse."""

    def __init__(self, _pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._seeds = 0

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return with_generators(given, self._other)

    def activity(self) -> str:
        return self.note(f"{self._seeds} seeds drawn from another generator")

    def acted(self) -> bool:
        return self._seeds > 0

    def _other(self, generator: torch.Generator) -> torch.Generator:
        self._seeds += 1
        return torch.Generator(generator.device).manual_seed(zlib.crc32(f"other {generator.initial_seed()}".encode()))


def with_generators(given: dict[str, Any], change: Any) -> dict[str, Any]:
    """The arguments with every generator changed, one or a list of them."""
    generator = given["generator"]
    return {**given, "generator": [change(one) for one in generator] if isinstance(generator, list) else change(generator)}
