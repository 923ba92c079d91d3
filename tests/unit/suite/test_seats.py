"""Where hosts run, and how another thread ends them."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from swapgate.hosts.process import Host, HostFailed
from swapgate.suite.devices import Device
from swapgate.suite.seats import Seat, Stopped


def test_hosts_of_a_seat_see_its_devices_and_those_of_no_seat_what_this_process_sees() -> None:
    """By UUID, in its order."""
    both = tuple(Device(uuid=f"GPU-{name}", name="x") for name in "ba")
    assert Seat(devices=both).environment == {"CUDA_VISIBLE_DEVICES": "GPU-b,GPU-a"}
    assert Seat().environment == {}
    assert Seat().visible is None


def test_a_seat_lets_go_on_until_it_is_stopped() -> None:
    seat = Seat()
    seat.check()
    seat.stop.set()
    with pytest.raises(Stopped):
        seat.check()


def test_a_call_that_is_aborted_fails_soon_and_its_host_is_not_started_again(bench: Any) -> None:
    """A real process that would have slept for a minute; its end is no reason to begin anew."""
    bench.card("toy", sleep=60.0)
    suite = bench.open()
    card, call = suite.setup.models[0], suite.plan.calls["toy"][0]
    seat = Seat()
    with Host(card) as host, seat.taken(host):
        host.start()
        killer = threading.Timer(0.3, seat.abort)
        killer.start()
        begin = time.monotonic()
        ((first, pixels),) = host.make(call)
        ((again, _),) = host.make(call)
        assert time.monotonic() - begin < 30
    assert pixels is None
    assert first.failure is not None
    assert first.failure.kind == "host-death"
    assert again.failure is not None
    assert len(host.loads) == 1
    seat.abort()  # nobody sits here any more


def test_a_loading_that_is_aborted_fails_soon(bench: Any) -> None:
    """However long it would have taken."""
    card = bench.open().setup.models[0]
    seat = Seat()
    host = Host(card)

    def kill() -> None:
        while not host.alive:
            time.sleep(0.001)
        seat.abort()

    with host, seat.taken(host):
        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(HostFailed, match="host-death"):
            host.start()
        killer.join()
