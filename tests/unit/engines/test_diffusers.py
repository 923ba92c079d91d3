"""The diffusers engine on tiny real pipelines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from swapgate.card_parts import Lora, Parts
from swapgate.cards import Card
from swapgate.engines.base import Engine
from swapgate.engines.registry import Setting, create
from swapgate.errors import UserError
from swapgate.meters.clock import StageClock
from swapgate.plan import SEED_STRIDE, Call
from swapgate.runs.pixels import Pixels

CardOf = Callable[..., Card]
CallOf = Callable[..., Call]


def loaded(card: Card) -> Engine:
    """The engine of a card, loaded."""
    engine = create(card, Setting())
    engine.load()
    return engine


def made(engine: Engine, call: Call) -> tuple[list[Pixels], StageClock]:
    """The images of one call and its stopped clock."""
    clock = StageClock()
    clock.start()
    images = engine.make(call, clock)
    clock.stop()
    return images, clock


class TestPictures:
    """What comes back."""

    @pytest.mark.parametrize("family", ["qwen_folder", "flux_folder"])
    def test_images_are_rgb_bytes_of_the_size_asked(self, family: str, request: pytest.FixtureRequest, card_of: CardOf, call_of: CallOf) -> None:
        """Width and height are not swapped, and every stage is seen."""
        card = card_of(request.getfixturevalue(family))
        (image,), clock = made(loaded(card), call_of(card))
        assert (image.shape, image.dtype) == ((32, 64, 3), np.uint8)
        assert image.std() > 0
        times = clock.times(queue=0.0)
        assert len(times.steps) == 3
        assert clock.forwards == 3
        assert times.text is not None
        assert times.decode is not None
        assert times.first_step is not None
        assert times.text > 0
        assert times.decode > 0
        assert times.text + sum(times.steps) + times.decode <= times.total
        assert times.text < times.first_step < times.total

    def test_the_same_request_gives_the_same_pixels_whatever_was_made_before(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """A generator is fresh for every call."""
        card = card_of(qwen_folder)
        engine = loaded(card)
        first = made(engine, call_of(card, seed=5))[0][0]
        other = made(engine, call_of(card, seed=6))[0][0]
        again = made(engine, call_of(card, seed=5))[0][0]
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    @pytest.mark.parametrize("family", ["qwen_folder", "flux_folder"])
    def test_an_image_of_a_round_is_drawn_from_its_own_seed(
        self, family: str, request: pytest.FixtureRequest, card_of: CardOf, call_of: CallOf
    ) -> None:
        """Image 1 of a round of two is the image that its seed gives alone, but for rounding."""
        card = card_of(request.getfixturevalue(family))
        engine = loaded(card)
        pair = made(engine, call_of(card, seed=5, images=2))[0]
        alone = made(engine, call_of(card, seed=5 + SEED_STRIDE))[0][0]
        assert len(pair) == 2
        assert np.abs(pair[1].astype(int) - alone).max() <= 2
        assert np.abs(pair[0].astype(int) - alone).max() > 2

    def test_a_negative_prompt_turns_guidance_on_and_doubles_the_forwards(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Qwen-Image guides only when a negative prompt is given."""
        card = card_of(qwen_folder, call={"num_inference_steps": 3, "true_cfg_scale": 4.0})
        engine = loaded(card)
        plain, plain_clock = made(engine, call_of(card))
        guided, guided_clock = made(engine, call_of(card, negative=" "))
        assert (plain_clock.forwards, guided_clock.forwards) == (3, 6)
        assert not np.array_equal(plain[0], guided[0])

    def test_arguments_of_the_card_reach_the_pipeline(self, flux_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Guidance of a distilled model changes the picture."""
        weak, strong = (card_of(flux_folder, call={"num_inference_steps": 2, "guidance_scale": scale}) for scale in (1.0, 7.0))
        engine = loaded(weak)
        assert not np.array_equal(made(engine, call_of(weak))[0][0], made(engine, call_of(strong))[0][0])


class TestIdentity:
    """What was loaded."""

    def test_identity_names_weights_versions_and_placement(self, qwen_folder: Path, card_of: CardOf) -> None:
        """Everything that a verdict may name as a suspect is there."""
        identity = loaded(card_of(qwen_folder)).identity()
        assert len(identity.weights) == 64
        assert {"torch", "diffusers", "transformers", "model config"} <= set(identity.versions)
        assert (identity.placement, identity.dtype) == ("cpu", "float32")
        assert identity.threads >= 1

    def test_placement_shows_tiling(self, qwen_folder: Path, card_of: CardOf) -> None:
        """What changes the cost of decoding is part of where and how the model lies."""
        assert loaded(card_of(qwen_folder, options={"vae_tiling": True})).identity().placement == "cpu+vae-tiling"

    def test_dtype_follows_the_card(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """bfloat16 on the CPU works and gives another picture."""
        plain = card_of(qwen_folder)
        half = card_of(qwen_folder, dtype={"cpu": "bfloat16", "cuda": "bfloat16"})
        engine = loaded(half)
        assert engine.identity().dtype == "bfloat16"
        assert not np.array_equal(made(engine, call_of(half))[0][0], made(loaded(plain), call_of(plain))[0][0])


class TestMistakes:
    """What the user can mend is said before anything is made."""

    def test_weights_that_are_missing_give_the_command_to_fetch_them(
        self, qwen_folder: Path, tmp_path: Path, card_of: CardOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A Hub id that is not in the cache, with downloads forbidden."""
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        card = card_of(qwen_folder, source="Some/Model", revision="abc", root=tmp_path)
        with pytest.raises(UserError, match=r"hf download Some/Model --include .* --revision abc   # "):
            loaded(card)

    def test_a_folder_without_its_weights_is_named(self, qwen_folder: Path, tmp_path: Path, card_of: CardOf) -> None:
        """A folder whose transformer lacks its file says so and not a traceback."""
        import shutil

        broken = tmp_path / "broken"
        shutil.copytree(qwen_folder, broken)
        for file in (broken / "transformer").glob("*.safetensors"):
            file.unlink()
        with pytest.raises(UserError, match=r"source = 'broken'[\s\S]*whole pipeline folder"):
            loaded(card_of(broken))

    def test_a_truncated_weight_file_is_named(self, qwen_folder: Path, tmp_path: Path, card_of: CardOf) -> None:
        """Half a download is a mistake of the user, not of the model."""
        import shutil

        broken = tmp_path / "short"
        shutil.copytree(qwen_folder, broken)
        file = next((broken / "transformer").glob("*.safetensors"))
        file.write_bytes(file.read_bytes()[:2000])
        with pytest.raises(UserError, match="whole pipeline folder"):
            loaded(card_of(broken))

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"pipeline": "QwenImagPipeline"}, "did you mean 'QwenImagePipeline'"),
            ({"call": {"num_inference_step": 3}}, "did you mean 'num_inference_steps'"),
            ({"call": {"height": 64}}, "comes from the task"),
            ({"options": {"tf23": True}}, "did you mean 'tf32'"),
            ({"options": {"tf32": "yes"}}, "type bool"),
            ({"options": {"offload": "model"}}, "CUDA device"),
            ({"options": {"offload": "disk"}}, "model, group or sequential"),
            ({"options": {"device_map": "auto"}}, "balanced"),
            ({"options": {"device_map": "balanced", "offload": "model"}}, "remove one of device_map and offload"),
            ({"options": {"cache": "all"}}, "first-block"),
            ({"options": {"pickle": True}}, "pytest --allow-pickle"),
            ({"options": {"attention": "no_such"}}, "backend that works here"),
            ({"parts": Parts(loras=(Lora(source="nowhere", adapter="a"),))}, "a LoRA that this pipeline can load"),
            ({"parts": Parts(scheduler={"shfit": 1.0})}, "an entry of FlowMatchEulerDiscreteScheduler"),
            ({"faults": ("nois:1",)}, "a fault: noise"),
        ],
    )
    def test_a_mistake_in_the_card_is_one_error_with_its_remedy(
        self, changes: dict[str, object], said: str, qwen_folder: Path, card_of: CardOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each names the key and what to do."""
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(UserError, match=said):
            loaded(card_of(qwen_folder, **changes))

    def test_a_device_that_is_not_there_is_an_error(self, qwen_folder: Path, card_of: CardOf) -> None:
        """A card that insists on CUDA must not run on the CPU in silence."""
        import torch

        if torch.cuda.is_available():
            pytest.skip("needs a machine without CUDA")
        with pytest.raises(UserError, match="CUDA device"):
            create(card_of(qwen_folder, device="cuda"), Setting())


class TestNumerics:
    """Other kernels for the same arithmetic, set for the process before it loads."""

    @pytest.fixture(autouse=True)
    def as_before(self) -> Iterator[None]:
        """The switches are the process's own: other tests find them as they were."""
        import torch

        cuda = torch.backends.cuda
        before = (
            cuda.flash_sdp_enabled(),
            cuda.mem_efficient_sdp_enabled(),
            cuda.cudnn_sdp_enabled(),
            cuda.matmul.allow_bf16_reduced_precision_reduction,
        )
        yield
        cuda.enable_flash_sdp(before[0])
        cuda.enable_mem_efficient_sdp(before[1])
        cuda.enable_cudnn_sdp(before[2])
        cuda.matmul.allow_bf16_reduced_precision_reduction = before[3]
        cuda.matmul.allow_fp16_reduced_precision_reduction = True

    @pytest.mark.parametrize(
        ("numerics", "fused", "reduced"), [({}, True, True), ({"attention": "math"}, False, True), ({"accumulation": "full"}, True, False)]
    )
    def test_what_is_named_is_set_and_nothing_else(
        self, numerics: dict[str, str], fused: bool, reduced: bool, qwen_folder: Path, card_of: CardOf, call_of: CallOf
    ) -> None:
        """And the picture is made all the same."""
        import torch

        card = card_of(qwen_folder)
        engine = create(card, Setting(numerics=numerics))
        engine.load()
        cuda = torch.backends.cuda
        assert [cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.cudnn_sdp_enabled()] == [fused] * 3
        assert cuda.math_sdp_enabled()
        assert bool(cuda.matmul.allow_bf16_reduced_precision_reduction) is bool(cuda.matmul.allow_fp16_reduced_precision_reduction) is reduced
        (image,), _ = made(engine, call_of(card))
        assert image.std() > 0
