"""The renderer: determinism, chance, legibility of every attribute, and the finishes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from swapgate.standins import shapes
from swapgate.standins.objects import PAINTERS
from swapgate.standins.paint import BACKDROPS, blur, film_tone, unfilm
from swapgate.standins.render import (
    PITCH,
    RADII,
    RGB,
    contact_sheet,
    grid,
    paint_background,
    paint_objects,
    place,
    render,
)
from swapgate.standins.scene import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    OBJECTS,
    VALUES,
    Scene,
    encode,
    layouts,
    sample_codes,
)


def _seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def _codes(n: int, seed: int = 0) -> Tensor:
    return sample_codes(n, _seed(seed))


def _coverage(codes: Tensor, side: int = 64) -> Tensor:
    x, y = grid(side, torch.device("cpu"))
    base = torch.tensor(RGB)[codes[:, 1]]
    return paint_objects(codes[:, 0], base, place(codes), x, y, side)[1][:, 0]


def test_pictures_have_the_promised_shape_and_range() -> None:
    """float32 [n, 3, 128, 128] in 0..1, jittered or not."""
    codes = _codes(12)
    for images in (render(codes), render(codes, generator=_seed(1))):
        assert images.shape == (12, 3, 128, 128)
        assert images.dtype == torch.float32
        assert images.isfinite().all()
        assert images.min() >= 0
        assert images.max() <= 1


def test_no_scenes_give_no_pictures() -> None:
    """An empty batch is not an error."""
    assert render(torch.zeros(0, 7, dtype=torch.long)).shape == (0, 3, 128, 128)


def test_the_canonical_picture_is_always_the_same() -> None:
    """Without a generator a scene's picture does not depend on the call, nor on its neighbours in the
    batch."""
    codes = _codes(9, seed=2)
    together = render(codes)
    assert torch.equal(together, render(codes))
    alone = torch.cat([render(codes[k : k + 1]) for k in range(9)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_chance_comes_from_the_generator_alone() -> None:
    """The same seed gives the same pictures, another seed others, whatever the global state."""
    codes = _codes(6)
    torch.manual_seed(1)
    first = render(codes, generator=_seed(5))
    torch.manual_seed(2)
    assert torch.equal(first, render(codes, generator=_seed(5)))
    other = render(codes, generator=_seed(6))
    assert (first - other).abs().flatten(1).mean(dim=1).min() > 0.002


def test_rendering_leaves_the_codes_alone() -> None:
    """The argument is not written to."""
    codes = _codes(6)
    before = codes.clone()
    render(codes, generator=_seed(0))
    assert torch.equal(codes, before)


def test_a_smaller_picture_shows_the_same() -> None:
    """At half the size the flat picture is the reduced one, but for its edges."""
    codes = _codes(8)
    codes[:, 6] = 0
    large = torch.nn.functional.avg_pool2d(render(codes), 2)
    assert (large - render(codes, size=64)).abs().mean() < 0.012


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_changing_an_attribute_changes_the_picture(attribute: str) -> None:
    """Every value of every attribute looks different from every other."""
    base = Scene(object="cup", colour="red", background="studio", size="small")
    codes = encode([base]).repeat(len(VALUES[attribute]), 1)
    codes[:, ATTRIBUTES.index(attribute)] = torch.arange(len(VALUES[attribute]))
    images = render(codes).flatten(1)
    gaps = torch.cdist(images, images) / math.sqrt(images.shape[1])
    gaps.fill_diagonal_(1.0)
    assert gaps.min() > 0.01


def test_every_object_stays_inside_its_square() -> None:
    """Paint never leaves -1..1, so that neighbours in a row do not cut each other off."""
    c = torch.linspace(-1.3, 1.3, 105)
    x, y = c.view(1, 1, -1).expand(1, 105, -1), c.view(1, -1, 1).expand(1, -1, 105)
    outside = (x.abs() > PITCH / 2) | (y.abs() > 1.06)
    for paint in PAINTERS:
        brush = shapes.Brush(x, y, torch.full((1, 1, 1), 0.02), shapes.Palette(base=torch.ones(1, 3, 1, 1)))
        paint(brush)
        assert brush.alpha[outside].max() < 0.05, paint.__name__
        assert brush.alpha.max() > 0.99


def test_every_object_is_mostly_of_its_own_colour() -> None:
    """At least a quarter of an object's colour follows, on average over its paint, and most of the paint
    does."""
    codes = torch.zeros(len(OBJECTS), 7, dtype=torch.long)
    codes[:, 0], codes[:, 4] = torch.arange(len(OBJECTS)), 2
    x, y = grid(64, torch.device("cpu"))
    dark, alpha = paint_objects(codes[:, 0], torch.zeros(len(OBJECTS), 3), place(codes), x, y, 64)
    lit, _ = paint_objects(codes[:, 0], torch.ones(len(OBJECTS), 3), place(codes), x, y, 64)
    own = ((lit - dark).mean(dim=1, keepdim=True) * alpha).sum(dim=(1, 2, 3)) / alpha.sum(dim=(1, 2, 3))
    assert own.min() > 0.25
    assert ((lit - dark).mean(dim=1, keepdim=True)[alpha > 0.9] > 0.3).float().mean() > 0.4


def test_paint_is_affine_in_the_colour() -> None:
    """The oracle relies on it: a half-way colour is painted half way between the two."""
    codes = torch.zeros(len(OBJECTS), 7, dtype=torch.long)
    codes[:, 0], codes[:, 4] = torch.arange(len(OBJECTS)), 2
    x, y = grid(32, torch.device("cpu"))
    a, b = torch.rand(len(OBJECTS), 3, generator=_seed(0)), torch.rand(len(OBJECTS), 3, generator=_seed(1))
    at = place(codes)
    one, two, half = (paint_objects(codes[:, 0], t, at, x, y, 32)[0] for t in (a, b, 0.3 * a + 0.7 * b))
    assert torch.allclose(half, 0.3 * one + 0.7 * two, atol=1e-5)


@pytest.mark.parametrize("layout", layouts())
def test_objects_are_where_and_as_many_as_asked(layout: tuple[int, int, int]) -> None:
    """The paint has as many islands as the count says, inside the picture, around the asked place."""
    from skimage.measure import label, regionprops

    codes = torch.tensor([[OBJECTS.index("book"), 0, 0, *layout, 0]])
    cover = _coverage(codes, 128)[0]
    islands = regionprops(label((cover > 0.5).numpy()))
    assert len(islands) == layout[2] + 1
    edge = torch.cat([cover[0], cover[-1], cover[:, 0], cover[:, -1]])
    assert edge.max() < 0.01
    at = place(codes)
    rows, columns = zip(*(i.centroid for i in islands), strict=True)
    assert abs(sum(rows) / len(rows) - at.y.item()) < 3.5
    assert abs(sum(columns) / len(columns) - at.x.item()) < 3.5


def test_jitter_is_small_and_keeps_objects_in_the_picture() -> None:
    """A few pixels of place, four hundredths of size, and never over the edge."""
    codes = torch.tensor([[0, 0, 0, *layout, 0] for layout in layouts()]).repeat(40, 1)
    jitter = torch.rand(len(codes), 8, generator=_seed(0)) * 2 - 1
    still, moved = place(codes), place(codes, jitter)
    assert (moved.x - still.x).abs().max() <= 3
    assert (moved.y - still.y).abs().max() <= 2.5
    assert (moved.radius / still.radius - 1).abs().max() <= 0.0401
    half_width = moved.radius * (1 + PITCH / 2 * (moved.count - 1))
    assert (moved.x - half_width).min() > -1
    assert (moved.x + half_width).max() < 129
    assert (moved.y - moved.radius).min() > 0
    assert (moved.y + moved.radius).max() < 128


def test_sizes_differ_clearly() -> None:
    """Each size is at least 1.4 times the one below, well beyond the jitter."""
    assert all(b / a >= 1.4 for a, b in pairwise(RADII))


def test_colours_are_well_apart_to_the_eye() -> None:
    """No two object colours are closer than 15 in CIEDE2000, many just noticeable differences."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    lab = rgb2lab(torch.tensor(RGB).double().numpy())
    gaps = [deltaE_ciede2000(lab[i], lab[j]) for i in range(len(COLOURS)) for j in range(i)]
    assert min(gaps) > 15


