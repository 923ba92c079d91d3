"""Backgrounds and finishes of the picture world.

A background is a function of picture coordinates u, v [n, h, w] in 0..1 (v down) to rgb [n, 3, h, w]; `px` is
the width of a pixel in them. A finish turns a clean picture into one on film or on watercolour paper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from swapgate.standins.shapes import box, circle, ellipse, union


def _mix(u: Tensor, *stops: tuple[float, tuple[float, float, float]]) -> Tensor:
    """Colour ramp over u [n, h, w]: (place, rgb) stops in ascending order."""
    rgb = u.new_tensor(stops[0][1]).view(1, 3, 1, 1).expand(len(u), 3, *u.shape[1:])
    for (a, _), (b, colour) in pairwise(stops):
        t = ((u - a) / (b - a)).clamp(0, 1)
        t = t * t * (3 - 2 * t)
        rgb = torch.lerp(rgb, u.new_tensor(colour).view(1, 3, 1, 1).expand_as(rgb), t.unsqueeze(1))
    return rgb


def _over(rgb: Tensor, cover: Tensor, colour: tuple[float, float, float]) -> Tensor:
    return torch.lerp(rgb, rgb.new_tensor(colour).view(1, 3, 1, 1).expand_as(rgb), cover.unsqueeze(1))


def _edge(distance: Tensor, width: float) -> Tensor:
    return (0.5 - distance / width).clamp(0, 1)


def studio(u: Tensor, v: Tensor, px: float) -> Tensor:  # noqa: ARG001  # one signature for all backdrops
    """A paper backdrop, lit from above, that curves into the floor."""
    wall = _mix(torch.sqrt((u - 0.45) ** 2 + (v - 0.35) ** 2), (0.0, (0.80, 0.80, 0.79)), (0.75, (0.50, 0.54, 0.59)))
    floor = _mix((u - 0.5).abs(), (0.0, (0.71, 0.70, 0.68)), (0.6, (0.53, 0.54, 0.57)))
    return torch.lerp(wall, floor, ((v - 0.62) / 0.16).clamp(0, 1).unsqueeze(1))


def table(u: Tensor, v: Tensor, px: float) -> Tensor:
    """A honey-coloured wooden table before a wall out of focus."""
    rgb = _mix(v, (0.0, (0.62, 0.68, 0.62)), (0.42, (0.82, 0.80, 0.70)))
    for cx, cy, r, tone in ((0.18, 0.14, 0.11, 0.86), (0.48, 0.24, 0.08, 0.90), (0.83, 0.12, 0.13, 0.88)):
        rgb = _over(rgb, _edge(circle(u, v, cx, cy, r), 0.05) * 0.35, (tone + 0.08, tone, tone - 0.16))
    depth = ((v - 0.44) / 0.56).clamp(min=0)
    wood = _mix(depth, (0.0, (0.72, 0.53, 0.34)), (1.0, (0.83, 0.64, 0.42)))
    across = (u - 0.5) / (0.6 + 0.9 * depth)
    grain = torch.sin(60 * across + 3.0 * torch.sin(5 * v + 9 * across)) * 0.018
    wood = wood + grain.unsqueeze(1)
    for gap in (-0.62, -0.31, 0.0, 0.31, 0.62):
        wood = _over(wood, _edge((across - gap).abs() - 0.003, 0.016) * 0.45, (0.46, 0.30, 0.18))
    rgb = torch.lerp(rgb, wood, _edge(0.44 - v, 1.2 * px).unsqueeze(1))
    return _over(rgb, _edge((v - 0.445).abs() - 0.006, 0.02) * 0.4, (0.92, 0.76, 0.55))


def window(u: Tensor, v: Tensor, px: float) -> Tensor:
    """A window with trees and sun outside, its light slanting over the sill."""
    rgb = _mix(u + 0.3 * v, (0.0, (0.90, 0.80, 0.68)), (1.3, (0.78, 0.66, 0.58)))
    pane = box(u, v, 0.5, 0.40, 0.40, 0.34, 0.01)
    view = _mix(v, (0.05, (0.66, 0.84, 0.93)), (0.60, (0.95, 0.95, 0.84)))
    for cx, cy, r in ((0.14, 0.66, 0.17), (0.34, 0.74, 0.15), (0.66, 0.74, 0.15), (0.86, 0.62, 0.19)):
        view = _over(view, _edge(circle(u, v, cx, cy, r), 0.07) * 0.8, (0.66, 0.79, 0.53))
    sun = torch.sqrt((u - 0.72) ** 2 + (v - 0.18) ** 2)
    view = _over(view, torch.exp(-((sun / 0.11) ** 2)), (1.0, 0.97, 0.80))
    rgb = _over(rgb, _edge(pane - 0.035, 1.2 * px), (0.99, 0.96, 0.91))
    rgb = torch.lerp(rgb, view, _edge(pane, 1.2 * px).unsqueeze(1))
    bars = union((u - 0.5).abs() - 0.014, (v - 0.40).abs() - 0.012)
    rgb = _over(rgb, _edge(torch.maximum(bars, pane), 1.2 * px), (0.99, 0.96, 0.91))
    rgb = _over(rgb, _edge(box(u, v, 0.5, 0.80, 0.49, 0.03, 0.01), 1.2 * px), (0.97, 0.93, 0.87))
    rgb = _over(rgb, _edge((v - 0.845).abs() - 0.012, 0.02) * 0.4, (0.55, 0.42, 0.36))
    slant = torch.maximum((u + 0.9 * (v - 0.84) - 0.40).abs() - 0.22, 0.86 - v)
    return _over(rgb, _edge(slant, 0.03) * 0.45, (1.0, 0.93, 0.74))


def night(u: Tensor, v: Tensor, px: float) -> Tensor:
    """A starry sky with a moon over two ranges of hills."""
    rgb = _mix(v, (0.0, (0.07, 0.09, 0.24)), (0.55, (0.17, 0.20, 0.42)), (0.85, (0.38, 0.33, 0.52)))
    for cx, cy, r in (
        (0.10, 0.12, 9), (0.25, 0.30, 6), (0.38, 0.09, 8), (0.55, 0.22, 6), (0.63, 0.07, 8), (0.93, 0.36, 8),
        (0.08, 0.47, 7), (0.70, 0.45, 6), (0.43, 0.42, 7), (0.95, 0.07, 6), (0.19, 0.62, 6), (0.84, 0.60, 6),
    ):  # fmt: skip
        rgb = _over(rgb, torch.exp(-(((u - cx) ** 2 + (v - cy) ** 2) / (r / 900) ** 2)), (1.0, 0.97, 0.86))
    moon = circle(u, v, 0.82, 0.18, 0.085)
    rgb = _over(rgb, torch.exp(-(moon.clamp(min=0) / 0.07)) * 0.35, (0.85, 0.84, 0.80))
    rgb = _over(rgb, _edge(moon, 1.2 * px), (0.99, 0.96, 0.84))
    rgb = _over(rgb, _edge(circle(u, v, 0.80, 0.20, 0.02), 0.03) * 0.35, (0.80, 0.76, 0.66))
    far = 0.80 + 0.04 * torch.sin(7 * u + 0.6) - v
    near = 0.90 + 0.035 * torch.sin(5 * u + 2.4) - v
    rgb = _over(rgb, _edge(far, 1.2 * px), (0.19, 0.20, 0.38))
    return _over(rgb, _edge(near, 1.2 * px), (0.11, 0.13, 0.27))


def meadow(u: Tensor, v: Tensor, px: float) -> Tensor:
    """Spring grass with daisies under a pale sky with two clouds."""
    rgb = _mix(v, (0.0, (0.60, 0.80, 0.93)), (0.52, (0.90, 0.95, 0.93)))
    for cx, cy, w in ((0.22, 0.16, 0.13), (0.76, 0.25, 0.15)):
        cloud = union(ellipse(u, v, cx, cy, w, 0.035), circle(u, v, cx - 0.03, cy - 0.03, 0.05),
                      circle(u, v, cx + 0.045, cy - 0.02, 0.04))  # fmt: skip
        rgb = _over(rgb, _edge(cloud, 0.025) * 0.9, (1.0, 1.0, 1.0))
    far = 0.54 + 0.035 * torch.sin(5 * u + 0.4) - v
    near = 0.66 + 0.03 * torch.sin(4.2 * u + 2.6) - v
    rgb = _over(rgb, _edge(far, 1.2 * px), (0.66, 0.80, 0.60))
    grass = _mix(v, (0.62, (0.64, 0.79, 0.42)), (1.0, (0.50, 0.69, 0.32)))
    rgb = torch.lerp(rgb, grass, _edge(near, 1.2 * px).unsqueeze(1))
    for k in range(11):
        cx, cy = (0.04 + 0.613 * k) % 1.0, 0.74 + (0.377 * k) % 0.24
        petal = circle(u, v, cx, cy, 0.016)
        rgb = _over(rgb, _edge(petal, 1.3 * px), (1.0, 0.99, 0.94))
        rgb = _over(rgb, _edge(petal + 0.009, 1.3 * px), (0.98, 0.80, 0.30))
    return rgb


BACKDROPS: tuple[Callable[[Tensor, Tensor, float], Tensor], ...] = (studio, table, window, night, meadow)
"""In the order of `scene.BACKGROUNDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """The chance a picture needs: noise fields [n, k, g, g] of a normal distribution, coarse to fine."""

    wash: Tensor
    paper: Tensor
    grain: Tensor


def smooth(noise: Tensor, size: int) -> Tensor:
    """A noise field [n, k, g, g] stretched to [n, k, size, size] without visible cells."""
    return functional.interpolate(noise, size=(size, size), mode="bicubic", align_corners=False)


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [n, k, h, w] with replicated borders; sigma in pixels."""
    if sigma <= 0:
        return image
    reach = max(1, int(2.5 * sigma + 0.5))
    offsets = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    n, k, h, w = image.shape
    flat = functional.pad(image.reshape(n * k, 1, h, w), (reach, reach, reach, reach), mode="replicate")
    flat = functional.conv2d(flat, kernel.view(1, 1, 1, -1))
    return functional.conv2d(flat, kernel.view(1, 1, -1, 1)).reshape(n, k, h, w)


WARM, LIFT = (0.88, 0.85, 0.77), (0.120, 0.090, 0.070)
"""What film does to colours: times WARM plus LIFT."""
SHEET, DENSITY = (0.985, 0.970, 0.940), 0.80
"""Colour of watercolour paper, and how much of the full pigment a wash carries."""


def vignette(size: int, like: Tensor) -> Tensor:
    """Light [1, 1, size, size] of an old lens: 1.02 in the middle, about 0.75 in the corners."""
    c = (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) / size - 0.5
    r2 = c.view(1, 1, -1, 1) ** 2 + c.view(1, 1, 1, -1) ** 2
    return 1.02 - 0.54 * r2


def _tone(like: Tensor, colour: tuple[float, float, float]) -> Tensor:
    return like.new_tensor(colour).view(1, 3, 1, 1)


def film_tone(rgb: Tensor) -> Tensor:
    """What film does but for its grain: lifted blacks, warm faded highlights and a vignette."""
    return (rgb * _tone(rgb, WARM) + _tone(rgb, LIFT)) * vignette(rgb.shape[-1], rgb)


def film(rgb: Tensor, grain: Tensor) -> Tensor:
    """Film of rgb [n, 3, s, s]: `film_tone` under monochrome noise from grain [n, 1, g, g]."""
    size = rgb.shape[-1]
    noise = 0.75 * blur(smooth(grain, size), 0.6) + 0.25 * smooth(grain, size)
    return film_tone(rgb) + 0.032 * noise


def unfilm(image: Tensor) -> Tensor:
    """The clean picture under `film`, but for the noise."""
    return (image / vignette(image.shape[-1], image) - _tone(image, LIFT)) / _tone(image, WARM)


def paper_margin(size: int, wash: Tensor) -> Tensor:
    """How far paint reaches [n, 1, size, size]: 1 on the picture, 0 on the bare margin of the sheet."""
    c = (torch.arange(size, device=wash.device, dtype=wash.dtype) + 0.5) / size
    u, v = c.view(1, 1, -1).expand(1, size, -1), c.view(1, -1, 1).expand(1, -1, size)
    wobble = (0.009 * smooth(wash[:, 1:2], size)).clamp(-0.014, 0.014)
    edge = box(u, v, 0.5, 0.5, 0.47, 0.47, 0.05).unsqueeze(1) + wobble
    return (0.5 - edge / 0.02).clamp(0, 1)


def watercolour(rgb: Tensor, alpha: Tensor, texture: Texture) -> Tensor:
    """Watercolour: pigment pools at edges, washes vary, the paper shows, and the sheet keeps a bare margin.

    Args:
        rgb: clean picture [n, 3, s, s].
        alpha: coverage of the objects [n, 1, s, s], where pigment collects along the outline.
        texture: noise of the sheet.
    """
    size = rgb.shape[-1]
    sheet = _tone(rgb, SHEET)
    bleed = blur(rgb, 0.8)
    margin = paper_margin(size, texture.wash)
    pool = (alpha * (1 - blur(alpha, 2.0)) + 0.6 * margin * (1 - blur(margin, 2.0))).clamp(0, 1)
    wash = 0.10 * smooth(texture.wash[:, :1], size) + 0.035 * smooth(texture.paper, size)
    density = DENSITY * (1 + wash) + 0.45 * pool
    painted = 1 - (1 - bleed / sheet) * density
    return sheet * torch.lerp(torch.ones_like(painted), painted, margin)


def unwatercolour(image: Tensor) -> Tensor:
    """The clean picture under `watercolour`, but for its texture; meaningless on the bare margin."""
    sheet = _tone(image, SHEET)
    return sheet * (1 - (1 - image / sheet) / DENSITY)
