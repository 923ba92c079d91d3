"""A LoRA, a ControlNet, a refiner and fp8 on the bundled models, run as a user runs the gates: each acts, says by how much, and what does not act is an error.

The LoRA and the ControlNet are small ones of the layout of the published: made here of the bundled transformers, with random weights.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FLUX = """
engine = "diffusers"
source = "fixtures/weights/standin-flux"
pipeline = "{pipeline}"
tasks = ["standin"]
expected_forwards = 4
timeout_seconds = 1800.0
judge = {{ source = "fixtures/weights/standin-clip" }}
[call]
num_inference_steps = 4
guidance_scale = 3.5
max_sequence_length = 192
"""
LORA = '[[lora]]\nsource = "fixtures/weights/style"\nadapter = "style"\nscale = {scale}\n'
CONTROL = '[control]\nsource = "fixtures/weights/control"\nmodel = "FluxControlNetModel"\nimage = "fixtures/control/composition.png"\nscale = 0.6\n'
SMALLER = '[quantisation]\nmethod = "fp8"\n'
CHAIN = """
engine = "diffusers"
source = "fixtures/weights/standin-qwen"
pipeline = "QwenImagePipeline"
tasks = ["standin"]
expected_forwards = 10   # 4 steps with guidance, then int(4 x 0.5) of the refiner
timeout_seconds = 1800.0
judge = { source = "fixtures/weights/standin-clip" }
negative_prompt = { en = " ", zh = " " }
[call]
num_inference_steps = 4
true_cfg_scale = 4.0
[refiner]
source = "fixtures/weights/standin-flux"
pipeline = "FluxImg2ImgPipeline"
prompt = "en"
[refiner.call]
num_inference_steps = 4
strength = 0.5
guidance_scale = 3.5
max_sequence_length = 192
"""
MODELS = ("plain", "styled", "controlled", "smaller", "chain")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a LoRA and of a ControlNet, and the picture that it follows."""
    import torch
    from diffusers import FluxControlNetModel, FluxPipeline, FluxTransformer2DModel
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict
    from PIL import Image, ImageDraw

    folder = tmp_path_factory.mktemp("parts")
    source = ROOT / "fixtures" / "weights" / "standin-flux" / "transformer"
    transformer: Any = FluxTransformer2DModel.from_pretrained(source)
    config = {name: value for name, value in transformer.config.items() if not name.startswith("_") and name != "out_channels"}
    torch.manual_seed(1)
    control: Any = FluxControlNetModel(**{**config, "num_layers": 1, "num_single_layers": 0})
    with torch.no_grad():
        for name, weight in control.named_parameters():
            if "controlnet_" in name:  # these begin as zeros, with which it would not act
                weight.normal_(std=0.1)
    control.save_pretrained(folder / "control")
    transformer.add_adapter(LoraConfig(r=4, target_modules=["to_q", "to_k", "to_v"], init_lora_weights=False))
    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(transformer))
    FluxPipeline.save_lora_weights(folder / "style", transformer_lora_layers=state)
    picture = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(picture).ellipse((32, 32, 96, 96), outline="black", width=4)
    picture.save(folder / "composition.png")
    return folder


@pytest.fixture(scope="module")
def project(parts: Path, real_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A user's repository with a card for each part, and the plain model."""
    made = real_project(tmp_path_factory.mktemp("project"))
    shutil.copytree(ROOT / "fixtures" / "weights" / "standin-flux", made.path / "fixtures" / "weights" / "standin-flux")
    for name in ("control", "style"):
        shutil.copytree(parts / name, made.path / "fixtures" / "weights" / name)
    (made.path / "fixtures" / "control").mkdir()
    shutil.copy(parts / "composition.png", made.path / "fixtures" / "control")
    plain = FLUX.format(pipeline="FluxPipeline")
    cards = {
        "plain": plain,
        "styled": plain + LORA.format(scale=0.5),
        "controlled": FLUX.format(pipeline="FluxControlNetPipeline") + CONTROL,
        "smaller": plain + SMALLER,
        "chain": CHAIN,
        "idle": plain + LORA.format(scale=0.0),
    }
    for name, card in cards.items():
        (made.path / "fixtures" / "models" / f"{name}.toml").write_text(card, encoding="utf-8")
    made.seeds(1)
    return made


@pytest.fixture(scope="module")
def run(project: Any) -> Any:
    """One run of all of them over two tasks in two languages, once."""
    return project.run(
        "parts", f"--model={','.join((*MODELS, 'idle'))}", "--budget=smoke", "tests/gates/test_usability.py", "tests/gates/test_memory.py"
    )


def made_by(run: Any, model: str) -> list[dict[str, Any]]:
    """The generations of a model, in the order in which they were made."""
    plan = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))["plan"]
    from swapgate.plan import Request

    keys = {Request.from_json(one).key for one in plan if one["model"] == model}
    events = map(json.loads, (run.path / "journal.jsonl").read_text(encoding="utf-8").splitlines())
    return [event["generation"] for event in events if event["event"] == "generation" and event["generation"]["request"] in keys]


def test_every_part_draws_its_own_pictures_with_the_forwards_that_its_card_expects(run: Any) -> None:
    """Four requests of five models, and no two pictures alike."""
    found = {model: made_by(run, model) for model in MODELS}
    pictures = {model: [one["image"] for one in made] for model, made in found.items()}
    assert all(len(made) == 4 and all(made) for made in pictures.values()), run.output
    assert len({image for made in pictures.values() for image in made}) == 20, run.output
    assert {model: {one["forwards"] for one in made} for model, made in found.items()} == {**{key: {4} for key in MODELS}, "chain": {10}}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("styled", "LoRA style: 39 layers, the denoiser's first output moves by "),
        ("controlled", "ControlNet: the denoiser's first output moves by "),
        ("smaller", "quantisation fp8: "),
    ],
)
def test_the_first_call_proves_the_part(run: Any, model: str, said: str) -> None:
    """Once, with a number."""
    first, *others = made_by(run, model)
    assert any(note.startswith(said) for note in first["notes"]), first["notes"]
    assert not any(note.startswith(said) for one in others for note in one["notes"])


def test_a_part_that_does_not_act_is_an_error_of_its_model_alone(run: Any) -> None:
    """A LoRA of no strength is loaded, has layers and changes nothing."""
    statuses = run.statuses()
    assert statuses["usability/idle/all"] == "ERROR", run.output
    assert "LoRA style, which did not act" in run.verdict("usability", "idle")["reason"]
    assert not any(status == "ERROR" for cell, status in statuses.items() if "/idle/" not in cell), run.output


def test_the_refiner_of_a_chinese_request_reads_the_english_prompt(run: Any) -> None:
    """FLUX reads no Chinese; the prompt that it was given stands in the plan."""
    plan = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))["plan"]
    chinese = [one for one in plan if one["model"] == "chain" and one["language"] == "zh"]
    assert chinese
    assert all(one["call"]["refiner.prompt"].isascii() and not one["prompt"].isascii() for one in chinese)
