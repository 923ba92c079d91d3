"""One placement of one card, tried under hard limits: does an image come out, with which peaks, at how many seconds a step.

The pipeline is assembled on the host with no limit set: dry weights are drawn on the device component by component, quantised there, and moved
off it. Only then is the limit set and the pipeline placed, so that what does not fit fails with torch.OutOfMemoryError, and what fits has made an
image. Limits are tried from the largest down, since a pipeline is sound under a smaller one only while none has failed.
"""

from __future__ import annotations

import gc
import inspect
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch

from swapgate.bundled import place
from swapgate.cards import Card
from swapgate.engines import pipelines
from swapgate.engines.base import is_out_of_memory
from swapgate.engines.diffusers import DiffusersEngine
from swapgate.engines.diffusers_options import read_options
from swapgate.engines.dry.architectures import of_source
from swapgate.engines.floor import Inputs, matmul_rate
from swapgate.engines.placements import ERROR, FITS, HOST_MEMORY, OUT_OF_MEMORY, UNKNOWN, Placement, Prepared, Tried, placed
from swapgate.engines.registry import Setting
from swapgate.errors import UserError
from swapgate.meters.bound import Bound, CudaBound, NoBound, TooSmallError
from swapgate.meters.clock import StageClock
from swapgate.meters.host_free import host_free_mib
from swapgate.meters.memory import MIB, resident_now
from swapgate.plan import Call, Request
from swapgate.runs.environment import versions
from swapgate.runs.records import Memory

STEPS = "num_inference_steps"
LEAST_STEPS = 2
SPARE_MIB = 2048.0
"""Host memory that is left alone: what libraries take while a pipeline is called."""
TURNS = 3
_PACKAGES = ("accelerate", "bitsandbytes", "diffusers", "torch", "transformers")
_NF4_SHARE = 0.35
"""Of bfloat16: 4 bits of 16, scales, and layers that stay as they are."""


class HostMemoryError(MemoryError):
    """The host has too little memory for a component."""


