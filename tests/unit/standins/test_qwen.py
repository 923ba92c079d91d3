"""standin-qwen's parts: what training computes is what the real pipeline computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import QwenImagePipeline

from swapgate.standins import qwen, tokenizers
from swapgate.standins.training.bank import Wording, caption_texts, pack, training_codes

SHAPE = qwen.QwenShape.tiny()


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """English and Chinese captions, one list."""
    pair = caption_texts(training_codes(120, 3), (Wording(chinese=0, narrow=0), Wording(chinese=1, narrow=0)), 3, 1)
    return pair[0] + pair[1]


@pytest.fixture(scope="module")
def pipeline(texts: list[str]) -> QwenImagePipeline:
    """A tiny pipeline with random weights, none of them zero."""
    torch.manual_seed(0)
    tokenizer = tokenizers.train_qwen(texts, size=700)
    transformer = qwen.build_transformer(SHAPE)
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    vae = qwen.build_vae(SHAPE)
    vae.register_to_config(latents_mean=np.linspace(-1, 1, 16).tolist(), latents_std=np.linspace(0.5, 2, 16).tolist())
    made = qwen.assemble(
        vae=vae,
        transformer=transformer,
        text_encoder=qwen.build_text_encoder(SHAPE, tokenizer),
        tokenizer=tokenizer,
        mu=0.7,
    )
    made.set_progress_bar_config(disable=True)
    for name in ("vae", "transformer", "text_encoder"):
        getattr(made, name).eval()
    return made


def padded(pipeline: Any, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [n, length] padded on the right, and their lengths [n], as the bank holds them."""
    rows = pipeline.tokenizer([tokenizers.TEMPLATE.format(p) for p in prompts])["input_ids"]
    longest = max(map(len, rows)) + 3
    ids = torch.full((len(rows), longest), pipeline.tokenizer.pad_token_id)
    for k, row in enumerate(rows):
        ids[k, : len(row)] = torch.tensor(row)
    return ids, torch.tensor([len(row) for row in rows])


def normalised(pipeline: Any, raw: torch.Tensor) -> torch.Tensor:
    """Raw latents [n, 16, h, w] as training sees them."""
    mean = torch.tensor(pipeline.vae.config.latents_mean).view(1, -1, 1, 1)
    std = torch.tensor(pipeline.vae.config.latents_std).view(1, -1, 1, 1)
    return pack((raw - mean) / std)


def test_the_template_is_the_one_of_the_pipeline(pipeline: Any) -> None:
    """Training writes prompts into the same template that the pipeline uses, and drops as many tokens."""
    assert pipeline.prompt_template_encode == tokenizers.TEMPLATE
    assert pipeline.prompt_template_encode_start_idx == tokenizers.PREFIX_TOKENS


def test_training_reads_a_prompt_as_the_pipeline_does(pipeline: Any, texts: list[str]) -> None:
    """Hidden states without a mask equal the pipeline's masked ones on every token that is not padding."""
    prompts = [texts[0], texts[150], " ", "unseen words: zebra, 斑马!"]
    with torch.no_grad():
        expected, mask = pipeline.encode_prompt(prompts)
        ids, lengths = padded(pipeline, prompts)
        states = qwen.text_states(pipeline.text_encoder, ids, tokenizers.PREFIX_TOKENS)
    for k in range(len(prompts)):
        n = int(lengths[k]) - tokenizers.PREFIX_TOKENS
        assert int(mask[k].sum()) == n
        torch.testing.assert_close(states[k, :n], expected[k, :n], rtol=1e-4, atol=1e-5)


def test_padding_changes_no_velocity(pipeline: Any, texts: list[str]) -> None:
    """A masked batch predicts what each prompt alone predicts without a mask."""
    prompts = [texts[1], " "]
    ids, lengths = padded(pipeline, prompts)
    noisy, sigma = torch.randn(2, 64, 64), torch.tensor([0.3, 0.9])
    with torch.no_grad():
        text = qwen.text_states(pipeline.text_encoder, ids, tokenizers.PREFIX_TOKENS)
        kept = lengths - tokenizers.PREFIX_TOKENS
        mask = torch.arange(text.shape[1]).view(1, -1) < kept.view(-1, 1)
        together = qwen.velocity(pipeline.transformer, noisy, sigma, text, mask)
        for k in range(2):
            alone = qwen.velocity(
                pipeline.transformer, noisy[k : k + 1], sigma[k : k + 1], text[k : k + 1, : int(kept[k])],
                torch.ones(1, int(kept[k]), dtype=torch.bool),
            )  # fmt: skip
            torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-4, atol=1e-5)


