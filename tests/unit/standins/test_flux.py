"""standin-flux's parts: what training computes is what the real pipeline computes, and it costs more than standin-qwen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from torch.utils._python_dispatch import TorchDispatchMode

from swapgate.standins import flux, tokenizers
from swapgate.standins.training.bank import Wording, caption_texts, pack, training_codes

SHAPE = flux.FluxShape.tiny()
VIEWS = frozenset({
    "view", "t", "transpose", "permute", "unsqueeze", "squeeze", "slice", "select", "expand", "split", "unbind", "alias",
    "detach", "_unsafe_view", "as_strided", "split_with_sizes", "view_as_real", "view_as_complex",
})  # fmt: skip


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Captions as standin-flux is trained on: mostly narrow, few Chinese."""
    return caption_texts(training_codes(200, 3), (Wording(chinese=0.1, narrow=0.8),), 3, 1)[0]


@pytest.fixture(scope="module")
def pipeline(texts: list[str]) -> FluxPipeline:
    """A tiny pipeline with random weights, none of them zero."""
    torch.manual_seed(0)
    clip_tokenizer, t5_tokenizer = tokenizers.train_clip(texts), tokenizers.train_t5(texts)
    transformer = flux.build_transformer(SHAPE)
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    vae = flux.build_vae(SHAPE)
    vae.register_to_config(scaling_factor=0.6, shift_factor=0.3)
    made = flux.assemble(
        vae=vae, transformer=transformer, clip=flux.build_clip(SHAPE, clip_tokenizer), clip_tokenizer=clip_tokenizer,
        t5=flux.build_t5(SHAPE, t5_tokenizer), t5_tokenizer=t5_tokenizer, mu=0.7,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    for name in ("vae", "transformer", "text_encoder", "text_encoder_2"):
        getattr(made, name).eval()
    return made


class Kernels(TorchDispatchMode):
    """Counts operations that are more than another view of the same memory: what a GPU launches kernels for."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one operation and run it."""
        if func._schema.name.split("::")[1] not in VIEWS:
            self.count += 1
        return func(*args, **(kwargs or {}))


def test_training_reads_a_prompt_as_the_pipeline_does(pipeline: Any, texts: list[str]) -> None:
    """The states that training feeds the transformer are the pipeline's own, padding included."""
    prompts = [texts[0], "zebra 斑马!"]
    with torch.no_grad():
        expected, pooled, _ = pipeline.encode_prompt(prompts, None, max_sequence_length=flux.TEXT_LENGTH)
        ids = pipeline.tokenizer_2(prompts, padding="max_length", max_length=flux.TEXT_LENGTH, truncation=True)
        states = pipeline.text_encoder_2(torch.tensor(ids["input_ids"])).last_hidden_state
        clip_ids = pipeline.tokenizer(prompts, padding="max_length", max_length=77, truncation=True)
        vector = pipeline.text_encoder(torch.tensor(clip_ids["input_ids"])).pooler_output
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(vector, pooled)


def test_the_pooled_vector_is_taken_at_the_end_of_the_text(pipeline: Any) -> None:
    """Two prompts that differ only before the end give different vectors; padding after the end changes none."""
    with torch.no_grad():
        vectors = pipeline._get_clip_prompt_embeds(["a red cup", "a blue cup", "a red cup"])
    assert not torch.allclose(vectors[0], vectors[1])
    torch.testing.assert_close(vectors[0], vectors[2])


def test_velocity_calls_the_transformer_as_the_pipeline_does(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions, guidance and time reach the transformer from training exactly as they do from a call."""
    seen: list[dict[str, Any]] = []
    forward = pipeline.transformer.forward

    def watched(**arguments: Any) -> Any:
        seen.append(arguments)
        return forward(**arguments)

    monkeypatch.setattr(pipeline.transformer, "forward", watched)
    pipeline("a cup", guidance_scale=2.5, height=128, width=128, num_inference_steps=2, max_sequence_length=16,
             output_type="latent", generator=torch.Generator().manual_seed(0))  # fmt: skip
    call = seen[0]
    with torch.no_grad():
        flux.velocity(
            pipeline.transformer, call["hidden_states"], call["timestep"], call["encoder_hidden_states"],
            call["pooled_projections"], torch.tensor([2.5]),
        )  # fmt: skip
    ours = seen[-1]
    for key in ("hidden_states", "timestep", "guidance", "txt_ids", "img_ids"):
        torch.testing.assert_close(ours[key].float(), call[key].float(), msg=key)
    assert float(call["timestep"][0]) == pytest.approx(1.0)


def test_guidance_reaches_the_prediction(pipeline: Any) -> None:
    """Another guidance value makes another velocity: the embedding is there and is used."""
    args = (
        torch.randn(1, 64, 64),
        torch.tensor([0.5]),
        torch.randn(1, 8, SHAPE.t5_width),
        torch.randn(1, SHAPE.clip_width),
    )
    with torch.no_grad():
        low, high = (flux.velocity(pipeline.transformer, *args, torch.tensor([g])) for g in (1.0, 6.0))
    assert not torch.allclose(low, high)


def test_a_perfect_velocity_makes_the_pipeline_draw_the_picture(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the velocity that training aims at, the pipeline ends at the very latents: packing, signs, scaling agree."""
    raw = torch.randn(1, 16, 16, 16) * 1.5 + 0.3
    clean = pack((raw - pipeline.vae.config.shift_factor) * pipeline.vae.config.scaling_factor)

    def perfect(*, hidden_states: torch.Tensor, timestep: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        return ((hidden_states - clean) / timestep.view(-1, 1, 1),)

    monkeypatch.setattr(pipeline.transformer, "forward", perfect)
    drawn = pipeline("a cup", height=128, width=128, num_inference_steps=8, max_sequence_length=16, output_type="pt").images
    with torch.no_grad():
        expected = (flux.decode_latents(pipeline.vae, raw).clamp(-1, 1) + 1) / 2
    torch.testing.assert_close(drawn, expected, rtol=1e-3, atol=1e-3)


def test_encoding_gives_mean_and_log_variance(pipeline: Any) -> None:
    """The first sixteen channels are the posterior's mean, the others its log variance."""
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        parameters = flux.encode_images(pipeline.vae, images)
        posterior = pipeline.vae.encode(images).latent_dist
    assert parameters.shape == (2, 32, 8, 8)
    torch.testing.assert_close(parameters[:, :16], posterior.mean)
    torch.testing.assert_close(parameters[:, 16:].clamp(-30, 20), posterior.logvar)


def test_an_untrained_transformer_predicts_nothing() -> None:
    """Zero gates and a zero output layer: training starts from the zero velocity, without a jump."""
    out = flux.velocity(
        flux.build_transformer(SHAPE), torch.randn(1, 64, 64), torch.tensor([0.5]), torch.randn(1, 4, SHAPE.t5_width),
        torch.randn(1, SHAPE.clip_width), torch.tensor([3.5]),
    )  # fmt: skip
    assert torch.count_nonzero(out) == 0


def test_image_ids_count_rows_and_columns(pipeline: Any) -> None:
    """Positions are those that the pipeline prepares."""
    expected = pipeline._prepare_latent_image_ids(1, 8, 8, torch.device("cpu"), torch.float32)
    assert torch.equal(flux.image_ids(8, torch.device("cpu")), expected)


def test_the_shipped_shape_fits_its_budget() -> None:
    """At full size, transformer and autoencoder take less than 23 MB in half precision, so that all three models stay below 60."""
    shape = flux.FluxShape()
    parameters = sum(p.numel() for model in (flux.build_transformer(shape), flux.build_vae(shape)) for p in model.parameters())
    assert 2 * parameters < 23e6
    assert sum(shape.rope) == shape.head_dim
    assert shape.head_dim % 8 == 0
