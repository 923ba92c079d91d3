"""The evaluation: a perfect painter scores all, a wrong one loses just what it gets wrong, and everything is repeatable."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from swapgate.errors import UserError
from swapgate.standins import evaluate, flux, render, scene

ROOT = Path(__file__).parents[3]


class Painter:
    """Stands in for a pipeline: paints the scenes of a sample with the renderer, some attributes changed on purpose."""

    def __init__(self, sample: evaluate.Sample, change: Any = None) -> None:
        self.codes = dict(zip(sample.prompts, sample.codes, strict=True))
        self.change = change or (lambda codes: codes)
        self.device = torch.device("cpu")
        self.calls: list[dict[str, Any]] = []

    def __call__(self, **arguments: Any) -> Any:
        """Pictures for the prompts of the call."""
        self.calls.append(arguments)
        codes = torch.stack([self.codes[prompt] for prompt in arguments["prompt"]])
        return SimpleNamespace(images=render.render(self.change(codes.clone())))


QwenImagePipeline = type("QwenImagePipeline", (Painter,), {})
FluxPipeline = type("FluxPipeline", (Painter,), {})


def other_colour(codes: torch.Tensor) -> torch.Tensor:
    """Blue instead of anything, red instead of blue."""
    codes[:, 1] = torch.where(codes[:, 1] == 5, 0, 5)
    return codes


def test_the_sample_is_held_out_and_the_same_in_both_languages() -> None:
    """Only combinations that training never sees, one prompt each, the same scenes whatever the language."""
    english, chinese = (evaluate.held_out_sample(40, language, seed=3) for language in ("en", "zh"))
    assert bool(scene.is_held_out(english.codes).all())
    assert torch.equal(english.codes, chinese.codes)
    assert len(english.prompts) == 40
    assert all(any("一" <= letter <= "鿿" for letter in prompt) for prompt in chinese.prompts)
    assert not any("一" <= letter <= "鿿" for prompt in english.prompts for letter in prompt)


def test_the_sample_follows_from_its_seed() -> None:
    """The same seed gives the same prompts, another seed others, and canonical wording does not vary."""
    first, again, other = (evaluate.held_out_sample(20, "en", seed=s) for s in (0, 0, 1))
    assert first.prompts == again.prompts
    assert first.prompts != other.prompts
    canonical = evaluate.held_out_sample(20, "en", worded="canonical")
    assert torch.equal(canonical.codes, first.codes)
    assert canonical.prompts != first.prompts


def test_a_perfect_painter_follows_everything() -> None:
    """Pictures of the very scenes score all attributes in both languages."""
    for language in ("en", "zh"):
        sample = evaluate.held_out_sample(24, language)
        figures = evaluate.evaluate_pipeline(QwenImagePipeline(sample), n=24, languages=(language,))
        assert figures[language]["followed"] >= 0.98
        assert figures[language]["usable"] >= 0.9


def test_a_wrong_colour_costs_the_colour_alone() -> None:
    """The attribute that is wrong scores zero, no picture is usable, the others keep their score."""
    sample = evaluate.held_out_sample(24, "en")
    figures = evaluate.evaluate_pipeline(QwenImagePipeline(sample, other_colour), n=24, languages=("en",))["en"]
    assert figures["attributes"]["colour"] <= 0.05
    assert figures["usable"] <= 0.05
    assert figures["attributes"]["background"] >= 0.95
    assert figures["followed"] == pytest.approx(sum(figures["attributes"].values()) / 7, abs=1e-3)


def test_noise_follows_nothing() -> None:
    """A picture that shows no scene scores nothing, not even by chance."""
    images = torch.rand(8, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    figures = evaluate.followed_figures(images, evaluate.held_out_sample(8, "en").codes)
    assert figures["followed"] <= 0.1


def test_each_pipeline_is_called_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qwen gets a negative prompt for every image, FLUX its guidance and text length; both eight steps at 128 x 128."""
    monkeypatch.setattr(evaluate, "BATCH", 2)
    sample = evaluate.held_out_sample(3, "en")
    for kind, expected in (
        (QwenImagePipeline, {"negative_prompt": [" ", " "], "true_cfg_scale": 4.0}),
        (FluxPipeline, evaluate.CALLS["FluxPipeline"]),
    ):
        pipeline = kind(sample)
        images = evaluate.draw(pipeline, sample.prompts, seed=5)
        assert images.shape == (3, 3, 128, 128)
        assert [len(call["prompt"]) for call in pipeline.calls] == [2, 1]
        call = pipeline.calls[0]
        assert {key: call[key] for key in expected} == expected
        assert (call["height"], call["width"], call["num_inference_steps"]) == (128, 128, 8)
        assert [g.initial_seed() for c in pipeline.calls for g in c["generator"]] == [5, 6, 7]


@pytest.mark.parametrize("name", ["standin-qwen", "standin-flux"])
def test_the_card_calls_its_pipeline_as_the_evaluation_does(name: str) -> None:
    """What training measured is what a run generates; the card names the negative prompt by language."""
    card = tomllib.loads((ROOT / "fixtures" / "models" / f"{name}.toml").read_text(encoding="utf-8"))
    expected = dict(evaluate.CALLS[card["pipeline"]])
    negative = expected.pop("negative_prompt", None)
    assert card["call"] == expected | {"num_inference_steps": 8}
    assert set(card.get("negative_prompt", {}).values()) == (set() if negative is None else {negative})


def test_the_weak_pipeline_reads_as_much_text_as_it_was_built_for() -> None:
    """A shorter limit would cut prompts off without a word."""
    assert evaluate.CALLS["FluxPipeline"]["max_sequence_length"] == flux.TEXT_LENGTH


def test_a_call_can_be_overridden() -> None:
    """What is passed on top replaces the usual argument."""
    sample = evaluate.held_out_sample(1, "en")
    pipeline = FluxPipeline(sample)
    evaluate.draw(pipeline, sample.prompts, steps=3, guidance_scale=1.0)
    assert pipeline.calls[0]["guidance_scale"] == 1.0
    assert pipeline.calls[0]["num_inference_steps"] == 3


@pytest.mark.parametrize(("device", "size"), [("cpu", evaluate.BATCH), ("cuda:1", evaluate.BATCH_CUDA)])
def test_batches_are_larger_on_an_accelerator(device: str, size: int) -> None:
    """The batch follows the device."""
    assert evaluate.batch_size(device) == size


def test_evaluating_nothing_says_what_to_do(tmp_path: Any) -> None:
    """A folder without a pipeline raises the user's error."""
    with pytest.raises(UserError, match="standins"):
        evaluate.evaluate(tmp_path)
