"""Hosts on the scripted engine: what comes back, and every way in which a process can be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapgate.cards import Card, Judge
from swapgate.engines.scripted_misfortunes import CRASH_CODE
from swapgate.engines.scripted_pictures import draw
from swapgate.errors import UserError
from swapgate.hosts.process import Host, HostFailed
from swapgate.plan import Call, Request
from swapgate.runs.pixels import pixel_hash


def card(timeout: float = 600.0, engine: str = "scripted", **options: Any) -> Card:
    """A scripted card with these options."""
    return Card(
        id="s",
        title="s",
        engine=engine,
        source="none",
        revision=None,
        pipeline=None,
        device="auto",
        dtype={"cpu": "float32"},
        call={},
        negative_prompt={},
        expected_forwards=None,
        tasks=("t",),
        judge=Judge(source="j"),
        ceilings={},
        usability_floor=0.0,
        timeout_seconds=timeout,
        licence="none",
        options=options,
        path=Path("s.toml"),
    )


def call(seed: int = 1, images: int = 1, prompt: str = "a red cup") -> Call:
    """A call of one or more requests of 64 x 48 pixels."""
    return Call(
        requests=tuple(
            Request(model="s", task="t", language="en", seed=seed, index=index, prompt=prompt, negative_prompt=None, width=64, height=48, call=())
            for index in range(images)
        )
    )


@pytest.fixture
def stuck() -> Iterator[list[Host]]:
    """Hosts that a test leaves open are closed after it."""
    hosts: list[Host] = []
    yield hosts
    for host in hosts:
        host.close()


def gone(pid: int, seconds: float = 120.0) -> bool:
    """Whether that process ends; the time is for a machine that hardly gets on."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def in_the_call(host: Host, number: signal.Signals, pid: int | None = None) -> threading.Thread:
    """Sends the signal to the host's process, or another one, as soon as the host is in a call."""
    assert host._process is not None
    board, target = host._process.board, pid or host._process.pid

    def send() -> None:
        while board.read() != "call":
            time.sleep(0.01)
        os.kill(target, number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


class TestImages:
    """A call that goes well."""

    def test_pixels_arrive_unchanged_with_what_they_cost(self) -> None:
        """Every image is the engine's own, in the order of the requests, with its hash."""
        with Host(card(latency=0.5), threads=1) as host:
            loaded = host.start()
            made = host.make(call(seed=3, images=2))
        assert loaded.model == "s"
        assert (loaded.accelerator, loaded.threads) == ("cpu-scripted", 1)
        for (generation, pixels), request in zip(made, call(seed=3, images=2).requests, strict=True):
            assert pixels is not None
            assert np.array_equal(pixels, draw(request.prompt, request.image_seed, 64, 48))
            assert generation.request == request.key
            assert generation.image == pixel_hash(pixels)
            assert (generation.width, generation.height, generation.mode) == (64, 48, "RGB")
            assert generation.failure is None
            assert generation.images_in_call == 2
            assert generation.times is not None
            assert generation.times.total == pytest.approx(1.0)
            assert generation.times.queue >= 0
            assert generation.forwards == 4

    def test_numbers_count_the_images_of_the_process_and_the_first_call_is_marked(self) -> None:
        """Growth is judged on how many images came before; the first call pays for warming up."""
        with Host(card()) as host:
            host.start()
            seen = [host.make(call(seed=seed, images=2))[0][0] for seed in (1, 2, 3)]
        assert [generation.number for generation in seen] == [0, 2, 4]
        assert [generation.first_call for generation in seen] == [True, False, False]

    def test_the_parent_never_imports_torch(self) -> None:
        """The process that judges stays light: a fresh interpreter shows it."""
        program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_process import call, card
from swapgate.hosts.process import Host
with Host(card()) as host:
    host.start()
    assert host.make(call())[0][1] is not None
assert not {{"torch", "diffusers", "transformers"}} & set(sys.modules), sorted(sys.modules)
"""
        subprocess.run([sys.executable, "-c", program], check=True, timeout=600)

    def test_threads_are_set_before_the_child_starts(self) -> None:
        """The variables that OpenMP reads are in the environment with which the interpreter began."""
        with Host(card(), threads=3) as host:
            host.start()
            started_with = Path(f"/proc/{host.pid}/environ").read_bytes().split(b"\0")
        assert b"OMP_NUM_THREADS=3" in started_with
        assert b"CUBLAS_WORKSPACE_CONFIG=:4096:8" in started_with
        assert b"MALLOC_MMAP_THRESHOLD_=33554432" in started_with

    def test_asking_before_starting_is_a_mistake_of_the_caller(self) -> None:
        """It is not recorded as a failure of the model."""
        with pytest.raises(RuntimeError, match="start the host"):
            Host(card()).make(call())


class TestFailures:
    """A call that goes wrong becomes a record, and the others are still made."""

    def test_an_exception_is_recorded_and_the_process_goes_on(self) -> None:
        """Type, message and the place that raised are in the record."""
        with Host(card(raise_at=2)) as host:
            host.start()
            pid = host.pid
            made = [host.make(call(seed=seed))[0] for seed in (1, 2, 3)]
            assert host.pid == pid
        failure = made[1][0].failure
        assert failure is not None
        assert failure.kind == "exception"
        assert "RuntimeError: scripted: this image raises (at scripted_misfortunes.py:" in failure.message
        assert failure.stage == "call"
        assert made[1][1] is None
        assert made[1][0].image is None
        assert made[0][0].failure is None
        assert made[2][0].failure is None
        assert made[2][0].number == 1, "an image that was not made is not counted"

    def test_running_out_of_memory_is_told_apart_with_the_peak(self) -> None:
        """Memory at the failure is in the record and in the message."""
        with Host(card(oom_at=1, memory_mib=123)) as host:
            host.start()
            generation = host.make(call())[0][0]
        assert generation.failure is not None
        assert generation.failure.kind == "out-of-memory"
        assert "peak 123 MiB" in generation.failure.message
        assert generation.memory is not None
        assert generation.memory.resident == 123

    def test_an_image_of_another_size_is_a_failure(self) -> None:
        """Pipelines round sizes in silence; the record says both sizes."""
        with Host(card(wrong_size=True)) as host:
            host.start()
            generation = host.make(call())[0][0]
        assert generation.failure is not None
        assert "80 x 48; the request asks for 64 x 48" in generation.failure.message

    def test_a_process_that_exits_is_restarted_once_and_then_given_up(self) -> None:
        """One crash costs one call; after a second, every call fails at once with the reason."""
        with Host(card(crash_at="2,4")) as host:
            host.start()
            made = [host.make(call(seed=seed, images=1))[0][0] for seed in (1, 2, 3, 4)]
            made += [host.make(call(seed=seed))[0][0] for seed in (5, 6)]
            assert not host.alive
            assert len(host.loads) == 2
        kinds = [generation.failure.kind if generation.failure else None for generation in made]
        assert kinds == [None, "host-death", None, "host-death", "host-death", "host-death"]
        assert made[1].failure is not None
        assert f"exited with code {CRASH_CODE}" in made[1].failure.message
        assert (made[2].number, made[2].first_call) == (0, True), "a restarted process counts from the start"
        assert made[5].failure is not None
        assert "not tried" in made[5].failure.message
        assert f"exited with code {CRASH_CODE}" in made[5].failure.message

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
    def test_a_signal_is_named(self, number: signal.Signals) -> None:
        """What the system or a crash in a kernel does to the process, in the middle of a call."""
        with Host(card(hang_at=1)) as host:
            host.start()
            assert host.pid is not None
            pid = host.pid
            killer = in_the_call(host, number)
            generation = host.make(call())[0][0]
            killer.join()
        assert generation.failure is not None
        assert generation.failure.kind == "host-death"
        assert f"ended by {number.name}" in generation.failure.message
        assert generation.failure.stage == "call"
        assert gone(pid)

    def test_a_crash_that_python_can_name_is_in_the_record(self) -> None:
        """faulthandler's last words are kept, so that a segmentation fault is more than a number."""
        with Host(card(hang_at=1)) as host:
            host.start()
            assert host.pid is not None
            killer = in_the_call(host, signal.SIGSEGV)
            generation = host.make(call())[0][0]
            killer.join()
        assert generation.failure is not None
        assert "last words: Fatal Python error: Segmentation fault" in generation.failure.message

    def test_a_process_that_dies_between_calls_is_restarted_without_losing_one(self) -> None:
        """Nothing was asked of it, so nothing failed."""
        with Host(card()) as host:
            host.start()
            assert host.pid is not None
            host.make(call())
            os.kill(host.pid, signal.SIGKILL)
            while host.alive:
                time.sleep(0.01)
            assert host.make(call(seed=2))[0][0].failure is None

    def test_a_hang_is_cut_off_at_the_cards_limit(self) -> None:
        """The process is killed, the stage it hung in is named, and the next call is made."""
        with Host(card(timeout=0.5, hang_at=1)) as host:
            host.start()
            pid = host.pid
            begin = time.monotonic()
            generation = host.make(call())[0][0]
            assert time.monotonic() - begin > 0.4
            assert generation.failure is not None
            assert generation.failure.kind == "time-out"
            assert "within 0.5 s" in generation.failure.message
            assert generation.failure.stage == "call"
            assert pid is not None
            assert gone(pid)
            assert host.make(call(seed=2), timeout=600)[0][0].failure is None

    def test_a_call_may_have_a_limit_of_its_own(self) -> None:
        """`timeout` takes the place of the card's."""
        with Host(card(sleep=5.0)) as host:
            host.start()
            generation = host.make(call(), timeout=0.2)[0][0]
        assert generation.failure is not None
        assert generation.failure.kind == "time-out"


class TestLoading:
    """What `start` says when there is nothing to call."""

    def test_a_mistake_of_the_user_crosses_the_process_border_whole(self) -> None:
        """It arrives as the same UserError, with key, rule and remedy."""
        with pytest.raises(UserError, match=r"options\.latancy") as caught, Host(card(latancy=1.0)) as host:
            host.start()
        assert caught.value.where == "s.toml"
        assert "did you mean 'latency'" in caught.value.remedy

    def test_a_loading_that_takes_too_long_is_an_error_with_its_stage(self) -> None:
        """The limit holds for loading too, and nothing is left behind."""
        host = Host(card(), load_seconds=0.0)
        with pytest.raises(HostFailed) as caught:
            host.start()
        assert caught.value.failure.kind == "time-out"
        assert not host.alive


class TestOrphans:
    """No process outlives what started it."""

    def test_closing_ends_the_process(self) -> None:
        """Also when it is closed twice."""
        host = Host(card())
        host.start()
        pid = host.pid
        assert pid is not None
        host.close()
        host.close()
        assert not host.alive
        assert gone(pid)

    def test_an_exception_in_the_parent_kills_a_hanging_child_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Leaving the block does not wait for the call."""
        pid: int | None = None
        # Nobody asks the child to close, which a hanging one would not do.
        monkeypatch.setattr("swapgate.hosts.running.CLOSE_SECONDS", 1e6)
        with pytest.raises(KeyboardInterrupt), Host(card(hang_at=1, timeout=1e6)) as host:  # noqa: PT012 - the leaving is tested
            host.start()
            pid = host.pid
            in_the_call(host, signal.SIGINT, os.getpid())
            host.make(call())
        assert pid is not None
        assert gone(pid)

    def test_the_child_ignores_an_interrupt_of_the_group(self) -> None:
        """Ctrl-C reaches every process of a terminal; what it means is for the parent to decide."""
        with Host(card()) as host:
            host.start()
            assert host.pid is not None
            os.kill(host.pid, signal.SIGINT)
            time.sleep(0.1)
            assert host.make(call())[0][0].failure is None
            assert len(host.loads) == 1

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_a_parent_that_is_killed_leaves_no_child(self, number: signal.Signals) -> None:
        """Even SIGKILL, which the parent cannot answer, and even a child that hangs."""
        program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_process import call, card
from swapgate.hosts.process import Host
host = Host(card(hang_at=1))
host.start()
print(host.pid, flush=True)
host.make(call())
"""
        parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.send_signal(number)
        parent.wait(600)
        parent.stdout.close()
        assert gone(child)

    def test_a_host_that_is_forgotten_is_ended_with_the_interpreter(self) -> None:
        """Nobody closed it."""
        program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_process import call, card
from swapgate.hosts.process import Host
host = Host(card())
host.start()
print(host.pid, flush=True)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600)
        assert gone(int(done.stdout))
