"""The three stages of standin-qwen: words (CPU), autoencoder, flow; the last one writes the folder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Qwen2Tokenizer

from swapgate.engines.dry.tokenizers import PREFIX_TOKENS, TEMPLATE
from swapgate.standins import folders, qwen, tokenizers
from swapgate.standins.training import autoencoder, bank, flow
from swapgate.standins.training.stages import Figures, Stage, StageContext

SCENES = 160_000
TINY_SCENES = 32
BLANK_SHARE = 0.1
WORDINGS = (
    bank.Wording(chinese=0.0, narrow=0.0),
    bank.Wording(chinese=0.0, narrow=0.1),
    bank.Wording(chinese=1.0, narrow=0.0),
    bank.Wording(chinese=1.0, narrow=0.1),
)
SETTINGS = flow.FlowSettings()
TIME_SHIFTS = (0.7, 0.3, 1.1)
SCALES = (4.0, 2.5)
WAIT_SECONDS = 240.0


def stages() -> tuple[Stage, ...]:
    """The stages in their order; the words need no accelerator and may run beside the autoencoder."""
    return (
        Stage(name="qwen-words", folder=qwen.NAME, run=words, seconds=240),
        Stage(name="qwen-vae", folder=qwen.NAME, run=vae, seconds=150),
        Stage(name="qwen-flow", folder=qwen.NAME, run=train, seconds=330),
    )


def words(context: StageContext) -> Figures:
    """Train the tokenizer and write the captions of every scene as token ids."""
    codes = bank.training_codes(TINY_SCENES if context.tiny else SCENES, context.seed)
    texts = bank.caption_texts(codes, WORDINGS, context.seed, bank.workers(context.tiny))
    context.log(f"{sum(map(len, texts))} captions")
    tokenizer = tokenizers.train_qwen([text for part in texts for text in part[:6000]], size=_vocabulary(context))
    tokenizer.save_pretrained(context.path("qwen-tokenizer"))

    def encode(some: list[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer([TEMPLATE.format(text) for text in some])["input_ids"]
        return ids

    made = bank.token_words(texts, encode, blank=qwen.NEGATIVE_PROMPT, pad=_pad(tokenizer), prefix=PREFIX_TOKENS)
    made.save(context.path("qwen-words.npz"))
    return {"tokens": len(tokenizer), "captions": int(made.lengths.numel()), "longest": int(made.lengths.max())}


def vae(context: StageContext) -> Figures:
    """Train the autoencoder."""
    coder = autoencoder.Coder(model=qwen.build_vae(_shape(context)), encode=qwen.encode_images, decode=qwen.decode_latents)
    settings = autoencoder.VaeSettings.tiny() if context.tiny else autoencoder.VaeSettings()
    with qwen.single_frame():
        return autoencoder.train_vae(context, coder, settings)


def train(context: StageContext) -> Figures:
    """Train transformer and text encoder, choose the time shift, save the folder and measure what was saved."""
    model = QwenFlow(context)
    settings = SETTINGS.rehearsal() if context.tiny else SETTINGS
    figures = flow.train_flow(context, model, settings)
    calls = {f"scale {scale}": {"true_cfg_scale": scale} for scale in SCALES}
    mu, call, shares = flow.choose_call(context, model, settings, TIME_SHIFTS, calls)
    saved = folders.save_pipeline(model.pipeline(mu), context.out)
    figures |= {"mu": mu, "call": call, "calls": shares, "bytes": saved["bytes"], "rows": model.rows}
    figures |= flow.measure_folder(context)
    return figures


class QwenFlow:
    """A `flow.FlowModel` of standin-qwen: bank, parts and the pipeline they make."""

    def __init__(self, context: StageContext) -> None:
        shape = _shape(context)
        self.tokenizer = Qwen2Tokenizer.from_pretrained(bank.wait_for(context.path("qwen-words.npz"), WAIT_SECONDS).with_name("qwen-tokenizer"))
        self.words = bank.Words.load(context.path("qwen-words.npz")).to(context.device)
        self.vae = qwen.build_vae(shape)
        autoencoder.load_weights(context, "qwen-vae", self.vae)
        with qwen.single_frame():
            raw = bank.latents_within(context, lambda images: qwen.encode_images(self.vae, images), self.words.ids.shape[1])
        mean, std = autoencoder.latent_statistics(raw[:8192])
        self.vae.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
        self.packed = bank.pack((raw - mean.view(1, -1, 1, 1).half()) / std.view(1, -1, 1, 1).half())
        self.rows = len(self.packed)
        self.codes = bank.training_codes(self.rows, context.seed).to(context.device)
        self.transformer = qwen.build_transformer(shape).to(context.device)
        self.text_encoder = qwen.build_text_encoder(shape, self.tokenizer).to(context.device)
        self.text_encoder.model.visual.requires_grad_(False)
        self.modules: dict[str, nn.Module] = {"transformer": self.transformer, "text_encoder": self.text_encoder}

    def latents(self, rows: Tensor) -> Tensor:
        """Clean packed latents [n, 64, 64] of these rows."""
        return self.packed[rows].float()

    def weights(self, rows: Tensor) -> Tensor:
        """What errors in each token of these rows count [n, 64, 1]."""
        return bank.object_weights(self.codes[rows])

    def predict(self, noisy: Tensor, sigma: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Velocity for a random caption of each row, a tenth of them replaced by the negative prompt."""
        n, device = len(rows), rows.device
        which = torch.randint(len(self.words.ids), (n,), generator=generator, device=device)
        ids, lengths = self.words.ids[which, rows], self.words.lengths[which, rows]
        dropped = torch.rand(n, generator=generator, device=device) < BLANK_SHARE
        ids, lengths = bank.blanked(self.words, ids, lengths, dropped)
        text = qwen.text_states(self.text_encoder, ids.long(), PREFIX_TOKENS)
        places = torch.arange(text.shape[1], device=device) + PREFIX_TOKENS
        return qwen.velocity(self.transformer, noisy, sigma, text, places.view(1, -1) < lengths.view(-1, 1))

    def pipeline(self, mu: float) -> Any:
        """The pipeline of the parts as they are now."""
        return qwen.assemble(vae=self.vae, transformer=self.transformer, text_encoder=self.text_encoder, tokenizer=self.tokenizer, mu=mu)


def _shape(context: StageContext) -> qwen.QwenShape:
    return qwen.QwenShape.tiny() if context.tiny else qwen.QwenShape()


def _vocabulary(context: StageContext) -> int:
    return 700 if context.tiny else 1536


def _pad(tokenizer: Any) -> int:
    return int(tokenizer.pad_token_id)
