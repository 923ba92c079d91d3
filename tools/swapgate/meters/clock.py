"""The stage clock: where the wall time of one pipeline call goes, measured at points where the device is idle.

A CUDA call returns before its work is done, so every stage boundary first waits for the device; the figures are then
those of the work and not of the queueing. Stages: text encoding, each denoising step, decoding, the whole call.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from swapgate.meters.kinds import nothing
from swapgate.runs.records import Times


def _unseen(_: str) -> None:
    """For clocks whose stage nobody watches."""


class StageClock:
    """Times one call at a time: `start`, stage marks, `stop`; then `times` and `forwards`.

    Args:
        now: seconds of a monotonic clock.
        synchronise: waits until the device is idle.
        tell: is told the name of every stage when it begins, so that it is known where a call died.
    """

    def __init__(
        self, *, now: Callable[[], float] = time.perf_counter, synchronise: Callable[[], None] = nothing, tell: Callable[[str], None] = _unseen
    ) -> None:
        self._now, self._synchronise, self._tell = now, synchronise, tell
        self.start()

    def start(self) -> None:
        """Begin a call; forgets the one before."""
        self._text = self._decode = self._first_step = self._total = self._mark = None  # type: float | None
        self._steps: list[float] = []
        self._forwards: int | None = None
        self._waits = self._void = False
        self._tell("call")
        self._start = self._idle_now()

    def stop(self) -> None:
        """End the call; what an engine does after it stopped the clock itself is not part of it."""
        if self._total is None:
            self._total = self._idle_now() - self._start

    @contextmanager
    def text(self) -> Iterator[None]:
        """Around an encoding of prompts; several (positive, negative) add up."""
        self._tell("text encoding")
        begin = self._idle_now()
        yield
        self._text = (self._text or 0.0) + self._idle_now() - begin

    @contextmanager
    def decode(self) -> Iterator[None]:
        """Around a decoding; several add up."""
        self._tell("decoding")
        begin = self._idle_now()
        yield
        self._decode = (self._decode or 0.0) + self._idle_now() - begin

    def forward(self) -> None:
        """The denoiser is about to run once; the first time begins the first step."""
        if self._forwards is None or self._waits:
            self._forwards = self._forwards or 0
            self._tell(f"step {len(self._steps) + 1}")
            self._mark, self._waits = self._idle_now(), False
        self._forwards += 1

    def step_begin(self) -> None:
        """The next step begins, of a denoiser that tells its steps and not its forwards."""
        self._tell(f"step {len(self._steps) + 1}")
        self._mark, self._waits = self._idle_now(), False

    def count(self, forwards: int) -> None:
        """The denoiser has run so many times more, without a mark of its own."""
        self._forwards = (self._forwards or 0) + forwards

    def void(self) -> None:
        """What was timed was not the work: the call has no times."""
        self._void = True

    def between(self) -> None:
        """Another denoiser follows: what is before its first forward belongs to no step."""
        self._mark, self._waits = None, True

    def step_end(self) -> None:
        """A denoising step has ended, and the next begins."""
        moment = self._idle_now()
        self._steps.append(moment - (self._start if self._mark is None else self._mark))
        self._mark = moment
        if self._first_step is None:
            self._first_step = moment - self._start
        self._tell(f"step {len(self._steps) + 1}")

    @property
    def forwards(self) -> int | None:
        """How often the denoiser ran in this call; None when that could not be seen."""
        return self._forwards

    def times(self, *, queue: float) -> Times | None:
        """The stages of the call that was stopped, in seconds, None where they are void; `queue` is what the host waited before it."""
        if self._total is None:
            raise RuntimeError("the clock was not stopped")
        if self._void:
            return None
        return Times(queue=queue, text=self._text, first_step=self._first_step, steps=tuple(self._steps), decode=self._decode, total=self._total)

    def _idle_now(self) -> float:
        self._synchronise()
        return self._now()


class Attachment:
    """Marks of a diffusers pipeline's stages on whatever clock is set; wraps the pipeline once, when it is made.

    Text is `encode_prompt`, forwards are calls of `transformer` (or `unet`), steps end at `callback_on_step_end`,
    decoding is `vae.decode`. A stage that a pipeline does not have stays None. Set `clock` for the time of a call.
    """

    def __init__(self, pipe: Any) -> None:
        self.clock: StageClock | None = None
        if callable(getattr(pipe, "encode_prompt", None)):
            pipe.encode_prompt = self._timed(pipe.encode_prompt, "text")
        vae = getattr(pipe, "vae", None)
        if vae is not None and callable(getattr(vae, "decode", None)):
            vae.decode = self._timed(vae.decode, "decode")
        denoiser = getattr(pipe, "transformer", None) or getattr(pipe, "unet", None)
        if denoiser is not None:
            denoiser.register_forward_pre_hook(self._forward)
        self.sees_steps = "callback_on_step_end" in inspect.signature(pipe.__call__).parameters

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments that the pipeline's call needs so that steps are seen."""
        return {"callback_on_step_end": self._step_end} if self.sees_steps else {}

    def _timed(self, original: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self.clock is None:
                return original(*args, **kwargs)
            with getattr(self.clock, stage)():
                return original(*args, **kwargs)

        # Some pipelines look at the signatures of what they call.
        timed.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
        return timed

    def _forward(self, _module: Any, _args: Any) -> None:
        if self.clock is not None:
            self.clock.forward()

    def _step_end(self, _pipe: Any, _step: int, _timestep: Any, _tensors: dict[str, Any]) -> dict[str, Any]:
        if self.clock is not None:
            self.clock.step_end()
        return {}
