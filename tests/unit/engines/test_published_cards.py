"""The bundled cards of published models, each called as it stands on a tiny pipeline of its own classes.

What a card says of its call (arguments, forwards, LoRA, ControlNet, refiner, quantisation, scheduler) does not depend on sizes, so the
published architecture is built with a few channels and dry weights, and asked for a picture of 64 pixels by the card's own steps.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from swapgate.card_parts import Control, Parts, Refiner
from swapgate.cards import Card, read_card
from swapgate.engines.dry import skeleton
from swapgate.engines.dry.architectures import CONTROLS, LIGHTNING_SHIFT, Architecture, Part, of_source
from swapgate.engines.registry import Setting, create
from swapgate.meters.clock import StageClock
from swapgate.plan import round_call
from swapgate.tasks import Protocol, Task, read_tasks

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "fixtures" / "models"
CARDS = sorted(path.stem for path in MODELS.glob("*.toml") if not path.stem.startswith(("standin-", "comfyui-")))
NEEDS = {"nf4": "bitsandbytes", "int8": "bitsandbytes", "torchao": "torchao", "gguf": "gguf"}
ROPE = (8, 12, 12)
QWEN3 = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "vocab_size": 4200}
STREAM = {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 2, "attention_head_dim": 32}
FLUX = {**STREAM, "axes_dims_rope": ROPE, "joint_attention_dim": 32, "pooled_projection_dim": 32}
VISION = {
    "depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [0],
    "out_hidden_size": 64,
}  # fmt: skip
TEXT = {
    "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 4200,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
}  # fmt: skip
QWEN = {"num_layers": 1, "num_attention_heads": 2, "attention_head_dim": 32, "axes_dims_rope": ROPE, "joint_attention_dim": 64}
TINY: Mapping[str, Mapping[str, Any]] = {
    "QwenImageTransformer2DModel": QWEN,
    "QwenImageControlNetModel": QWEN,
    "AutoencoderKLQwenImage": {"base_dim": 8},
    "Qwen2_5_VLForConditionalGeneration": {"text_config": TEXT, "vision_config": VISION},
    "FluxTransformer2DModel": FLUX,
    "FluxControlNetModel": {**FLUX, "num_single_layers": 0},
    "AutoencoderKL": {"block_out_channels": [8, 8, 8, 8], "layers_per_block": 1, "norm_num_groups": 4, "mid_block_add_attention": False},
    "CLIPTextModel": {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 32},
    "T5EncoderModel": {"d_model": 32, "d_ff": 32, "d_kv": 16, "num_heads": 2, "num_layers": 1},
    "Flux2Transformer2DModel": {**STREAM, "axes_dims_rope": (8, 8, 8, 8), "joint_attention_dim": 3 * 32},
    "AutoencoderKLFlux2": {"block_out_channels": [8, 8, 8, 8], "layers_per_block": 1, "norm_num_groups": 4},
    "Qwen3ForCausalLM": {**QWEN3, "num_hidden_layers": 28},  # the pipeline reads layers 9, 18 and 27
    "Qwen3Model": {**QWEN3, "num_hidden_layers": 2},
    "ZImageTransformer2DModel": {
        "dim": 64, "n_layers": 2, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2, "cap_feat_dim": 32, "axes_dims": ROPE,
        "axes_lens": [1536, 512, 512],
    },
}  # fmt: skip
"""What makes each class small; every other entry stays as published."""

CallOf = Callable[..., Any]


def tiny(part: Part) -> Part:
    """The same class with a few channels."""
    return replace(part, config={**part.config, **TINY.get(part.kind, {})})


def written(source: str, named: str, folder: Path) -> str:
    """The path of the folder of a small pipeline of that source's architecture."""
    found = of_source(source, named)
    assert found is not None, f"{source} is no source of a known architecture"
    small: Architecture = replace(found, parts={name: tiny(part) for name, part in found.parts.items()})
    return str(skeleton.write(small, folder))


def shrunk(card: Card, tmp_path: Path) -> Card:
    """The card with tiny dry weights in the place of the published ones; skips where the package of its quantisation is not installed."""
    parts = card.parts
    needed = NEEDS.get(parts.quantisation.method) if parts.quantisation else None
    if needed and find_spec(needed) is None:
        pytest.skip(f"needs {needed}, which is not installed")
    small: dict[str, Any] = {}
    if parts.control:
        folder = skeleton.write_part(tiny(CONTROLS[parts.control.source]), tmp_path / "control")
        small["control"] = replace(parts.control, source=str(folder))
    if parts.refiner:
        small["refiner"] = replace(parts.refiner, source=written(parts.refiner.source, parts.refiner.architecture, tmp_path / "refiner"))
    source = written(card.source, card.architecture, tmp_path / "model")
    return replace(card, source=source, device="cpu", weights="dry", parts=replace(parts, **small))


def card_of(name: str) -> Card:
    return read_card(MODELS / f"{name}.toml", root=ROOT, engines=("diffusers",))


