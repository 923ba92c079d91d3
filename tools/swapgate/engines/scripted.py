"""The scripted engine: deterministic pictures, times and memory without a model, so that everything else can be tested.

Times and memory are what the card's options say, reported through the same meters as those of a real engine: its
clock is virtual and moves only when the script says so. Pictures come from `scripted_pictures`. Options are in
`scripted_options`. No torch; an image of 256 x 256 takes about a millisecond.
"""

from __future__ import annotations

import hashlib
import time

import numpy as np

from swapgate.canonical import digest
from swapgate.cards import Card
from swapgate.engines.base import Identity
from swapgate.engines.faults import note
from swapgate.engines.registry import Setting
from swapgate.engines.scripted_misfortunes import WHEN, befall
from swapgate.engines.scripted_options import Options, acts, read_options
from swapgate.engines.scripted_pictures import draw
from swapgate.meters.clock import StageClock
from swapgate.meters.kinds import Meters
from swapgate.plan import Call, Request
from swapgate.runs.pixels import Pixels
from swapgate.runs.records import Memory

_TEXT, _DECODE = 0.05, 0.10  # shares of the latency; the rest is denoising
_OTHER = "a completely different subject: seven purple umbrellas"


def create(card: Card, setting: Setting) -> Scripted:
    """The scripted engine of a card. UserError for an option that it does not have."""
    return Scripted(card, read_options(card), setting)


class Scripted:
    """See the module."""

    def __init__(self, card: Card, options: Options, setting: Setting) -> None:
        self._card, self._options, self._setting = card, options, setting
        self._made = self._asked = 0
        self._first: dict[tuple[str, str], str] = {}  # what each task was first asked with, by task and language
        self._time = 0.0

    def load(self) -> None:
        """There is nothing to load."""

    def identity(self) -> Identity:
        weights = hashlib.sha256(self._options.weights.encode()).hexdigest()
        return Identity(
            weights=weights, placement="scripted", dtype=self._card.dtype.get("cpu", "float32"), attention="none", threads=self._setting.threads or 1
        )

    def meters(self) -> Meters:
        """A virtual clock and virtual memory."""
        slug = self._options.accelerator
        return Meters(memory=_ScriptedMemory(self), accelerator=slug, device_name=f"scripted ({slug})", now=lambda: self._time)

    def make(self, call: Call, clock: StageClock) -> list[Pixels]:
        self._misbehave(len(call.requests))
        if self._options.sleep:
            time.sleep(self._options.sleep)
        self._spend(call, clock)
        pictures = [self._picture(request) for request in call.requests]
        self._made += len(pictures)
        return pictures

    def notes(self) -> tuple[str, ...]:
        return tuple(note(f"{spec}: scripted", acted=acts(spec)) for spec in self._card.faults)

    def close(self) -> None:
        """There is nothing to let go of."""

    def memory(self) -> Memory:
        """What the script says of memory after the images made so far."""
        held = self._options.memory_mib / 2 + self._options.leak_mib * self._made
        peak = self._options.memory_mib + self._options.leak_mib * self._made
        if self._options.accelerator.startswith("cpu"):
            return Memory(allocated=None, reserved=None, process=None, resident=peak, held=held)
        return Memory(allocated=peak, reserved=peak * 1.1, process=peak * 1.2, resident=512.0, held=held)

    def _misbehave(self, images: int) -> None:
        # Numbered by what was asked and not by what was made: an image that failed is not tried again.
        first = self._setting.images_before + self._asked + 1
        self._asked += images
        numbers = set(range(first, first + images))
        befall([name for name in WHEN if numbers & self._options.at(name)])

    def _spend(self, call: Call, clock: StageClock) -> None:
        options, first = self._options, call.first
        factor = 1.0
        if options.latency_noise:
            factor = float(np.exp(options.latency_noise * self._random("latency", first, options.noise_seed).standard_normal()))
        seconds = options.latency * len(call.requests) * factor
        if not self._made:
            self._time += options.first_call_extra
        with clock.text():
            self._time += seconds * _TEXT
        arguments = dict(first.call)
        steps = int(arguments.get("num_inference_steps", options.steps))
        guided = first.negative_prompt is not None and not options.no_guidance
        for _ in range(steps):
            for _ in range(2 if guided else 1):
                clock.forward()
            self._time += seconds * (1 - _TEXT - _DECODE) / steps * options.slow
            clock.step_end()
        with clock.decode():
            self._time += seconds * _DECODE

    def _picture(self, request: Request) -> Pixels:
        options = self._options
        width = request.width + (16 if options.wrong_size else 0)
        chance = self._random("picture", request).random(4)
        if chance[0] < options.black:
            return np.zeros((request.height, width, 3), dtype=np.uint8)
        if chance[1] < options.blank:
            return np.full((request.height, width, 3), 128, dtype=np.uint8)
        wrong = chance[2] < options.wrong_prompt or (bool(request.edits) and chance[3] < options.wrong_rewording)
        wrong = wrong or options.broken_by(request.prompt)
        picture = draw(_OTHER if wrong else self._heard(request), request.image_seed, width, request.height)
        return self._spoiled(picture, request)

    def _heard(self, request: Request) -> str:
        """The prompt that is drawn."""
        first = self._first.setdefault((request.task, request.language), request.prompt)
        deaf = self._options.deaf == "meaning" or (self._options.deaf == "wording" and bool(request.edits))
        return first if deaf else request.prompt

    def _spoiled(self, picture: Pixels, request: Request) -> Pixels:
        if self._options.blur:
            from PIL import Image, ImageFilter

            picture = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(self._options.blur)))
        if self._options.noise:
            share = self._options.noise
            random = self._random("noise", request).integers(0, 256, picture.shape)
            picture = (picture * (1 - share) + random * share).round().astype(np.uint8)
        return picture

    def _random(self, purpose: str, request: Request, *more: int) -> np.random.Generator:
        # Of everything that names the request and the model: the same run gives the same draws, a repeat gives others.
        return np.random.default_rng(int(digest([purpose, request.as_json(), self._options.weights, *more])[:16], 16))


class _ScriptedMemory:
    """The meter of a scripted engine's virtual memory."""

    def __init__(self, engine: Scripted) -> None:
        self._engine = engine

    def begin(self) -> None:
        """Nothing to reset: the script knows."""

    def end(self) -> Memory:
        return self._engine.memory()

    def so_far(self) -> float:
        found = self.end()
        return found.resident if found.allocated is None else found.allocated