class Trial:
    """A placement of a card: `prepare` once, then `attempt` with smaller and smaller limits, while they fit.

    Args:
        card: with the device that it is to run on.
        request: the image to make.
        bound: what limits this process's device memory; the device's own by default.
        host_free: MiB that the host can still give.
        tell: is told what is being done.
    """

    def __init__(
        self,
        card: Card,
        placement: Placement,
        request: Request,
        *,
        bound: Bound | None = None,
        host_free: Callable[[], float] = host_free_mib,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        if card.device == "cuda" and not torch.cuda.is_available():
            raise no_device()
        self._placement, self._request, self._host_free, self._tell = placement, request, host_free, tell
        self._card = placed(card, placement, _components(card))
        self._engine = DiffusersEngine(self._card, read_options(self._card), Setting())
        self._device = self._engine.where.device
        self._bound: Bound = bound or (CudaBound(self._device) if self._device.type == "cuda" else NoBound())
        self._meters = self._engine.meters()
        self._inputs: Inputs | None = None
        self._placed = False

    def prepare(self, *, rate: bool = False) -> Prepared:
        """Assemble the pipeline on the host; rate: measure matrix products first.

        Raises:
            UserError: what the user can mend.
            HostMemoryError: it does not fit into the host's memory.
        """
        begin = time.perf_counter()
        self._tell("measuring matrix products" if rate else "assembling")
        measured = matmul_rate(self._device, self._engine.where.dtype) if rate else None
        if not self._card.dry:
            self._room_for_files()
        self._engine.assemble(on_host=True, each=self._room_for)
        _let_go(self._device)
        return Prepared(
            seconds=time.perf_counter() - begin,
            host_mib=resident_now(),
            steps=self._whole(),
            device=self._meters.device_name,
            dtype=str(self._engine.where.dtype).removeprefix("torch."),
            total_mib=self._bound.total,
            reserve_mib=self._bound.reserve,
            rate=measured,
            versions=versions(_PACKAGES),
            notes=(self._bound.note, *self._meters.notes),
        )

    def attempt(self, limit: float, *, steps: int, patience: float, count: bool = False) -> Tried:
        """One image under `limit` MiB of device memory.

        Args:
            limit: of the whole process.
            steps: how many to make, at least 2; all of them where a refiner follows or a cache makes steps unequal.
            patience: seconds after which no further step is begun, once there are two.
            count: count the FLOPs of a step afterwards.
        """
        for _ in range(TURNS):
            tried = self._attempt(limit, steps, patience, count=count)
            if tried.verdict != FITS or tried.process is None or tried.process <= limit:
                return replace(tried, flops=self._count()) if count and tried.verdict == FITS else tried
            # Libraries took memory of their own meanwhile (kernels are loaded when they are first used): once more, with less for torch.
        return replace(tried, verdict=UNKNOWN, why=f"the process held {tried.process:.0f} MiB, more than the limit, {TURNS} times")

    def _attempt(self, limit: float, steps: int, patience: float, *, count: bool) -> Tried:
        clock = _Clock(self._engine, patience, now=self._meters.now, synchronise=self._meters.synchronise, tell=self._at)
        host, allowed = 0.0, None
        try:
            self._at("clearing the device")
            self._clear()
            self._meters.memory.begin()
            allowed = self._bound.set(limit)
            self._place()
            if self._placement.whole:
                host, allowed = self._warm(limit)
            if count and self._inputs is None:
                self._inputs = Inputs(self._engine.pipe, lambda: clock.made == 0)
            clock.start()
            self._engine.make(self._call(self._planned(steps)), clock)
            clock.stop()
            memory, beside = self._measured(), self._bound.beside()
        except Exception as error:  # whatever is raised under a limit is what was asked for
            traceback.clear_frames(error.__traceback__)
            return self._failed(error, limit, allowed)
        finally:
            self._bound.lift()
        found = self._made(clock, memory, beside, allowed)
        return replace(found, host=max(host, memory.resident or 0.0))

    def _place(self) -> None:
        """What is offloaded lies on the host between calls, hooked up: it is placed once."""
        if self._placement.whole or not self._placed:
            self._at("placing")
            self._engine.place()
            self._placed = True

    def _clear(self) -> None:
        if self._placed and self._placement.whole:
            self._engine.to_host()
        _let_go(self._device)

    def _warm(self, limit: float) -> tuple[float, float]:
        """A first, short image: it loads kernels, whose memory counts from then on. Gives the peak of host memory, and what torch is allowed now."""
        self._at("first image")
        self._engine.make(self._call(min(LEAST_STEPS, self._whole())), StageClock(tell=self._at))
        peak = self._measured().resident or 0.0
        _let_go(self._device)
        self._meters.memory.begin()
        return peak, self._bound.set(limit)

    def _measured(self) -> Memory:
        found = self._meters.memory.end()
        assert found is not None  # a model in this process is always measured
        return found

    def _made(self, clock: _Clock, memory: Memory, beside: float, allowed: float) -> Tried:
        times = clock.times(queue=0.0)
        assert times is not None  # nothing voids a call of this process
        return Tried(
            verdict=FITS,
            steps=self._whole(),
            allowed=allowed,
            allocated=memory.allocated,
            reserved=memory.reserved,
            process=None if memory.reserved is None else memory.reserved + beside,
            beside=beside,
            text=times.text,
            each_step=times.steps,
            decode=times.decode,
            total=times.total,
            offload=self._placement.offload,
            stopped=clock.stopped,
            notes=self._engine.notes(),
        )

    def _failed(self, error: Exception, limit: float, allowed: float | None) -> Tried:
        verdict, why = verdict_of(error), said(error)
        if verdict == OUT_OF_MEMORY and allowed is not None:
            free = self._bound.free()
            if (self._bound.total or limit) < limit:
                verdict, why = UNKNOWN, f"the device itself has only {self._bound.total:.0f} MiB: {why}"
            elif free < allowed:
                verdict, why = UNKNOWN, f"others hold memory of the device, {free:.0f} MiB are left of {allowed:.0f}: {why}"
        memory: Memory | None = None
        with suppress(RuntimeError):  # a lost device tells nothing
            memory = self._meters.memory.end()
        return Tried(
            verdict=verdict,
            why=why,
            stage=self._stage,
            steps=self._whole(),
            allowed=allowed,
            allocated=memory.allocated if memory else None,
            reserved=memory.reserved if memory else None,
            host=memory.resident if memory else None,
            offload=self._placement.offload,
        )

    def _count(self) -> float | None:
        """FLOPs of one step."""
        assert self._inputs is not None
        self._at("counting FLOPs")
        try:
            return self._inputs.flops()
        finally:
            if self._placement.offload == "model":
                self._engine.pipe.maybe_free_model_hooks()  # a forward of its own leaves the denoiser on the device

    def _planned(self, steps: int) -> int:
        unequal = self._card.parts.refiner is not None or bool(self._card.options.get("cache"))
        return self._whole() if unequal else min(max(steps, LEAST_STEPS), self._whole())

    def _whole(self) -> int:
        """Steps of a whole image."""
        given: Mapping[str, Any] = dict(self._request.call)
        parameter = inspect.signature(self._engine.pipe.__call__).parameters.get(STEPS)
        return int(given.get(STEPS, parameter.default if parameter else 1))

    def _call(self, steps: int) -> Call:
        return Call(requests=(replace(self._request, call=tuple(sorted({**dict(self._request.call), STEPS: steps}.items()))),))

    def _at(self, stage: str) -> None:
        self._stage = stage
        self._tell(stage)

    def _room_for(self, name: str, model: torch.nn.Module) -> None:
        """HostMemoryError when a component that lies on the device cannot be moved off it."""
        if self._device.type == "cuda":
            self._room(name, sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers())) / MIB)

    def _room_for_files(self) -> None:
        source, options = pipelines.source_of(self._card), read_options(self._card)
        folder = pipelines.folder_of(source, options, pipelines.pipeline_class(source))
        size = sum(file.stat().st_size for file in Path(folder).glob("*/*.safetensors")) / MIB
        self._room("reading the weights", size * (_NF4_SHARE if self._placement.method == "nf4" else 1.0))

    def _room(self, what: str, need: float) -> None:
        free = self._host_free()
        if free < need + SPARE_MIB:
            raise HostMemoryError(
                f"{what} needs {need / 1024:.1f} GiB of host memory and {SPARE_MIB / 1024:.0f} to spare; {free / 1024:.1f} are free"
            )


