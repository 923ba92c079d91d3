"""The parent side of a trial: a process that holds one placement of one card. No torch here."""

from __future__ import annotations

from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from swapgate.cards import Card
from swapgate.engines.placements import ERROR, OUT_OF_MEMORY, UNKNOWN, Placement, Prepared, Tried
from swapgate.errors import UserError
from swapgate.hosts import wire
from swapgate.hosts.running import Process
from swapgate.plan import Request
from swapgate.runs.records import Failure

MODULE = "swapgate.hosts.trial_child"
PREPARE_SECONDS = 1200.0
LARGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}  # torch asks for large pages of host memory, whose first writing takes a fraction of the time
SPARE_SECONDS = 600.0
"""Beside the card's own limit of a call: what is moved before and after it, and FLOPs that are counted."""


class TrialHost:
    """A process that can try one placement; it begins to import what it needs as soon as it is made."""

    def __init__(self) -> None:
        self._process = Process(None, LARGE_PAGES, module=MODULE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def prepare(self, card: Card, placement: Placement, request: Request, *, rate: bool) -> Prepared | Tried:
        """Have the pipeline assembled; what went wrong as a `Tried` of every limit. UserError for what the user can mend."""
        message = {"op": "prepare", "card": wire.card_to_json(card), "placement": asdict(placement), "request": request.as_json(), "rate": rate}
        answer = self._process.ask(message, PREPARE_SECONDS)
        if isinstance(answer, Failure):
            return _lost(answer)
        if answer["kind"] == "user-error":
            raise UserError(**answer["error"])
        if answer["kind"] == "prepared":
            return Prepared.from_json(answer["prepared"])
        return _before(Tried.from_json(answer["tried"]))

    def attempt(self, limit: float, *, steps: int, patience: float, count: bool, seconds: float) -> Tried:
        """Try it under `limit` MiB; seconds: how long the image may take."""
        message: dict[str, Any] = {"op": "attempt", "limit": limit, "steps": steps, "patience": patience, "count": count}
        answer = self._process.ask(message, seconds + SPARE_SECONDS)
        return _lost(answer) if isinstance(answer, Failure) else Tried.from_json(answer["tried"])

    def close(self) -> None:
        """End the process: it holds nothing worth waiting for."""
        self._process.close()


def _lost(failure: Failure) -> Tried:
    """A process that died or hung. The kernel ends one when the host's memory runs out, and says so nowhere that can be read."""
    killed = " (the kernel does that when host memory runs out)" if "SIGKILL" in failure.message else ""
    return Tried(verdict=ERROR, why=f"{failure.message}{killed}", stage=failure.stage)


def _before(tried: Tried) -> Tried:
    """Memory of the device that ran out before there was a limit is the device's own."""
    if tried.verdict != OUT_OF_MEMORY:
        return tried
    return Tried(verdict=UNKNOWN, why=f"this device is too small to prepare it on: {tried.why}", stage=tried.stage)
