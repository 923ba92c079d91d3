"""The sizes of published models, as their configurations state them; what is not written here is the default of its class.

Sources: the classes' own defaults (diffusers 0.42), configurations in public copies of the models, and for FLUX.1 the sampler code of
black-forest-labs/flux. Each gives the published number of parameters (tests/unit/engines/test_dry.py counts them without memory).
A model whose own folder is at hand needs no entry: its configurations are read from there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A component: its library and class as model_index.json names them, and its configuration."""

    library: str
    kind: str
    config: Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A pipeline's class, its components by name, its tokenizers (name to the function of `tokenizers` that makes it), plain entries.

    sources: Hub ids that have this architecture.
    """

    pipeline: str
    parts: Mapping[str, Part]
    tokenizers: Mapping[str, str]
    sources: tuple[str, ...]
    plain: Mapping[str, Any] = field(default_factory=dict)


def _flow(**config: Any) -> Part:
    return Part(library="diffusers", kind="FlowMatchEulerDiscreteScheduler", config={"num_train_timesteps": 1000, **config})


def _qwen_text() -> Part:
    """Qwen2.5-VL-7B with its vision tower, which is loaded with it though no picture is looked at."""
    text = {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
        "vocab_size": 152064, "rms_norm_eps": 1e-6, "max_position_embeddings": 128000,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    }  # fmt: skip
    vision = {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14, "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31], "out_hidden_size": 3584,
    }  # fmt: skip
    config = {"model_type": "qwen2_5_vl", "text_config": text, "vision_config": vision, "tie_word_embeddings": False}
    return Part(library="transformers", kind="Qwen2_5_VLForConditionalGeneration", config=config)


def _qwen3_text(kind: str) -> Part:
    """Qwen3-4B, of which FLUX.2-klein-4B and Z-Image read hidden states."""
    config = {
        "model_type": "qwen3", "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "rms_norm_eps": 1e-6, "max_position_embeddings": 40960,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "tie_word_embeddings": True,
    }  # fmt: skip
    return Part(library="transformers", kind=kind, config=config)


def _flux_vae() -> Part:
    config = {
        "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4, "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2, "latent_channels": 16, "norm_num_groups": 32, "scaling_factor": 0.3611, "shift_factor": 0.1159,
        "use_quant_conv": False, "use_post_quant_conv": False, "sample_size": 1024, "force_upcast": True,
    }  # fmt: skip
    return Part(library="diffusers", kind="AutoencoderKL", config=config)


def _flux1(*sources: str, guided: bool, shift: Config) -> Architecture:
    t5 = {
        "model_type": "t5", "d_model": 4096, "d_ff": 10240, "d_kv": 64, "num_heads": 64, "num_layers": 24, "vocab_size": 32128,
        "feed_forward_proj": "gated-gelu", "dropout_rate": 0.0, "tie_word_embeddings": False,
    }  # fmt: skip
    clip = {
        "model_type": "clip_text_model", "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "projection_dim": 768, "vocab_size": 49408, "max_position_embeddings": 77, "hidden_act": "quick_gelu",
    }  # fmt: skip
    transformer = {
        "patch_size": 1, "in_channels": 64, "num_layers": 19, "num_single_layers": 38, "attention_head_dim": 128, "num_attention_heads": 24,
        "joint_attention_dim": 4096, "pooled_projection_dim": 768, "guidance_embeds": guided, "axes_dims_rope": [16, 56, 56],
    }  # fmt: skip
    return Architecture(
        pipeline="FluxPipeline",
        parts={
            "transformer": Part(library="diffusers", kind="FluxTransformer2DModel", config=transformer),
            "vae": _flux_vae(),
            "text_encoder": Part(library="transformers", kind="CLIPTextModel", config=clip),
            "text_encoder_2": Part(library="transformers", kind="T5EncoderModel", config=t5),
            "scheduler": _flow(**shift),
        },
        tokenizers={"tokenizer": "clip", "tokenizer_2": "t5"},
        sources=sources,
        plain={"image_encoder": [None, None], "feature_extractor": [None, None]},
    )


_QWEN_SHIFT: Config = {
    "shift": 1.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 0.9, "base_image_seq_len": 256, "max_image_seq_len": 8192,
    "shift_terminal": 0.02, "time_shift_type": "exponential",
}  # fmt: skip
_DEV_SHIFT: Config = {
    "shift": 3.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096,
}  # fmt: skip

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "qwen-image": Architecture(
            pipeline="QwenImagePipeline",
            parts={
                "transformer": Part(library="diffusers", kind="QwenImageTransformer2DModel", config={}),
                "vae": Part(library="diffusers", kind="AutoencoderKLQwenImage", config={}),
                "text_encoder": _qwen_text(),
                "scheduler": _flow(**_QWEN_SHIFT),
            },
            tokenizers={"tokenizer": "qwen"},
            sources=("Qwen/Qwen-Image", "Qwen/Qwen-Image-2512"),
        ),
        "flux-1-dev": _flux1("black-forest-labs/FLUX.1-dev", guided=True, shift=_DEV_SHIFT),
        "flux-1-schnell": _flux1("black-forest-labs/FLUX.1-schnell", guided=False, shift={"shift": 1.0, "use_dynamic_shifting": False}),
        "flux-2-klein-4b": Architecture(
            pipeline="Flux2KleinPipeline",
            parts={
                "transformer": Part(
                    library="diffusers",
                    kind="Flux2Transformer2DModel",
                    config={
                        "num_layers": 5,
                        "num_single_layers": 20,
                        "num_attention_heads": 24,
                        "joint_attention_dim": 7680,
                        "guidance_embeds": False,
                    },
                ),
                "vae": Part(library="diffusers", kind="AutoencoderKLFlux2", config={}),
                "text_encoder": _qwen3_text("Qwen3ForCausalLM"),
                "scheduler": _flow(**_DEV_SHIFT),
            },
            tokenizers={"tokenizer": "qwen"},
            sources=("black-forest-labs/FLUX.2-klein-4B",),
            plain={"is_distilled": True},
        ),
        "z-image-turbo": Architecture(
            pipeline="ZImagePipeline",
            parts={
                "transformer": Part(library="diffusers", kind="ZImageTransformer2DModel", config={"axes_lens": [1536, 512, 512]}),
                "vae": _flux_vae(),
                "text_encoder": _qwen3_text("Qwen3Model"),
                "scheduler": _flow(shift=3.0),
            },
            tokenizers={"tokenizer": "qwen"},
            sources=("Tongyi-MAI/Z-Image-Turbo",),
        ),
    }
)

CONTROLS: Mapping[str, Part] = MappingProxyType(
    {
        "InstantX/Qwen-Image-ControlNet-Union": Part(library="diffusers", kind="QwenImageControlNetModel", config={"num_layers": 5}),
        "Shakker-Labs/FLUX.1-dev-ControlNet-Union-Pro-2.0": Part(
            library="diffusers",
            kind="FluxControlNetModel",
            config={"num_layers": 6, "num_single_layers": 0, "guidance_embeds": True, "joint_attention_dim": 4096, "pooled_projection_dim": 768},
        ),
    }
)

LIGHTNING_SHIFT = math.log(3.0)
"""The time shift of the Lightning LoRAs, at every size (`base_shift` and `max_shift` of their scheduler)."""


def of_source(source: str, named: str = "") -> Architecture | None:
    """The architecture by its name, else by the Hub id that has it; None for an unknown one."""
    if named:
        return ARCHITECTURES.get(named)
    return next((one for one in ARCHITECTURES.values() if source in one.sources), None)
