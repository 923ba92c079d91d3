"""Faults that only batches show: text of the later images, order of what comes back."""

from __future__ import annotations

from typing import Any

import torch

from swapgate.engines.faults.base import MEASURED, Fault, Moved, Passive, around, before_forward, denoiser


class BatchText(Passive):
    """Images 2 to n of a call get the text turned by `amount` tokens: embeddings repeated in the wrong order."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved(measured=MEASURED)
        before_forward(denoiser(pipe), self._turn)

    def activity(self) -> str:
        return self.note(f"text turned in {self._moved.count} forwards of batches, moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved

    def _turn(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        text = kwargs["encoder_hidden_states"]
        if len(text) < 2:
            return kwargs
        turned = torch.cat([text[:1], text[1:].roll(int(self.fault.amount), dims=1)])
        self._moved.add(text, turned)
        changed = {**kwargs, "encoder_hidden_states": turned}
        if "pooled_projections" in kwargs:
            pooled = kwargs["pooled_projections"]
            changed["pooled_projections"] = torch.cat([pooled[:1], pooled[1:].roll(int(self.fault.amount), dims=1)])
        return changed


class BatchOrder(Passive):
    """The images of a call come back in reverse order."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._batches = 0
        around(pipe.image_processor, "postprocess", self._around)

    def activity(self) -> str:
        return self.note(f"{self._batches} batches reversed")

    def acted(self) -> bool:
        return self._batches > 0

    def _around(self, original: Any) -> Any:
        def postprocess(image: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self._batches += len(image) > 1
            return original(image.flip(0), *args, **kwargs)

        return postprocess
