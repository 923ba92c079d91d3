"""Device memory after a process has ended, on devices that a test makes up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from swapgate.hosts.devices import NOT_BACK, NOT_WATCHED, Ledger


@dataclass
class Card:
    """A device: MiB in use, look by look (the last stays), and the processes that NVML lists."""

    uuid: str = "GPU-1"
    used: list[float] = field(default_factory=lambda: [0.0])
    listed: dict[int, float | None] | None = field(default_factory=dict)

    def used_mib(self) -> float | None:
        return self.used.pop(0) if len(self.used) > 1 else self.used[0]

    def processes(self) -> dict[int, float | None] | None:
        return self.listed

    def name_of(self, pid: int) -> str:
        return f"python3 ({pid})"


class Clock:
    """Time that passes only while it is slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("swapgate.hosts.devices.time.monotonic", lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def ledger(clock: Clock, *cards: Card, why: str = "") -> Ledger:
    """A ledger over these devices. Asking for levels takes no look away."""
    known = {card.uuid: card for card in cards}

    def levels() -> tuple[Mapping[str, float], str]:
        return {uuid: card.used[0] for uuid, card in known.items()}, why

    made: Any = Ledger(seconds=5.0, levels=levels, device=lambda uuid: known[uuid], sleep=clock.sleep)  # type: ignore[arg-type, return-value]
    found: Ledger = made
    return found


def test_memory_that_comes_back_in_time_is_waited_for_and_no_warning(clock: Clock) -> None:
    """Three looks find it still held."""
    card = Card(used=[100.0])
    book = ledger(clock, card)
    book.enter(7, ["GPU-1"], book.start())
    card.used = [9000.0, 9000.0, 5000.0, 160.0]
    assert book.leave(7, ["GPU-1"]) == ()
    assert clock.now == pytest.approx(0.3)


def test_memory_that_was_never_taken_is_not_waited_for(clock: Clock) -> None:
    """Nor what lies within the tolerance."""
    card = Card(used=[100.0])
    book = ledger(clock, card)
    book.enter(7, ["GPU-1"], book.start())
    card.used = [164.0]
    assert book.leave(7, ["GPU-1"]) == ()
    assert clock.now == 0


def test_memory_that_does_not_come_back_is_warned_of_by_name(clock: Clock) -> None:
    """How much, where, after how long, and by whom."""
    card = Card(used=[100.0], listed={42: 512.0, 43: None})
    book = ledger(clock, card)
    book.enter(7, ["GPU-1"], book.start())
    card.used = [612.0]
    (said,) = book.leave(7, ["GPU-1"])
    assert said.startswith(f"{NOT_BACK}: 512 MiB more than before are still held on GPU-1 5 s after process 7 ended, ")
    assert "by python3 (42) with 512 MiB, python3 (43); end what holds them" in said
    assert clock.now >= 5
    card.listed = None
    book.enter(8, ["GPU-1"], {"GPU-1": 100.0})
    assert "by no process that NVML lists" in book.leave(8, ["GPU-1"])[0]


def test_while_another_process_of_the_suite_is_there_only_the_ended_ones_entry_is_waited_for(clock: Clock) -> None:
    """What the other took since is its own; the last to leave is held to the level before the first."""
    card = Card(used=[100.0], listed={7: 900.0, 8: 900.0})
    book = ledger(clock, card)
    book.enter(7, ["GPU-1"], book.start())
    card.used = [1000.0]
    book.enter(8, ["GPU-1"], book.start())
    card.used, card.listed = [5000.0], {8: 4900.0}
    assert book.leave(7, ["GPU-1"]) == ()
    card.listed = {}
    assert "4900 MiB more" in book.leave(8, ["GPU-1"])[0]


def test_an_ended_process_that_is_still_listed_is_warned_of(clock: Clock) -> None:
    """It hangs in the kernel."""
    card = Card(used=[100.0], listed={7: 900.0, 8: 900.0})
    book = ledger(clock, card)
    for pid in (7, 8):
        book.enter(pid, ["GPU-1"], book.start())
    assert "900 MiB more than before" in book.leave(7, ["GPU-1"])[0]


def test_a_process_that_did_not_load_is_waited_for_wherever_nobody_else_is(clock: Clock) -> None:
    """It did not say where it was; another's device, and a time in which another loads, tell nothing."""
    first, second = Card(used=[0.0]), Card(uuid="GPU-2", used=[0.0])
    book = ledger(clock, first, second)
    book.enter(7, ["GPU-1"], book.start())
    before = book.start()
    first.used, second.used = [9000.0], [800.0]
    (said,) = book.failed(9, before)
    assert "800 MiB more than before are still held on GPU-2" in said
    again, other = book.start(), book.start()
    second.used = [1700.0]
    assert book.failed(10, again) == (), "another process is being loaded, perhaps there"
    assert len(book.failed(11, other)) == 1


def test_without_nvml_that_is_said_once_and_nobody_waits(clock: Clock) -> None:
    """Only of a device: a model on the CPU has none."""
    book = ledger(clock, why="NVML cannot be used (no driver)")
    for pid in (1, 2):
        book.enter(pid, ["GPU-1"], book.start())
    assert book.leave(1, ()) == ()
    (said,) = book.leave(1, ["GPU-1"])
    assert said.startswith(f"{NOT_WATCHED}: NVML cannot be used (no driver), so nobody waits")
    assert book.leave(2, ["GPU-1"]) == ()
    assert clock.now == 0


def test_a_device_that_nvml_no_longer_answers_for_is_not_waited_for(clock: Clock) -> None:
    """A device that fell off the bus, for one."""
    card = Card(used=[100.0])
    book = ledger(clock, card)
    book.enter(7, ["GPU-1"], book.start())
    card.used = [None]  # type: ignore[list-item]
    assert book.leave(7, ["GPU-1"]) == ()
