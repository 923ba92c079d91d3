"""The picture world: what a scene of the stand-ins is, and which combinations training never sees.

A scene has seven attributes. As a row of codes it is a LongTensor of seven indices into `VALUES`, in the
order of `ATTRIBUTES`; `Scene` is the same thing with names. A caption that leaves an attribute out means
its default (`DEFAULTS`): centre, medium, flat, one object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

ATTRIBUTES = ("object", "colour", "background", "position", "size", "count", "finish")
OBJECTS = (
    "person", "cup", "butterfly", "cat", "book", "leaf", "lamp", "fish", "flower", "house", "boat",
    "umbrella",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink", "brown", "white")
BACKGROUNDS = ("studio", "table", "window", "night", "meadow")
POSITIONS = ("centre", "left", "right", "top", "bottom")
SIZES = ("small", "medium", "large")
COUNTS = (1, 2, 3)
FINISHES = ("flat", "grain", "watercolour")

VALUES: dict[str, tuple[str, ...] | tuple[int, ...]] = {
    "object": OBJECTS,
    "colour": COLOURS,
    "background": BACKGROUNDS,
    "position": POSITIONS,
    "size": SIZES,
    "count": COUNTS,
    "finish": FINISHES,
}
DEFAULTS: dict[str, str | int] = {"position": "centre", "size": "medium", "finish": "flat", "count": 1}
"""What a caption means when it does not mention the attribute; the other three are always mentioned."""

COUNT_WEIGHTS = (0.5, 0.28, 0.22)
"""Share of scenes with one, two and three objects when codes are sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One picture in words: every field holds one of `VALUES` of its name."""

    object: str
    colour: str
    background: str
    position: str = "centre"
    size: str = "medium"
    count: int = 1
    finish: str = "flat"


def fits(position: int, size: int, count: int) -> bool:
    """Whether `count` objects in a row fit into the picture; arguments are codes (count 0 is one object).

    One object always fits; two fit unless large; three fit when small, or when medium and not to a side.
    """
    if count == 0 or size == 0:
        return True
    if size == 2:
        return False
    return count == 1 or POSITIONS[position] not in ("left", "right")


@cache
def layouts() -> tuple[tuple[int, int, int], ...]:
    """Every (position, size, count) code that fits, in a fixed order."""
    return tuple((p, s, c) for p in range(len(POSITIONS)) for s in range(len(SIZES)) for c in range(len(COUNTS)) if fits(p, s, c))


def is_valid(codes: Tensor) -> Tensor:
    """BoolTensor[n]: codes [n, 7] are in range and their objects fit into the picture."""
    limits = torch.tensor([len(VALUES[a]) for a in ATTRIBUTES], device=codes.device)
    in_range = ((codes >= 0) & (codes < limits)).all(dim=1)
    sideways = (codes[:, 3] == 1) | (codes[:, 3] == 2)
    size, count = codes[:, 4], codes[:, 5]
    fitting = (count == 0) | (size == 0) | ((size == 1) & ((count == 1) | ~sideways))
    return in_range & fitting


def is_held_out(codes: Tensor) -> Tensor:
    """BoolTensor[n]: training never sees the (object, colour, background) of these codes [n, 7].

    The rule (3·object + colour + 2·background) mod 10 = 0 takes 60 of the 600 triples, spread like a Latin
    square: every value and every pair of values is still seen in training, only the triple is new.
    """
    return (3 * codes[:, 0] + codes[:, 1] + 2 * codes[:, 2]) % 10 == 0


def encode(scenes: Sequence[Scene]) -> Tensor:
    """LongTensor[n, 7] of the scenes; ValueError for a value the picture world does not have."""
    rows = [[VALUES[a].index(getattr(scene, a)) for a in ATTRIBUTES] for scene in scenes]
    return torch.tensor(rows, dtype=torch.long).reshape(len(rows), len(ATTRIBUTES))


def decode(codes: Tensor) -> list[Scene]:
    """The scenes of codes [n, 7], from any device."""
    return [Scene(**{a: VALUES[a][i] for a, i in zip(ATTRIBUTES, row, strict=True)}) for row in codes.tolist()]


def _triples(held_out: bool | None) -> Tensor:
    grid = torch.cartesian_prod(*(torch.arange(len(v)) for v in (OBJECTS, COLOURS, BACKGROUNDS)))
    return grid if held_out is None else grid[is_held_out(grid) == held_out]


def _layout_table() -> tuple[Tensor, Tensor]:
    """Layouts [k, 3] and the probability [k] of each, so that counts come out as `COUNT_WEIGHTS`."""
    table = torch.tensor(layouts())
    per_count = torch.bincount(table[:, 2], minlength=len(COUNTS))
    weights = torch.tensor(COUNT_WEIGHTS)[table[:, 2]] / per_count[table[:, 2]]
    return table, weights


def sample_codes(n: int, generator: torch.Generator, held_out: bool | None = None) -> Tensor:
    """LongTensor[n, 7] of valid scenes on the generator's device.

    Args:
        n: how many.
        generator: where the chance comes from; its device is the device of the answer.
        held_out: True for scenes that training never sees, False for those it may, None for all.
    """
    device = generator.device
    triples = _triples(held_out).to(device)
    table, weights = (t.to(device) for t in _layout_table())
    which = torch.randint(len(triples), (n,), generator=generator, device=device)
    layout = table[torch.multinomial(weights, n, replacement=True, generator=generator)] if n else table[:0]
    finish = torch.randint(len(FINISHES), (n, 1), generator=generator, device=device)
    return torch.cat([triples[which], layout, finish], dim=1)