@pytest.fixture(scope="module")
def task() -> Task:
    """A prompt of the comparison's in both languages, a small picture of it a round."""
    found = read_tasks(ROOT / "fixtures" / "tasks")["article-portrait"]
    return replace(found, width=64, height=64, protocol=Protocol())


def expected_proofs(parts: Parts) -> set[str]:
    """How the notes begin that a card's parts must leave."""
    named = {f"LoRA {lora.adapter}" for lora in parts.loras}
    named |= {"ControlNet"} if parts.control else set()
    return named | ({f"quantisation {parts.quantisation.method}"} if parts.quantisation else set())


@pytest.mark.parametrize("name", CARDS)
def test_a_card_s_call_makes_its_picture_in_the_forwards_that_it_states(name: str, task: Task, tmp_path: Path) -> None:
    """A wrong argument, a number of forwards that is not the pipeline's, a part that does not act: each would be seen here."""
    card = shrunk(card_of(name), tmp_path)
    engine, clock = create(card, Setting()), StageClock()
    engine.load()
    for language in ("zh", "en"):
        clock.start()
        (image,) = engine.make(round_call(card, task, language, 2512), clock)
        assert image.shape == (64, 64, 3)
        assert image.std() > 0
        assert clock.forwards == card.expected_forwards
        if language == "zh":
            assert {note.partition(":")[0] for note in engine.notes()} == expected_proofs(card.parts)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_states_where_it_is_from_and_what_it_may_be_used_for(name: str) -> None:
    """Sources, licence, a pinned commit, size; sizes that pipelines do not round; limits that leave room for each other."""
    card = card_of(name)
    assert card.references
    assert all(one.startswith("https://") for one in card.references)
    assert f"https://huggingface.co/{card.source}" in card.references
    assert card.licence != "not stated"
    assert len(str(card.revision)) == 40
    assert card.download_gib
    assert card.expected_forwards
    assert all(side % 16 == 0 for size in card.sizes for side in size)
    assert card.stall_seconds
    assert card.gated or "black-forest-labs/FLUX.1" not in repr((card.source, card.parts))
    assert set(card.negative_prompt) in (set(), {"en", "zh"})


def test_guidance_is_on_where_a_negative_prompt_is_given() -> None:
    """Without one Qwen-Image leaves guidance out, and the forwards would be half."""
    for card in map(card_of, CARDS):
        guided = float(card.call.get("true_cfg_scale", 1.0)) > 1
        assert bool(card.negative_prompt) == guided, card.id


def test_the_other_arm_of_a_part_is_the_same_call() -> None:
    """With and without a ControlNet, quantisation or LoRA: requests differ in nothing, so an A/B run compares them."""
    for name, plain in {
        "qwen-image-2512-control": "qwen-image-2512",
        "qwen-image-2512-fp8": "qwen-image-2512",
        "flux-1-dev-control": "flux-1-dev",
        "flux-1-dev-nf4": "flux-1-dev",
        "flux-1-dev-realism": "flux-1-dev",
    }.items():
        one, other = card_of(name), card_of(plain)
        assert (one.call, one.negative_prompt, one.revision) == (other.call, other.negative_prompt, other.revision)


def test_the_distilled_loras_have_the_scheduler_that_they_were_made_with() -> None:
    """The shift is the same at every size, and nothing is cut off at the end."""
    for name in ("qwen-image-2512-lightning-4", "qwen-image-2512-lightning-8"):
        changed = dict(card_of(name).parts.scheduler)
        assert changed == {"base_shift": pytest.approx(LIGHTNING_SHIFT), "max_shift": pytest.approx(LIGHTNING_SHIFT), "shift_terminal": "none"}


def test_the_hybrid_s_refiner_is_given_english(task: Task) -> None:
    """FLUX reads no Chinese; its guidance is explicit."""
    card = card_of("qwen-flux-hybrid")
    refiner = card.parts.refiner
    assert isinstance(refiner, Refiner)
    assert dict(round_call(card, task, "zh", 1).first.call)["refiner.prompt"] == task.prompts["en"]
    assert refiner.call["guidance_scale"] == 3.5


def test_the_control_picture_is_the_one_that_its_readme_draws(tmp_path: Path) -> None:
    """Whoever wants another one starts from code that works."""
    from PIL import Image, ImageChops

    control = card_of("flux-1-dev-control").parts.control
    assert isinstance(control, Control)
    code = (ROOT / "fixtures" / "control" / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(code.replace("fixtures/control/", f"{tmp_path.as_posix()}/"), {})
    with Image.open(ROOT / control.image) as bundled, Image.open(tmp_path / "outlines.png") as drawn:
        assert bundled.size == drawn.size == (1024, 1024)
        assert ImageChops.logical_xor(bundled, drawn).getbbox() is None


def test_the_defaults_stay_the_bundled_models() -> None:
    """A plain run loads nothing that has to be fetched."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["swapgate"]
    assert settings["default_models"] == ["standin-qwen", "standin-flux"]
