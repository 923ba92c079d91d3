"""What training draws from, computed once: scenes, their captions as token ids, and their pictures as latents.

Captions are built by Python code and would otherwise hold up the accelerator, so they are made beforehand by many
processes. The scenes of a bank follow from its seed alone, so pictures and captions, made apart, belong together.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from swapgate.errors import UserError
from swapgate.standins import captions, render, scene
from swapgate.standins.training.stages import StageContext

CHUNK = 2000
MARGIN = 6.0
"""Pixels by which the area of the objects exceeds where the renderer puts them without chance."""
OBJECT_WEIGHT = 2.0
"""What an error in a token on an object counts more than in one on the background."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How one caption of every scene is worded: shares are probabilities in 0..1."""

    chinese: float
    narrow: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Token ids [w, n, length] (int32, padded on the right) and their lengths [w, n] of w captions of n scenes."""

    ids: Tensor
    lengths: Tensor
    blank: Tensor
    pad: int

    def to(self, device: torch.device) -> Words:
        """Return the same on `device`."""
        return replace(self, ids=self.ids.to(device), lengths=self.lengths.to(device), blank=self.blank.to(device))

    def save(self, path: Path) -> None:
        """Write the words so that they appear at `path` only when complete."""
        part = path.with_suffix(".part.npz")
        np.savez(part, ids=self.ids.numpy(), lengths=self.lengths.numpy(), blank=self.blank.numpy(), pad=np.int64(self.pad))
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path) -> Words:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            tensors = {key: torch.from_numpy(data[key]) for key in ("ids", "lengths", "blank")}
            return cls(**tensors, pad=int(data["pad"]))


def training_codes(n: int, seed: int) -> Tensor:
    """Codes [n, 7] of scenes that training may see, the first ones the same for every n of one seed's chunks."""
    parts = [scene.sample_codes(CHUNK, torch.Generator().manual_seed(seed + 1 + k), held_out=False) for k in range(-(-n // CHUNK))]
    return torch.cat(parts)[:n]


def caption_texts(codes: Tensor, wordings: Sequence[Wording], seed: int, workers: int) -> list[list[str]]:
    """One caption of every scene for every wording: a list of n texts for each of `wordings`.

    `workers` processes share the work; with one, it is done here.
    """
    rows = codes.tolist()
    chunks = [(rows[at : at + CHUNK], tuple(wordings), seed + at) for at in range(0, len(rows), CHUNK)]
    if workers <= 1:
        done = [_caption_chunk(*chunk) for chunk in chunks]
    else:
        # Forking after CUDA has started breaks the children; starting afresh costs seconds.
        method = "spawn" if torch.cuda.is_initialized() else "fork"  # type: ignore[no-untyped-call]
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(method)) as pool:
            done = list(pool.map(_caption_chunk, *zip(*chunks, strict=True)))
    return [[text for part in done for text in part[w]] for w in range(len(wordings))]


def _caption_chunk(rows: list[list[int]], wordings: Sequence[Wording], seed: int) -> list[list[str]]:
    scenes = scene.decode(torch.tensor(rows))
    random = Random(seed)
    return [[_caption(one, wording, random) for one in scenes] for wording in wordings]


def _caption(one: scene.Scene, wording: Wording, random: Random) -> str:
    language: captions.Language = "zh" if random.random() < wording.chinese else "en"
    return captions.caption(one, language, random, narrow=random.random() < wording.narrow)


def token_words(
    texts: Sequence[Sequence[str]],
    encode: Callable[[list[str]], list[list[int]]],
    *,
    blank: str,
    pad: int,
    prefix: int | None = None,
) -> Words:
    """Encode the texts of every wording.

    `blank` is the text that stands for no prompt. With `prefix`, rows are padded until what follows that many tokens
    is a multiple of eight long, which the masked attention kernels want.
    """
    encoded = [encode(list(part)) for part in texts]
    longest = max(len(ids) for part in encoded for ids in part)
    length = longest if prefix is None else prefix + -(-(longest - prefix) // 8) * 8
    ids = np.full((len(encoded), len(encoded[0]), length), pad, dtype=np.int32)
    lengths = np.zeros(ids.shape[:2], dtype=np.int32)
    for w, part in enumerate(encoded):
        for n, one in enumerate(part):
            ids[w, n, : len(one)] = one
            lengths[w, n] = len(one)
    return Words(ids=torch.from_numpy(ids), lengths=torch.from_numpy(lengths), blank=torch.tensor(encode([blank])[0]), pad=pad)


def wait_for(path: Path, seconds: float) -> Path:
    """Return `path` once another process has written it.

    Raises:
        UserError: it is not there after `seconds`.
    """
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > until:
            raise UserError(
                where="stand-in training", key=path.name, rule=f"the file must appear within {seconds:.0f} s",
                remedy="run the stage that writes it first; the stages of one model are named in training/run.py",
            )  # fmt: skip
        time.sleep(0.2)
    return path


def picture_bank(codes: Tensor, generator: torch.Generator) -> Tensor:
    """Rendered pictures uint8 [n, 3, 128, 128] on the device of `codes`."""
    parts = [(render.render(part, generator=generator) * 255).round().byte() for part in torch.split(codes, render.CHUNK)]
    return torch.cat(parts)


@torch.no_grad()
def latent_bank(codes: Tensor, encode: Callable[[Tensor], Tensor], generator: torch.Generator, *, until: Callable[[], bool]) -> Tensor:
    """Latent means float16 [m, 16, 16, 16] of the first m scenes, m as many as are done when `until` turns true.

    Args:
        codes: scenes [n, 7] on the device that renders and encodes.
        encode: images in -1..1 to posterior parameters [k, 32, 16, 16].
        generator: chance of the pictures.
        until: asked after each chunk; at least one chunk is always done.
    """
    parts: list[Tensor] = []
    for part in torch.split(codes, render.CHUNK):
        images = render.render(part, generator=generator) * 2 - 1
        parts.append(encode(images)[:, :16].half())
        if until():
            break
    return torch.cat(parts)


def latents_within(context: StageContext, encode: Callable[[Tensor], Tensor], n: int, *, share: float = 0.11, offset: int = 0) -> Tensor:
    """Latents [m, 16, 16, 16] of the first m of n training scenes, as many as fit into `share` of the stage's budget."""
    codes = training_codes(n, context.seed + offset).to(context.device)
    limit = context.elapsed + share * context.seconds
    made = latent_bank(codes, encode, context.seeded(6), until=lambda: not context.tiny and context.elapsed > limit)
    context.log(f"{len(made)} of {n} latents")
    return made


def blanked(words: Words, ids: Tensor, lengths: Tensor, dropped: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids [n, length] and lengths [n] in which the rows `dropped` [n] hold the blank text."""
    blank = words.blank
    row = ids.new_full((ids.shape[1],), int(words.pad))
    row[: len(blank)] = blank.to(ids.dtype)
    return (
        torch.where(dropped.view(-1, 1), row, ids),
        torch.where(dropped, lengths.new_full((), len(blank)), lengths),
    )


def object_area(codes: Tensor, size: int = render.SIZE) -> Tensor:
    """Bool [n, 1, size, size]: the rectangle that holds the objects of scenes [n, 7], whatever the chance of the picture."""
    at = render.place(codes)
    x, y = render.grid(size, codes.device)
    across = at.radius * (1 + render.PITCH / 2 * (at.count - 1)) + MARGIN
    inside = ((x - at.x.view(-1, 1, 1)).abs() < across.view(-1, 1, 1)) & ((y - at.y.view(-1, 1, 1)).abs() < (at.radius + MARGIN).view(-1, 1, 1))
    return inside.unsqueeze(1)


def object_weights(codes: Tensor) -> Tensor:
    """What errors in each packed token of scenes [n, 7] count: float [n, 64, 1], 1 or 1 + `OBJECT_WEIGHT`.

    The weights follow from position, size and count alone, which every caption tells. The best velocity given a
    caption is therefore the same as without them; only the part of it that words decide is learnt sooner.
    """
    side = render.SIZE // 16
    area = functional.adaptive_max_pool2d(object_area(codes).float(), side)
    return (1 + OBJECT_WEIGHT * area).flatten(2).transpose(1, 2)


def workers(tiny: bool) -> int:
    """How many processes build captions: the machine's cores, or one in a rehearsal."""
    return 1 if tiny else max(1, min(32, len(os.sched_getaffinity(0))))


def pack(latents: Tensor) -> Tensor:
    """Latents [n, c, h, w] as tokens [n, h/2 · w/2, 4c], in the order of the pipelines' own packing."""
    n, c, h, w = latents.shape
    tiles = latents.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return tiles.reshape(n, h // 2 * (w // 2), 4 * c)
