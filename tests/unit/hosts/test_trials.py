"""A trial in a process of its own: what is asked and answered, with a bundled model on the CPU."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from swapgate.cards import Card, read_card
from swapgate.engines.placements import ERROR, FITS, OUT_OF_MEMORY, PLACEMENTS, UNKNOWN, Placement, Prepared, Tried
from swapgate.engines.registry import ENGINES
from swapgate.errors import UserError
from swapgate.hosts.trials import TrialHost, _before, _lost
from swapgate.plan import Request, round_call
from swapgate.runs.records import Failure
from swapgate.tasks import choose, read_tasks

ROOT = Path(__file__).parents[3]


@pytest.fixture
def card() -> Card:
    """The bundled FLUX, of random weights, on the CPU."""
    found = read_card(ROOT / "fixtures" / "models" / "standin-flux.toml", root=ROOT, engines=ENGINES)
    return replace(found, device="cpu", weights="dry")


@pytest.fixture
def request_of_it(card: Card) -> Request:
    """Its first."""
    task = choose(read_tasks(ROOT / "fixtures" / "tasks"), card.tasks, (), where="test")[0]
    return round_call(card, task, "en", 1).first


def test_a_placement_is_prepared_and_tried_limit_after_limit(card: Card, request_of_it: Request) -> None:
    """In one process, whose figures come back whole; a second "prepare" of another placement is another process."""
    with TrialHost() as host:
        prepared = host.prepare(card, PLACEMENTS[0], request_of_it, rate=True)
        assert isinstance(prepared, Prepared)
        assert prepared.steps == dict(card.call)["num_inference_steps"]
        assert prepared.rate
        found = [host.attempt(limit, steps=2, patience=60.0, count=limit > 50, seconds=60.0) for limit in (100.0, 10.0)]
    assert [one.verdict for one in found] == [FITS, FITS]
    assert [one.flops is not None for one in found] == [True, False]
    assert all(one.made == 2 and one.seconds and one.host for one in found)


def test_a_mistake_of_the_user_comes_back_as_one(card: Card, request_of_it: Request) -> None:
    """With its place in the card."""
    with TrialHost() as host, pytest.raises(UserError, match="dry weights need") as caught:
        host.prepare(replace(card, source="nobody/nothing"), PLACEMENTS[0], request_of_it, rate=False)
    assert caught.value.key == "architecture"


def test_what_the_model_raises_becomes_a_row(card: Card, request_of_it: Request) -> None:
    """A pipeline that cannot be built, and a call that it does not take."""
    with TrialHost() as host:
        failed = host.prepare(card, PLACEMENTS[0], replace(request_of_it, call=(("num_inference_steps", "many"),)), rate=False)
    assert isinstance(failed, Tried)
    assert failed.verdict == ERROR
    assert failed.why.startswith("ValueError")


def test_a_process_that_dies_is_an_error_that_names_the_signal(card: Card, request_of_it: Request) -> None:
    """SIGKILL is also what the kernel does when host memory runs out."""
    with TrialHost() as host:
        assert isinstance(host.prepare(card, PLACEMENTS[0], request_of_it, rate=False), Prepared)
        os.kill(host._process.pid, signal.SIGKILL)
        found = host.attempt(100.0, steps=2, patience=60.0, count=False, seconds=60.0)
    assert found.verdict == ERROR
    assert "SIGKILL" in found.why
    assert "host memory" in found.why


def test_a_process_that_was_never_asked_ends() -> None:
    """The next one is started ahead, and may not be needed."""
    host = TrialHost()
    pid = host._process.pid
    host.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_memory_that_ran_out_before_there_was_a_limit_decides_nothing() -> None:
    """It is the device's own; other failures stay what they are."""
    assert _before(Tried(verdict=OUT_OF_MEMORY, why="x")).verdict == UNKNOWN
    assert _before(Tried(verdict=ERROR, why="x")) == Tried(verdict=ERROR, why="x")
    assert "host memory" not in _lost(Failure(kind="time-out", message="no answer within 3 s", stage="step 1")).why


def test_placements_travel_as_json() -> None:
    """Every field."""
    from dataclasses import asdict

    assert [Placement(**asdict(one)) for one in PLACEMENTS] == list(PLACEMENTS)
