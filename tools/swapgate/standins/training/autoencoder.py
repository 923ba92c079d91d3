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
from swapgate.standins.training.bank import picture_bank, training_codes
from swapgate.standins.training.stages import Average, Figures, StageContext, TrainState, set_rate

KL_WEIGHT = 2e-4
TEXTURE_WEIGHT = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Coder:
    """An autoencoder and the two functions through which it is trained: see `qwen` and `flux` for their shapes."""

    model: nn.Module
    encode: Callable[[Any, Tensor], Tensor]
    decode: Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeSettings:
    """How long and how large: `pictures` are rendered once and drawn from."""

    pictures: int = 24576
    batch: int = 96
    peak: float = 1.2e-3
    log_every: int = 100

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
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=settings.peak, betas=(0.9, 0.99), weight_decay=0.0, fused=context.device.type == "cuda")
    state = TrainState(modules={"vae": model}, optimiser=optimiser, average=Average(parameters, decay=0.998), generator=context.seeded(2))
    reserve = min(8.0, context.seconds / 8)
    loss = torch.zeros(())
    for tick in context.ticks(state, reserve=reserve):
        set_rate(optimiser, peak=settings.peak, progress=tick.progress)
        chosen = torch.randint(len(pictures), (settings.batch,), generator=state.generator, device=context.device)
        loss = _step(coder, pictures[chosen], optimiser, parameters, state)
        if tick.step % settings.log_every == 0:
            context.log(f"step {tick.step} progress {tick.progress:.2f} loss {float(loss):.4f}")
    assert state.average is not None
    state.average.swap()
    model.eval()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights_path(context))
    return {"steps": state.step, "loss": float(loss), **measure_vae(context, coder, 8 if context.tiny else 512)}


def _step(coder: Coder, picked: Tensor, optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter], state: TrainState) -> Tensor:
    images = (picked.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, dtype=torch.bfloat16):
        mean, log_variance = coder.encode(coder.model, images).float().chunk(2, dim=1)
        log_variance = log_variance.clamp(-30, 10)
        noise = torch.randn(mean.shape, generator=state.generator, device=mean.device)
        out = coder.decode(coder.model, mean + noise * torch.exp(0.5 * log_variance)).float()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    loss = functional.l1_loss(out, images) + TEXTURE_WEIGHT * texture_loss(out, images) + KL_WEIGHT * kl
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimiser.step()
    assert state.average is not None
    state.average.update(state.step)
    return loss.detach()


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
