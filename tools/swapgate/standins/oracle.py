"""Reads scenes back from pictures without learned weights, by analysis through synthesis with the renderer.

Three steps, all least squares in sRGB on blurred, reduced pictures:

1. Ground: each of the 5 x 3 canonical backgrounds under each finish against the picture, with a distance that
   stops growing at `REACH`, so that the objects in front of it (at most a third of the picture) cannot
   outvote it.
2. Search: undo the finish, subtract the background, and compare what is left with every object x layout x
   colour (3960 silhouettes) the renderer can put there. An object's paint is affine in its colour, so the
   bank holds two maps a silhouette and not ten.
3. Settle: the best `FINALISTS` again at twice the resolution, each shifted by up to 4 pixels either way.

`followed` says yes only where picture and best explanation agree: a picture that is no scene follows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from swapgate.standins.paint import DENSITY, SHEET, blur, film_tone, paper_margin, unfilm, unwatercolour
from swapgate.standins.render import RGB, SIZE, grid, paint_background, paint_objects, place, shadow
from swapgate.standins.scene import ATTRIBUTES, BACKGROUNDS, COLOURS, FINISHES, OBJECTS, layouts

COARSE, FINE = 32, 64
REACH = 0.20
FINALISTS = 16
SHIFTS = (-2, -1, 0, 1, 2)
CHUNK = {"cuda": 256, "cpu": 16}
"""Pictures examined at once: small on a CPU, where large temporaries cost more than they save."""
SOFT = 1.6
"""Blur before reducing, in pixels: forgives jitter, grain and what an autoencoder leaves."""

GROUND_LIMIT = 0.075
LIKENESS = 0.4
FIT_LIMIT = 0.13
EXPLAINED = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the oracle sees in n pictures.

    codes [n, 7]; ground [n]: mean colour error of the background away from the objects;
    likeness [n]: its correlation with the renderer's background there; fit [n]: root mean square colour error
    where the objects are; explained [n]: share of the difference from the bare background that the objects
    explain.
    """

    codes: Tensor
    ground: Tensor
    likeness: Tensor
    fit: Tensor
    explained: Tensor

    @property
    def ground_seen(self) -> Tensor:
        """BoolTensor[n]: the background is one the renderer makes."""
        return (self.ground < GROUND_LIMIT) & (self.likeness > LIKENESS)

    @property
    def objects_seen(self) -> Tensor:
        """BoolTensor[n]: there are objects, and they look like the renderer's."""
        return self.ground_seen & (self.fit < FIT_LIMIT) & (self.explained > EXPLAINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """All silhouettes at one resolution: picture = fixed + tint x colour + (1 - hides) x background.

    Shapes with m silhouettes and side g: fixed [m, 3, g, g]; tint, hides [m, 1, g, g]; grounds [5, 3, g, g].
    """

    fixed: Tensor
    tint: Tensor
    hides: Tensor
    grounds: Tensor


def _silhouettes(device: torch.device) -> Tensor:
    """Codes [m, 7] of every object in every layout, other attributes zero."""
    rows = [[o, 0, 0, *layout, 0] for o in range(len(OBJECTS)) for layout in layouts()]
    return torch.tensor(rows, device=device)


@lru_cache(maxsize=8)
def _bank(side: int, device: torch.device) -> Bank:
    codes = _silhouettes(device)
    x, y = grid(FINE, device)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for part in torch.split(codes, 33):
        at = place(part)
        black, white = (torch.full((len(part), 3), v, device=device) for v in (0.0, 1.0))
        dark, alpha = paint_objects(part[:, 0], black, at, x, y, FINE)
        lit, _ = paint_objects(part[:, 0], white, at, x, y, FINE)
        hides = 1 - (1 - alpha) * (1 - shadow(alpha))
        parts.append((alpha * dark, alpha * (lit - dark)[:, :1], hides))
    fixed, tint, hides = (_reduce(torch.cat(p), side) for p in zip(*parts, strict=True))
    grounds = _reduce(paint_background(torch.arange(len(BACKGROUNDS), device=device), SIZE), side)
    return Bank(fixed=fixed, tint=tint, hides=hides, grounds=grounds)


def _reduce(images: Tensor, side: int) -> Tensor:
    soft = blur(images, SOFT * images.shape[-1] / SIZE)
    return functional.avg_pool2d(soft, images.shape[-1] // side)


def _finished(ground: Tensor) -> Tensor:
    """Canonical backgrounds [5, 3, g, g] under each finish without texture: [3, 5, 3, g, g]."""
    sheet = ground.new_tensor(SHEET).view(1, 3, 1, 1)
    wet = sheet * (1 - (1 - ground / sheet) * DENSITY)
    inside = _reduce(paper_margin(SIZE, ground.new_zeros(1, 2, 7, 7)), ground.shape[-1])
    return torch.stack([ground, film_tone(ground), wet * inside + sheet * (1 - inside)])


def _inside(side: int, like: Tensor) -> Tensor:
    """1 [1, 1, side, side] where watercolour is never bare paper, 0 on the margin."""
    c = ((torch.arange(side, device=like.device) + 0.5) / side - 0.5).abs()
    return ((c.view(-1, 1) < 0.446) & (c.view(1, -1) < 0.446)).to(like.dtype).view(1, 1, side, side)


def _ground(small: Tensor, bank: Bank) -> tuple[Tensor, Tensor]:
    """Background code and finish code, each [n], of reduced pictures [n, 3, g, g]."""
    known = _finished(bank.grounds)
    error = (small[:, None, None] - known[None]).abs().mean(dim=3).clamp(max=REACH).mean(dim=(3, 4))
    which = error.flatten(1).argmin(dim=1)
    return which % len(BACKGROUNDS), which // len(BACKGROUNDS)


def _unfinish(images: Tensor, finish: Tensor) -> Tensor:
    """Pictures [n, 3, s, s] as they were before their finish [n]."""
    every = torch.stack([images, unfilm(images), unwatercolour(images)])
    return every[finish, torch.arange(len(images), device=images.device)].clamp(-0.1, 1.1)


def _search(rest: Tensor, ground: Tensor, weight: Tensor, bank: Bank) -> Tensor:
    """The `FINALISTS` best (silhouette, colour) pairs, flat indices [n, k], for what is left of pictures.

    The squared error is expanded in the colour, of which each silhouette is an affine function, so that the
    sums over pixels are needed once a silhouette and not once a colour.
    """
    paint = rest.new_tensor(RGB)
    best = torch.zeros(len(rest), FINALISTS, dtype=torch.long, device=rest.device)
    tint = bank.tint.flatten(1)
    for code in torch.unique(ground).tolist():
        rows = (ground == code).nonzero().squeeze(1)
        still = (bank.fixed - bank.hides * bank.grounds[code]).flatten(2)
        w, left = weight[rows].flatten(1), (weight[rows] * rest[rows]).flatten(2)
        cost = w @ (still**2).sum(dim=1).T - 2 * torch.einsum("ncp,mcp->nm", left, still)
        linear = torch.einsum("np,mcp->nmc", w, still * tint[:, None]) - torch.einsum("ncp,mp->nmc", left, tint)
        square = w @ (tint**2).T
        cost = cost[..., None] + 2 * linear @ paint.T + square[..., None] * (paint**2).sum(dim=1)
        best[rows] = cost.flatten(1).topk(FINALISTS, dim=1, largest=False).indices
    return best


def _shifted(images: Tensor) -> Tensor:
    """[n, s, c, g, g]: the pictures moved by every pair of `SHIFTS`, edges repeated."""
    reach, g = max(SHIFTS), images.shape[-1]
    wide = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    moved = [wide[..., reach + v : reach + v + g, reach + u : reach + u + g] for v in SHIFTS for u in SHIFTS]
    return torch.stack(moved, dim=1)


def _costs(rest: Tensor, back: Tensor, weight: Tensor, shown: Tensor, hides: Tensor) -> Tensor:
    """Squared error [n, k, s] of k explanations at s shifts, weight (rest - shown + hides back)^2 expanded.

    rest, back [n, s, 3, g, g] and weight [n, s, 1, g, g] are the shifted pictures; shown [n, k, 3, g, g] and
    hides [n, k, 1, g, g] the explanations. The part that is the same for all explanations is included.
    """

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return torch.bmm(a.flatten(2), b.flatten(2).transpose(1, 2))

    cost = dot((shown**2).sum(2), weight) + dot(hides**2, (weight * back**2).sum(2))
    cost = cost - 2 * dot(shown, weight * rest) - 2 * dot(shown * hides, weight * back)
    cost = cost + 2 * dot(hides, (weight * rest * back).sum(2))
    return cost + (weight * rest**2).sum(dim=(2, 3, 4))[:, None]


def _likeness(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Correlation [n] over all channels of two pictures where weight [n, 1, g, g] is; 0 without structure."""
    w = weight.expand_as(a).flatten(1)
    a, b = a.flatten(1), b.flatten(1)
    total = w.sum(dim=1, keepdim=True).clamp(min=1)
    a, b = (t - (t * w).sum(dim=1, keepdim=True) / total for t in (a, b))
    spread = ((a**2 * w).sum(dim=1) * (b**2 * w).sum(dim=1)).sqrt()
    return (a * b * w).sum(dim=1) / spread.clamp(min=1e-3)


def _settle(clean: Tensor, ground: Tensor, weight: Tensor, finalists: Tensor, bank: Bank) -> tuple[Tensor, ...]:
    """Of each picture the best finalist, then ground, likeness, fit and explained as in `Reading`."""
    silhouette, colour = finalists // len(COLOURS), finalists % len(COLOURS)
    tint = clean.new_tensor(RGB)[colour][..., None, None]
    shown, hides = bank.fixed[silhouette] + bank.tint[silhouette] * tint, bank.hides[silhouette]
    back = bank.grounds[ground]
    moved, moved_back = _shifted(clean), _shifted(back)
    w = _shifted(weight.expand(len(clean), -1, -1, -1))
    costs = _costs(moved - moved_back, moved_back, w, shown, hides)
    which = costs.flatten(1).argmin(dim=1)
    winner, shift = which // costs.shape[2], which % costs.shape[2]
    rows = torch.arange(len(clean), device=clean.device)
    won_hides, won_shown = hides[rows, winner], shown[rows, winner]
    near = (functional.max_pool2d(won_hides, 3, 1, 1) > 0.08) * w[rows, shift]
    rest = moved[rows, shift] - moved_back[rows, shift]
    gap = ((rest - won_shown + won_hides * moved_back[rows, shift]) ** 2 * near).sum(dim=(1, 2, 3))
    area, total = 3 * near.sum(dim=(1, 2, 3)), (rest**2 * near).sum(dim=(1, 2, 3))
    away = (functional.max_pool2d(won_hides, 5, 1, 2) < 0.02) * w[rows, shift]
    bare = (rest.abs() * away).sum(dim=(1, 2, 3)) / (3 * away.sum(dim=(1, 2, 3))).clamp(min=1)
    like = _likeness(moved[rows, shift], moved_back[rows, shift], away)
    fit = (gap / area.clamp(min=1)).sqrt()
    return finalists[rows, winner], bare, like, fit, 1 - gap / total.clamp(min=1e-6)


def _examine(images: Tensor) -> Reading:
    coarse, fine = _bank(COARSE, images.device), _bank(FINE, images.device)
    ground, finish = _ground(_reduce(images, COARSE), coarse)
    clean = _unfinish(images, finish)
    wet = (finish == FINISHES.index("watercolour")).view(-1, 1, 1, 1)
    small, middle = _reduce(clean, COARSE), _reduce(clean, FINE)
    inside = [torch.where(wet, _inside(i.shape[-1], i), torch.ones_like(i[:, :1])) for i in (small, middle)]
    finalists = _search(small - coarse.grounds[ground], ground, inside[0], coarse)
    best, error, like, fit, explained = _settle(middle, ground, inside[1], finalists, fine)
    scene = _silhouettes(images.device)[best // len(COLOURS)]
    codes = torch.stack([scene[:, 0], best % len(COLOURS), ground, *scene[:, 3:6].T, finish], dim=1)
    return Reading(codes=codes, ground=error, likeness=like, fit=fit, explained=explained)


@torch.no_grad()
def examine(images: Tensor) -> Reading:
    """Everything the oracle sees in pictures float [n, 3, 128, 128] in 0..1, on their device.

    Raises:
        ValueError: another shape.
    """
    if images.ndim != 4 or images.shape[1:] != (3, SIZE, SIZE):
        raise ValueError(f"the oracle reads pictures [n, 3, {SIZE}, {SIZE}], not {list(images.shape)}")
    parts = [_examine(part) for part in torch.split(images.float(), CHUNK.get(images.device.type, 16)) if len(part)]
    if not parts:
        none = images.new_zeros(0)
        codes = torch.zeros(0, len(ATTRIBUTES), dtype=torch.long, device=images.device)
        return Reading(codes=codes, ground=none, likeness=none, fit=none, explained=none)
    return Reading(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Reading)})


def read(images: Tensor) -> Tensor:
    """LongTensor[n, 7]: the scene that explains each picture best, whether or not it explains it well."""
    return examine(images).codes


def judge(reading: Reading, codes: Tensor) -> Tensor:
    """BoolTensor[n, 7]: what was asked (codes [n, 7]) is what a reading saw, and it can be trusted."""
    ground, objects = reading.ground_seen[:, None], reading.objects_seen[:, None]
    of_ground = torch.tensor([a in ("background", "finish") for a in ATTRIBUTES], device=codes.device)
    return (reading.codes == codes) & torch.where(of_ground, ground, objects)


def followed(images: Tensor, codes: Tensor) -> Tensor:
    """BoolTensor[n, 7]: of each attribute, whether the picture [n, 3, 128, 128] shows what was asked."""
    return judge(examine(images), codes.to(images.device))


def visible(codes: Tensor) -> Tensor:
    """BoolTensor[n, 7]: attributes the oracle can judge in scenes [n, 7]: all, by measurement."""
    return torch.ones_like(codes, dtype=torch.bool)