def test_single_frame_convolutions_are_the_same_numbers(pipeline: Any) -> None:
    """2-D convolutions within `single_frame` encode and decode exactly as the 3-D ones do."""
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        slow = qwen.encode_images(pipeline.vae, images)
        slow_out = qwen.decode_latents(pipeline.vae, slow[:, :16])
        with qwen.single_frame():
            fast = qwen.encode_images(pipeline.vae, images)
            fast_out = qwen.decode_latents(pipeline.vae, slow[:, :16])
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast_out, slow_out, rtol=1e-4, atol=1e-5)


def test_single_frame_gives_the_convolution_back(pipeline: Any) -> None:
    """After the block, even one left by an error, the class has its own forward again."""
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d

    before = QwenImageCausalConv3d.forward

    def broken() -> None:
        with qwen.single_frame():
            assert QwenImageCausalConv3d.forward is not before
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        broken()
    assert QwenImageCausalConv3d.forward is before


def test_decoding_for_training_is_the_public_decode_without_its_clamp(pipeline: Any) -> None:
    """`decode_latents`, clamped, equals `vae.decode`."""
    raw = torch.randn(1, 16, 8, 8) * 3
    with torch.no_grad():
        ours = qwen.decode_latents(pipeline.vae, raw).clamp(-1, 1)
        theirs = pipeline.vae.decode(raw.unsqueeze(2)).sample.squeeze(2)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_a_perfect_velocity_makes_the_pipeline_draw_the_picture(pipeline: Any, monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """With the velocity that training aims at, the pipeline ends at the very latents: packing, signs, statistics agree."""
    raw = torch.randn(1, 16, 16, 16) * 2 + 0.5
    clean = normalised(pipeline, raw)

    def perfect(*, hidden_states: torch.Tensor, timestep: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        return ((hidden_states - clean) / timestep.view(-1, 1, 1),)

    monkeypatch.setattr(pipeline.transformer, "forward", perfect)
    drawn = pipeline(
        "a cup", negative_prompt=" ", true_cfg_scale=scale, height=128, width=128, num_inference_steps=8, output_type="pt",
        generator=torch.Generator().manual_seed(1),
    ).images  # fmt: skip
    with torch.no_grad():
        expected = (qwen.decode_latents(pipeline.vae, raw).clamp(-1, 1) + 1) / 2
    torch.testing.assert_close(drawn, expected, rtol=1e-3, atol=1e-3)


def test_packing_is_that_of_the_pipeline(pipeline: Any) -> None:
    """`pack` orders tokens and channels as the pipeline's own packing does."""
    latents = torch.randn(2, 16, 16, 16)
    assert torch.equal(pack(latents), pipeline._pack_latents(latents.unsqueeze(2), 2, 16, 16, 16))


def test_an_untrained_transformer_predicts_nothing() -> None:
    """Zero gates and a zero output layer: training starts from the zero velocity, without a jump."""
    model = qwen.build_transformer(SHAPE)
    mask = torch.ones(1, 5, dtype=torch.bool)
    out = qwen.velocity(model, torch.randn(1, 64, 64), torch.tensor([0.5]), torch.randn(1, 5, SHAPE.text_width), mask)
    assert torch.count_nonzero(out) == 0


@pytest.mark.parametrize("tokens", [16, 64, 256])
def test_the_time_shift_is_the_same_at_every_size(tokens: int) -> None:
    """The scheduler's shift depends neither on the number of tokens nor on anything else but mu."""
    from diffusers.pipelines.qwenimage.pipeline_qwenimage import calculate_shift

    config = qwen.build_scheduler(0.7).config
    shift = calculate_shift(tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift)
    assert shift == pytest.approx(0.7)


def test_guidance_needs_two_forwards_a_step(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a negative prompt every step calls the transformer twice, without one once."""
    calls: list[int] = []
    forward = pipeline.transformer.forward

    def counted(**arguments: Any) -> Any:
        calls.append(1)
        return forward(**arguments)

    monkeypatch.setattr(pipeline.transformer, "forward", counted)
    for negative, expected in ((" ", 6), (None, 3)):
        calls.clear()
        pipeline("a cup", negative_prompt=negative, height=64, width=64, num_inference_steps=3, output_type="latent")
        assert len(calls) == expected


def test_the_shipped_shape_has_every_real_part_and_fits_its_budget() -> None:
    """At full size, transformer and autoencoder stay within 21.5 MB in half precision: 26 MB with the text encoder."""
    shape = qwen.QwenShape()
    parameters = sum(p.numel() for model in (qwen.build_transformer(shape), qwen.build_vae(shape)) for p in model.parameters())
    assert 2 * parameters < 21.5e6
    assert shape.text_width % shape.text_heads == 0
    assert sum(shape.rope) == shape.head_dim
