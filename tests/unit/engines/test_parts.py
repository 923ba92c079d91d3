"""What a card names beside the model (LoRA, ControlNet, refiner, quantisation, cache, tiling) acts, or the call is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapgate.card_parts import Control, Lora, Parts, Quantisation, Refiner
from swapgate.cards import Card
from swapgate.engines.base import Engine
from swapgate.engines.proofs import FeatureInactiveError
from swapgate.engines.registry import Setting, create
from swapgate.errors import UserError
from swapgate.meters.clock import StageClock
from swapgate.plan import Call
from swapgate.runs.pixels import Pixels

CardOf = Callable[..., Card]
CallOf = Callable[..., Call]


def loaded(card: Card) -> Engine:
    """The engine of a card, loaded."""
    engine = create(card, Setting())
    engine.load()
    return engine


def picture(engine: Engine, call: Call) -> tuple[Pixels, StageClock]:
    """The first image of a call, and the clock of it."""
    clock = StageClock()
    clock.start()
    images = engine.make(call, clock)
    clock.stop()
    return images[0], clock


@pytest.fixture(scope="session")
def lora(qwen_folder: Path) -> str:
    """A random LoRA of the tiny transformer, saved as the real ones are."""
    import torch
    from diffusers import QwenImagePipeline
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    pipe: Any = QwenImagePipeline.from_pretrained(qwen_folder)
    pipe.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipe.transformer))
    torch.manual_seed(3)
    pipe.save_lora_weights(qwen_folder.parent / "lora", {name: torch.randn_like(value) for name, value in state.items()})
    return "lora"


@pytest.fixture(scope="session")
def control(flux_folder: Path) -> Control:
    """A ControlNet of the tiny FLUX transformer, and a picture for it to follow."""
    import torch
    from diffusers import FluxControlNetModel, FluxTransformer2DModel
    from PIL import Image

    transformer = FluxTransformer2DModel.from_pretrained(flux_folder / "transformer")
    config = {name: value for name, value in transformer.config.items() if not name.startswith("_") and name != "out_channels"}
    torch.manual_seed(4)
    model: Any = FluxControlNetModel(**{**config, "num_layers": 1, "num_single_layers": 1})
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.2)
    model.save_pretrained(flux_folder.parent / "control")
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(flux_folder.parent / "control.png")
    return Control(source="control", model="FluxControlNetModel", image="control.png")


def refiner(source: str, *, pipeline: str = "FluxImg2ImgPipeline", **changes: Any) -> Parts:
    """A refiner of two steps at half strength: one forward."""
    call = {"num_inference_steps": 2, "strength": 0.5, "guidance_scale": 3.5, "max_sequence_length": 32}
    return Parts(refiner=Refiner(source=source, pipeline=pipeline, call=call, **changes))


class TestLora:
    """Adapters."""

    def test_a_lora_changes_picture_and_identity_and_says_by_how_much(self, lora: str, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """The same weights with a LoRA are not the same model."""
        plain = card_of(qwen_folder)
        styled = card_of(qwen_folder, parts=Parts(loras=(Lora(source=lora, adapter="style"),)))
        without, engine = loaded(plain), loaded(styled)
        assert not np.array_equal(picture(without, call_of(plain))[0], picture(engine, call_of(styled))[0])
        assert without.identity().weights != engine.identity().weights
        (note,) = engine.notes()
        assert note.startswith("LoRA style: ")
        assert "moves by" in note
        assert "0 %" not in note.split("moves by")[1]

    def test_the_picture_after_the_proof_is_the_picture_of_a_fresh_engine(
        self, lora: str, qwen_folder: Path, card_of: CardOf, call_of: CallOf
    ) -> None:
        """Switching adapters off and on leaves the scales as the card has them."""
        card = card_of(qwen_folder, parts=Parts(loras=(Lora(source=lora, adapter="a", scale=0.5), Lora(source=lora, adapter="b", scale=2.0))))
        engine = loaded(card)
        first, again = picture(engine, call_of(card))[0], picture(engine, call_of(card))[0]
        assert np.array_equal(first, again)
        assert engine.notes() == ()

    def test_a_lora_without_strength_is_an_error(self, lora: str, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """It is loaded, it has layers, and it does nothing."""
        card = card_of(qwen_folder, parts=Parts(loras=(Lora(source=lora, adapter="a", scale=0.0),)))
        engine = loaded(card)
        for _ in range(2):  # every call of the process, not only the first
            with pytest.raises(FeatureInactiveError, match="LoRA a, which did not act"):
                picture(engine, call_of(card))

    def test_memory_that_runs_out_in_the_proof_leaves_the_lora_on_and_is_tried_again(
        self, lora: str, qwen_folder: Path, card_of: CardOf, call_of: CallOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The picture was made, and the next one is made with the LoRA, too."""
        from swapgate.engines.proofs import Proofs

        card = card_of(qwen_folder, parts=Parts(loras=(Lora(source=lora, adapter="a"),)))
        whole = picture(loaded(card), call_of(card))[0]
        engine, denoise, turns = loaded(card), Proofs._denoise, list[int]()

        def failing(self: Proofs, changed: Any) -> Any:
            turns.append(1)
            if len(turns) == 2:
                raise MemoryError("no room")
            return denoise(self, changed)

        monkeypatch.setattr(Proofs, "_denoise", failing)
        assert np.array_equal(picture(engine, call_of(card))[0], whole)
        assert engine.notes() == ("proof: memory ran out, the next call tries again",)
        assert np.array_equal(picture(engine, call_of(card))[0], whole)
        assert engine.notes()[0].startswith("LoRA a: ")

    def test_the_proof_is_outside_of_the_measured_time_and_forwards(self, lora: str, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """The forwards of the proof are not the call's."""
        card = card_of(qwen_folder, parts=Parts(loras=(Lora(source=lora, adapter="a"),)))
        _, clock = picture(loaded(card), call_of(card))
        times = clock.times(queue=0.0)
        assert clock.forwards == len(times.steps) == 3
        assert times.text is not None
        assert times.decode is not None
        assert times.total < 1.5 * (times.text + sum(times.steps) + times.decode) + 0.05


class TestControl:
    """ControlNets."""

    def test_a_control_net_changes_the_picture(self, control: Control, flux_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Stronger is not the same, and either is proved."""
        call = {"num_inference_steps": 2, "guidance_scale": 3.5, "max_sequence_length": 32}
        card = card_of(flux_folder, pipeline="FluxControlNetPipeline", call=call, parts=Parts(control=control))
        engine = loaded(card)
        image, clock = picture(engine, call_of(card))
        assert image.shape == (32, 64, 3)
        assert clock.forwards == 2
        assert any(note.startswith("ControlNet: the denoiser's first output moves by") for note in engine.notes())

    def test_a_control_net_of_no_strength_is_an_error(self, control: Control, flux_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Its residuals are there and are zero."""
        from dataclasses import replace

        call = {"num_inference_steps": 2, "guidance_scale": 3.5, "max_sequence_length": 32}
        card = card_of(flux_folder, pipeline="FluxControlNetPipeline", call=call, parts=Parts(control=replace(control, scale=0.0)))
        with pytest.raises(FeatureInactiveError, match="ControlNet, which did not act"):
            picture(loaded(card), call_of(card))

    def test_a_control_net_that_begins_later_is_proved_where_it_acts(
        self, control: Control, flux_folder: Path, card_of: CardOf, call_of: CallOf
    ) -> None:
        """In the steps before it says nothing."""
        from dataclasses import replace

        call = {"num_inference_steps": 4, "guidance_scale": 3.5, "max_sequence_length": 32}
        card = card_of(flux_folder, pipeline="FluxControlNetPipeline", call=call, parts=Parts(control=replace(control, start=0.5)))
        engine = loaded(card)
        picture(engine, call_of(card))
        assert engine.notes()[0].startswith("ControlNet: ")

    def test_a_class_that_does_not_exist_is_named(self, control: Control, flux_folder: Path, card_of: CardOf) -> None:
        """With its remedy."""
        from dataclasses import replace

        card = card_of(flux_folder, pipeline="FluxControlNetPipeline", parts=Parts(control=replace(control, model="FluxControlModel")))
        with pytest.raises(UserError, match=r"control\.model"):
            loaded(card)


class TestRefiner:
    """A chain of two pipelines."""

    def test_a_refiner_draws_the_picture_over_and_its_forwards_count(
        self, qwen_folder: Path, flux_folder: Path, card_of: CardOf, call_of: CallOf
    ) -> None:
        """Three steps of one pipeline and one of the other."""
        plain = card_of(qwen_folder)
        chain = card_of(qwen_folder, parts=refiner(str(flux_folder)))
        one, _ = picture(loaded(plain), call_of(plain))
        engine = loaded(chain)
        other, clock = picture(engine, call_of(chain))
        assert not np.array_equal(one, other)
        assert clock.forwards == 4
        times = clock.times(queue=0.0)
        assert len(times.steps) == 4
        assert times.text is not None
        assert times.decode is not None
        assert times.text + sum(times.steps) + times.decode <= times.total  # no stage is counted twice
        assert engine.identity().weights != loaded(plain).identity().weights

    def test_a_region_leaves_the_rest_of_the_picture(self, qwen_folder: Path, flux_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Only inside the region something is drawn over, but for what passing through its autoencoder changes."""
        whole = card_of(qwen_folder, parts=refiner(str(flux_folder)))
        part = card_of(qwen_folder, parts=refiner(str(flux_folder), pipeline="FluxInpaintPipeline", region=(0.0, 0.0, 0.5, 1.0)))
        first, second = picture(loaded(whole), call_of(whole))[0], picture(loaded(part), call_of(part))[0]
        assert first.shape == second.shape
        assert not np.array_equal(first, second)

    def test_several_images_of_a_round_are_each_drawn_over(self, qwen_folder: Path, flux_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """A refined round has as many pictures, and they differ."""
        chain = card_of(qwen_folder, parts=refiner(str(flux_folder)))
        clock = StageClock()
        images = loaded(chain).make(call_of(chain, images=2), clock)
        assert len(images) == 2
        assert not np.array_equal(images[0], images[1])

    def test_the_prompt_in_another_language_reaches_the_refiner(self, qwen_folder: Path, flux_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """The call carries the frozen translation."""
        chain = card_of(qwen_folder, parts=refiner(str(flux_folder), prompt="en"))
        call = tuple({**chain.call, "refiner.prompt": "two green cars in the snow"}.items())
        engine = loaded(chain)
        one, other = picture(engine, call_of(chain))[0], picture(engine, call_of(chain, call=call))[0]
        assert not np.array_equal(one, other)


class TestSmaller:
    """Quantisation, caching, tiling."""

    def test_fp8_casts_layers_and_says_how_many(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """The weights lie in eight bits, and the picture is another one."""
        plain = card_of(qwen_folder)
        card = card_of(qwen_folder, parts=Parts(quantisation=Quantisation(method="fp8")))
        engine = loaded(card)
        assert not np.array_equal(picture(engine, call_of(card))[0], picture(loaded(plain), call_of(plain))[0])
        assert any(note.startswith("quantisation fp8: ") and "layers of transformer" in note for note in engine.notes())
        assert engine.identity().placement == "cpu+fp8"

    def test_a_text_encoder_is_not_cast(self, qwen_folder: Path, card_of: CardOf) -> None:
        """It would compute in eight bits, and fail in the middle of a call."""
        card = card_of(qwen_folder, parts=Parts(quantisation=Quantisation(method="fp8", components=("transformer", "text_encoder"))))
        with pytest.raises(UserError, match=r"quantisation\.components = 'text_encoder'[\s\S]*nf4"):
            loaded(card)

    def test_a_component_that_is_not_there_is_named(self, qwen_folder: Path, card_of: CardOf) -> None:
        """With those that are."""
        card = card_of(qwen_folder, parts=Parts(quantisation=Quantisation(method="fp8", components=("unet",))))
        with pytest.raises(UserError, match=r"quantisation\.components = 'unet'[\s\S]*transformer"):
            loaded(card)

    def test_a_package_that_is_missing_is_named(self, qwen_folder: Path, card_of: CardOf, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before anything is read."""
        import importlib.util

        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        card = card_of(qwen_folder, parts=Parts(quantisation=Quantisation(method="nf4")))
        with pytest.raises(UserError, match="pip install bitsandbytes"):
            loaded(card)

    def test_a_cache_that_skips_forwards_says_how_many(self, flux_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """A threshold that everything is below skips all forwards but those that fill the cache."""
        call = {"num_inference_steps": 4, "guidance_scale": 3.5, "max_sequence_length": 32}
        card = card_of(flux_folder, call=call, options={"cache": "first-block", "cache_threshold": 10.0})
        engine = loaded(card)
        _, clock = picture(engine, call_of(card))
        assert clock.forwards == 4
        assert engine.notes() == ("first-block cache: 3 of 4 forwards skipped",)

    def test_a_cache_that_never_skips_is_an_error(self, flux_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """A threshold of 0 computes every block."""
        call = {"num_inference_steps": 3, "guidance_scale": 3.5, "max_sequence_length": 32}
        card = card_of(flux_folder, call=call, options={"cache": "first-block", "cache_threshold": 0.0})
        with pytest.raises(FeatureInactiveError, match="0 of 3 forwards skipped"):
            picture(loaded(card), call_of(card))

    def test_tiling_of_a_picture_smaller_than_a_tile_is_an_error(self, flux_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """It was asked for and does nothing."""
        card = card_of(flux_folder, options={"vae_tiling": True})
        with pytest.raises(FeatureInactiveError, match="VAE tiling"):
            picture(loaded(card), call_of(card, width=16, height=16))

    def test_a_changed_scheduler_changes_the_picture(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """As the Lightning LoRAs ask: no stretching to the last sigma, another shift."""
        plain = card_of(qwen_folder)
        card = card_of(qwen_folder, parts=Parts(scheduler={"base_shift": 1.0986, "max_shift": 1.0986, "shift_terminal": "none"}))
        assert not np.array_equal(picture(loaded(plain), call_of(plain))[0], picture(loaded(card), call_of(card))[0])
