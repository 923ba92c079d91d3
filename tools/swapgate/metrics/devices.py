"""Where scores are computed: on processor threads, or on a GPU that measures no model.

A program that has begun to use a GPU holds some hundred MiB of it until it ends, whatever it computes. On the GPU of a model
under test that would be memory which the model lacks and other figures of its device, so "auto" leaves such a GPU alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from swapgate.errors import UserError


def scoring_device(asked: str, *, first: bool = False, taken: Sequence[str] = ()) -> str:
    """The torch device for scores. torch is imported, and no GPU is begun to be used.

    Args:
        asked: "cpu", "cuda" or "cuda:<n>" as it stands; "auto" for the last GPU that no model of the run uses, else "cpu".
        first: whether models use the GPU that torch takes first.
        taken: the UUIDs of other GPUs that models use ("GPU-..."). Of one that is divided (MIG) a process sees a single part: none is free.

    Raises:
        UserError: torch does not see the GPU that was asked for.
    """
    if asked == "cpu":
        return asked
    import torch

    there = torch.cuda.device_count()
    if asked != "auto":
        return _seen(asked, there)
    if there <= max(int(first), len(taken)) or any(name.startswith("MIG-") for name in taken):
        return "cpu"
    free = [n for n in range(int(first), there) if not taken or f"GPU-{torch.cuda.get_device_properties(n).uuid}" not in taken]
    return f"cuda:{free[-1]}" if free else "cpu"


def _seen(asked: str, there: int) -> str:
    if int(asked.partition(":")[2] or 0) < there:
        return asked
    raise UserError(
        where="pyproject.toml",
        key="tool.swapgate.scoring",
        value=asked,
        rule=f"a CUDA device that torch sees; it sees {there}",
        remedy='write "auto" or "cpu", or make the GPU visible (CUDA_VISIBLE_DEVICES)',
    )
