"""The stage clock, on a time that the test moves by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.meters.clock import Attachment, StageClock


@dataclass
class Time:
    """A clock hand, and a device whose work is only done when it is waited for."""

    now: float = 0.0
    queued: float = 0.0
    stages: list[str] = field(default_factory=list)

    def clock(self) -> StageClock:
        return StageClock(now=lambda: self.now, synchronise=self.wait, tell=self.stages.append)

    def wait(self) -> None:
        self.now += self.queued
        self.queued = 0.0


SECONDS = st.floats(0.0, 100.0)


@given(text=st.lists(SECONDS, max_size=2), before=SECONDS, steps=st.lists(SECONDS, min_size=1, max_size=5), decode=SECONDS, after=SECONDS)
def test_every_stage_gets_its_own_time(text: list[float], before: float, steps: list[float], decode: float, after: float) -> None:
    """Work that is only queued counts where it was queued, because every boundary waits for the device."""
    time = Time(now=7.0)
    clock = time.clock()
    clock.start()
    for seconds in text:
        with clock.text():
            time.queued += seconds
    time.queued += before
    for seconds in steps:
        clock.forward()
        time.queued += seconds
        clock.step_end()
    with clock.decode():
        time.queued += decode
    time.queued += after
    clock.stop()
    found = clock.times(queue=0.5)
    assert found.queue == 0.5
    assert found.text == (pytest.approx(sum(text), abs=1e-9) if text else None)
    assert found.steps == pytest.approx(tuple(steps), abs=1e-9)
    assert found.first_step == pytest.approx(sum(text) + before + steps[0], abs=1e-9)
    assert found.decode == pytest.approx(decode, abs=1e-9)
    assert found.total == pytest.approx(sum(text) + before + sum(steps) + decode + after, abs=1e-9)
    assert clock.forwards == len(steps)


def test_guided_steps_count_two_forwards() -> None:
    """A step is one step however often the denoiser runs in it."""
    clock = Time().clock()
    clock.start()
    for _ in range(3):
        clock.forward()
        clock.forward()
        clock.step_end()
    clock.stop()
    assert clock.forwards == 6
    assert len(clock.times(queue=0.0).steps) == 3


def test_stages_nobody_marked_are_none_and_not_zero() -> None:
    """An engine behind a server sees only the whole call."""
    clock = StageClock()
    clock.start()
    clock.stop()
    found = clock.times(queue=0.0)
    assert (found.text, found.first_step, found.steps, found.decode, clock.forwards) == (None, None, (), None, None)
    assert found.total >= 0


def test_a_new_call_forgets_the_one_before() -> None:
    """Nothing of call 1 is in the figures of call 2."""
    time = Time()
    clock = time.clock()
    clock.start()
    with clock.text():
        time.now += 5
    clock.forward()
    clock.step_end()
    clock.stop()
    clock.start()
    time.now += 1
    clock.stop()
    found = clock.times(queue=0.0)
    assert (found.text, found.steps, found.total) == (None, (), 1)
    assert clock.forwards is None


def test_times_of_a_running_call_are_refused() -> None:
    """A call that failed has no times."""
    clock = StageClock()
    clock.start()
    with pytest.raises(RuntimeError, match="not stopped"):
        clock.times(queue=0.0)


def test_every_stage_is_announced_before_it_begins() -> None:
    """So that a death in it can be named."""
    time = Time()
    clock = time.clock()
    time.stages.clear()
    clock.start()
    with clock.text():
        assert time.stages[-1] == "text encoding"
    clock.forward()
    assert time.stages[-1] == "step 1"
    clock.step_end()
    assert time.stages[-1] == "step 2"
    with clock.decode():
        assert time.stages[-1] == "decoding"
    assert time.stages == ["call", "text encoding", "step 1", "step 2", "decoding"]


class Module:
    """A denoiser that calls hooks as torch does."""

    def __init__(self) -> None:
        self._hooks: list[Callable[[Any, Any], None]] = []

    def register_forward_pre_hook(self, hook: Callable[[Any, Any], None]) -> None:
        self._hooks.append(hook)

    def __call__(self) -> None:
        for hook in self._hooks:
            hook(self, ())


class Decoder:
    """A VAE."""

    def decode(self, latents: int, return_dict: bool = True) -> int:
        return latents + 1


class Pipe:
    """A pipeline with every stage, which takes a second for each."""

    def __init__(self, time: Time) -> None:
        self._time, self.transformer, self.vae = time, Module(), Decoder()

    def encode_prompt(self, prompt: str) -> str:
        self._time.now += 1
        return prompt.upper()

    def __call__(self, steps: int, callback_on_step_end: Any = None) -> tuple[str, int]:
        prompt = self.encode_prompt("a")
        for step in range(steps):
            self.transformer()
            self._time.now += 1
            if callback_on_step_end is not None:
                assert callback_on_step_end(self, step, 0, {}) == {}
        return prompt, self.vae.decode(1, return_dict=False)


class BarePipe:
    """A pipeline without anything to hold on to."""

    def __call__(self) -> int:
        return 7


def test_attachment_sees_a_pipeline_without_changing_what_it_does() -> None:
    """Results pass through, stages are marked."""
    time = Time()
    pipe = Pipe(time)
    attachment = Attachment(pipe)
    clock = time.clock()
    attachment.clock = clock
    clock.start()
    assert pipe(3, **attachment.arguments()) == ("A", 2)
    clock.stop()
    found = clock.times(queue=0.0)
    assert (found.text, found.first_step, found.steps, found.total, clock.forwards) == (1, 2, (1, 1, 1), 4, 3)
    assert found.decode == 0


def test_attachment_is_silent_outside_a_call() -> None:
    """Warm-ups and other users of the pipeline are not timed."""
    time = Time()
    pipe = Pipe(time)
    attachment = Attachment(pipe)
    assert pipe(2, **attachment.arguments()) == ("A", 2)


def test_attachment_to_a_pipeline_with_nothing_to_see_gives_the_total_only() -> None:
    """It must not fail on a pipeline of another make."""
    pipe = BarePipe()
    attachment = Attachment(pipe)
    assert attachment.arguments() == {}
    clock = attachment.clock = StageClock()
    clock.start()
    assert pipe(**attachment.arguments()) == 7
    clock.stop()
    assert clock.times(queue=0.0).steps == ()
