"""Memory of a server: that of the process at its port and its children on every device, or the reason why there is none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from swapgate.meters.kinds import Unmeasured
from swapgate.meters.server import ServerMemory, listening, memory_of


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_process_at_a_port_is_found(port: int) -> None:
    assert listening(port) == (os.getpid(),)


def test_nobody_at_a_port_is_nobody(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    assert listening(free) == ()


def test_a_server_elsewhere_is_out_of_reach() -> None:
    meter, why, notes = memory_of("images.example", 443, loopback=False)
    assert isinstance(meter, Unmeasured)
    assert "another machine (images.example)" in why
    assert (meter.begin(), meter.end(), meter.so_far(), notes) == (None, None, None, ())


@pytest.mark.parametrize(("devices", "said"), [([], "NVML"), ([lambda: {1: 5.0}], "shows no memory"), ([lambda: None], "shows no memory")])
def test_a_server_that_nvml_does_not_show_is_unmeasured_and_says_why(port: int, devices, said: str) -> None:
    meter, why, _ = memory_of("127.0.0.1", port, loopback=True, devices=devices)
    assert isinstance(meter, Unmeasured)
    assert said in why


def test_a_port_in_a_container_is_unmeasured(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    _, why, _ = memory_of("127.0.0.1", free, loopback=True, devices=[dict])
    assert "container" in why


def test_memory_is_summed_over_devices_and_children(port: int) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        held = {os.getpid(): 100.0, child.pid: 20.0, 1: 999.0}
        meter, why, notes = memory_of("127.0.0.1", port, loopback=True, devices=[lambda: dict(held), lambda: {child.pid: 3.0, 2: None}])
        assert why == ""
        assert "NVML" in notes[0]
        meter.begin()
        held[child.pid] = 5.0
        found = meter.end()
        child.communicate(b"\n")
    assert found is not None
    assert (found.process, found.held, found.allocated, found.peak) == (123.0, 108.0, None, 123.0)
    assert found.resident > 10
    assert meter.so_far() is None


def test_a_server_that_died_has_no_figure() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    meter = ServerMemory(child.pid, [lambda: {child.pid: 5.0}])
    meter.begin()
    assert meter.end() is None
