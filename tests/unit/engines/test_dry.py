"""Dry weights: the sizes are the published ones, the pipeline runs, and what is drawn is drawn the same again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from swapgate.card_parts import Lora, Parts, Quantisation
from swapgate.cards import Card
from swapgate.engines.base import Engine
from swapgate.engines.dry import counts, tokenizers
from swapgate.engines.dry.architectures import ARCHITECTURES, CONTROLS, of_source
from swapgate.engines.registry import Setting, create
from swapgate.errors import UserError
from swapgate.meters.clock import StageClock
from swapgate.plan import Call

CardOf = Callable[..., Card]
CallOf = Callable[..., Call]


def loaded(card: Card) -> Engine:
    """The engine of a card, loaded."""
    engine = create(card, Setting())
    engine.load()
    return engine


class TestArchitectures:
    """Data."""

    @pytest.mark.parametrize("name", list(ARCHITECTURES))
    def test_every_component_has_the_published_number_of_parameters(self, name: str, tmp_path: Path) -> None:
        """Counted on the meta device, which holds no memory; read back from the folder that is written. The table has every model of it."""
        import diffusers
        import torch
        import transformers

        from swapgate.engines.dry import skeleton

        folder = skeleton.write(ARCHITECTURES[name], tmp_path)
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        counted = {}
        for part in counts.PARAMETERS[name]:
            library, kind_name = index[part]
            kind = getattr(diffusers if library == "diffusers" else transformers, kind_name)
            with torch.device("meta"):
                of_diffusers = library == "diffusers"
                made = (
                    kind.from_config(kind.load_config(folder / part))
                    if of_diffusers
                    else kind(transformers.AutoConfig.from_pretrained(folder / part))
                )
            counted[part] = sum(weight.numel() for weight in made.parameters())
        assert counted == counts.PARAMETERS[name]
        assert {part for part, of in ARCHITECTURES[name].parts.items() if not of.kind.endswith("Scheduler")} == set(counted)

    def test_a_hub_id_is_known_by_its_architecture(self) -> None:
        """And a name goes before it."""
        assert of_source("Qwen/Qwen-Image-2512") is ARCHITECTURES["qwen-image"]
        assert of_source("mine/finetune", "flux-1-dev") is ARCHITECTURES["flux-1-dev"]
        assert of_source("mine/finetune") is None

    def test_the_control_nets_are_built_by_their_classes(self) -> None:
        """Their configurations have no entry that the class would not know."""
        import diffusers
        import torch

        counted = {}
        for source, part in CONTROLS.items():
            with torch.device("meta"):
                made = getattr(diffusers, part.kind)(**part.config)
            counted[source] = sum(weight.numel() for weight in made.parameters())
        assert counted == counts.CONTROLS


class TestTokenizers:
    """Complete for any text."""

    def test_the_prefix_of_the_template_is_what_the_pipeline_drops(self) -> None:
        """34 tokens, whatever follows."""
        prefix = tokenizers.TEMPLATE.split("{}", maxsplit=1)[0]
        assert len(tokenizers.qwen()(prefix)["input_ids"]) == tokenizers.PREFIX_TOKENS

    @pytest.mark.parametrize(
        ("text", "least", "most"),
        [
            ("Realistic portrait (Asian woman, natural indoor light)", 9, 22),
            ("写实人像（亚洲女性，室内自然光）", 7, 40),
            ("a qzxv-unheard-of wörd 🦊", 5, 40),
        ],
    )
    def test_texts_have_about_as_many_tokens_as_the_real_ones(self, text: str, least: int, most: int) -> None:
        """Nothing is unknown to a byte-level tokenizer."""
        ids = tokenizers.qwen()(text)["input_ids"]
        assert least <= len(ids) <= most
        assert tokenizers.qwen().decode(ids) == text

    def test_clip_and_t5_encode_anything(self) -> None:
        """CLIP keeps every byte; T5 has no word for Chinese."""
        assert len(tokenizers.clip()("写实人像", truncation=True, max_length=77)["input_ids"]) <= 77
        t5 = tokenizers.t5()
        assert t5.unk_token_id in t5("写实人像")["input_ids"]
        assert t5.unk_token_id not in t5("a portrait")["input_ids"]


class TestPipelines:
    """Pipelines of a folder's configurations."""

    @pytest.mark.parametrize("family", ["qwen_folder", "flux_folder"])
    def test_a_folder_gives_a_pipeline_that_ignores_its_weights(
        self, family: str, request: pytest.FixtureRequest, card_of: CardOf, call_of: CallOf
    ) -> None:
        """The same card drawn twice is the same model, and another one than the real."""
        folder = request.getfixturevalue(family)
        real, dry = card_of(folder), card_of(folder, weights="dry")
        one, two = loaded(dry), loaded(dry)
        images = [engine.make(call_of(dry), StageClock())[0] for engine in (one, two)]
        assert np.array_equal(*images)
        assert images[0].std() > 0
        assert one.identity().weights == two.identity().weights != loaded(real).identity().weights

    def test_the_text_reaches_the_picture(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """As drawn by default a transformer hardly looks at it; scaled it does."""
        dry = card_of(qwen_folder, weights="dry")
        engine = loaded(dry)
        one, other = (engine.make(call_of(dry, prompt=prompt), StageClock())[0].astype(int) for prompt in ("a red cup", "two green cars in the snow"))
        assert np.abs(one - other).mean() > 0.5

    def test_a_folder_without_weights_is_enough(self, flux_folder: Path, tmp_path: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Configurations and tokenizers are all that is read."""
        import shutil

        bare = tmp_path / "bare"
        shutil.copytree(flux_folder, bare, ignore=shutil.ignore_patterns("*.safetensors"))
        dry = card_of(bare, weights="dry")
        assert loaded(dry).make(call_of(dry), StageClock())[0].shape == (32, 64, 3)

    def test_a_lora_and_fp8_are_drawn_too_and_act(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Neither needs a file."""
        parts = Parts(loras=(Lora(source="some/lora", adapter="style"),), quantisation=Quantisation(method="fp8"))
        dry = card_of(qwen_folder, weights="dry", parts=parts)
        engine = loaded(dry)
        engine.make(call_of(dry), StageClock())
        notes = engine.notes()
        assert any(note.startswith("LoRA style") for note in notes)
        assert any(note.startswith("quantisation fp8") for note in notes)

    def test_dry_weights_are_saved_and_read_as_real_ones(self, flux_folder: Path, tmp_path: Path, card_of: CardOf, call_of: CallOf) -> None:
        """The folder has the layout of any other, and gives the same pictures."""
        dry = card_of(flux_folder, weights="dry")
        engine = loaded(dry)
        engine._pipe.save_pretrained(tmp_path / "saved")
        saved = card_of(tmp_path / "saved")
        assert np.array_equal(engine.make(call_of(dry), StageClock())[0], loaded(saved).make(call_of(saved), StageClock())[0])

    def test_a_component_of_another_library_is_named(self, flux_folder: Path, tmp_path: Path, card_of: CardOf) -> None:
        """A safety checker of a project's own cannot be drawn."""
        import shutil

        folder = tmp_path / "other"
        shutil.copytree(flux_folder, folder)
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        (folder / "model_index.json").write_text(json.dumps(index | {"image_encoder": ["my_own", "Checker"]}), encoding="utf-8")
        with pytest.raises(UserError, match=r"image_encoder = 'my_own'[\s\S]*\[null, null\]"):
            loaded(card_of(folder, weights="dry"))

    def test_the_size_of_what_is_drawn_is_known_beforehand(self, flux_folder: Path, card_of: CardOf) -> None:
        """By published counts, with the refiner; of a local folder by its files."""
        from swapgate.card_parts import Refiner
        from swapgate.engines.dry.counts import PARAMETERS, drawn_bytes

        refiner = Refiner(source="black-forest-labs/FLUX.1-dev", pipeline="FluxImg2ImgPipeline", call={"strength": 0.3, "guidance_scale": 3.5})
        chain = card_of(flux_folder, source="Qwen/Qwen-Image-2512", weights="dry", parts=Parts(refiner=refiner))
        assert drawn_bytes(chain) == 2 * (sum(PARAMETERS["qwen-image"].values()) + sum(PARAMETERS["flux-1-dev"].values()))
        assert drawn_bytes(card_of(flux_folder, weights="dry")) == sum(file.stat().st_size for file in flux_folder.rglob("*.safetensors"))
        assert drawn_bytes(card_of(flux_folder, source="some/model", weights="dry")) is None

    def test_a_model_of_unknown_size_says_what_to_do(self, qwen_folder: Path, tmp_path: Path, card_of: CardOf) -> None:
        """Its configurations are small and can be fetched alone."""
        card = card_of(qwen_folder, source="some/model", weights="dry", root=tmp_path)
        with pytest.raises(UserError, match=r"architecture[\s\S]*--include '\*\.json'"):
            loaded(card)
