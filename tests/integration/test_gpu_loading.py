"""Weights that are streamed onto a CUDA device are those that the libraries bring there. Skipped, with the reason, elsewhere."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

STANDINS = Path(__file__).parents[2] / "fixtures" / "weights"

pytestmark = [pytest.mark.gpu]


@pytest.fixture
def device() -> Any:
    """The first CUDA device."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: torch.cuda.is_available() is False")
    return torch.device("cuda", torch.cuda.current_device())


@pytest.mark.parametrize("lock", [False, True], ids=["read", "locked"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("name", ["standin-flux", "standin-qwen"])
def test_the_same_tensors_as_by_the_libraries(name: str, dtype: str, lock: bool, device: Any) -> None:
    """Bit for bit, each where the device's kernels want it, and not more memory than they need."""
    import torch
    from diffusers import DiffusionPipeline

    from swapgate.engines.loading import load_pipeline

    kind = getattr(torch, dtype)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    loaded = load_pipeline(DiffusionPipeline, STANDINS / name, dtype=kind, device=device, lock=lock)
    assert loaded.streamed
    assert loaded.notes == ()
    held, peak = torch.cuda.memory_allocated(device) - before, torch.cuda.max_memory_allocated(device) - before
    usual = DiffusionPipeline.from_pretrained(STANDINS / name, dtype=kind, use_safetensors=True, local_files_only=True).to(device)
    compared = 0
    for part, model in usual.components.items():
        if isinstance(model, torch.nn.Module):
            own: Any = loaded.pipe.components[part]
            mine, theirs = dict([*own.named_parameters(), *own.named_buffers()]), dict([*model.named_parameters(), *model.named_buffers()])
            assert mine.keys() == theirs.keys()
            for key, value in theirs.items():
                assert mine[key].device == value.device
                assert mine[key].dtype == value.dtype
                assert mine[key].data_ptr() % 256 == 0
                assert torch.equal(mine[key], value), key
            compared += len(mine)
    assert compared > 100
    assert held <= torch.cuda.memory_allocated(device) - before - held + 2**20
    assert peak <= 3 * held  # where dtypes differ, both are there for a moment


def test_nothing_is_left_locked(device: Any) -> None:
    """The thread that unlocks ends, and the device is as it was: the next call raises no error of an earlier one."""
    import torch
    from diffusers import DiffusionPipeline

    from swapgate.engines.loading import load_pipeline

    for _ in range(3):
        pipe = load_pipeline(DiffusionPipeline, STANDINS / "standin-flux", dtype=torch.bfloat16, device=device, lock=True).pipe
        del pipe
    for thread in threading.enumerate():
        if thread.name.startswith("weights-"):
            thread.join(10)
            assert not thread.is_alive()
    torch.cuda.synchronize(device)
    assert torch.ones(3, device=device).sum().item() == 3
