"""Training of the two autoencoders: pictures of 128 x 128 to latents of 16 x 16 x 16 and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from swapgate.standins import render, scene
from swapgate.standins.training.bank import object_area, picture_bank, training_codes
from swapgate.standins.training.stages import Average, Figures, StageContext, TrainState, set_rate

KL_WEIGHT = 2e-4
TEXTURE_WEIGHT = 0.4
OBJECT_WEIGHT = 4.0
"""What an error on an object counts more than one on the background, of which there is about ten times as much."""
COLOUR_WEIGHT = 2.0
COLOUR_CELL = 4
"""Side in pixels of the cells over which colour is averaged before it is compared."""
CROP_SPREAD = 20
"""Pixels by which a crop's centre may lie beside the objects' in either direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coder:
    """An autoencoder and the two functions through which it is trained: see `qwen` and `flux` for their shapes."""

    model: nn.Module
    encode: Callable[[Any, Tensor], Tensor]
    decode: Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeSettings:
    """How long and how large: `pictures` are rendered once and drawn from.

    With a `crop` (pixels) only windows of that side are trained on, `object_share` of them around objects, until
    `whole_from` (progress in 0..1); from then on it is whole pictures, `whole_batch` at once, because the statistics
    of the normalisation layers are those of a whole picture when the autoencoder is used.
    """

    pictures: int = 24576
    batch: int = 96
    peak: float = 1.2e-3
    log_every: int = 100
    crop: int | None = None
    object_share: float = 0.8
    whole_from: float = 0.75
    whole_batch: int = 10

    @classmethod
    def tiny(cls) -> VaeSettings:
        """For rehearsals."""
        return cls(pictures=8, batch=2, log_every=2)


def train_vae(context: StageContext, coder: Coder, settings: VaeSettings) -> Figures:
    """Train `coder`, leave its averaged weights in the model and in the stage's weight file, return figures."""
    codes = training_codes(settings.pictures, context.seed).to(context.device)
    pictures = picture_bank(codes, context.seeded(1))
    context.log(f"{len(pictures)} pictures rendered")
    model = coder.model.to(context.device).train()
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=_layout(context.device))
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=settings.peak, betas=(0.9, 0.99), weight_decay=0.0, fused=context.device.type == "cuda")
    state = TrainState(modules={"vae": model}, optimiser=optimiser, average=Average(parameters, decay=0.998), generator=context.seeded(2))
    reserve = min(8.0, context.seconds / 8)
    loss = torch.zeros(())
    for tick in context.ticks(state, reserve=reserve):
        set_rate(optimiser, peak=settings.peak, progress=tick.progress)
        loss = _step(coder, *_draw(pictures, codes, settings, tick.progress, context.seeded(100 + tick.step)), optimiser, parameters, state)
        if tick.step % settings.log_every == 0:
            context.log(f"step {tick.step} progress {tick.progress:.2f} loss {float(loss):.4f}")
    assert state.average is not None
    state.average.swap()
    model.eval()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights_path(context))
    return {"steps": state.step, "loss": float(loss), **measure_vae(context, coder, measured(context))}


def _layout(device: torch.device) -> torch.memory_format:
    """Channels last for an accelerator's convolutions; on a CPU it doubles the time of the normalisation layers."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def _draw(pictures: Tensor, codes: Tensor, settings: VaeSettings, progress: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [k, 3, s, s] of one step and where the objects are in them, bool [k, 1, s, s]."""
    whole = settings.crop is None or progress >= settings.whole_from
    batch = settings.whole_batch if whole and settings.crop is not None else settings.batch
    chosen = torch.randint(len(pictures), (batch,), generator=generator, device=generator.device)
    picked, some = pictures[chosen], codes[chosen]
    area = object_area(some, picked.shape[-1])
    if whole or settings.crop is None:
        return picked, area
    corners = crop_corners(some, settings.crop, settings.object_share, generator)
    return crops(picked, corners, settings.crop), crops(area, corners, settings.crop)


def crop_corners(codes: Tensor, side: int, share: float, generator: torch.Generator) -> Tensor:
    """Upper left corners (row, column) [n, 2] of windows in whole pictures, `share` of them around an object of the scene."""
    n, device = len(codes), codes.device
    at = render.place(codes)
    chance = torch.rand(n, 4, generator=generator, device=device)
    which = torch.floor(chance[:, 3] * at.count) - (at.count - 1) / 2
    middle = torch.stack([at.y, at.x + which * render.PITCH * at.radius], dim=1)
    around = middle - side / 2 + (2 * chance[:, :2] - 1) * CROP_SPREAD
    anywhere = chance[:, :2] * (render.SIZE - side)
    corners = torch.where((chance[:, 2] < share).view(-1, 1), around, anywhere)
    return corners.round().long().clamp(0, render.SIZE - side)


def crops(pictures: Tensor, corners: Tensor, side: int) -> Tensor:
    """Windows [n, c, side, side] of pictures [n, c, h, w] at `corners` [n, 2]."""
    return torch.stack([one[:, y : y + side, x : x + side] for one, (y, x) in zip(pictures, corners.tolist(), strict=True)])


