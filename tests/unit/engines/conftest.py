"""Tiny pipelines with random weights: the real classes and file layout, a fraction of a second a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from swapgate.cards import Card, Judge
from swapgate.engines.faults import Planted, apply
from swapgate.plan import Call, Request

CAPTIONS = ["a red cup on a blue table", "two green cars in the snow", "一只红色的杯子", "a photo of a small yellow house at night"]
PARTS = ("transformer", "vae", "text_encoder", "text_encoder_2")


def _randomise(pipe: Any) -> None:
    """The builders start blocks as the identity with zeros; zeros hide every fault, so give all tensors a spread."""
    import torch

    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in pipe.transformer.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)


@pytest.fixture(scope="session")
def qwen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved `QwenImagePipeline`, guided by two forwards a step."""
    import torch

    from swapgate.standins import qwen, tokenizers

    torch.manual_seed(1)
    shape = qwen.QwenShape.tiny()
    tokenizer = tokenizers.train_qwen(CAPTIONS * 60)
    pipe = qwen.assemble(
        vae=qwen.build_vae(shape),
        transformer=qwen.build_transformer(shape),
        text_encoder=qwen.build_text_encoder(shape, tokenizer),
        tokenizer=tokenizer,
        mu=0.8,
    )
    return _saved(pipe, tmp_path_factory.mktemp("weights") / "qwen")


@pytest.fixture(scope="session")
def flux_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved `FluxPipeline`, distilled: guidance is an input of its transformer."""
    import torch

    from swapgate.standins import flux, tokenizers

    torch.manual_seed(1)
    shape = flux.FluxShape.tiny()
    clip, t5 = tokenizers.train_clip(CAPTIONS * 60), tokenizers.train_t5(CAPTIONS * 60)
    pipe = flux.assemble(
        vae=flux.build_vae(shape),
        transformer=flux.build_transformer(shape),
        clip=flux.build_clip(shape, clip),
        clip_tokenizer=clip,
        t5=flux.build_t5(shape, t5),
        t5_tokenizer=t5,
        mu=0.8,
    )
    return _saved(pipe, tmp_path_factory.mktemp("weights") / "flux")


def _saved(pipe: Any, folder: Path) -> Path:
    _randomise(pipe)
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture
def card_of() -> Callable[..., Card]:
    """Makes a card of the diffusers engine for a folder."""

    def make(folder: Path, **changes: Any) -> Card:
        call: dict[str, Any] = {"num_inference_steps": 3}
        given: dict[str, Any] = {
            "id": folder.name,
            "title": folder.name,
            "engine": "diffusers",
            "source": folder.name,
            "revision": None,
            "pipeline": None,
            "device": "cpu",
            "dtype": {"cpu": "float32", "cuda": "bfloat16"},
            "call": call,
            "negative_prompt": {},
            "expected_forwards": None,
            "tasks": ("t",),
            "judge": Judge(source="judge"),
            "ceilings": {},
            "usability_floor": 0.0,
            "timeout_seconds": 600.0,
            "licence": "none",
            "path": folder.parent / f"{folder.name}.toml",
            "root": folder.parent,
        }
        return Card(**{**given, **changes})

    return make


@pytest.fixture
def call_of() -> Callable[..., Call]:
    """Makes a call of one or more requests, 64 x 32 pixels."""

    def make(card: Card, *, seed: int = 1, images: int = 1, prompt: str = "a red cup", negative: str | None = None, **changes: Any) -> Call:
        given: dict[str, Any] = {"width": 64, "height": 32, "call": tuple(card.call.items())}
        return Call(
            requests=tuple(
                Request(
                    model=card.id, task="t", language="en", seed=seed, index=index, prompt=prompt, negative_prompt=negative, **{**given, **changes}
                )
                for index in range(images)
            )
        )

    return make


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What a tiny pipeline with planted faults gave: pictures [n, h, w, 3] in 0..1 a call, and forwards of all calls."""

    pictures: list[npt.NDArray[np.float32]]
    planted: tuple[Planted, ...]
    forwards: int
    pipe: Any

    @property
    def acted(self) -> bool:
        """Whether every fault did."""
        return all(fault.acted() for fault in self.planted)

    @property
    def note(self) -> str:
        """The proof of the first fault."""
        return self.planted[0].activity()


@pytest.fixture(scope="session")
def draw(qwen_folder: Path, flux_folder: Path) -> Callable[..., Drawn]:
    """Plants faults in a fresh copy of a tiny pipeline and calls it, as the engine does: 64 x 32 pixels, two steps."""
    import copy

    import torch
    from diffusers import DiffusionPipeline

    loaded = {"qwen": DiffusionPipeline.from_pretrained(qwen_folder), "flux": DiffusionPipeline.from_pretrained(flux_folder)}
    own: dict[str, dict[str, Any]] = {
        "qwen": {"negative_prompt": " ", "true_cfg_scale": 4.0},
        "flux": {"guidance_scale": 3.5, "max_sequence_length": 32},
    }

    def make(family: str, *specs: str, seeds: tuple[int, ...] = (1,), images: int = 1, prompt: str = "a red cup", **changes: Any) -> Drawn:
        pipe = copy.deepcopy(loaded[family])
        pipe.set_progress_bar_config(disable=True)
        forwards: list[int] = []
        pipe.transformer.register_forward_pre_hook(lambda *_: forwards.append(1))
        planted = tuple(apply(pipe, spec) for spec in specs)
        pictures, threads = [], torch.get_num_threads()
        torch.set_num_threads(1)  # more only wait for each other at this size
        for seed in seeds:
            generators = [torch.Generator().manual_seed(seed + 1000 * index) for index in range(images)]
            given: dict[str, Any] = {"width": 64, "height": 32, "num_inference_steps": 2, "output_type": "np", **own[family], **changes}
            given |= {"prompt": prompt, "generator": generators if images > 1 else generators[0], "num_images_per_prompt": images}
            for fault in planted:
                given = fault.arguments(given)
            pictures.append(pipe(**given).images)
            for fault in planted:
                fault.after(images)
        torch.set_num_threads(threads)
        return Drawn(pictures=pictures, planted=planted, forwards=len(forwards), pipe=pipe)

    return make
