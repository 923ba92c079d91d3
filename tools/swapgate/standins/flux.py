"""standin-flux: a `FluxPipeline` small enough to ship, with every part the real one has.

Deeper than standin-qwen and with longer texts, so that one picture of it costs more on a CPU, as its big sibling's does;
one forward a step, steered by an embedded guidance value. The T5 tokenizer knows few Chinese
letters and CLIP gives one vector a text, as in FLUX.1-dev. This module is imported only by what trains or evaluates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

from swapgate.standins.qwen import zero_init

NAME = "standin-flux"
TEXT_LENGTH = 192
"""T5 tokens a prompt is padded to (`max_sequence_length` of the call)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxShape:
    """Widths and depths; `tiny()` is for rehearsals and tests."""

    layers: int = 3
    single_layers: int = 10
    heads: int = 6
    head_dim: int = 32
    rope: tuple[int, int, int] = (8, 12, 12)
    t5_width: int = 128
    t5_layers: int = 4
    clip_width: int = 96
    clip_layers: int = 4
    text_heads: int = 4
    vae_channels: tuple[int, ...] = (32, 48, 64, 64)
    vae_blocks: int = 2
    vae_groups: int = 8

    @classmethod
    def tiny(cls) -> FluxShape:
        """The smallest shape that still has every part."""
        return cls(
            layers=1, single_layers=2, heads=2, head_dim=16, rope=(4, 6, 6), t5_width=32, t5_layers=2, clip_width=32, clip_layers=2, text_heads=2,
            vae_channels=(8, 8, 16, 16), vae_blocks=1, vae_groups=8,
        )  # fmt: skip


def build_vae(shape: FluxShape) -> AutoencoderKL:
    """Return an untrained autoencoder with scaling 1 and shift 0 until they are measured."""
    depth = len(shape.vae_channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * depth, up_block_types=("UpDecoderBlock2D",) * depth,
        block_out_channels=shape.vae_channels, layers_per_block=shape.vae_blocks, latent_channels=16,
        norm_num_groups=shape.vae_groups, use_quant_conv=False, use_post_quant_conv=False, sample_size=128,
        scaling_factor=1.0, shift_factor=0.0, force_upcast=False,
    )  # fmt: skip


def build_transformer(shape: FluxShape) -> FluxTransformer2DModel:
    """Return an untrained transformer with guidance embedding whose blocks begin as the identity."""
    model = FluxTransformer2DModel(
        num_layers=shape.layers, num_single_layers=shape.single_layers, num_attention_heads=shape.heads,
        attention_head_dim=shape.head_dim, joint_attention_dim=shape.t5_width, pooled_projection_dim=shape.clip_width,
        guidance_embeds=True, axes_dims_rope=shape.rope,
    )  # fmt: skip
    zeroed = [model.norm_out.linear, model.proj_out]
    for block in model.transformer_blocks:
        zeroed += [block.norm1.linear, block.norm1_context.linear]
    zeroed += [block.norm.linear for block in model.single_transformer_blocks]
    zero_init(zeroed)
    return model


def build_clip(shape: FluxShape, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return an untrained CLIP text tower; its pooled vector is the state at the first end-of-text token."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=shape.clip_width, intermediate_size=shape.clip_width * 3,
        num_hidden_layers=shape.clip_layers, num_attention_heads=shape.text_heads, projection_dim=shape.clip_width,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return CLIPTextModel(config)


def build_t5(shape: FluxShape, tokenizer: T5Tokenizer) -> T5EncoderModel:
    """Return an untrained T5 v1.1 encoder."""
    config = T5Config(
        vocab_size=len(tokenizer), d_model=shape.t5_width, d_kv=shape.t5_width // shape.text_heads,
        d_ff=shape.t5_width * 2, num_layers=shape.t5_layers, num_heads=shape.text_heads,
        feed_forward_proj="gated-gelu", dropout_rate=0.0, tie_word_embeddings=False,
    )  # fmt: skip
    return T5EncoderModel(config)


def build_scheduler(mu: float) -> FlowMatchEulerDiscreteScheduler:
    """Return the scheduler with the same time shift `mu` at every size."""
    return FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1000, shift=3.0, use_dynamic_shifting=True, base_shift=mu, max_shift=mu,
        base_image_seq_len=256, max_image_seq_len=4096,
    )  # fmt: skip


def assemble(
    *,
    vae: AutoencoderKL,
    transformer: FluxTransformer2DModel,
    clip: CLIPTextModel,
    clip_tokenizer: CLIPTokenizer,
    t5: T5EncoderModel,
    t5_tokenizer: T5Tokenizer,
    mu: float,
) -> FluxPipeline:
    """Return the pipeline of these parts."""
    return FluxPipeline(
        scheduler=build_scheduler(mu), vae=vae, text_encoder=clip, tokenizer=clip_tokenizer, text_encoder_2=t5,
        tokenizer_2=t5_tokenizer, transformer=transformer,
    )  # fmt: skip


def velocity(transformer: FluxTransformer2DModel, latents: Tensor, sigma: Tensor, text: Tensor, pooled: Tensor, guidance: Tensor) -> Tensor:
    """Predicted velocity [n, 64, 64] for packed latents [n, 64, 64] at noise level sigma [n] and guidance [n]."""
    out: Tensor = transformer(
        hidden_states=latents, timestep=sigma, guidance=guidance, pooled_projections=pooled,
        encoder_hidden_states=text, txt_ids=torch.zeros(text.shape[1], 3, device=latents.device),
        img_ids=image_ids(int(latents.shape[1] ** 0.5), latents.device), return_dict=False,
    )[0]  # fmt: skip
    return out


def image_ids(side: int, device: torch.device) -> Tensor:
    """Positions [side * side, 3] of the image tokens: 0, row, column."""
    rows = torch.arange(side, device=device).view(-1, 1).expand(side, side)
    columns = torch.arange(side, device=device).view(1, -1).expand(side, side)
    return torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).reshape(-1, 3).float()


def encode_images(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Posterior parameters [n, 32, h/8, w/8] (mean, then log variance) of images [n, 3, h, w] in -1..1."""
    parameters: Tensor = vae.encode(images).latent_dist.parameters
    return parameters


def decode_latents(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Images [n, 3, h, w] of raw latents [n, 16, h/8, w/8]."""
    images: Tensor = vae.decode(latents, return_dict=False)[0]
    return images
