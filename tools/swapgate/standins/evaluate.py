"""How well a stand-in pipeline follows captions: the oracle's verdict on scenes that training never saw.

Everything is fixed by `seed`: scenes, wordings and the noise of every image (one CPU generator an image), so a figure
depends neither on the batch size nor, beyond rounding, on the device.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SIZE = 128
STEPS = 8
BATCH, BATCH_CUDA = 64, 256
CALLS: dict[str, dict[str, Any]] = {
    "QwenImagePipeline": {"negative_prompt": " ", "true_cfg_scale": 4.0},
    "FluxPipeline": {"guidance_scale": 3.5, "max_sequence_length": 192},
}
"""How each stand-in is called, by the class of its pipeline."""

Worded = Literal["free", "canonical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Scenes to draw: codes [n, 7] and one prompt for each."""

    codes: Tensor
    prompts: tuple[str, ...]


def held_out_sample(n: int, language: Literal["en", "zh"], *, seed: int = 0, worded: Worded = "free") -> Sample:
    """`n` held-out scenes with their captions; the same scenes in every language and wording of one seed.

    Worded "free", every caption is one of the many wordings; "canonical", the first one.
    """
    import torch

    from swapgate.standins import captions, scene

    codes = scene.sample_codes(n, torch.Generator().manual_seed(seed), held_out=True)
    random = Random(seed)
    texts = (captions.caption(one, language, random if worded == "free" else None) for one in scene.decode(codes))
    return Sample(codes=codes, prompts=tuple(texts))


def draw(pipeline: Any, prompts: Sequence[str], *, seed: int = 0, steps: int = STEPS, **call: Any) -> Tensor:
    """Images [n, 3, 128, 128] in 0..1, float32 on the CPU, of the prompts; image k starts from seed + k.

    `call` overrides the arguments of `CALLS`.
    """
    import torch

    arguments = CALLS.get(type(pipeline).__name__, {}) | call
    negative = arguments.get("negative_prompt")
    parts: list[Tensor] = []
    size = batch_size(pipeline.device)
    for at in range(0, len(prompts), size):
        some = list(prompts[at : at + size])
        generators = [torch.Generator().manual_seed(seed + at + k) for k in range(len(some))]
        if "negative_prompt" in arguments:
            arguments = arguments | {"negative_prompt": [negative] * len(some)}
        with torch.no_grad():  # an inference tensor in a cache of the model would break a later training step
            images = pipeline(
                prompt=some, height=SIZE, width=SIZE, num_inference_steps=steps, generator=generators,
                output_type="pt", **arguments,
            ).images  # fmt: skip
        parts.append(images.float().cpu().clamp(0, 1))
    return torch.cat(parts)


def batch_size(device: torch.device | str) -> int:
    """Images drawn or read at once on `device`."""
    return BATCH_CUDA if str(device).startswith("cuda") else BATCH


def followed_figures(images: Tensor, codes: Tensor, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Shares in 0..1 of images [n, 3, 128, 128] that follow codes [n, 7], by the oracle.

    Keys: "followed" (all attributes of all images), "usable" (images with every attribute right) and "attributes".
    """
    import torch

    from swapgate.standins import oracle, scene

    size = batch_size(device)
    parts = [
        oracle.followed(some.to(device), rows.to(device)).float().cpu()
        for some, rows in zip(torch.split(images, size), torch.split(codes, size), strict=True)
    ]
    right = torch.cat(parts)
    by_attribute = {name: round(float(v), 4) for name, v in zip(scene.ATTRIBUTES, right.mean(dim=0), strict=True)}
    return {
        "followed": round(float(right.mean()), 4),
        "usable": round(float(right.all(dim=1).float().mean()), 4),
        "attributes": by_attribute,
    }


def evaluate_pipeline(
    pipeline: Any,
    *,
    n: int,
    languages: Sequence[Literal["en", "zh"]] = ("en", "zh"),
    seed: int = 0,
    steps: int = STEPS,
    worded: Worded = "free",
    **call: Any,
) -> dict[str, Any]:
    """Figures of `followed_figures` by language for `n` held-out scenes, drawn where the pipeline is."""
    figures: dict[str, Any] = {}
    for language in languages:
        sample = held_out_sample(n, language, seed=seed, worded=worded)
        images = draw(pipeline, sample.prompts, seed=seed, steps=steps, **call)
        figures[language] = followed_figures(images, sample.codes, pipeline.device)
    return figures


def evaluate(
    folder: Path,
    *,
    n: int = 128,
    languages: Sequence[Literal["en", "zh"]] = ("en", "zh"),
    device: str = "cpu",
    seed: int = 0,
    steps: int = STEPS,
    worded: Worded = "free",
) -> dict[str, Any]:
    """Load the stand-in pipeline in `folder` in float32 and measure how well it follows captions.

    Returns:
        {"model", "n", "steps", "seed", "wording", "seconds", "en": {...}, "zh": {...}} with the figures of
        `followed_figures` for each language.

    Raises:
        UserError: there is no pipeline in `folder`.
    """
    from swapgate.standins import folders

    pipeline = folders.load_pipeline(folder, device)
    begun = time.perf_counter()
    figures = evaluate_pipeline(pipeline, n=n, languages=languages, seed=seed, steps=steps, worded=worded)
    seconds = round(time.perf_counter() - begun, 2)
    head = {"model": folder.name, "n": n, "steps": steps, "seed": seed, "wording": worded, "seconds": seconds}
    return head | figures