def test_backgrounds_are_well_apart() -> None:
    """Bare backgrounds differ by more than a tenth on average over the picture."""
    flat = paint_background(torch.arange(len(BACKGROUNDS)), 64).flatten(1)
    gaps = torch.cdist(flat, flat, p=1) / flat.shape[1]
    gaps.fill_diagonal_(1)
    assert gaps.min() > 0.1
    assert len(BACKDROPS) == len(BACKGROUNDS)


def test_film_darkens_corners_and_carries_monochrome_grain() -> None:
    """The same seed with and without grain differs by noise that is equal in all channels of grey."""
    scene = encode([Scene(object="cup", colour="white", background="studio", finish="grain")])
    a, b = render(scene, generator=_seed(1)), render(scene)
    corner = b[..., :10, :10].mean() / b[..., 59:69, 5:15].mean()
    assert corner < 0.95
    noise = (a - blur(a, 1.5))[..., 5:25, 5:120]
    assert 0.01 < noise.std() < 0.05
    flat = noise.transpose(0, 1).flatten(1)
    assert torch.corrcoef(flat)[0, 1] > 0.95


def test_film_can_be_undone() -> None:
    """`unfilm` is the inverse of `film_tone`."""
    clean = torch.rand(2, 3, 32, 32, generator=_seed(0))
    assert torch.allclose(unfilm(film_tone(clean)), clean, atol=1e-5)


