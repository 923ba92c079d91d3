"""A warm-up of text towers: linear heads learn to read the scene off their output, and the towers with them.

The flow alone teaches a tower which words matter through every pixel of every picture; reading the seven attributes
off the text costs a hundredth of that. The heads are thrown away. Only captions in English are read, so a tower that
is meant to know little Chinese learns none here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from swapgate.standins import scene
from swapgate.standins.training.stages import Figures, StageContext, set_rate

CHOICES = tuple(len(scene.VALUES[name]) for name in scene.ATTRIBUTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """A text tower: its module, and vectors [n, width] of the captions `which` [n] (wording) of `rows` [n]."""

    module: nn.Module
    vectors: Callable[[Tensor, Tensor], Tensor]
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSettings:
    """How large the steps are, and which share of the stage's budget they may take."""

    batch: int = 128
    peak: float = 4e-4
    share: float = 0.05
    log_every: int = 50


def read_scenes(context: StageContext, towers: dict[str, Tower], codes: Tensor, english: Tensor, settings: ReadSettings) -> Figures:
    """Train the towers until `settings.share` of the stage's budget is spent; the share read right by tower at the end.

    Args:
        context: the stage.
        towers: what is trained, by name.
        codes: scenes [n, 7] of the captions.
        english: bool [w, n], which wordings of which scenes may be read.
        settings: sizes.
    """
    heads = nn.ModuleDict({name: nn.Linear(tower.width, sum(CHOICES)) for name, tower in towers.items()}).to(context.device)
    modules = [heads, *[tower.module for tower in towers.values()]]
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=settings.peak, betas=(0.9, 0.99), weight_decay=0.0)
    generator, step, begun = context.seeded(8), 0, context.elapsed
    right: dict[str, float] = {}
    while (progress := _progress(context, begun, step, settings)) < 1.0:
        set_rate(optimiser, peak=settings.peak, progress=progress)
        which, rows = _english_rows(english, settings.batch, generator)
        loss = torch.zeros((), device=context.device)
        for name, tower in towers.items():
            with torch.autocast(context.device.type, dtype=torch.bfloat16):
                vectors = tower.vectors(which, rows)
            cost, right[name] = reading_loss(heads[name](vectors.float()), codes[rows])
            loss = loss + cost
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if step % settings.log_every == 0:
            context.log(f"reading step {step} progress {progress:.2f} right {right}")
        step += 1
    return {"read_steps": step, "read_right": {name: round(share, 4) for name, share in right.items()}}


def reading_loss(logits: Tensor, codes: Tensor) -> tuple[Tensor, float]:
    """Mean cross entropy of logits [n, sum of choices] for codes [n, 7], and the share of attributes read right."""
    parts = torch.split(logits, list(CHOICES), dim=1)
    losses = [functional.cross_entropy(part, codes[:, k]) for k, part in enumerate(parts)]
    right = [(part.argmax(dim=1) == codes[:, k]).float().mean() for k, part in enumerate(parts)]
    return torch.stack(losses).mean(), float(torch.stack(right).mean())


def _progress(context: StageContext, begun: float, step: int, settings: ReadSettings) -> float:
    return step / 2 if context.tiny else (context.elapsed - begun) / (settings.share * context.seconds)


def _english_rows(english: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    places = english.flatten().nonzero().squeeze(1)
    chosen = places[torch.randint(len(places), (n,), generator=generator, device=generator.device)]
    return chosen // english.shape[1], chosen % english.shape[1]
