"""Damage to the denoiser's weights: noise, and rounding to few bits."""

from __future__ import annotations

import zlib
from typing import Any

import torch

from swapgate.engines.faults.base import Fault, Moved, Passive, denoiser


class Noise(Passive):
    """Weight noise, relative to each tensor's own spread; seeded by the tensor's name, so every load on one kind of device gets the same."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._tensors = 0
        changed = total = 0.0
        with torch.no_grad():
            for name, weight in denoiser(pipe).named_parameters():
                if not weight.is_floating_point() or weight.numel() < 2:
                    continue
                generator = torch.Generator(weight.device).manual_seed(zlib.crc32(name.encode()))
                noise = torch.randn(weight.shape, generator=generator, dtype=torch.float32, device=weight.device)
                before = weight.float().clone()  # float() of float32 is the weight itself
                weight.copy_(before + fault.amount * before.std() * noise)
                self._tensors += 1
                changed += float((weight.float() - before).square().sum())
                total += float((before - before.mean()).square().sum())
        self._share = (changed / total) ** 0.5 if total else 0.0

    def activity(self) -> str:
        return self.note(f"{self._tensors} tensors changed by {self._share:.4f} of their spread")

    def acted(self) -> bool:
        return self._share > 0


class Quantised(Passive):
    """Round to nearest, symmetric, one scale an output channel, on every linear layer: what a careless low-bit export does."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved()
        with torch.no_grad():
            for layer in denoiser(pipe).modules():
                if isinstance(layer, torch.nn.Linear):
                    before = layer.weight.clone()
                    layer.weight.copy_(rounded(before, int(fault.amount)))
                    self._moved.add(before, layer.weight)

    def activity(self) -> str:
        return self.note(f"{self._moved.count} layers rounded to {self.fault.amount:g} bits, weights moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved


def rounded(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Weight [out, in] on a grid of 2**bits - 1 levels, symmetric about 0, one scale a row."""
    levels = 2 ** (bits - 1) - 1
    scale = weight.float().abs().amax(dim=-1, keepdim=True).clamp_min(1e-12) / levels
    grid: torch.Tensor = ((weight.float() / scale).round().clamp(-levels, levels) * scale).to(weight.dtype)
    return grid


def few_bits(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Values with that many explicit bits of mantissa (10 is float16, 7 bfloat16, 3 float8 e4m3), any exponent."""
    mantissa, exponent = torch.frexp(values.float())
    return torch.ldexp((mantissa * 2 ** (bits + 1)).round() / 2 ** (bits + 1), exponent).to(values.dtype)
