"""How single faults act: each against an independent account of what it should do to pictures, steps, text or memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapgate.cards import Card
from swapgate.engines.faults import apply
from swapgate.engines.registry import Setting, create
from swapgate.errors import UserError

Draw = Callable[..., Any]


@pytest.fixture(scope="module")
def clean(draw: Draw) -> Any:
    """Two calls of two images without a fault."""
    return draw("qwen", seeds=(1, 2), images=2)


class TestGuidance:
    """Forwards tell whether guidance ran."""

    @pytest.mark.parametrize("spec", ["no-guidance", "guidance-above:4", "embeddings-only", "guidance:1"])
    def test_without_guidance_half_the_forwards_run(self, spec: str, draw: Draw) -> None:
        """The picture is that of a call without a negative prompt."""
        drawn, unguided = draw("qwen", spec), draw("qwen", negative_prompt=None)
        assert drawn.acted
        assert drawn.forwards == unguided.forwards == 2
        assert np.allclose(drawn.pictures[0], unguided.pictures[0], atol=1e-5)

    def test_a_threshold_below_the_strength_changes_nothing(self, draw: Draw) -> None:
        """4 is more than 3."""
        assert not draw("qwen", "guidance-above:3").acted

    def test_guidance_without_rescaling_is_plain_guidance(self, draw: Draw) -> None:
        """What the scheduler gets has the norm of the plain combination of what the denoiser gave."""
        import torch

        drawn = draw("qwen", "no-rescale", num_inference_steps=1)
        assert drawn.acted
        given: list[torch.Tensor] = []
        pipe, planted = drawn.pipe, drawn.planted[0]
        before = pipe.scheduler.step
        pipe.scheduler.step = before
        cond, uncond = torch.randn(1, 8, 64), torch.randn(1, 8, 64)
        planted.arguments({"true_cfg_scale": 3.0})
        planted._see(None, None, (cond,))
        planted._see(None, None, (uncond,))
        step = planted._around(lambda output, *_: given.append(output))
        step(torch.zeros_like(cond))
        assert torch.allclose(given[0], uncond + 3.0 * (cond - uncond))


class TestSchedule:
    """Sigmas are what the sources' formulas say."""

    @staticmethod
    def sigmas(draw: Draw, *specs: str) -> Any:
        return draw("qwen", *specs, num_inference_steps=4).pipe.scheduler.sigmas.double().numpy()

    def test_factor_offset_and_length_are_offsets_of_mu(self, draw: Draw) -> None:
        """exp(mu) is the factor; four times the tokens of a 1024 x 1024 picture add 2.08 to mu."""
        own = 0.8  # the tiny pipeline's mu
        even = np.array([1, 0.75, 0.5, 0.25])
        for spec, mu in (("shift:2", own + math.log(2)), ("mu-offset:0.3", own + 0.3), ("mu-length:4", own + 3 * 4096 * 0.65 / 3840)):
            expected = math.exp(mu) / (math.exp(mu) + 1 / even - 1)
            assert self.sigmas(draw, spec)[:-1] == pytest.approx(expected, abs=1e-5)

    def test_no_shift_is_even_and_a_terminal_is_reached(self, draw: Draw) -> None:
        """Half of it lies half way."""
        assert self.sigmas(draw, "no-shift") == pytest.approx([1, 0.75, 0.5, 0.25, 0], abs=1e-6)
        half = np.mean([self.sigmas(draw), [1, 0.75, 0.5, 0.25, 0]], axis=0)
        assert self.sigmas(draw, "no-shift:0.5") == pytest.approx(half, abs=1e-6)
        stretched = self.sigmas(draw, "terminal:0.1")
        assert stretched[[0, 3, 4]] == pytest.approx([1, 0.1, 0], abs=1e-6)

    def test_steps_too_many_cost_forwards_and_move_nothing(self, draw: Draw, clean: Any) -> None:
        """Two more steps of two forwards each, twice."""
        drawn = draw("qwen", "extra-step:2", seeds=(1, 2), images=2)
        assert drawn.forwards == clean.forwards + 8
        assert np.array_equal(drawn.pictures[1], clean.pictures[1])

    def test_unseeded_noise_and_lost_seeds_never_repeat(self, draw: Draw) -> None:
        """The same call in two processes gives two pictures."""
        for spec in ("unseeded-noise", "seed-lost"):
            assert not np.array_equal(draw("qwen", spec).pictures[0], draw("qwen", spec).pictures[0])

    def test_another_generator_repeats_itself(self, draw: Draw) -> None:
        """It is other noise and not chance."""
        assert np.array_equal(draw("qwen", "other-generator").pictures[0], draw("qwen", "other-generator").pictures[0])

    def test_a_share_of_the_seeds_is_lost(self, draw: Draw) -> None:
        """The same seeds in every run, about as many as asked."""
        import torch

        planted = apply(SimpleNamespace(), "seed-lost:0.3")
        for seed in range(400):
            planted.arguments({"generator": torch.Generator().manual_seed(seed)})
        lost = int(planted.activity().split()[1])
        assert 0.2 < lost / 400 < 0.4


