"""Processes that are lost or useless after a call: what is known of them, and what goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from swapgate.cards import Card
from swapgate.hosts.devices import Ledger
from swapgate.hosts.process import Host, HostFailed
from swapgate.plan import Call
from swapgate.runs.records import Failure, Generation

CardOf = Callable[..., Card]
CallOf = Callable[[int], Call]


def made(host: Host, call_of: CallOf, *seeds: int) -> list[Generation]:
    return [host.make(call_of(seed))[0][0] for seed in seeds]


def failure(generation: Generation) -> Failure:
    assert generation.failure is not None
    return generation.failure


class TestHangs:
    """No step within its time-out."""

    def test_a_stage_that_stands_still_is_ended_long_before_the_whole_time(self, card_of: CardOf, call_of: CallOf) -> None:
        """The stage and how long it stood are in the record; the next call is made by another process."""
        with Host(card_of(timeout=600.0, stall=0.6, hang_at=1)) as host:
            host.start()
            begun = time.monotonic()
            lost, after = made(host, call_of, 1, 2)
            assert len(host.loads) == 2
        assert 0.5 < time.monotonic() - begun < 300
        assert failure(lost).kind == "time-out"
        assert "stage 'call' stood still for 0." in failure(lost).message
        assert "(stall_seconds = 0.6); the process was killed; peak until then 256 MiB" in failure(lost).message
        assert failure(lost).peak == 256
        assert after.failure is None

    def test_a_call_that_gets_on_may_take_longer_than_a_stage(self, card_of: CardOf, call_of: CallOf, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only a board that nobody writes on is a hang: here every look finds it changed."""
        from swapgate.hosts.board import Board

        looks = iter(range(10**6))
        monkeypatch.setattr(Board, "writes", lambda board: next(looks))
        with Host(card_of(stall=0.6, sleep=2.0)) as host:
            host.start()
            assert made(host, call_of, 1)[0].failure is None

    def test_without_a_limit_a_stage_may_stand_still(self, card_of: CardOf, call_of: CallOf) -> None:
        """A pipeline that compiles itself in its first step does."""
        with Host(card_of(sleep=1.5)) as host:
            host.start()
            assert made(host, call_of, 1)[0].failure is None


class TestLostDevices:
    """A CUDA error after which the context cannot be used."""

    def test_the_process_is_not_used_again(self, card_of: CardOf, call_of: CallOf) -> None:
        """It is ended, and the next call starts another, once."""
        with Host(card_of(device_error_at="1,3")) as host:
            host.start()
            first = host.pid
            lost, after, again, given_up = made(host, call_of, 1, 2, 3, 4)
            assert host.pid != first
            assert len(host.loads) == 2
        assert failure(lost).kind == "device-error"
        assert "device-side assert triggered (at scripted_misfortunes.py:" in failure(lost).message
        assert (failure(lost).peak, failure(lost).stage) == (256, "call")
        assert after.failure is None
        assert failure(again).kind == "device-error"
        assert failure(given_up).message.startswith("not tried: the process was restarted once")


class TestMemory:
    """The peak that is known of a call that failed."""

    @pytest.mark.parametrize(("option", "name"), [("kill_at", "SIGKILL"), ("segfault_at", "SIGSEGV")])
    def test_of_a_killed_process_it_is_what_it_wrote_last(self, card_of: CardOf, call_of: CallOf, option: str, name: str) -> None:
        """Read from the board, after its death; an image before it left 5 MiB."""
        with Host(card_of(memory_mib=300, leak_mib=5, **{option: 2})) as host:
            host.start()
            before, lost, after = made(host, call_of, 1, 2, 3)
        assert before.failure is None
        assert failure(lost).kind == "host-death"
        assert f"ended by {name}" in failure(lost).message
        assert "peak until then 305 MiB" in failure(lost).message
        assert failure(lost).peak == 305
        assert after.failure is None

    def test_memory_that_really_runs_out_is_told_and_the_process_goes_on(self, card_of: CardOf, call_of: CallOf) -> None:
        """Python's own MemoryError, after 256 MiB or a little less."""
        with Host(card_of(fill_at=1)) as host:
            host.start()
            pid = host.pid
            lost, after = made(host, call_of, 1, 2)
            assert host.pid == pid
        assert failure(lost).kind == "out-of-memory"
        assert "MemoryError: no more to be had after 2" in failure(lost).message
        assert "; peak 256 MiB" in failure(lost).message
        assert after.failure is None

    def test_an_ordinary_exception_speaks_of_no_memory(self, card_of: CardOf, call_of: CallOf) -> None:
        """It is in the record all the same."""
        with Host(card_of(raise_at=1)) as host:
            host.start()
            lost = failure(made(host, call_of, 1)[0])
        assert "peak" not in lost.message
        assert lost.peak == 256


class Watched(Ledger):
    """A ledger that writes down what a host tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Any, ...]] = []

    def start(self) -> Mapping[str, float]:
        return {"GPU-1": 7.0}

    def enter(self, pid: int, devices: Iterable[str], before: Mapping[str, float]) -> None:
        self.told.append(("enter", pid, tuple(devices), dict(before)))

    def failed(self, pid: int, before: Mapping[str, float]) -> tuple[str, ...]:
        self.told.append(("failed", pid, dict(before)))
        return ("not back after loading",)

    def leave(self, pid: int, devices: Iterable[str]) -> tuple[str, ...]:
        self.told.append(("leave", pid, tuple(devices)))
        return ("not back",)


class TestDevices:
    """Every process is told to the ledger, and every one leaves it."""

    def test_a_process_that_is_lost_leaves_before_the_next_is_started(self, card_of: CardOf, call_of: CallOf) -> None:
        """So that the next finds the memory."""
        ledger = Watched()
        with Host(card_of(kill_at=1), ledger=ledger) as host:
            host.start()
            made(host, call_of, 1)
            assert [one[0] for one in ledger.told] == ["enter", "leave"]
            made(host, call_of, 2)
        first, second = ledger.told[0][1], ledger.told[2][1]
        assert [(one[0], one[1]) for one in ledger.told] == [("enter", first), ("leave", first), ("enter", second), ("leave", second)]
        assert ledger.told[0][2:] == ((), {"GPU-1": 7.0})
        assert host.warnings == ("not back", "not back")

    def test_a_process_that_did_not_load_leaves_too(self, card_of: CardOf) -> None:
        """What it held nobody knows."""
        ledger = Watched()
        host = Host(card_of(), load_seconds=0.0, ledger=ledger)
        with pytest.raises(HostFailed):
            host.start()
        host.close()
        assert [(one[0], one[2]) for one in ledger.told] == [("failed", {"GPU-1": 7.0})]
        assert host.warnings == ("not back after loading",)