class _Clock(StageClock):
    """Begins no further step once there are two and they took `patience` seconds, where the pipeline can be interrupted."""

    def __init__(self, engine: DiffusersEngine, patience: float, **given: Any) -> None:
        self._engine, self._patience, self.stopped = engine, patience, False
        super().__init__(**given)

    @property
    def made(self) -> int:
        return len(self._steps)

    def step_end(self) -> None:
        super().step_end()
        if self.made >= LEAST_STEPS and sum(self._steps) > self._patience and hasattr(self._engine.pipe, "_interrupt"):
            self._engine.pipe._interrupt = self.stopped = True  # noqa: SLF001 - how a pipeline is stopped from its callback


def verdict_of(error: Exception) -> str:
    """What an exception under a limit says. Only torch's own error is the limit's; other words of memory are the host's, or CUDA's own."""
    if isinstance(error, (torch.OutOfMemoryError, TooSmallError)):
        return OUT_OF_MEMORY
    return HOST_MEMORY if is_out_of_memory(error) and "cuda" not in str(error).lower() else ERROR


def said(error: Exception, limit: int = 240) -> str:
    """An exception in a line; of torch's advice on memory only the facts."""
    if isinstance(error, UserError):
        return f"{error.rule}; {error.remedy}"
    text = " ".join(str(error).split()).partition(" If reserved but unallocated")[0].partition(" See documentation")[0]
    text = f"{type(error).__name__}: {text}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def no_device() -> UserError:
    """The error of a machine without a GPU."""
    return UserError(
        where="swapgate probe",
        rule="it emulates smaller cards on a CUDA device, and torch sees none here",
        remedy="run it on a machine with an NVIDIA GPU that is larger than the cards asked about",
    )


def _components(card: Card) -> tuple[str, ...]:
    source = pipelines.source_of(card)
    known = of_source(source.name, source.architecture) if card.dry and not place(card.root, source.name).is_dir() else None
    if known is not None:
        return tuple(known.parts)
    index = diffusers.DiffusionPipeline.load_config(pipelines.folder_of(source, read_options(card), pipelines.pipeline_class(source)))
    return tuple(name for name, value in index.items() if isinstance(value, list) and value[0] is not None)


def _let_go(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
