"""Writing beside generating: order, what a flush promises, and that nothing is lost in silence."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from swapgate.plan import Call, Request
from swapgate.runs.folder import RunFolder
from swapgate.suite.generate import Work, generate
from swapgate.suite.progress import Silent
from swapgate.suite.writer import DEPTH, Writer


def made(number: int) -> Any:
    """What stands for the results of a call: a writer only hands it on."""
    return [(number, None)]


def test_a_writer_keeps_the_order_and_is_done_after_a_flush() -> None:
    """Slow and quick ones alike, in a thread that is not the caller's."""
    written: list[int] = []
    threads = set()

    def write(results: Any) -> None:
        time.sleep(0.01 if results[0][0] % 2 else 0)
        written.append(results[0][0])
        threads.add(threading.current_thread().name)

    with Writer(write, beside=True) as writer:
        for number in range(3 * DEPTH):
            writer.put(made(number))
        writer.flush()
        assert written == list(range(3 * DEPTH))
    assert threads == {"swapgate-writer"}


def test_a_writer_that_is_not_beside_writes_before_it_returns() -> None:
    """No thread is started: the model runs on this machine's processor."""
    written: list[str] = []
    before = threading.active_count()
    with Writer(lambda results: written.append(threading.current_thread().name)) as writer:
        writer.put(made(0))
        assert written == [threading.current_thread().name]
        assert threading.active_count() == before


def test_putting_does_not_wait_for_the_writing() -> None:
    """Only for room: a disk that cannot follow holds up the model before memory runs out."""
    gate = threading.Event()
    with Writer(lambda results: (gate.wait(10), None)[1], beside=True) as writer:
        begin = time.perf_counter()
        for number in range(DEPTH):
            writer.put(made(number))
        assert time.perf_counter() - begin < 1
        blocked = threading.Thread(target=lambda: [writer.put(made(number)) for number in range(2)])
        blocked.start()
        blocked.join(0.2)
        assert blocked.is_alive()
        gate.set()
        blocked.join(10)
        assert not blocked.is_alive()


@pytest.mark.parametrize("told", ["put", "flush", "end"])
def test_what_cannot_be_written_ends_the_run_with_its_own_error(told: str) -> None:
    """And nothing that came later is written: the journal has no hole."""
    written: list[int] = []

    def write(results: Any) -> None:
        if results[0][0] == 1:
            raise OSError(28, "No space left on device")
        written.append(results[0][0])

    def run() -> None:
        with Writer(write, beside=True) as writer:
            for number in range(3):
                writer.put(made(number))
            while told == "put":
                writer.put(made(9))
            if told == "flush":
                writer.flush()
                raise AssertionError("a flush that lost an image returned")

    with pytest.raises(OSError, match="No space left"):
        run()
    assert written == [0]


def test_an_interruption_writes_what_waits_and_stays_an_interruption() -> None:
    """What was made is kept; the writer's own trouble is added to what ended the run and does not hide it."""
    written: list[int] = []

    def interrupted(fail: bool) -> None:
        def write(results: Any) -> None:
            time.sleep(0.01)
            if fail:
                raise OSError("disk")
            written.append(results[0][0])

        with Writer(write, beside=True) as writer:
            for number in range(5):
                writer.put(made(number))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted(fail=False)
    assert written == [0, 1, 2, 3, 4]
    with pytest.raises(KeyboardInterrupt) as found:
        interrupted(fail=True)
    assert found.value.__notes__ == ["and the last images could not be kept: disk"]


CALLS, SLEEP, ENCODING = 8, 0.06, 0.05


def calls_of(model: str) -> tuple[Call, ...]:
    asked: dict[str, Any] = {"model": model, "task": "cup", "language": "en", "index": 0, "prompt": "a cup", "negative_prompt": None, "call": ()}
    return tuple(Call(requests=(Request(seed=seed, width=32, height=32, **asked),)) for seed in range(CALLS))


@pytest.mark.parametrize("accelerator", ["nvidia-h200", "cpu-epyc"])
def test_only_an_accelerators_calls_do_not_wait_for_the_encoding(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accelerator: str
) -> None:
    """On a CPU the encoder would disturb the next call's time, so there the calls wait; the journal is the same."""
    bench.card("toy", accelerator=accelerator, sleep=SLEEP)
    card = bench.open(models=("toy",)).setup.models[0]
    run = RunFolder.create(tmp_path / "run", {"plan": []})
    save, active = RunFolder.save_image, []

    def slow(self: RunFolder, pixels: Any) -> str:
        time.sleep(ENCODING)
        active.append(threading.current_thread().name)
        return save(self, pixels)

    monkeypatch.setattr(RunFolder, "save_image", slow)
    calls = calls_of("toy")
    begin = time.perf_counter()
    generate(run, [Work(card=card, rounds=(calls,), planned=CALLS, done=0)], Silent(), after=lambda hosts: None)
    seconds = time.perf_counter() - begin
    beside = accelerator.startswith("nvidia")
    assert (set(active) == {"swapgate-writer"}) is beside
    assert seconds >= CALLS * SLEEP + (ENCODING if beside else CALLS * ENCODING)
    if beside:
        assert seconds < CALLS * (SLEEP + ENCODING) - 2 * ENCODING
    assert [event["generation"]["request"] for event in run.events() if event["event"] == "generation"] == [call.first.key for call in calls]
    assert all(run.image_path(one.image).is_file() for one in run.generations().values() if one.image)


def test_everything_is_on_disk_before_a_look_and_before_the_hosts_are_asked_more(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that asks for it sees every image of its round; what is asked `after` sees all."""
    bench.card("toy", accelerator="nvidia-h200")
    card = bench.open(models=("toy",)).setup.models[0]
    run = RunFolder.create(tmp_path / "run", {"plan": []})
    save, calls = RunFolder.save_image, calls_of("toy")
    monkeypatch.setattr(RunFolder, "save_image", lambda self, pixels: (time.sleep(0.02), save(self, pixels))[1])
    seen = []

    def look(number: int, flush: Any) -> Any:
        flush()
        seen.append(len(run.generations()))
        return lambda model, call: True

    rounds = (calls[:3], calls[3:])
    generate(
        run, [Work(card=card, rounds=rounds, planned=CALLS, done=0)], Silent(), after=lambda hosts: seen.append(len(run.generations())), look=look
    )
    assert seen == [3, CALLS, CALLS]


def test_an_interrupted_run_on_an_accelerator_keeps_what_was_made_and_is_resumed_without_a_hole(bench: Any) -> None:
    """Images that waited to be written are written; the rest is made once."""
    bench.card("toy", accelerator="nvidia-h200")
    bench.hosts.interrupt_after = 5
    suite = bench.open()
    with pytest.raises(KeyboardInterrupt):
        suite.ensure("toy")
    assert len(suite.run.generations()) == 5
    suite.run.close()
    bench.hosts.interrupt_after = None
    bench.whole(resume=bench.root / "here")
    keys = [key for _, key in bench.hosts.asked]
    assert len(keys) == len(set(keys))


def test_a_full_disk_ends_the_run_with_its_own_error(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with a missing image that a gate finds later."""
    bench.card("toy", accelerator="nvidia-h200")

    def full(self: RunFolder, pixels: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "save_image", full)
    with pytest.raises(OSError, match="No space left"):
        bench.open().ensure("toy")