def test_watercolour_leaves_a_margin_of_paper() -> None:
    """The rim of the sheet is bare and nearly white; the middle is painted."""
    scene = encode([Scene(object="boat", colour="red", background="night", finish="watercolour")])
    image = render(scene, generator=_seed(2))
    assert image[..., 0, :].min() > 0.9
    assert image[..., :2, :].mean() > 0.9
    assert image[..., 40:90, 20:40].mean() < 0.6


def test_flat_pictures_carry_no_noise() -> None:
    """In the flat finish neighbouring pixels of the studio wall are alike."""
    scene = encode([Scene(object="cup", colour="red", background="studio")])
    wall = render(scene, generator=_seed(3))[..., 5:30, 5:120]
    assert (wall - blur(wall, 1.5))[..., 4:-4, 4:-4].abs().max() < 0.01


def test_a_contact_sheet_holds_every_picture() -> None:
    """Rows and columns as asked, pictures in order, from codes or from pictures."""
    codes = _codes(5)
    sheet = contact_sheet(codes, 3, gap=2)
    assert sheet.size == (3 * 130 + 2, 2 * 130 + 2)
    pixels = (render(codes)[4] * 255).round().byte()
    shown = torch.from_numpy(np.array(sheet.crop((132, 132, 260, 260))))  # second row, second column
    assert torch.equal(shown.permute(2, 0, 1), pixels)
    assert contact_sheet(render(codes), 3, gap=2).tobytes() == sheet.tobytes()


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (lambda x, y: shapes.circle(x, y, 0.1, -0.2, 0.5), math.pi * 0.25),
        (lambda x, y: shapes.ellipse(x, y, 0, 0, 0.8, 0.3), math.pi * 0.24),
        (lambda x, y: shapes.box(x, y, 0, 0.1, 0.6, 0.4), 0.96),
        (lambda x, y: shapes.box(x, y, 0, 0.1, 0.6, 0.4, 0.2), 0.96 - (4 - math.pi) * 0.04),
        (lambda x, y: shapes.segment(x, y, (-0.5, 0), (0.5, 0), 0.1), 0.2 + math.pi * 0.01),
        (lambda x, y: shapes.polygon(x, y, [(-0.5, -0.5), (0.5, -0.5), (0.0, 0.5)]), 0.5),
        (lambda x, y: shapes.without(shapes.circle(x, y, 0, 0, 0.5), shapes.circle(x, y, 0, 0, 0.3)), math.pi
        * 0.16),
    ],
)  # fmt: skip
def test_distances_enclose_the_area_of_their_shape(shape: Callable[[Tensor, Tensor], Tensor], area: float) -> None:
    """The region of negative distance has the area that geometry says."""
    c = (torch.arange(800) + 0.5) / 400 - 1
    d = shape(c.view(1, 1, -1).expand(1, 800, -1), c.view(1, -1, 1).expand(1, -1, 800))
    assert (d < 0).float().sum().item() / 400**2 == pytest.approx(area, rel=0.01)


def test_turning_is_anticlockwise() -> None:
    """A shape to the right, turned by 90 degrees, is above."""
    x, y = shapes.turn(torch.tensor(0.0), torch.tensor(1.0), 90)
    assert (x.item(), y.item()) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-6))


def test_blur_keeps_the_mean_and_matches_an_independent_one() -> None:
    """Against scipy's Gaussian filter with the same radius, away from the border."""
    from scipy.ndimage import gaussian_filter

    image = torch.rand(1, 2, 40, 40, generator=_seed(0))
    ours = blur(image, 1.6)[0, 1, 8:-8, 8:-8]
    theirs = gaussian_filter(image[0, 1].numpy(), 1.6, radius=4)[8:-8, 8:-8]
    assert torch.allclose(ours, torch.from_numpy(theirs), atol=1e-4)