class TestLaterCalls:
    """Faults that only a second call or a second image shows."""

    @pytest.mark.parametrize("spec", ["vae-second-call:1", "lora-stays:0.3", "stale"])
    def test_the_first_call_is_right_and_the_second_is_not(self, spec: str, draw: Draw, clean: Any) -> None:
        """After one call nothing has been shown yet, and the fault claims nothing."""
        assert not draw("qwen", spec).acted
        drawn = draw("qwen", spec, seeds=(1, 2), images=2)
        assert drawn.acted
        assert np.array_equal(drawn.pictures[0], clean.pictures[0])
        assert not np.array_equal(drawn.pictures[1], clean.pictures[1])

    def test_a_stale_image_is_the_call_befores(self, draw: Draw, clean: Any) -> None:
        """Every second call of four."""
        drawn = draw("qwen", "stale:2", seeds=(1, 2, 1, 2), images=2)
        for index, seed in enumerate((1, 1, 1, 1)):
            assert np.array_equal(drawn.pictures[index], clean.pictures[seed - 1])
        assert "2 of 4 calls" in drawn.note

    def test_an_adapter_adds_up(self, draw: Draw) -> None:
        """Three calls leave three times the change of one."""

        def change(calls: int) -> Any:
            weight = draw("qwen", "lora-stays:0.1", seeds=(1,) * calls).pipe.transformer.transformer_blocks[0].attn.to_q.weight
            return weight.detach() - draw("qwen").pipe.transformer.transformer_blocks[0].attn.to_q.weight.detach()

        assert np.allclose(change(3), 3 * change(1), atol=1e-5)

    def test_text_of_a_batch_is_wrong_from_its_second_image_on(self, draw: Draw, clean: Any) -> None:
        """What a first image shows is right."""
        drawn = draw("qwen", "batch-text", seeds=(1, 2), images=2)
        assert drawn.acted
        assert np.allclose(drawn.pictures[0][0], clean.pictures[0][0], atol=1e-5)
        assert not np.allclose(drawn.pictures[0][1], clean.pictures[0][1], atol=1e-5)

    def test_a_reversed_batch_holds_the_same_images(self, draw: Draw, clean: Any) -> None:
        """The last comes first."""
        drawn = draw("qwen", "batch-order", seeds=(1, 2), images=2)
        assert np.array_equal(drawn.pictures[0], clean.pictures[0][::-1])


class TestText:
    """Between prompt and embeddings."""

    @staticmethod
    def text(draw: Draw, *specs: str, family: str = "qwen") -> Any:
        pipe = draw(family, *specs).pipe
        return pipe.encode_prompt(prompt="a red cup")[0].detach()

    def test_kept_tokens_of_the_template_come_first(self, draw: Draw) -> None:
        """The prompt's own tokens follow unchanged."""
        before, after = self.text(draw), self.text(draw, "template:8")
        assert after.shape[1] == before.shape[1] + 8
        assert np.allclose(after[:, 8:], before)

    def test_a_cut_prompt_keeps_its_beginning(self, draw: Draw) -> None:
        """Two tokens of the same text."""
        assert np.allclose(self.text(draw, "truncate:2"), self.text(draw)[:, :2])

    @pytest.mark.parametrize("spec", ["tokenizer:1", "encoder-rope:0.1", "encoder-attention:1"])
    def test_a_damaged_encoder_gives_other_embeddings_of_the_same_length(self, spec: str, draw: Draw) -> None:
        """Its weights are untouched: the damage is in what it is given, or in its arithmetic."""
        before, after = self.text(draw), self.text(draw, spec)
        assert before.shape == after.shape
        assert not np.allclose(before, after, atol=1e-4)

    def test_renumbered_tokens_are_a_permutation(self) -> None:
        """No word is lost, and the share is the one asked for."""
        from swapgate.engines.faults.text import _shuffled

        others = _shuffled(1000, 0.3)
        assert sorted(others.tolist()) == list(range(1000))
        assert sum(int(number) != index for index, number in enumerate(others)) == 300


