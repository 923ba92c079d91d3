"""Signed distances over a batch of pixel grids, and a brush that paints them with soft edges.

Distances are negative inside a shape, in the local unit of an object (its half height), x to the right and y
up. All of them take x and y of any shape [n, h, w] and return that shape. The formulas are the usual closed forms
for planar signed distances; that of the ellipse is a first-order one, exact on its outline.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

Shape = Callable[[Tensor, Tensor], Tensor]


def circle(x: Tensor, y: Tensor, cx: float, cy: float, r: float) -> Tensor:
    """A disc of radius r around (cx, cy)."""
    return torch.sqrt((x - cx) ** 2 + (y - cy) ** 2 + 1e-9) - r


def ellipse(x: Tensor, y: Tensor, cx: float, cy: float, a: float, b: float) -> Tensor:
    """An upright ellipse with half axes a and b; first-order distance k0 (k0 - 1) / k1."""
    px, py = (x - cx) / a, (y - cy) / b
    k0 = torch.sqrt(px**2 + py**2 + 1e-9)
    k1 = torch.sqrt((px / a) ** 2 + (py / b) ** 2 + 1e-9)
    return k0 * (k0 - 1) / k1


def box(x: Tensor, y: Tensor, cx: float, cy: float, hw: float, hh: float, r: float = 0.0) -> Tensor:
    """A rectangle of half width hw and half height hh with corners rounded by r."""
    dx, dy = (x - cx).abs() - (hw - r), (y - cy).abs() - (hh - r)
    outside = torch.sqrt(dx.clamp(min=0) ** 2 + dy.clamp(min=0) ** 2 + 1e-9)
    return outside + torch.maximum(dx, dy).clamp(max=0) - r


def segment(x: Tensor, y: Tensor, a: tuple[float, float], b: tuple[float, float], r: float) -> Tensor:
    """A stroke from a to b with round ends and half thickness r."""
    bx, by = b[0] - a[0], b[1] - a[1]
    px, py = x - a[0], y - a[1]
    t = ((px * bx + py * by) / (bx * bx + by * by)).clamp(0, 1)
    return torch.sqrt((px - t * bx) ** 2 + (py - t * by) ** 2 + 1e-9) - r


def path(x: Tensor, y: Tensor, points: Sequence[tuple[float, float]], r: float) -> Tensor:
    """A stroke through the points."""
    distance = segment(x, y, points[0], points[1], r)
    for a, b in pairwise(points[1:]):
        distance = torch.minimum(distance, segment(x, y, a, b, r))
    return distance


def polygon(x: Tensor, y: Tensor, points: Sequence[tuple[float, float]]) -> Tensor:
    """A convex polygon given anticlockwise: the largest of the distances to its sides."""
    distance = torch.full_like(x, -1e9)
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        ex, ey = bx - ax, by - ay
        length = math.hypot(ex, ey)
        distance = torch.maximum(distance, ((x - ax) * ey - (y - ay) * ex) / length)
    return distance


def turn(x: Tensor, y: Tensor, degrees: float, cx: float = 0.0, cy: float = 0.0) -> tuple[Tensor, Tensor]:
    """Coordinates in which a shape drawn upright appears turned anticlockwise around (cx, cy)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    dx, dy = x - cx, y - cy
    return c * dx + s * dy + cx, c * dy - s * dx + cy


def union(first: Tensor, *rest: Tensor) -> Tensor:
    """Points inside any of the shapes."""
    for other in rest:
        first = torch.minimum(first, other)
    return first


def both(first: Tensor, *rest: Tensor) -> Tensor:
    """Points inside all of the shapes."""
    for other in rest:
        first = torch.maximum(first, other)
    return first


def without(shape: Tensor, hole: Tensor) -> Tensor:
    """The shape with a hole cut out."""
    return torch.maximum(shape, -hole)


def melt(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Union with a soft joint of width k (polynomial smooth minimum)."""
    h = (k - (a - b).abs()).clamp(min=0) / k
    return torch.minimum(a, b) - h * h * k / 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """The colours an object is painted with, each [n, 3, 1, 1] and affine in the object's own colour.

    Affine means: value = a + b times base per channel, with a and b the same for every base.
    The oracle relies on it.
    """

    base: Tensor

    @property
    def light(self) -> Tensor:
        """The lit side."""
        return self.base * 0.66 + 0.32

    @property
    def dark(self) -> Tensor:
        """The side in shade, a little cooler."""
        return self.base * 0.70 + self.tone(0.0, 0.0, 0.025)

    @property
    def deep(self) -> Tensor:
        """Outlines and folds."""
        return self.base * 0.46 + self.tone(0.02, 0.01, 0.05)

    @property
    def pale(self) -> Tensor:
        """Patterns on the object."""
        return self.base * 0.34 + self.tone(0.65, 0.64, 0.62)

    def tone(self, red: float, green: float, blue: float) -> Tensor:
        """A fixed colour that does not depend on the base, as a tensor beside it."""
        return self.base.new_tensor([red, green, blue]).view(1, 3, 1, 1)


class Brush:
    """Paints shapes onto a transparent layer.

    `rgb` [n, 3, h, w] and `alpha` [n, h, w] are what has been painted so far; `x`, `y` [n, h, w] are local
    coordinates and `px` [n, 1, 1] is the width of a pixel in them, over which edges are softened.
    """

    def __init__(self, x: Tensor, y: Tensor, px: Tensor, palette: Palette) -> None:
        self.x, self.y, self.px, self.palette = x, y, px, palette
        self.rgb = palette.base.expand(-1, 3, *x.shape[1:])
        self.alpha = torch.zeros_like(x)

    def cover(self, distance: Tensor, soft: float = 0.0) -> Tensor:
        """Coverage 0..1 of a shape, its edge softened over a pixel plus `soft` local units."""
        return (0.5 - distance / (self.px * 1.2 + soft)).clamp(0, 1)

    def fill(self, distance: Tensor, colour: Tensor, opacity: float | Tensor = 1.0) -> None:
        """Paint a shape that adds to the silhouette."""
        a = self.cover(distance) * opacity
        self.rgb = torch.lerp(self.rgb, colour.expand_as(self.rgb), a.unsqueeze(1))
        self.alpha = a + self.alpha * (1 - a)

    def glaze(self, distance: Tensor, colour: Tensor, opacity: float = 1.0, soft: float = 0.0) -> None:
        """Paint a shape only where there already is paint: shading, patterns, shine."""
        a = self.cover(distance, soft) * opacity
        self.rgb = torch.lerp(self.rgb, colour.expand_as(self.rgb), a.unsqueeze(1))

    def body(self, distance: Tensor, low: float = -1.0, high: float = 1.0, rim: float = 0.05) -> None:
        """Paint a shape in the object's own colour: a deep outline, lit from the upper left.

        Light runs from dark at `low` to light at `high` along 0.8 y - 0.6 x; `rim` is the outline's width.
        """
        p = self.palette
        light = ((self.y * 0.8 - self.x * 0.6 - low) / (high - low)).clamp(0, 1).unsqueeze(1)
        shaded = torch.where(light < 0.5, torch.lerp(p.dark, p.base, 2 * light.clamp(max=0.5)),
                             torch.lerp(p.base, p.light, (2 * light - 1).clamp(min=0)))  # fmt: skip
        self.fill(distance, p.deep)
        self.glaze(distance + rim, shaded)
