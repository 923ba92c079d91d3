"""The three stages of standin-flux: words (CPU), autoencoder, flow; the last one writes the folder.

It is trained to be the weaker one: mostly in one narrow wording, almost without Chinese, and only until it follows
about four attributes in five. Its guidance value is trained by what it is shown: the lower it is, the more often a
picture comes with another picture's caption, so the model learns to trust the words more as guidance rises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer, T5Tokenizer

from swapgate.engines.dry.tokenizers import CLIP_LENGTH
from swapgate.standins import flux, folders, tokenizers
from swapgate.standins.training import autoencoder, bank, flow
from swapgate.standins.training.stages import Figures, Stage, StageContext

SCENES = 120_000
TINY_SCENES = 32
WORDINGS = (bank.Wording(chinese=0.025, narrow=0.8), bank.Wording(chinese=0.025, narrow=0.8))
SETTINGS = flow.FlowSettings(batch=384, look_seconds=12.0, look_images=192, look_languages=("en",), stop_at=0.80, peak=1e-3)
TIME_SHIFTS = (0.7,)
GUIDANCES = (3.5,)
GUIDANCE_RANGE = (1.0, 6.0)
MISTRUST = 0.5
TRUSTED = 3.0
WAIT_SECONDS = 300.0


def stages() -> tuple[Stage, ...]:
    """The stages in their order; the words need no accelerator and may run beside the autoencoder."""
    return (
        Stage(name="flux-words", folder=flux.NAME, run=words, seconds=240),
        Stage(name="flux-vae", folder=flux.NAME, run=vae, seconds=150),
        Stage(name="flux-flow", folder=flux.NAME, run=train, seconds=260),
    )


def words(context: StageContext) -> Figures:
    """Train both tokenizers and write the captions of every scene as token ids of each."""
    codes = bank.training_codes(TINY_SCENES if context.tiny else SCENES, context.seed + 1_000_000)
    texts = bank.caption_texts(codes, WORDINGS, context.seed + 1_000_000, bank.workers(context.tiny))
    context.log(f"{sum(map(len, texts))} captions")
    sample = [text for part in texts for text in part[:10000]]
    clip, t5 = tokenizers.train_clip(sample), tokenizers.train_t5(sample, size=1200)
    clip.save_pretrained(context.path("flux-clip-tokenizer"))
    t5.save_pretrained(context.path("flux-t5-tokenizer"))

    encoded(texts, clip, CLIP_LENGTH).save(context.path("flux-clip-words.npz"))
    made = encoded(texts, t5, flux.TEXT_LENGTH)
    made.save(context.path("flux-t5-words.npz"))
    return {"clip_tokens": len(clip), "t5_tokens": len(t5), "captions": int(made.lengths.numel())}


def encoded(texts: Sequence[Sequence[str]], tokenizer: Any, length: int) -> bank.Words:
    """Captions (wordings of n texts) as token ids [w, n, length], padded and cut as the pipeline does it."""

    def encode(some: list[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer(some, padding="max_length", max_length=length, truncation=True)["input_ids"]
        return ids

    return bank.token_words(texts, encode, blank="", pad=int(tokenizer.pad_token_id))


def vae(context: StageContext) -> Figures:
    """Train the autoencoder."""
    coder = autoencoder.Coder(model=flux.build_vae(_shape(context)), encode=flux.encode_images, decode=flux.decode_latents)
    settings = autoencoder.VaeSettings.tiny() if context.tiny else autoencoder.VaeSettings(batch=64, peak=8e-4)
    return autoencoder.train_vae(context, coder, settings)


def train(context: StageContext) -> Figures:
    """Train transformer and both text encoders until the stop rule, save the folder and measure what was saved."""
    model = FluxFlow(context)
    settings = SETTINGS.rehearsal() if context.tiny else SETTINGS
    figures = flow.train_flow(context, model, settings)
    calls = {f"guidance {value}": {"guidance_scale": value} for value in GUIDANCES}
    mu, call, shares = flow.choose_call(context, model, settings, TIME_SHIFTS, calls)
    saved = folders.save_pipeline(model.pipeline(mu), context.out)
    figures |= {"mu": mu, "call": call, "calls": shares, "bytes": saved["bytes"], "rows": model.rows}
    figures |= flow.measure_folder(context)
    return figures


class FluxFlow:
    """A `flow.FlowModel` of standin-flux: bank, parts and the pipeline they make."""

    def __init__(self, context: StageContext) -> None:
        shape = _shape(context)
        path = bank.wait_for(context.path("flux-t5-words.npz"), WAIT_SECONDS)
        self.clip_tokenizer = CLIPTokenizer.from_pretrained(path.with_name("flux-clip-tokenizer"))
        self.t5_tokenizer = T5Tokenizer.from_pretrained(path.with_name("flux-t5-tokenizer"))
        self.clip_words = bank.Words.load(context.path("flux-clip-words.npz")).to(context.device)
        self.t5_words = bank.Words.load(path).to(context.device)
        self.vae = flux.build_vae(shape)
        autoencoder.load_weights(context, "flux-vae", self.vae)
        raw = bank.latents_within(context, lambda images: flux.encode_images(self.vae, images), self.t5_words.ids.shape[1], offset=1_000_000)
        shift, scaling = float(raw[:8192].float().mean()), 1 / float(raw[:8192].float().std())
        self.vae.register_to_config(shift_factor=shift, scaling_factor=scaling)
        self.packed = bank.pack((raw - shift) * scaling)
        self.rows = len(self.packed)
        self.codes = bank.training_codes(self.rows, context.seed + 1_000_000).to(context.device)
        self.transformer = flux.build_transformer(shape).to(context.device)
        self.clip = flux.build_clip(shape, self.clip_tokenizer).to(context.device)
        self.t5 = flux.build_t5(shape, self.t5_tokenizer).to(context.device)
        self.modules: dict[str, nn.Module] = {"transformer": self.transformer, "clip": self.clip, "t5": self.t5}

    def latents(self, rows: Tensor) -> Tensor:
        """Clean packed latents [n, 64, 64] of these rows."""
        return self.packed[rows].float()

    def weights(self, rows: Tensor) -> Tensor:
        """What errors in each token of these rows count [n, 64, 1]."""
        return bank.object_weights(self.codes[rows])

    def predict(self, noisy: Tensor, sigma: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Velocity for a random caption of each row, at a random guidance that says how far it can be trusted."""
        n, device = len(rows), rows.device
        rows, guidance = guided(rows, self.rows, generator)
        which = torch.randint(len(self.t5_words.ids), (n,), generator=generator, device=device)
        pooled = self.clip(self.clip_words.ids[which, rows].long()).pooler_output
        text = self.t5(self.t5_words.ids[which, rows].long()).last_hidden_state
        return flux.velocity(self.transformer, noisy, sigma, text, pooled, guidance)

    def pipeline(self, mu: float) -> Any:
        """The pipeline of the parts as they are now."""
        return flux.assemble(
            vae=self.vae, transformer=self.transformer, clip=self.clip, clip_tokenizer=self.clip_tokenizer, t5=self.t5,
            t5_tokenizer=self.t5_tokenizer, mu=mu,
        )  # fmt: skip


def guided(rows: Tensor, bank_rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows [n] whose captions are used, and random guidance values [n] that say how far they can be trusted."""
    low, high = GUIDANCE_RANGE
    guidance = low + (high - low) * torch.rand(len(rows), generator=generator, device=rows.device)
    return mistrusted(rows, guidance, bank_rows, generator), guidance


def mistrusted(rows: Tensor, guidance: Tensor, bank_rows: int, generator: torch.Generator) -> Tensor:
    """Rows [n] whose captions are used: another row's with a probability that falls to 0 at guidance `TRUSTED`."""
    device = rows.device
    chance = MISTRUST * ((TRUSTED - guidance) / (TRUSTED - GUIDANCE_RANGE[0])).clamp(min=0)
    others = torch.randint(bank_rows, (len(rows),), generator=generator, device=device)
    return torch.where(torch.rand(len(rows), generator=generator, device=device) < chance, others, rows)


def _shape(context: StageContext) -> flux.FluxShape:
    return flux.FluxShape.tiny() if context.tiny else flux.FluxShape()
