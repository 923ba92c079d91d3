"""How well standin-clip tells a right caption from one wrong in a single attribute, on held-out scenes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from swapgate.standins import captions, clip, render, scene
from swapgate.standins.training.contrastive_bank import as_bytes, roughen


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One held-out scene (row of the evaluation) and the same with one attribute changed."""

    row: int
    right: scene.Scene
    wrong: scene.Scene
    attribute: str


@torch.inference_mode()
def preferences(model: Any, tokenizer: Any, scenes: int, generator: torch.Generator) -> dict[str, float]:
    """Share of held-out cases in which the right caption beats the one with a single attribute changed.

    The two captions of a case are worded alike. Keys: "en" and "zh" (all cases), "en.object" and so on,
    "rough" for roughened pictures, "reworded" where the wrong caption is worded on its own, and "en.facet"
    and "zh.facet" for short statements of the one attribute. Values 0 to 1.
    """
    codes = scene.sample_codes(scenes, generator, held_out=True)
    pictures = as_bytes(render.render(codes, generator=generator)).float() / 255
    seen, rough = _seen(model, pictures), _seen(model, roughen(pictures, generator))
    rng = random.Random(generator.initial_seed())
    cases = list(_cases(scene.decode(codes), rng))
    rows = torch.tensor([case.row for case in cases], device=seen.device)
    wins: dict[str, list[Tensor]] = {}
    for language in captions.LANGUAGES:
        texts = {name: _read(model, tokenizer, some) for name, some in _texts(cases, language, rng).items()}
        won = _wins(seen[rows], texts["right"], texts["wrong"])
        wins[language] = [won]
        for attribute in scene.ATTRIBUTES:
            mine = torch.tensor([case.attribute == attribute for case in cases], device=won.device)
            wins[f"{language}.{attribute}"] = [won[mine]]
        wins[f"{language}.facet"] = [_wins(seen[rows], texts["said"], texts["denied"])]
        wins.setdefault("rough", []).append(_wins(rough[rows], texts["right"], texts["wrong"]))
        wins.setdefault("reworded", []).append(_wins(seen[rows], texts["right"], texts["reworded"]))
    return {name: round(float(torch.cat(parts).mean()), 4) for name, parts in wins.items()}


def _wins(seen: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    return ((seen * right).sum(dim=-1) > (seen * wrong).sum(dim=-1)).float()


def _cases(scenes: Sequence[scene.Scene], rng: random.Random) -> Iterator[Case]:
    for row, one in enumerate(scenes):
        for attribute in scene.ATTRIBUTES:
            some = captions.alternatives(one, attribute)
            if some:
                yield Case(row=row, right=one, wrong=rng.choice(some), attribute=attribute)


def _texts(cases: Sequence[Case], language: captions.Language, rng: random.Random) -> dict[str, list[str]]:
    """Captions right, wrong in the same words and wrong in other words; and statements of the one attribute."""
    seeds = [rng.getrandbits(32) for _ in cases]
    paired = list(zip(cases, seeds, strict=True))
    return {
        "right": [captions.caption(case.right, language, random.Random(seed)) for case, seed in paired],
        "wrong": [captions.caption(case.wrong, language, random.Random(seed)) for case, seed in paired],
        "reworded": [captions.caption(case.wrong, language, rng) for case in cases],
        "said": [captions.describe(case.right, case.attribute, language) for case in cases],
        "denied": [captions.describe(case.wrong, case.attribute, language) for case in cases],
    }


def _seen(model: Any, pictures: Tensor) -> Tensor:
    return torch.cat([model.encode_image(part * 2 - 1, normalize=True) for part in torch.split(pictures, 256)])


def _read(model: Any, tokenizer: Any, texts: list[str]) -> Tensor:
    device = next(model.parameters()).device
    tokens = clip.trim(clip.encode(tokenizer, texts)).to(device)
    return functional.normalize(torch.cat([clip.read(model, part.long()) for part in torch.split(tokens, 1024)]), dim=-1)


@torch.inference_mode()
def scale(model: Any, tokenizer: Any, scenes: int, generator: torch.Generator) -> dict[str, dict[str, float]]:
    """By language, the zero and the one of alignment on held-out renders.

    "floor" is the mean cosine of the pictures with captions of other scenes, "matched" with captions of their
    own; a score between them says how much of the right caption a picture shows.
    """
    codes = scene.sample_codes(scenes, generator, held_out=True)
    pictures = as_bytes(render.render(codes, generator=generator)).float() / 255
    seen = _seen(model, roughen(pictures, generator))
    rng = random.Random(generator.initial_seed())
    strangers = (codes.unsqueeze(1) != codes.unsqueeze(0)).any(dim=-1)
    found: dict[str, dict[str, float]] = {}
    for language in captions.LANGUAGES:
        texts = [captions.caption(one, language, rng) for one in scene.decode(codes)]
        cosines = seen @ _read(model, tokenizer, texts).T
        found[language] = {
            "floor": round(float(cosines[strangers].mean()), 4),
            "matched": round(float(cosines.diagonal().mean()), 4),
        }
    return found
