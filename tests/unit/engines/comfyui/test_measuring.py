"""What is measured of a server: its process, its own figures, others in its queue, and what is said where something cannot be had."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from swapgate.engines.comfyui import measuring
from swapgate.engines.comfyui.measuring import OTHERS, QueueOthers, ServerMemory, ServerProcess, figures, meters_of, process_of
from swapgate.engines.comfyui.server import Server
from swapgate.engines.servers.address import parse
from swapgate.engines.servers.client import Bounds, Client
from swapgate.engines.servers.failed import ServerFailed

MIB = 1024 * 1024
CUDA = {
    "name": "cuda:0 NVIDIA H200 : cudaMallocAsync", "type": "cuda", "index": 0, "vram_total": 1000 * MIB, "vram_free": 600 * MIB,
    "torch_vram_total": 300 * MIB, "torch_vram_free": 100 * MIB,
}  # fmt: skip


@pytest.fixture
def server(comfy: Any) -> Iterator[Server]:
    address = parse(comfy.url)
    with Client(address, bounds=Bounds(seconds=5.0)) as client:
        yield Server(client, address)


def test_figures_of_a_gpu_and_of_a_cpu(comfy: Any, server: Server) -> None:
    found = figures(server.stats())
    assert not found.cuda
    comfy.conduct.device = CUDA
    found = figures(server.stats())
    assert (found.cuda, found.reserved, found.active) == (True, 300.0, 200.0)


@pytest.mark.parametrize("stats", [{}, {"devices": []}, {"devices": [{**CUDA, "torch_vram_total": "x"}]}, {"devices": None}])
def test_a_reply_without_figures(stats: Any) -> None:
    with pytest.raises(ServerFailed, match="no figures of memory"):
        figures(stats)


def test_the_process_that_listens_is_found(server: Server) -> None:
    assert process_of(server) == (os.getpid(), "")


def test_a_server_elsewhere_has_no_process_here(server: Server) -> None:
    server.address = parse("http://192.0.2.1:8188")
    assert process_of(server) == (None, "the server is on another machine (192.0.2.1)")


def test_resident_memory_of_another_process_rises_and_is_begun_anew() -> None:
    code = "import sys\nprint('up', flush=True)\nfor line in sys.stdin:\n    held = bytearray(64 << 20) if line[0] == 'a' else None\n    print('done', flush=True)\n"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        child.stdout.readline()
        process = ServerProcess(child.pid)
        process.reset()
        before = process.now()
        for word in ("a", "free"):
            child.stdin.write(word + "\n")
            child.stdin.flush()
            child.stdout.readline()
            process.look()
        assert process.peak() > before + 40
        process.reset()
        assert process.peak() < before + 40
        child.stdin.close()
        child.wait()
    assert process.now() == 0.0


def test_device_memory_is_the_most_that_was_told_while_the_call_ran(comfy: Any, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "STATS_SECONDS", 0.02)
    comfy.conduct.device = {**CUDA, "torch_vram_free": 0}
    memory = ServerMemory(server, None, lambda: 77.0, cuda=True)
    memory.begin()
    _until(lambda: memory.so_far() == 300.0)
    comfy.conduct.device = CUDA
    found = memory.end()
    assert (found.allocated, found.reserved, found.process, found.held) == (300.0, 300.0, 77.0, 200.0)
    memory.begin()
    assert memory.end().allocated == 200.0


def test_a_server_that_is_gone_leaves_what_it_told(comfy: Any, server: Server) -> None:
    memory = ServerMemory(server, ServerProcess(os.getpid()), lambda: None, cuda=False)
    memory.begin()
    comfy.close()
    assert memory.end().resident > 10


def test_the_queue_of_others(comfy: Any, server: Server) -> None:
    others = QueueOthers(server)
    others.begin(suite_computes=False)
    assert others.end() == ()
    others.begin(suite_computes=False)
    comfy.running.append("mine")
    others.own.add("mine")
    assert others.end() == ()
    comfy.running.append("theirs")
    others.begin(suite_computes=False)
    comfy.running.clear()
    assert others.end() == ((OTHERS, None),)
    others.begin(suite_computes=False)
    others.saw(2)
    others.saw(0)
    assert others.end() == ((OTHERS, None),)


def test_the_queue_is_asked_once_before_and_once_after_a_call(comfy: Any, server: Server) -> None:
    others = QueueOthers(server)
    for others_there in (False, True):
        comfy.running += ["theirs"] if others_there else []
        comfy.asked.clear()
        others.begin(suite_computes=False)
        assert len(comfy.asked) == 1
        assert bool(others.end()) is others_there
        assert len(comfy.asked) <= 2


def test_a_prompt_of_the_call_before_that_is_not_yet_out_of_the_queue_is_nobody_elses(comfy: Any, server: Server) -> None:
    others = QueueOthers(server)
    comfy.running.append("mine")
    others.own.add("mine")
    leaves = threading.Timer(0.2, comfy.running.clear)
    leaves.start()
    others.begin(suite_computes=False)
    leaves.join()
    assert others.own == set()
    assert others.end() == ()
    comfy.running.append("stays")
    others.own.add("stays")
    others.begin(suite_computes=False)
    assert others.own == {"stays"}
    assert others.end() == ()


def test_meters_say_where_they_are_and_what_they_cannot_tell(comfy: Any, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    others = QueueOthers(server)
    found = meters_of(server, server, others)
    assert found.accelerator.startswith("cpu-")
    assert found.foreign is others
    comfy.conduct.device = CUDA
    found = meters_of(server, server, others)
    assert (found.accelerator, found.device_name) == ("nvidia-h200", "NVIDIA H200")
    assert any("a shorter peak is not seen" in note for note in found.notes)
    assert any("process memory: NVML does not list the server" in note for note in found.notes)
    monkeypatch.setattr(measuring, "process_of", lambda _: (None, "the server is on another machine"))
    assert "resident memory: the server is on another machine" in meters_of(server, server, others).notes
    comfy.conduct.device = {**CUDA, "type": "cpu"}
    found = meters_of(server, server, others)
    assert found.no_memory == "the server computes on a CPU, and the server is on another machine"
    assert found.memory.end() is None


def _until(holds: Any) -> None:
    end = time.monotonic() + 30
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    assert holds()
