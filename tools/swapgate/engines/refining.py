"""The pipeline behind a card's own: it draws each picture over (img2img), in whole or inside one region."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from swapgate.card_parts import Refiner
from swapgate.cards import Card
from swapgate.engines import adapting, pipelines
from swapgate.engines.diffusers_options import Options
from swapgate.engines.proofs import FeatureInactiveError
from swapgate.meters.clock import Attachment, StageClock
from swapgate.plan import REFINER_PROMPT


class Refining:
    """A loaded refiner, to be placed. Its stages are marked on the clock of the call, after those of the model before it."""

    def __init__(self, card: Card, options: Options, where: pipelines.Where) -> None:
        refiner = card.parts.refiner
        assert refiner is not None
        self._refiner: Refiner = refiner
        found = pipelines.load(pipelines.refiner_of(card), options, where)
        self._pipe, self.folder = found.pipe, found.folder
        self._pipe.set_progress_bar_config(disable=True)
        self._check(card)
        self._attachment = Attachment(self._pipe)

    @property
    def pipe(self) -> Any:
        return self._pipe

    def place(self, options: Options, where: pipelines.Where, card: Card) -> None:
        """Put the pipeline where it runs."""
        adapting.place(self._pipe, options, where, card)

    def make(self, pictures: npt.NDArray[np.float32], given: Mapping[str, Any], clock: StageClock) -> npt.NDArray[np.float32]:
        """The pictures [n, h, w, 3] in 0..1 drawn over; `given` are prompt, size and generators of the call.

        Raises:
            FeatureInactiveError: its denoiser did not run, or gave the pictures back as they were.
        """
        before = clock.forwards or 0
        self._attachment.clock = clock
        clock.between()
        try:
            arguments = {**self._refiner.call, **given, **self._mask(given), "image": _images(pictures), **self._attachment.arguments()}
            found = self._pipe(**arguments).images
        finally:
            self._attachment.clock = None
        refined = np.asarray(found, dtype=np.float32)
        if (clock.forwards or 0) == before or np.array_equal(refined, pictures):
            raise FeatureInactiveError(f"the card asks for a refiner, which did not act: {(clock.forwards or 0) - before} forwards")
        return refined

    def close(self) -> None:
        self._pipe = None

    def _mask(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if not self._refiner.region:
            return {}
        from PIL import Image

        width, height = given["width"], given["height"]
        left, top, right, bottom = self._refiner.region
        mask = np.zeros((height, width), np.uint8)
        mask[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = 255
        return {"mask_image": Image.fromarray(mask)}

    def _check(self, card: Card) -> None:
        known = inspect.signature(self._pipe.__call__).parameters
        for name in self._refiner.call:
            if name not in known:
                source = pipelines.refiner_of(card)
                raise source.wrong(f"call.{name}", self._refiner.call[name], f"an argument of {type(self._pipe).__name__}", "remove it")


def prompt_of(call: Mapping[str, Any], prompt: str) -> str:
    """The prompt that the refiner is given."""
    return str(call.get(REFINER_PROMPT, prompt))


def _images(pictures: npt.NDArray[np.float32]) -> Sequence[Any]:
    from PIL import Image

    return [Image.fromarray((one.clip(0.0, 1.0) * 255).round().astype(np.uint8)) for one in np.nan_to_num(pictures)]