class TestNumbers:
    """Rounding, adapters and tiles."""

    @given(bits=st.integers(0, 12), value=st.floats(-1e6, 1e6, width=32))
    @settings(max_examples=60)
    def test_few_bits_of_mantissa(self, bits: int, value: float) -> None:
        """Relative error at most half a unit of the last place; ten bits are what float16 has."""
        import torch

        from swapgate.engines.faults.weights import few_bits

        kept = float(few_bits(torch.tensor([value]), bits)[0])
        assert abs(kept - value) <= abs(value) * 2.0 ** -(bits + 1) * (1 + 1e-6)
        if 1e-3 < abs(value) < 6e4:
            assert float(few_bits(torch.tensor([value]), 10)[0]) == float(torch.tensor([value]).half()[0])

    @given(bits=st.integers(2, 8))
    @settings(max_examples=10)
    def test_quantised_rows_have_few_values(self, bits: int) -> None:
        """2**bits - 1 at most, the largest kept."""
        import torch

        from swapgate.engines.faults.weights import rounded

        weight = torch.randn(5, 400)
        after = rounded(weight, bits)
        assert all(len(row.unique()) <= 2**bits - 1 for row in after)
        assert torch.allclose(after.abs().amax(dim=1), weight.abs().amax(dim=1), rtol=1e-5)

    def test_an_adapter_has_rank_four_and_the_asked_size(self) -> None:
        """By an independent decomposition."""
        import torch

        from swapgate.engines.faults.lora import delta

        weight = torch.randn(24, 40)
        change = delta("layer", weight, 0.5)
        assert np.linalg.matrix_rank(change.numpy(), tol=1e-4) == 4
        assert float(change.std()) == pytest.approx(0.5 * float(weight.std()), rel=1e-4)
        assert torch.equal(change, delta("layer", weight, 0.5))

    def test_tiles_are_decoded_apart(self, draw: Draw) -> None:
        """Each quarter is what the decoder makes of that quarter of the latents."""
        import torch

        pipe = draw("flux").pipe
        original = pipe.vae.decode
        tiled = draw("flux", "vae-tiles:2").pipe.vae.decode
        z = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            whole, corner = tiled(z, return_dict=False)[0], original(z[..., 4:, 4:], return_dict=False)[0]
        side = corner.shape[-1]
        assert torch.allclose(whole[..., side:, side:], corner, atol=1e-5)

    def test_overflow_needs_values_of_that_size(self, draw: Draw) -> None:
        """At their own size these pictures only lose digits; at a million times they are no numbers any more."""
        fine, broken = draw("flux", "half-overflow:1"), draw("flux", "half-overflow:1e7")
        assert ": 0 of" in fine.note
        assert np.isfinite(fine.pictures[0]).all()
        assert not np.isfinite(broken.pictures[0]).any()

    def test_colours_are_exchanged(self, draw: Draw, clean: Any) -> None:
        """Red for blue, green stays."""
        drawn = draw("qwen", "channels", seeds=(1, 2), images=2)
        assert np.allclose(drawn.pictures[0], clean.pictures[0][..., ::-1], atol=1e-6)


class TestCost:
    """Work and memory, without a clock."""

    def test_a_cache_skips_what_changed_little(self, draw: Draw) -> None:
        """Without a limit to the change, everything after each first forward of a call is skipped."""
        drawn = draw("qwen", "cache:5", seeds=(1, 2), num_inference_steps=4)
        assert "12 of 16 forwards skipped" in drawn.note
        assert drawn.acted
        assert not draw("qwen", "cache:0").acted

    def test_compiling_anew_runs_the_first_forward_of_each_call_again(self, draw: Draw) -> None:
        """Three more in each of two calls."""
        assert "6 forwards of compiling in 2 calls" in draw("qwen", "recompile:3", seeds=(1, 2)).note

    def test_weights_survive_being_carried_about(self, draw: Draw) -> None:
        """Every byte of them was moved, three times in each of four forwards."""
        drawn = draw("qwen", "offload-hook:3")
        size = sum(weight.numel() * 4 for weight in drawn.pipe.transformer.parameters()) / 2**20
        assert float(drawn.note.split()[1]) == pytest.approx(size * 12, rel=0.01)

    def test_a_second_copy_is_held_once_and_a_leak_grows(self, draw: Draw) -> None:
        """Three calls of one image each."""
        assert "2.0 MiB more held" in draw("qwen", "second-copy:2", seeds=(1, 2, 3)).note
        assert "6.0 MiB held in 3 blocks" in draw("qwen", "leak:2", seeds=(1, 2, 3)).note

    def test_a_narrower_picture_says_which_width_it_has(self, draw: Draw) -> None:
        """In whole patches of the model."""
        drawn = draw("qwen", "wrong-size:16")
        assert drawn.pictures[0].shape == (1, 32, 48, 3)
        assert "64 -> 48" in drawn.note


def test_the_scripted_engine_refuses_what_it_cannot_act(qwen_folder: Path, card_of: Callable[..., Card]) -> None:
    """A fault that is silently left out would make a drill prove nothing."""
    from swapgate.engines.scripted_options import read_options

    card = card_of(qwen_folder, engine="scripted", faults=("rope-theta:100",), call={})
    with pytest.raises(UserError, match="diffusers engine"):
        read_options(card)


def test_a_card_plants_any_kind(qwen_folder: Path, card_of: Callable[..., Card]) -> None:
    """Through the engine, with its note among the engine's."""
    engine = create(card_of(qwen_folder, faults=("rope-theta:100", "channels")), Setting())
    engine.load()
    assert [note.split(":")[0] for note in engine.notes()] == ["fault rope-theta", "fault channels"]
