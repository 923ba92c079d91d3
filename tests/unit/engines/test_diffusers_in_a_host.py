"""A real pipeline in a real process: everything between a card and a record."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from swapgate.cards import Card
from swapgate.hosts.process import Host
from swapgate.plan import Call
from swapgate.runs.records import Loaded

CardOf = Callable[..., Card]
CallOf = Callable[..., Call]


FAULTS = ("noise:0.02", "slow:1.5")  # they are in the records, and disturb nothing else that is looked at here
Running = tuple[Card, Host, Loaded]


@pytest.fixture(scope="module")
def shared(qwen_folder: Path) -> Iterator[list[Running]]:
    """The one host of this file, once it was started: starting one imports torch and diffusers."""
    started: list[Running] = []
    yield started
    for _, host, _ in started:
        host.close()


@pytest.fixture
def running(shared: list[Running], qwen_folder: Path, card_of: CardOf) -> Running:
    """Card, host and what it said when it had loaded."""
    if not shared:
        card = card_of(qwen_folder, call={"num_inference_steps": 3, "true_cfg_scale": 4.0}, faults=FAULTS)
        host = Host(card, threads=1)
        shared.append((card, host, host.start()))
    return shared[0]


def test_a_call_comes_back_with_everything_that_is_judged(running: Running, call_of: CallOf) -> None:
    """Times, memory, forwards, pixels; the second call repeats the first to the pixel."""
    card, host, loaded = running
    first, again = (host.make(call_of(card, images=2, negative=" ")) for _ in range(2))
    assert (loaded.threads, loaded.placement, loaded.dtype, loaded.attention) == (1, "cpu", "float32", "native")
    assert loaded.accelerator.startswith("cpu")
    assert len(loaded.weights) == 64
    assert loaded.seconds > 0
    assert loaded.memory.resident > 50
    generation = first[0][0]
    assert generation.failure is None
    assert generation.forwards == 6
    assert generation.times is not None
    assert len(generation.times.steps) == 3
    assert generation.times.total > sum(generation.times.steps)
    assert generation.memory is not None
    assert generation.memory.resident > 50
    assert generation.memory.held > 50
    assert [made.image for made, _ in first] == [made.image for made, _ in again]
    assert first[0][0].image != first[1][0].image
    assert first[0][1] is not None
    assert again[0][1] is not None
    assert np.array_equal(first[0][1], again[0][1])


def test_an_exception_of_the_pipeline_is_a_record(running: Running, call_of: CallOf) -> None:
    """A size that it changes in silence; the process goes on."""
    card, host, _ = running
    wrong = host.make(call_of(card, width=40, height=40))[0][0]
    right = host.make(call_of(card))[0][0]
    assert wrong.failure is not None
    assert wrong.failure.kind == "exception"
    assert "32 x 32; the request asks for 40 x 40" in wrong.failure.message
    assert right.failure is None


def test_faults_and_their_proof_are_in_the_records(running: Running, call_of: CallOf) -> None:
    """At loading and after every call."""
    card, host, loaded = running
    generation = host.make(call_of(card))[0][0]
    assert any(note.startswith("fault noise:0.02: ") and "tensors changed by 0.02" in note for note in loaded.notes)
    assert any(note.startswith("fault slow:1.5: ") and not note.startswith("fault slow:1.5: 0.0000") for note in generation.notes)


def test_a_death_in_a_step_names_the_step(running: Running, call_of: CallOf) -> None:
    """The stage is known although the process could not say it any more."""
    card, host, _ = running
    assert host._process is not None
    board, pid = host._process.board, host._process.pid

    def kill() -> None:
        while not board.read().startswith("step "):
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    generation = host.make(call_of(card, call=(("num_inference_steps", 20_000),)))[0][0]
    killer.join()
    assert generation.failure is not None
    assert generation.failure.kind == "host-death"
    assert "ended by SIGKILL" in generation.failure.message
    assert generation.failure.stage.startswith("step ")
