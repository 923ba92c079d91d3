"""Faults of adapters. The stand-ins have none, so each plants the damage that the fault leaves in the weights.

A delta is B A of rank 4, seeded by the layer's name, scaled to `amount` times the spread of the layer's weights.
"""

from __future__ import annotations

import zlib
from typing import Any

import torch

from swapgate.engines.faults.base import Fault, Moved, Passive, attention_layers, denoiser

RANK = 4


class LoraLost(Passive):
    """`amount` of each attention layer's strongest rank-4 part is missing: a fused adapter whose keys were skipped."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for name, layer in attention_layers(denoiser(pipe)):
                torch.manual_seed(zlib.crc32(name.encode()))
                before = layer.weight.float().clone()
                u, s, v = torch.svd_lowrank(before, q=RANK)
                layer.weight.copy_(before - fault.amount * (u * s) @ v.T)
                self._moved.add(before, layer.weight.float())

    def activity(self) -> str:
        return self.note(f"rank {RANK} taken out of {self._moved.count} layers, weights moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved


class LoraStays(Passive):
    """Every call fuses an adapter of scale `amount` and takes nothing out again, so that it adds up."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._layers = attention_layers(denoiser(pipe))
        self._deltas = [delta(name, layer.weight, fault.amount) for name, layer in self._layers]
        self._calls = 0

    def after(self, images: int) -> None:  # noqa: ARG002 - a call is a call, however many images it made
        self._calls += 1
        with torch.no_grad():
            for (_, layer), change in zip(self._layers, self._deltas, strict=True):
                layer.weight.add_(change)

    def activity(self) -> str:
        return self.note(f"{self._calls * self.fault.amount:g} of an adapter fused in {len(self._layers)} layers after {self._calls} calls")

    def acted(self) -> bool:
        return self._calls > 1 and bool(self._layers) and self.fault.amount > 0  # the first call was still clean


class LoraOnFloat8(Passive):
    """An adapter of scale `amount` is added to weights in float8 e4m3 (one scale a layer) and rounded with them."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved()
        with torch.no_grad():
            for name, layer in attention_layers(denoiser(pipe)):
                before = layer.weight.float().clone()
                base = _float8(before)
                layer.weight.copy_(_float8(base + delta(name, before, fault.amount)))
                self._moved.add(before, layer.weight.float())

    def activity(self) -> str:
        return self.note(f"{self._moved.count} layers in float8 with an adapter, weights moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved


class LoraScaleIgnored(Passive):
    """An adapter that the call asks for at scale 0 is applied at scale `amount`: the keyword never arrives."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._moved = Moved(measured=16)
        for name, layer in attention_layers(denoiser(pipe)):
            layer.register_forward_hook(self._adapter(delta(name, layer.weight, fault.amount)))

    def activity(self) -> str:
        return self.note(f"{self._moved.count} layer calls with the adapter on, outputs moved by {self._moved.share:.4f}")

    def acted(self) -> bool:
        return self._moved.moved

    def _adapter(self, change: torch.Tensor) -> Any:
        def hook(_module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
            adapted: torch.Tensor = output + args[0] @ change.T.to(output)
            self._moved.add(output, adapted)
            return adapted

        return hook


def delta(name: str, weight: torch.Tensor, scale: float) -> torch.Tensor:
    """A rank-4 change [out, in] of a weight with `scale` times its spread, the same for a name in every load."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    up, down = (torch.randn(side, RANK, generator=generator) for side in weight.shape)
    change = up @ down.T
    scaled: torch.Tensor = (scale * float(weight.detach().float().std()) / change.std() * change).to(weight)
    return scaled


def _float8(weight: torch.Tensor) -> torch.Tensor:
    scale = weight.abs().max().clamp_min(1e-12) / torch.finfo(torch.float8_e4m3fn).max
    return (weight / scale).to(torch.float8_e4m3fn).float() * scale
