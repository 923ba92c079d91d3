"""What standin-clip learns from: rendered scenes with their captions, in groups that differ in one attribute.

A group is a scene and scenes with one attribute of it changed, each rendered and captioned, so that a batch
of whole groups holds, for every picture and every caption, the wrong answers that the judge is asked about
later.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from swapgate.standins import captions, clip, render, scene

GROUP = 4
WORDINGS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """Rows in groups of `GROUP`, with every caption in several wordings.

    Args:
        codes: [n, 7].
        pictures: [n, 3, 128, 128] uint8.
        tokens: by language, [WORDINGS, n, t] int16.
        statements: by language, the short statements of one attribute, [s, t] int16.
        claims: [objects, counts, 41]: for a scene of that object and count, which statement speaks for each
            value of
            each attribute, attribute after attribute; by language.
    """

    codes: Tensor
    pictures: Tensor
    tokens: dict[str, Tensor]
    statements: dict[str, Tensor]
    claims: dict[str, Tensor]


def grouped_codes(n: int, generator: torch.Generator, rng: random.Random) -> Tensor:
    """LongTensor[n, 7]: groups of a training scene and scenes with one attribute changed, none held out."""
    unseen = held_out_triples()
    bases = scene.decode(scene.sample_codes(math.ceil(n / GROUP), generator, held_out=False))
    rows = [one for base in bases for one in (base, *_neighbours(base, unseen, rng))]
    return scene.encode(rows[:n])


def held_out_triples() -> frozenset[tuple[str, str, str]]:
    """Every (object, colour, background) that training must not see, in names."""
    grid = torch.cartesian_prod(*(torch.arange(len(scene.VALUES[a])) for a in scene.ATTRIBUTES[:3]))
    codes = functional.pad(grid[scene.is_held_out(grid)], (0, len(scene.ATTRIBUTES) - 3))
    return frozenset((one.object, one.colour, one.background) for one in scene.decode(codes))


def _neighbours(base: scene.Scene, unseen: frozenset[tuple[str, str, str]], rng: random.Random) -> list[scene.Scene]:
    """`GROUP` - 1 training scenes that each differ in another attribute.

    Only size and count may have no other value that fits, so enough attributes always remain.
    """
    found: list[scene.Scene] = []
    for attribute in rng.sample(scene.ATTRIBUTES, len(scene.ATTRIBUTES)):
        some = captions.alternatives(base, attribute)
        some = [one for one in some if (one.object, one.colour, one.background) not in unseen]
        found += [rng.choice(some)] if some else []
    return found[: GROUP - 1]


def make_bank(codes: Tensor, tokenizer: Any, device: torch.device, rng: random.Random, generator: torch.Generator) -> Bank:
    """Render and caption the codes [n, 7]; everything lies on `device`."""
    scenes = scene.decode(codes)
    tokens: dict[str, Tensor] = {}
    statements: dict[str, Tensor] = {}
    claims: dict[str, Tensor] = {}
    for language in captions.LANGUAGES:
        wordings = [[captions.caption(one, language, None if w == 0 else rng) for one in scenes] for w in range(WORDINGS)]
        tokens[language] = clip.trim(torch.stack([clip.encode(tokenizer, some) for some in wordings])).to(device)
        texts, claims[language] = claim_table(language)
        statements[language] = clip.trim(clip.encode(tokenizer, texts)).to(device)
    pictures = torch.cat([as_bytes(render.render(part, generator=generator)) for part in torch.split(codes.to(device), 1024)])
    claims = {language: table.to(device) for language, table in claims.items()}
    return Bank(codes=codes.to(device), pictures=pictures, tokens=tokens, statements=statements, claims=claims)


def claim_table(language: captions.Language) -> tuple[list[str], Tensor]:
    """The short statements of a language, each once, and LongTensor[12, 3, 41] of which claims which value."""
    known: dict[str, int] = {}
    table = [
        [
            [
                known.setdefault(_statement(thing, count, attribute, value, language), len(known))
                for attribute in scene.ATTRIBUTES
                for value in scene.VALUES[attribute]
            ]
            for count in scene.COUNTS
        ]
        for thing in scene.OBJECTS
    ]
    return list(known), torch.tensor(table)


def _statement(thing: str, count: int, attribute: str, value: str | int, language: captions.Language) -> str:
    base = scene.Scene(object=thing, colour="red", background="table", count=count)
    return captions.describe(replace(base, **{attribute: value}), attribute, language)  # type: ignore[arg-type]


def as_bytes(pictures: Tensor) -> Tensor:
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8)


def roughen(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [n, 3, h, w] in 0..1 as a generative model might have left them; the same shape and range.

    About a third stay sharp. The rest is softened or loses detail as through an autoencoder; all are moved by
    at most three pixels, shifted a little in colour and contrast, and slightly grained.
    """
    n, device = len(pictures), pictures.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    shift = torch.randint(-3, 4, (2,), generator=generator, device=device).tolist()
    padded = functional.pad(pictures, (3, 3, 3, 3), mode="replicate")
    moved = padded[:, :, 3 + shift[0] : 3 + shift[0] + pictures.shape[2], 3 + shift[1] : 3 + shift[1] + pictures.shape[3]]
    soft = functional.avg_pool2d(functional.pad(moved, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    coarse = functional.interpolate(functional.avg_pool2d(moved, 2), scale_factor=2, mode="bilinear", align_corners=False)
    which, amount = uniform(n, 1, 1, 1), uniform(n, 1, 1, 1)
    worn = torch.where(which < 0.5, soft, coarse)
    moved = torch.where(which < 0.33, moved, moved.lerp(worn, amount))
    gain = 1 + 0.14 * (uniform(n, 1, 1, 1) - 0.5) + 0.08 * (uniform(n, 3, 1, 1) - 0.5)
    offset = 0.08 * (uniform(n, 1, 1, 1) - 0.5) + 0.04 * (uniform(n, 3, 1, 1) - 0.5)
    grain = torch.randn(moved.shape, generator=generator, device=device) * (0.03 * uniform(n, 1, 1, 1))
    return ((moved - 0.5) * gain + 0.5 + offset + grain).clamp(0, 1)
