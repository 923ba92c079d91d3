"""Stages that train a finished standin-flux on: they begin with the weights of the folder and write it anew.

They are for a machine without an accelerator: small batches, crops instead of whole pictures, texts padded no further
than they need. Tokenizers stay as they are, so a folder keeps its words.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5Tokenizer

from swapgate.engines.dry.tokenizers import CLIP_LENGTH
from swapgate.errors import UserError
from swapgate.standins import flux, folders
from swapgate.standins.training import autoencoder, bank, flow, flux_stages, reading
from swapgate.standins.training.stages import Figures, Stage, StageContext

VAE_SETTINGS = autoencoder.VaeSettings(pictures=3072, batch=24, peak=8e-4, crop=64, whole_from=0.8, whole_batch=6)
FLOW_SETTINGS = flow.FlowSettings(
    batch=32, peak=5e-4, decay=0.998, look_seconds=480.0, look_images=64, look_languages=("en",), stop_at=0.88, reserve=10.0
)  # fmt: skip
SCENES = 24_000
SEED = 3_000_000
SHORT = 64
"""Tokens that the T5 texts of most steps are padded to; the pipeline pads to `flux.TEXT_LENGTH`."""
LONG_SHARE = 0.08
LONG_FROM = 0.88
"""Progress from which every text is padded as the pipeline pads it."""
MEASURED = 128


def stages() -> tuple[Stage, ...]:
    """The stages in their order; each may be run alone."""
    return (
        Stage(name="flux-vae-more", folder=flux.NAME, run=vae, seconds=540),
        Stage(name="flux-flow-more", folder=flux.NAME, run=train, seconds=540),
    )


def vae(context: StageContext) -> Figures:
    """Train the folder's autoencoder on, encoder and decoder; the weights are left for `flux-flow-more`.

    Both learn: what the encoder buries under its posterior's noise no decoder brings back.
    """
    model = AutoencoderKL.from_pretrained(part(context.out, "vae"))
    coder = autoencoder.Coder(model=model, encode=flux.encode_images, decode=flux.decode_latents)
    return autoencoder.train_vae(context, coder, autoencoder.VaeSettings.tiny() if context.tiny else VAE_SETTINGS)


def train(context: StageContext) -> Figures:
    """Warm the text towers up, train the flow on, save the folder and measure what was saved."""
    model = FluxMore(context)
    settings = FLOW_SETTINGS.rehearsal() if context.tiny else FLOW_SETTINGS
    figures: Figures = {"rows": model.rows}
    with plain_attention(context.device):
        if not context.checkpoint.exists():  # an interrupted stage has its towers in its checkpoint
            figures |= reading.read_scenes(context, model.towers(), model.codes, model.english, reading.ReadSettings())
        figures |= flow.train_flow(context, model, settings)
    figures["bytes"] = save(model, context.out)
    return figures | flow.measure_folder(context, 2 if context.tiny else MEASURED)


def save(model: FluxMore, folder: Path) -> int:
    """Write the pipeline into its folder, the files of the tokenizers byte for byte as they were; bytes of all files."""
    words = {path: path.read_bytes() for name in ("tokenizer", "tokenizer_2") for path in sorted((folder / name).iterdir())}
    folders.save_pipeline(model.pipeline(flow.FlowSettings().mu), folder)
    for path, content in words.items():
        path.write_bytes(content)
    for name in ("vae", "transformer"):
        forget_place(folder / name / "config.json")
    folders.write_digests(folder)
    return folders.folder_bytes(folder)


def forget_place(config: Path) -> None:
    """Take out of a configuration the folder its weights were loaded from, which means nothing on another machine."""
    entries = json.loads(config.read_text(encoding="utf-8"))
    entries.pop("_name_or_path", None)
    config.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class FluxMore:
    """A `flow.FlowModel` of a finished standin-flux."""

    def __init__(self, context: StageContext) -> None:
        self.context, folder = context, context.out
        self.vae = AutoencoderKL.from_pretrained(part(folder, "vae"))
        if Path(autoencoder.weights_path(context, "flux-vae-more")).exists():
            autoencoder.load_weights(context, "flux-vae-more", self.vae)
        self.transformer = FluxTransformer2DModel.from_pretrained(part(folder, "transformer"))
        self.clip = CLIPTextModel.from_pretrained(part(folder, "text_encoder"))
        self.t5 = T5EncoderModel.from_pretrained(part(folder, "text_encoder_2"))
        self.modules: dict[str, nn.Module] = {"transformer": self.transformer, "clip": self.clip, "t5": self.t5}
        for module in (self.vae, *self.modules.values()):
            module.to(context.device, torch.float32)
        self._latents()
        self._words(folder)

    def _latents(self) -> None:
        context = self.context
        n = flux_stages.TINY_SCENES if context.tiny else SCENES
        raw = bank.latents_within(context, self._encode, n, share=0.1, offset=SEED)
        shift, scaling = float(raw.float().mean()), 1 / float(raw.float().std())
        self.vae.register_to_config(shift_factor=shift, scaling_factor=scaling)
        self.packed = bank.pack((raw - shift) * scaling)
        self.rows = len(self.packed)
        self.codes = bank.training_codes(self.rows, context.seed + SEED).to(context.device)

    def _encode(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            return torch.cat([flux.encode_images(self.vae, some) for some in torch.split(images, 32)]).float()

    def _words(self, folder: Path) -> None:
        """Captions of the bank's scenes as token ids of the folder's own tokenizers."""
        self.clip_tokenizer = CLIPTokenizer.from_pretrained(part(folder, "tokenizer"))
        self.t5_tokenizer = T5Tokenizer.from_pretrained(part(folder, "tokenizer_2"))
        device = self.context.device
        texts = bank.caption_texts(self.codes.cpu(), flux_stages.WORDINGS, self.context.seed + SEED, bank.workers(self.context.tiny))
        self.english = torch.tensor([[text.isascii() for text in some] for some in texts], device=device)
        self.clip_words = flux_stages.encoded(texts, self.clip_tokenizer, CLIP_LENGTH).to(device)
        self.t5_words = flux_stages.encoded(texts, self.t5_tokenizer, flux.TEXT_LENGTH).to(device)
        self.clip_lengths = (self.clip_words.ids != self.clip_words.pad).sum(dim=2) + 1
        self.t5_lengths = (self.t5_words.ids != self.t5_words.pad).sum(dim=2)

    def latents(self, rows: Tensor) -> Tensor:
        """Clean packed latents [n, 64, 64] of these rows."""
        return self.packed[rows].float()

    def weights(self, rows: Tensor) -> Tensor:
        """What errors in each token of these rows count [n, 64, 1]."""
        return bank.object_weights(self.codes[rows])

    def predict(self, noisy: Tensor, sigma: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Velocity for a caption of each row, at a random guidance that says how far it can be trusted."""
        rows, guidance = flux_stages.guided(rows, self.rows, generator)
        which = torch.randint(len(self.t5_words.ids), rows.shape, generator=generator, device=rows.device)
        length = self._length(generator)
        # A caption too long for a short step gives way to the scene's shortest one.
        which = torch.where(self.t5_lengths[which, rows] > length, self.t5_lengths[:, rows].argmin(dim=0), which)
        text = self.t5(self.t5_words.ids[which, rows, :length].long()).last_hidden_state
        return flux.velocity(self.transformer, noisy, sigma, text, self._pooled(which, rows), guidance)

    def _length(self, generator: torch.Generator) -> int:
        late = self.context.elapsed > LONG_FROM * self.context.seconds
        long = late or float(torch.rand((), generator=generator, device=generator.device)) < LONG_SHARE
        return flux.TEXT_LENGTH if long else SHORT

    def _pooled(self, which: Tensor, rows: Tensor) -> Tensor:
        """CLIP's vectors [n, width]; the tower is causal, so what follows the end of a text changes nothing."""
        longest = int(self.clip_lengths[which, rows].max())
        pooled: Tensor = self.clip(self.clip_words.ids[which, rows, :longest].long()).pooler_output
        return pooled

    def _mean_state(self, which: Tensor, rows: Tensor) -> Tensor:
        ids = self.t5_words.ids[which, rows, : int(self.t5_lengths[which, rows].max())].long()
        real = (ids != self.t5_words.pad).unsqueeze(-1)
        states: Tensor = self.t5(ids).last_hidden_state
        return (states * real).sum(dim=1) / real.sum(dim=1)

    def towers(self) -> dict[str, reading.Tower]:
        """Both text towers, as their warm-up wants them."""
        return {
            "clip": reading.Tower(module=self.clip, vectors=self._pooled, width=int(self.clip.config.hidden_size)),
            "t5": reading.Tower(module=self.t5, vectors=self._mean_state, width=int(self.t5.config.d_model)),
        }

    def pipeline(self, mu: float) -> Any:
        """The pipeline of the parts as they are now."""
        return flux.assemble(
            vae=self.vae, transformer=self.transformer, clip=self.clip, clip_tokenizer=self.clip_tokenizer, t5=self.t5,
            t5_tokenizer=self.t5_tokenizer, mu=mu,
        )  # fmt: skip


def plain_attention(device: torch.device) -> AbstractContextManager[Any]:
    """Attention as plain arithmetic on a CPU, whose fused backward pass is slower at these small sizes."""
    return nullcontext() if device.type == "cuda" else sdpa_kernel(SDPBackend.MATH)


def part(folder: Path, name: str) -> Path:
    """The folder of one part of the pipeline that is trained on.

    Raises:
        UserError: it is not there.
    """
    path = folder / name
    if not (path / "config.json").exists() and not (path / "tokenizer.json").exists():
        raise UserError(
            where=str(folder), key=name, rule="a folder that is trained on holds every part of a pipeline",
            remedy="copy fixtures/weights/standin-flux there, or run swapgate standins train --which flux first",
        )  # fmt: skip
    return path
