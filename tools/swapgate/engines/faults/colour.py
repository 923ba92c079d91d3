"""Faults of colour, between decoding and the finished picture."""

from __future__ import annotations

from typing import Any

import torch

from swapgate.engines.faults.base import MEASURED, Fault, Moved, Passive, around


class Channels(Passive):
    """Red and blue are mixed by `amount`, and exchanged at 1."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved(measured=MEASURED)
        around(pipe.image_processor, "postprocess", self._around)

    def activity(self) -> str:
        return self.note(f"{self._moved.count} batches with channels mixed, moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved

    def _around(self, original: Any) -> Any:
        def postprocess(image: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            mixed = image + self.fault.amount * (image.flip(1) - image)
            self._moved.add(image, mixed)
            return original(mixed, *args, **kwargs)

        return postprocess
