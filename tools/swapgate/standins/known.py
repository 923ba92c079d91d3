"""Pictures whose content is known: rendered scenes, and facet checks of which the right answer is known.

A facet check weighs a caption against the same caption changed in one attribute. Here it is asked twice of each scene,
as the tasks of the stand-ins ask it: once with the caption that is true (the check has to hold), and once with a false one
in its place and the true one among its rivals (the check has to fail).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch

from swapgate.metrics.clip import Judge, facets
from swapgate.metrics.counts import Answers
from swapgate.metrics.pixels import Image
from swapgate.standins import captions, render, scene

RIVALS = 3
"""Counterfactual captions of one check, where the picture world has so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One facet check of a picture: what it asks, of which scene (by number), and whether it has to hold."""

    number: int
    attribute: str
    statement: str
    rivals: tuple[str, ...]
    true: bool


def scenes(n: int, seed: int = 0) -> tuple[list[scene.Scene], list[Image]]:
    """`n` scenes of the picture world and their renders, each [128, 128, 3] uint8."""
    generator = torch.Generator().manual_seed(seed)
    codes = scene.sample_codes(n, generator)
    pictures = (render.render(codes, generator=generator) * 255).round().byte()
    return scene.decode(codes), list(np.ascontiguousarray(pictures.permute(0, 2, 3, 1).numpy()))


def claims(known: Sequence[scene.Scene], attribute: str, language: captions.Language, n: int, seed: int = 0) -> list[Claim]:
    """A true and a false claim about an attribute of each of the first `n` scenes in which another value would fit."""
    random = Random(f"{seed}/{attribute}")
    made: list[Claim] = []
    for number, one in enumerate(known):
        others = captions.alternatives(one, attribute)
        if not others or len(made) >= 2 * n:
            continue
        chosen = random.sample(others, min(RIVALS, len(others)))
        true, (false, *rest) = captions.caption(one, language), (captions.caption(other, language) for other in chosen)
        made.append(Claim(number=number, attribute=attribute, statement=true, rivals=(false, *rest), true=True))
        made.append(Claim(number=number, attribute=attribute, statement=false, rivals=(true, *rest), true=False))
    return made


def answers(judge: Judge, n: int, languages: Sequence[captions.Language] = captions.LANGUAGES, seed: int = 0) -> list[Answers]:
    """How often facet checks by `judge` are right about each attribute, on up to `n` scenes of it in each language."""
    known, pictures = scenes(2 * n, seed)
    found = []
    for language in languages:
        for attribute in scene.ATTRIBUTES:
            asked = claims(known, attribute, language, n, seed)
            told = facets(judge, [pictures[one.number] for one in asked], [(one.statement, one.rivals) for one in asked])
            held = sum(answer.held for one, answer in zip(asked, told, strict=True) if one.true)
            refused = sum(not answer.held for one, answer in zip(asked, told, strict=True) if not one.true)
            found.append(Answers(language=language, attribute=attribute, held=held, refused=refused, n=len(asked) // 2))
    return found
