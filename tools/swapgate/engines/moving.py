"""Moving a model off the device by several threads: fresh host memory is first written by one page fault after another, which takes longer than the link."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

THREADS = 8


def to_host(model: Any) -> None:
    """Move a module, or every module of a pipeline, to the host.

    Quantised weights are moved by their own `to`, which knows what belongs to them.
    """
    modules = [model] if isinstance(model, torch.nn.Module) else [part for part in model.components.values() if isinstance(part, torch.nn.Module)]
    with ThreadPoolExecutor(THREADS) as pool:
        for module in modules:
            list(pool.map(_moved, _plain(module)))
    model.to("cpu")


def _plain(module: torch.nn.Module) -> list[torch.Tensor]:
    tensors = (*module.parameters(), *module.buffers())
    return [one for one in tensors if type(one) in (torch.nn.Parameter, torch.Tensor) and one.device.type != "cpu"]


def _moved(tensor: torch.Tensor) -> None:
    tensor.data = tensor.data.to("cpu")
