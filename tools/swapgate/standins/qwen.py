"""standin-qwen: a `QwenImagePipeline` small enough to ship, with every part the real one has.

The classes, the file layout and the prompt template are those of Qwen-Image; only widths and depths are small. A
picture of 128 x 128 is 16 latent channels of 16 x 16, packed into 64 tokens of 64 values for the transformer.
This module is imported only by what trains or evaluates stand-ins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from diffusers.models.autoencoders import autoencoder_kl_qwenimage
from torch import Tensor
from torch.nn import functional
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

NAME = "standin-qwen"
NEGATIVE_PROMPT = " "


@dataclass(frozen=True, slots=True, kw_only=True)
class QwenShape:
    """Widths and depths; `tiny()` is for rehearsals and tests."""

    layers: int = 6
    heads: int = 6
    head_dim: int = 32
    rope: tuple[int, int, int] = (8, 12, 12)
    text_width: int = 160
    text_layers: int = 4
    text_heads: int = 5
    vae_width: int = 16
    vae_multiples: tuple[int, ...] = (1, 2, 3, 4)
    vae_blocks: int = 1

    @classmethod
    def tiny(cls) -> QwenShape:
        """The smallest shape that still has every part."""
        return cls(
            layers=2, heads=2, head_dim=16, rope=(4, 6, 6), text_width=32, text_layers=2, text_heads=2, vae_width=8,
            vae_multiples=(1, 1, 2, 2),
        )  # fmt: skip


def build_vae(shape: QwenShape) -> AutoencoderKLQwenImage:
    """Return an untrained autoencoder whose latent statistics are 0 and 1 until they are measured."""
    return AutoencoderKLQwenImage(
        base_dim=shape.vae_width, z_dim=16, dim_mult=list(shape.vae_multiples), num_res_blocks=shape.vae_blocks,
        latents_mean=[0.0] * 16, latents_std=[1.0] * 16,
    )  # fmt: skip


def build_transformer(shape: QwenShape) -> QwenImageTransformer2DModel:
    """Return an untrained transformer whose blocks begin as the identity (zero gates, as in DiT, arXiv 2212.09748)."""
    model = QwenImageTransformer2DModel(
        num_layers=shape.layers, num_attention_heads=shape.heads, attention_head_dim=shape.head_dim,
        joint_attention_dim=shape.text_width, axes_dims_rope=shape.rope,
    )  # fmt: skip
    zeroed = [model.norm_out.linear, model.proj_out]
    for block in model.transformer_blocks:
        zeroed += [block.img_mod[1], block.txt_mod[1]]
    zero_init(zeroed)
    return model


def build_text_encoder(shape: QwenShape, tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLForConditionalGeneration:
    """Return an untrained Qwen2.5-VL whose vision tower is the smallest possible: the pipeline never calls it."""
    ids = tokenizer.convert_tokens_to_ids
    half = shape.text_width // shape.text_heads // 2
    text = {
        "hidden_size": shape.text_width, "intermediate_size": shape.text_width * 5 // 2,
        "num_hidden_layers": shape.text_layers, "num_attention_heads": shape.text_heads,
        "num_key_value_heads": shape.text_heads, "vocab_size": len(tokenizer), "max_position_embeddings": 2048,
        "rope_parameters": {
            "rope_type": "default", "type": "default", "rope_theta": 10000.0,
            "mrope_section": [half - 2 * (3 * half // 8), 3 * half // 8, 3 * half // 8],
        },
        "bos_token_id": None, "eos_token_id": ids("<|im_end|>"), "pad_token_id": ids("<|endoftext|>"),
        "tie_word_embeddings": True,
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 1, "out_hidden_size": shape.text_width,
        "fullatt_block_indexes": [0],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=True,
        image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"), vision_end_token_id=ids("<|vision_end|>"),
    )  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(config)


def build_scheduler(mu: float) -> FlowMatchEulerDiscreteScheduler:
    """Return the scheduler with the same time shift `mu` at every size, as the few-step Qwen-Image models have it."""
    return FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1000, shift=1.0, use_dynamic_shifting=True, base_shift=mu, max_shift=mu,
        base_image_seq_len=256, max_image_seq_len=8192, shift_terminal=None, time_shift_type="exponential",
    )  # fmt: skip


def assemble(
    *,
    vae: AutoencoderKLQwenImage,
    transformer: QwenImageTransformer2DModel,
    text_encoder: Qwen2_5_VLForConditionalGeneration,
    tokenizer: Qwen2Tokenizer,
    mu: float,
) -> QwenImagePipeline:
    """Return the pipeline of these parts."""
    return QwenImagePipeline(scheduler=build_scheduler(mu), vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, transformer=transformer)


def text_states(encoder: Qwen2_5_VLForConditionalGeneration, ids: Tensor, drop: int) -> Tensor:
    """Hidden states [n, length - drop, width] of right-padded token ids [n, length].

    Equal to what the pipeline computes on the tokens that are not padding: attention is causal, so padding on the
    right changes nothing before it, and the mask can be left out, which lets the fast attention kernels run.
    """
    tower: Any = encoder.model.language_model
    states: Tensor = tower(input_ids=ids, use_cache=False).last_hidden_state
    return states[:, drop:]


def velocity(transformer: QwenImageTransformer2DModel, latents: Tensor, sigma: Tensor, text: Tensor, mask: Tensor) -> Tensor:
    """Predicted velocity [n, 64, 64] for packed latents [n, 64, 64] at noise level sigma [n] in 0..1."""
    side = int(latents.shape[1] ** 0.5)
    out: Tensor = transformer(
        hidden_states=latents, timestep=sigma, encoder_hidden_states=text, encoder_hidden_states_mask=mask,
        img_shapes=[[(1, side, side)]] * len(latents), return_dict=False,
    )[0]  # fmt: skip
    return out


def encode_images(vae: AutoencoderKLQwenImage, images: Tensor) -> Tensor:
    """Posterior parameters [n, 32, h/8, w/8] (mean, then log variance) of images [n, 3, h, w] in -1..1."""
    parameters: Tensor = vae.encode(images.unsqueeze(2)).latent_dist.parameters
    return parameters.squeeze(2)


def decode_latents(vae: AutoencoderKLQwenImage, latents: Tensor) -> Tensor:
    """Images [n, 3, h, w] of raw latents [n, 16, h/8, w/8], before the clamp to -1..1 that hides gradients."""
    out: Tensor = vae.decoder(vae.post_quant_conv(latents.unsqueeze(2)))
    return out.squeeze(2)


@contextmanager
def single_frame() -> Iterator[None]:
    """Within it, causal 3-D convolutions of one frame run as 2-D ones: the same numbers in a third of the time.

    A single frame is padded with zeros in front, so only the last tap in time meets data.
    """
    convolution = autoencoder_kl_qwenimage.QwenImageCausalConv3d
    original = convolution.forward

    def forward(self: Any, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
        if cache_x is not None or x.shape[2] != 1 or self.stride[0] != 1:
            result: Tensor = original(self, x, cache_x)
            return result
        left, right, top, bottom = self._padding[:4]
        padded = functional.pad(x.squeeze(2), (left, right, top, bottom))
        return functional.conv2d(padded, self.weight[:, :, -1], self.bias, self.stride[1:]).unsqueeze(2)

    convolution.forward = forward
    try:
        yield
    finally:
        convolution.forward = original


def zero_init(layers: list[torch.nn.Linear]) -> None:
    """Set weights and biases of `layers` to zero."""
    for layer in layers:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
