"""Renders scenes: codes in, pictures out, batched, on the device of the codes.

Objects are signed distances (`shapes`, `objects`) painted with soft edges over a background and put through a
finish (`paint`). Several objects of a scene are one evaluation in folded coordinates. Chance (a few pixels of
place, some size, hue, tilt, and the texture of the finish) comes from the generator alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from swapgate.standins.objects import PAINTERS
from swapgate.standins.paint import BACKDROPS, Texture, blur, film, smooth, watercolour
from swapgate.standins.shapes import Brush, Palette

if TYPE_CHECKING:
    from PIL.Image import Image

SIZE = 128
CHUNK = 256
"""Scenes painted at once: about 1.5 GB of working memory."""

RGB = (
    (0.86, 0.16, 0.17),
    (0.97, 0.49, 0.08),
    (1.00, 0.88, 0.22),
    (0.15, 0.56, 0.25),
    (0.13, 0.73, 0.72),
    (0.14, 0.33, 0.80),
    (0.50, 0.24, 0.70),
    (0.98, 0.54, 0.71),
    (0.45, 0.27, 0.15),
    (0.97, 0.97, 0.96),
)
"""The object colours in the order of `scene.COLOURS`, sRGB."""

RADII = (14.0, 20.0, 29.0)
"""Half height of an object in pixels of a 128 picture, by size code."""

PITCH = 2.07
"""Distance of neighbours in half heights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the objects of a scene are, each [n], in pixels of a 128 picture; tilt in radians."""

    x: Tensor
    y: Tensor
    radius: Tensor
    count: Tensor
    tilt: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """All that varies between two pictures of one scene; zero jitter and a fixed texture when canonical."""

    jitter: Tensor  # [n, 8], uniform in -1..1: x, y, radius, tilt, red, green, blue, light
    texture: Texture


def _chance(n: int, generator: torch.Generator | None, device: torch.device) -> Chance:
    shapes = {"wash": (2, 7, 7), "paper": (1, 48, 48), "grain": (1, 96, 96)}
    if generator is None:
        fixed = torch.Generator().manual_seed(0)
        fields = {k: torch.randn(1, *s, generator=fixed).to(device).expand(n, *s) for k, s in shapes.items()}
        return Chance(jitter=torch.zeros(n, 8, device=device), texture=Texture(**fields))
    at = generator.device
    jitter = torch.rand(n, 8, generator=generator, device=at).to(device) * 2 - 1
    fields = {k: torch.randn(n, *s, generator=generator, device=at).to(device) for k, s in shapes.items()}
    return Chance(jitter=jitter, texture=Texture(**fields))


def place(codes: Tensor, jitter: Tensor | None = None) -> Place:
    """Where the renderer puts the objects of codes [n, 7], moved by jitter [n, 8] in -1..1 if given."""
    zero = torch.zeros(len(codes), device=codes.device)
    position, size, count = codes[:, 3], codes[:, 4], codes[:, 5] + 1
    aside = torch.where(count == 1, 27.0, torch.where(count == 2, 21.0, 20.0))
    x = 64 + aside * ((position == 2).float() - (position == 1).float())
    y = 64 + 23.0 * ((position == 4).float() - (position == 3).float())
    radius = torch.tensor(RADII, device=codes.device)[size]
    if jitter is None:
        return Place(x=x, y=y, radius=radius, count=count, tilt=zero)
    slack = (62 - (x - 64).abs() - radius * (1 + PITCH / 2 * (count - 1))).clamp(0, 3)
    return Place(
        x=x + slack * jitter[:, 0],
        y=y + 2.5 * jitter[:, 1],
        radius=radius * (1 + 0.04 * jitter[:, 2]),
        count=count,
        tilt=0.05 * jitter[:, 3],
    )


def grid(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixel centres x and y [1, size, size], in pixels of a 128 picture."""
    c = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * (SIZE / size)
    return c.view(1, 1, -1).expand(1, size, size), c.view(1, -1, 1).expand(1, size, size)


def _local(x: Tensor, y: Tensor, at: Place) -> tuple[Tensor, Tensor]:
    """Coordinates of the nearest object of the row, x right and y up, in half heights."""
    cx, cy, r = (t.view(-1, 1, 1) for t in (at.x, at.y, at.radius))
    middle = (at.count.view(-1, 1, 1) - 1) / 2
    dx, dy = (x - cx) / r, (cy - y) / r
    which = torch.minimum(torch.round(dx / PITCH + middle).clamp(min=0), 2 * middle)
    dx = dx - (which - middle) * PITCH
    c, s = torch.cos(at.tilt).view(-1, 1, 1), torch.sin(at.tilt).view(-1, 1, 1)
    return c * dx + s * dy, c * dy - s * dx


