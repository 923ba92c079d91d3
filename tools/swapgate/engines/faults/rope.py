"""Faults of the denoiser's rotary positions. Works on a `pos_embed` with tables (QwenImage) or without (Flux).

QwenImage memoises its tables by module, so a damaged copy of the module takes the place of the old one; a table that is
changed after a first forward would change nothing.
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from swapgate.engines.faults.base import MEASURED, Fault, Moved, Passive, before_forward, denoiser
from swapgate.engines.faults.weights import few_bits


class Theta(Passive):
    """The base of the frequencies is `amount` (10,000 is usual): it was not passed on."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved(measured=MEASURED)
        module = denoiser(pipe)
        self._original = module.pos_embed
        rope = copy.deepcopy(self._original)
        rope.theta = fault.amount
        if hasattr(rope, "pos_freqs"):
            rope.pos_freqs, rope.neg_freqs = self._table(rope, rope.pos_freqs, 1), self._table(rope, rope.neg_freqs, -1)
        module.pos_embed = rope
        rope.register_forward_hook(self._compare, with_kwargs=True)

    def activity(self) -> str:
        return self.note(f"{self._moved.count} tables changed, largest difference {self._moved.largest:.4f}")

    def acted(self) -> bool:
        return self._moved.moved

    def _table(self, rope: Any, old: torch.Tensor, sign: int) -> torch.Tensor:
        count = len(old)
        index = torch.arange(count) if sign > 0 else torch.arange(count).flip(0) * -1 - 1
        return torch.cat([rope.rope_params(index, width, self.fault.amount) for width in rope.axes_dim], dim=1).to(old.device)

    def _compare(self, _module: Any, args: Any, kwargs: Any, output: Any) -> None:
        if self._moved.count < MEASURED:
            for before, after in zip(self._original(*args, **kwargs), output, strict=True):
                self._moved.add(before, after)


class Offset(Passive):
    """Rows and columns of the image begin `amount` positions further on than the text expects: not centred, or off by one."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved(measured=MEASURED)
        module = denoiser(pipe)
        if hasattr(module.pos_embed, "pos_freqs"):
            module.pos_embed.register_forward_hook(self._turn)
        else:
            before_forward(module, self._move)

    def activity(self) -> str:
        return self.note(f"{self._moved.count} tables of positions moved, by {self._moved.share:.4f} of their size")

    def acted(self) -> bool:
        return self._moved.moved

    def _turn(self, rope: Any, _args: Any, output: Any) -> Any:
        image, text = output
        angles = [torch.pow(rope.theta, -torch.arange(0, width, 2) / width) * self.fault.amount for width in rope.axes_dim]
        angles[0] = torch.zeros_like(angles[0])  # frames stay where they are
        turned = image * torch.polar(torch.ones(image.shape[1]), torch.cat(angles).float()).to(image.device)
        self._moved.add(image, turned)
        return turned, text

    def _move(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        ids = kwargs["img_ids"]
        moved = ids + self.fault.amount * torch.tensor([0.0, 1.0, 1.0], device=ids.device).to(ids.dtype)
        self._moved.add(ids, moved)
        return {**kwargs, "img_ids": moved}


class CoarseTables(Passive):
    """Rotary tables keep `amount` bits of mantissa: positions went through bfloat16 (7) or less."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved(measured=MEASURED)
        denoiser(pipe).pos_embed.register_forward_hook(self._round)

    def activity(self) -> str:
        return self.note(f"{self._moved.count} tables rounded, largest difference {self._moved.largest:.4f}")

    def acted(self) -> bool:
        return self._moved.moved

    def _round(self, _module: Any, _args: Any, output: Any) -> Any:
        return tuple(self._rounded(table) for table in output)

    def _rounded(self, table: torch.Tensor) -> torch.Tensor:
        bits = int(self.fault.amount)
        parts = torch.view_as_real(table) if table.is_complex() else table
        rounded = few_bits(parts, bits)
        after = torch.view_as_complex(rounded) if table.is_complex() else rounded
        self._moved.add(table, after)
        return after
