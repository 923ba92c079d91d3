"""Trains the bundled stand-ins: which stages there are, in which order, and in which processes."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch

from swapgate.errors import UserError
from swapgate.standins.training.stages import Figures, Stage, record, run_stages

Budget = Literal["full", "tiny"]
Attention = Literal["default", "nocudnn", "efficient", "math"]
MODELS = ("qwen", "flux", "clip")


def stages_of(model: str) -> tuple[Stage, ...]:
    """The stages of one model, in order.

    Raises:
        UserError: a model that there is not.
    """
    if model == "qwen":
        from swapgate.standins.training import qwen_stages

        return qwen_stages.stages()
    if model == "flux":
        from swapgate.standins.training import flux_stages

        return flux_stages.stages()
    if model == "clip":
        from swapgate.standins.training import contrastive

        return contrastive.STAGES
    raise UserError(
        where="swapgate standins train", key="which", value=model, rule=f"one of {', '.join(MODELS)}",
        remedy="swapgate standins train --which qwen,flux,clip",
    )  # fmt: skip


def further_stages_of(model: str) -> tuple[Stage, ...]:
    """Stages that train a finished folder on; they run only when named."""
    if model == "flux":
        from swapgate.standins.training import flux_more

        return flux_more.stages()
    return ()


def train(
    out: Path,
    which: Sequence[str] = MODELS,
    *,
    budget: Budget = "full",
    device: str | None = None,
    checkpoints: Path | None = None,
    stage_seconds: Mapping[str, float] | None = None,
    extend: bool = False,
    deadline: float | None = None,
    attention: Attention = "default",
) -> dict[str, Figures]:
    """Train models or single stages one after another in this process and write their folders into `out`.

    Args:
        out: folder that receives standin-qwen and the like.
        which: models ("qwen") or stages ("qwen-vae").
        budget: "tiny" rehearses everything in a few steps.
        device: "cuda:0", "cpu"; None takes the accelerator if there is one.
        checkpoints: where an interrupted training left off; `out`/.checkpoints by default.
        stage_seconds: budgets of single stages, at most 540 s each.
        extend: train finished stages on for another budget.
        deadline: seconds since the epoch by which all must be over; budgets shrink in proportion.
        attention: which kernels may compute attention on an accelerator; see `use_attention`.

    Returns:
        Figures of every stage by its name; they are appended to each folder's training.json as well.

    Raises:
        UserError: a model, stage or budget that there is not.
    """
    device = device or ("cuda:0" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        use_attention(attention)
    return run_stages(
        chosen_stages(which), out=out, checkpoints=checkpoints or out / ".checkpoints", device=device,
        seconds=stage_seconds, tiny=budget == "tiny", extend=extend, deadline=deadline,
    )  # fmt: skip


def use_attention(name: Attention) -> None:
    """Allow only these kernels of scaled dot product attention, from all of them to the plain arithmetic.

    Some releases give NaN gradients from a fused kernel at some lengths (pytorch #196678), so training can do without.
    """
    order = ("default", "nocudnn", "efficient", "math")
    allowed = order.index(name)
    torch.backends.cuda.enable_cudnn_sdp(allowed < 1)
    torch.backends.cuda.enable_flash_sdp(allowed < 2)
    torch.backends.cuda.enable_mem_efficient_sdp(allowed < 3)
    torch.backends.cuda.enable_math_sdp(True)


def chosen_stages(which: Sequence[str]) -> list[Stage]:
    """Stages for a mix of model and stage names, in the order given, each model's own in their order."""
    found: list[Stage] = []
    for name in which:
        model = name.split("-")[0]
        own = stages_of(model)
        stages = own + further_stages_of(model)
        named = list(own) if name == model else [stage for stage in stages if name == stage.name]
        if not named:
            raise UserError(
                where="swapgate standins train", key="which", value=name,
                rule=f"a model or one of its stages: {', '.join(stage.name for stage in stages)}",
                remedy=f"swapgate standins train --which {model}",
            )  # fmt: skip
        found += named
    return found


def by_model(which: Sequence[str]) -> list[list[str]]:
    """Split names into runs of the same model: a failure in one must not cost the next one its turn."""
    return [list(names) for _, names in itertools.groupby(which, key=lambda name: name.split("-")[0])]


def launch(chains: Sequence[tuple[str, Sequence[str]]], arguments: Sequence[str], logs: Path) -> dict[str, int]:
    """Run each chain (device, names) in a process of its own at the same time; return exit status by device and names.

    Every process writes its log into `logs`, and all of them to this process's standard error as well.
    """
    logs.mkdir(parents=True, exist_ok=True)
    running: list[tuple[str, subprocess.Popen[bytes]]] = []
    for device, names in chains:
        label = "+".join(names)
        command = [sys.executable, "-m", "swapgate.standins.training", "--device", device, "--which", *names, *arguments]
        with open(logs / f"{label}.log", "ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ))
        running.append((label, process))
    return {label: process.wait() for label, process in running}


__all__ = ["MODELS", "chosen_stages", "launch", "record", "stages_of", "train"]
