"""The compute floor: FLOPs that a step's forwards have by the shapes of their products, over the rate of matrix products on this device.

FLOPs are counted by torch.utils.flop_counter while the denoiser runs on the inputs that it was given: matrix products, convolutions and attention.
What is not counted (norms, activations, moving) only makes the real time longer, so a step below the floor was not waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from swapgate.engines.faults import denoiser

SIZES = (4096, 8192, 12288)
ROUNDS, REPEATS = 3, 10


def matmul_rate(device: torch.device, dtype: torch.dtype, *, sizes: Sequence[int] | None = None) -> float:
    """FLOP/s of products of square matrices [n, n] in `dtype`: the best of several sizes and rounds."""
    chosen = sizes or (SIZES if device.type == "cuda" else (512,))
    return max(_rate(device, dtype, size) for size in chosen)


class Inputs:
    """The inputs of the denoiser's forwards while `wanted` says so; kept until they are counted."""

    def __init__(self, pipe: Any, wanted: Callable[[], bool]) -> None:
        self._model, self._wanted = denoiser(pipe), wanted
        self._given: list[tuple[tuple[Any, ...], Mapping[str, Any]]] = []
        self._handle = self._model.register_forward_pre_hook(self._keep, with_kwargs=True)

    def flops(self) -> float | None:
        """FLOPs of those forwards, which are run again, and forgotten; None when there were none."""
        self._handle.remove()
        given, self._given = self._given, []
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            for args, kwargs in given:
                self._model(*args, **kwargs)
        return float(counter.get_total_flops()) or None

    def _keep(self, _module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if self._wanted():
            self._given.append((args, dict(kwargs)))


def _rate(device: torch.device, dtype: torch.dtype, size: int) -> float:
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    result = torch.empty(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(ROUNDS + 1):  # the first loads the kernel
        begin = _idle(device)
        for _ in range(REPEATS):
            torch.mm(one, other, out=result)
        best = min(best, _idle(device) - begin)
    return 2.0 * size**3 * REPEATS / best


def _idle(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