def paint_objects(objects: Tensor, base: Tensor, at: Place, x: Tensor, y: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Paint the objects alone.

    Args:
        objects: codes [n].
        base: object colours [n, 3].
        at: their places.
        x: pixel coordinates [n or 1, size, size] in pixels of a 128 picture.
        y: likewise, downwards.
        size: side of the picture in pixels.

    Returns:
        rgb [n, 3, size, size] and coverage [n, 1, size, size].
    """
    rgb = x.new_zeros(len(objects), 3, size, size)
    alpha = x.new_zeros(len(objects), 1, size, size)
    for code in torch.unique(objects).tolist():
        rows = (objects == code).nonzero().squeeze(1)
        some = Place(**{k: getattr(at, k)[rows] for k in ("x", "y", "radius", "count", "tilt")})
        lx, ly = _local(x[rows] if len(x) > 1 else x, y[rows] if len(y) > 1 else y, some)
        px = (SIZE / size / some.radius).view(-1, 1, 1)
        brush = Brush(lx, ly, px, Palette(base=base[rows].view(-1, 3, 1, 1)))
        PAINTERS[code](brush)
        rgb[rows], alpha[rows] = brush.rgb, brush.alpha.unsqueeze(1)
    return rgb, alpha


def paint_background(codes: Tensor, size: int) -> Tensor:
    """Backgrounds alone [n, 3, size, size] for background codes [n]."""
    x, y = grid(size, codes.device)
    every = torch.cat([paint(x / SIZE, y / SIZE, 1 / size) for paint in BACKDROPS])
    return every.clamp(0, 1)[codes]


def shadow(alpha: Tensor) -> Tensor:
    """Soft shadow [n, 1, s, s] that objects of this coverage cast to the lower right."""
    size = alpha.shape[-1]
    scale = size / SIZE
    down, right = round(3 * scale), round(1.5 * scale)
    moved = torch.nn.functional.pad(alpha, (right, 0, down, 0))[..., :size, :size]
    return 0.42 * blur(moved, 2.6 * scale)


def _render_chunk(codes: Tensor, chance: Chance, size: int) -> Tensor:
    device = codes.device
    jitter = chance.jitter
    x, y = grid(size, device)
    wet = (codes[:, 6] == 2).view(-1, 1, 1)
    wobble = smooth(chance.texture.wash, size) * 0.75
    wobble = wobble + smooth(chance.texture.paper[:, :, ::4, ::4], size) * 0.5
    x = x + torch.where(wet, wobble[:, 0], 0.0)
    y = y + torch.where(wet, wobble[:, 1], 0.0)
    base = torch.tensor(RGB, device=device)[codes[:, 1]] + 0.022 * jitter[:, 4:7]
    rgb, alpha = paint_objects(codes[:, 0], base, place(codes, jitter), x, y, size)
    ground = paint_background(codes[:, 2], size) * (1 + 0.03 * jitter[:, 7]).view(-1, 1, 1, 1)
    ground = ground * (1 - shadow(alpha))
    image = torch.lerp(ground, rgb, alpha)
    return _finish(image, alpha, codes[:, 6], chance.texture).clamp(0, 1)


def _finish(image: Tensor, alpha: Tensor, finish: Tensor, texture: Texture) -> Tensor:
    filmed, wet = ((finish == code).nonzero().squeeze(1) for code in (1, 2))
    if len(filmed):
        image[filmed] = film(image[filmed], texture.grain[filmed])
    if len(wet):
        some = Texture(wash=texture.wash[wet], paper=texture.paper[wet], grain=texture.grain[wet])
        image[wet] = watercolour(image[wet], alpha[wet], some)
    return image


@torch.no_grad()
def render(codes: Tensor, *, generator: torch.Generator | None = None, size: int = SIZE) -> Tensor:
    """Pictures of scenes.

    Args:
        codes: LongTensor[n, 7], valid by `scene.is_valid`.
        generator: source of jitter and texture, on any device; None gives the canonical picture: no jitter,
            and the same texture for all.
        size: side in pixels; the picture is the same at every size.

    Returns:
        float32 [n, 3, size, size] in 0..1 on the device of codes.
    """
    parts = [_render_chunk(part, _chance(len(part), generator, codes.device), size) for part in torch.split(codes, CHUNK) if len(part)]
    return torch.cat(parts) if parts else torch.zeros(0, 3, size, size, device=codes.device)


def contact_sheet(images: Tensor, columns: int, gap: int = 4) -> Image:
    """One PIL image of pictures [n, 3, s, s] in 0..1 (or of the canonical pictures of codes [n, 7])."""
    import numpy as np
    from PIL import Image

    if images.ndim == 2:
        images = render(images)
    n, _, size, _ = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (size + gap) + gap, columns * (size + gap) + gap, 3), 250, np.uint8)
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    for k, picture in enumerate(pixels):
        top, left = gap + k // columns * (size + gap), gap + k % columns * (size + gap)
        sheet[top : top + size, left : left + size] = picture
    return Image.fromarray(sheet)