def _step(coder: Coder, picked: Tensor, area: Tensor, optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter], state: TrainState) -> Tensor:
    images = (picked.float() / 127.5 - 1).contiguous(memory_format=_layout(picked.device))
    with torch.autocast(images.device.type, dtype=torch.bfloat16):
        mean, log_variance = coder.encode(coder.model, images).float().chunk(2, dim=1)
        log_variance = log_variance.clamp(-30, 10)
        noise = torch.randn(mean.shape, generator=state.generator, device=mean.device)
        out = coder.decode(coder.model, mean + noise * torch.exp(0.5 * log_variance)).float()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    loss = picture_loss(out, images, area) + TEXTURE_WEIGHT * texture_loss(out, images) + KL_WEIGHT * kl
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    assert state.average is not None
    state.average.update(state.step)
    return loss.detach()


def picture_loss(out: Tensor, target: Tensor, area: Tensor) -> Tensor:
    """How far pictures [n, 3, s, s] are apart, pixel by pixel and in the mean colour of small cells.

    Errors within `area` (bool [n, 1, s, s]) count 1 + `OBJECT_WEIGHT` times. Without that weight the background, most
    of every picture, decides what is learnt first; without the cells, the colours of small things come out as
    shades of brown long after their outlines are right.
    """
    weight = 1 + OBJECT_WEIGHT * area.float()
    cells = functional.avg_pool2d(weight, COLOUR_CELL)
    apart = functional.avg_pool2d(out - target, COLOUR_CELL).abs()
    pixels = ((out - target).abs() * weight).mean() / weight.mean()
    return pixels + COLOUR_WEIGHT * (apart * cells).mean() / cells.mean()


def texture_loss(out: Tensor, target: Tensor) -> Tensor:
    """How far edges and the local strength of fine texture are apart: without it, grain is averaged away.

    The gradient term compares neighbours' differences pixel by pixel; the other one compares only how strong the fine
    detail (picture minus its 3 x 3 mean) is in each 8 x 8 cell, which a decoder can meet with any grain.
    """
    edges = sum(functional.l1_loss(out.diff(dim=d), target.diff(dim=d)) for d in (2, 3))
    strength = functional.l1_loss(_fine_strength(out), _fine_strength(target))
    return edges + 2 * strength


def _fine_strength(images: Tensor) -> Tensor:
    fine = images - functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    return (functional.avg_pool2d(fine.square(), 8) + 1e-6).sqrt()


def measured(context: StageContext) -> int:
    """On how many held-out scenes an autoencoder is judged."""
    return 8 if context.tiny else 512 if context.device.type == "cuda" else 128


@torch.no_grad()
def measure_vae(context: StageContext, coder: Coder, n: int) -> Figures:
    """PSNR in dB on held-out scenes, for all and for each finish, and what the oracle reads off the decoded pictures."""
    from swapgate.standins import oracle

    codes = scene.sample_codes(n, context.seeded(3), held_out=True)
    errors, read = [], []
    for part in torch.split(codes, 64):
        images = render.render(part, generator=context.seeded(4)) * 2 - 1
        out = coder.decode(coder.model, coder.encode(coder.model, images)[:, :16]).clamp(-1, 1)
        errors.append(((out - images) / 2).square().mean(dim=(1, 2, 3)))
        read.append(oracle.followed((out + 1) / 2, part).float())
    psnr = -10 * torch.cat(errors).log10()
    followed = torch.cat(read).mean(dim=0)
    figures: Figures = {"psnr_db": round(float(psnr.mean()), 2), "oracle": round(float(followed.mean()), 4)}
    for code, finish in enumerate(scene.FINISHES):
        chosen = psnr[codes[:, 6] == code]
        figures[f"psnr_db_{finish}"] = round(float(chosen.mean()), 2) if len(chosen) else 0.0
    figures["oracle_by_attribute"] = {name: round(float(value), 4) for name, value in zip(scene.ATTRIBUTES, followed, strict=True)}
    return figures


def weights_path(context: StageContext, stage: str | None = None) -> str:
    """Where a VAE stage leaves its averaged weights (float32)."""
    return str(context.path(f"{stage or context.stage}.safetensors"))


def load_weights(context: StageContext, stage: str, model: nn.Module) -> None:
    """Load what the VAE stage `stage` left into `model`, on the context's device, ready for inference."""
    model.load_state_dict(load_file(weights_path(context, stage)))
    model.to(context.device).eval().requires_grad_(False)


def latent_statistics(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [c] per channel of latents [n, c, h, w].

    The deviation has a floor of a quarter of the median, so that a channel the autoencoder hardly uses is not blown up
    into noise that the flow has to learn.
    """
    flat = latents.float().transpose(0, 1).flatten(1)
    std = flat.std(dim=1)
    return flat.mean(dim=1), std.clamp(min=float(std.median()) / 4)
