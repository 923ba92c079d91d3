"""The oracle: what it reads from the renderer's pictures, worn ones, and pictures of something else."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as nn
from torch import Tensor

from swapgate.standins.oracle import (
    COARSE,
    FINE,
    SHIFTS,
    Reading,
    _bank,
    _costs,
    _likeness,
    _silhouettes,
    examine,
    followed,
    judge,
    read,
    visible,
)
from swapgate.standins.paint import blur, paper_margin
from swapgate.standins.render import paint_background, render
from swapgate.standins.scene import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    FINISHES,
    OBJECTS,
    layouts,
    sample_codes,
)

CPU = torch.device("cpu")
PLACED = ("object", "colour", "position", "size", "count")


def _seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


@pytest.fixture(scope="module")
def codes() -> Tensor:
    """Scenes of all kinds, held-out ones among them."""
    return sample_codes(192, _seed(21))


@pytest.fixture(scope="module")
def images(codes: Tensor) -> Tensor:
    """Jittered pictures of `codes`."""
    return render(codes, generator=_seed(22))


@pytest.fixture(scope="module")
def reading(images: Tensor) -> Reading:
    """What the oracle sees in `images`, read once for all tests."""
    return examine(images)


def _worn(images: Tensor) -> Tensor:
    """Blur and noise as an autoencoder leaves them."""
    return (blur(images, 1.0) + 0.03 * torch.randn(images.shape, generator=_seed(1))).clamp(0, 1)


def _jpeg(images: Tensor) -> Tensor:
    """Through a JPEG file of quality 40."""
    import io

    import numpy as np
    from PIL import Image

    back = []
    for picture in (images * 255).byte().permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=40)
        back.append(torch.from_numpy(np.asarray(Image.open(file)).copy()))
    return torch.stack(back).permute(0, 3, 1, 2).float() / 255


def test_it_reads_jittered_pictures(codes: Tensor, reading: Reading) -> None:
    """At least 98 of 100 right in every attribute (192 pictures; thousands are measured elsewhere)."""
    right = (reading.codes == codes).float().mean(dim=0)
    assert right.min() >= 0.98, dict(zip(ATTRIBUTES, right.tolist(), strict=True))
    assert judge(reading, codes).float().mean(dim=0).min() >= 0.98


@pytest.mark.parametrize("wear", [_worn, _jpeg])
def test_it_reads_worn_pictures(codes: Tensor, images: Tensor, wear: object) -> None:
    """At least 97 of 100 right after what an autoencoder or a JPEG file does."""
    assert callable(wear)
    assert followed(wear(images[:64]), codes[:64]).float().mean(dim=0).min() >= 0.97


def test_it_says_no_to_pictures_of_other_scenes(codes: Tensor, reading: Reading) -> None:
    """Asked about the wrong codes, it says yes to an attribute just when the two scenes share it."""
    asked = codes.roll(1, 0)
    said = judge(reading, asked)
    assert (said == (asked == codes)).float().mean(dim=0).min() >= 0.97


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_one_wrong_attribute_is_noticed(codes: Tensor, reading: Reading, attribute: str) -> None:
    """Only the attribute that was asked for wrongly is answered no."""
    column = ATTRIBUTES.index(attribute)
    asked = codes.clone()
    asked[:, column] = (asked[:, column] + 1) % (3 if column >= 4 else 5)
    said = judge(reading, asked)
    wrong = asked[:, column] != codes[:, column]
    assert said[wrong, column].float().mean() <= 0.01
    others = [k for k in range(7) if k != column]
    assert said[:, others].float().mean() >= 0.97


@pytest.mark.parametrize(
    "picture",
    [
        torch.rand(8, 3, 128, 128, generator=_seed(0)),
        torch.rand(16, 3, 1, 1, generator=_seed(1)).expand(-1, -1, 128, 128),
        nn.interpolate(torch.rand(16, 3, 6, 6, generator=_seed(2)), 128, mode="bicubic").clamp(0, 1),
        torch.linspace(0, 1, 16).view(-1, 1, 1, 1).expand(-1, 3, 128, 128),
    ],
    ids=["noise", "one colour", "clouds of colour", "grey"],
)
def test_it_says_no_to_pictures_of_nothing(codes: Tensor, picture: Tensor) -> None:
    """Noise and blank pictures follow nothing, whatever is asked and whatever comes nearest."""
    reading = examine(picture)
    assert not reading.ground_seen.any()
    assert not judge(reading, reading.codes).any()
    assert not judge(reading, codes[: len(picture)]).any()


def test_an_empty_background_follows_its_background_alone() -> None:
    """Without objects only background and finish can be followed."""
    asked = torch.zeros(5, 7, dtype=torch.long)
    asked[:, 2] = torch.arange(5)
    said = followed(paint_background(asked[:, 2], 128), asked)
    assert said[:, ATTRIBUTES.index("background")].all()
    assert said[:, ATTRIBUTES.index("finish")].all()
    assert not said[:, [ATTRIBUTES.index(a) for a in PLACED]].any()


def test_darkened_pictures_are_not_taken_for_good_ones(codes: Tensor, images: Tensor) -> None:
    """A picture at half brightness, as a broken decoder might leave it, is not the scene."""
    assert followed(images[:24] * 0.5, codes[:24]).float().mean() < 0.05


def test_reading_does_not_depend_on_the_batch(images: Tensor) -> None:
    """A picture alone is read as in company."""
    together = examine(images[:5])
    alone = torch.cat([read(images[k : k + 1]) for k in range(5)])
    assert torch.equal(together.codes, alone)


def test_it_reads_the_canonical_pictures_of_every_layout() -> None:
    """One object in each of the 33 layouts, all attributes right."""
    rows = [[k % len(OBJECTS), k % len(COLOURS), k % 5, *row, k % 3] for k, row in enumerate(layouts())]
    asked = torch.tensor(rows)
    assert torch.equal(read(render(asked)), asked)


def test_answers_have_the_promised_types(codes: Tensor, images: Tensor) -> None:
    """Long codes and boolean answers [n, 7]; nothing in gives nothing out."""
    assert read(images[:2]).dtype == torch.long
    assert read(images[:2]).shape == (2, 7)
    assert followed(images[:2], codes[:2]).dtype == torch.bool
    assert read(images[:0]).shape == (0, 7)
    assert followed(images[:0], codes[:0]).shape == (0, 7)


@pytest.mark.parametrize("shape", [(3, 128, 128), (1, 3, 64, 64), (1, 1, 128, 128)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """The error says what is expected and what was given."""
    with pytest.raises(ValueError, match=r"\[n, 3, 128, 128\]"):
        read(torch.zeros(shape))


def test_every_attribute_of_every_scene_is_visible(codes: Tensor) -> None:
    """The oracle does not excuse itself from any attribute."""
    assert visible(codes).all()
    assert visible(codes).shape == codes.shape


def test_the_bank_holds_every_silhouette() -> None:
    """Objects times layouts, at both resolutions, with coverage in 0..1."""
    for side in (COARSE, FINE):
        bank = _bank(side, CPU)
        assert bank.fixed.shape == (len(OBJECTS) * len(layouts()), 3, side, side)
        assert bank.hides.min() >= -1e-5
        assert bank.hides.max() <= 1 + 1e-5
        assert bank.grounds.shape == (len(BACKGROUNDS), 3, side, side)
    assert len(_silhouettes(CPU).unique(dim=0)) == len(OBJECTS) * len(layouts())


def test_costs_agree_with_the_plain_sum_of_squares() -> None:
    """The expanded form used for speed is the sum it stands for."""
    g = _seed(4)
    rest, back = (torch.randn(2, 3, 3, 8, 8, generator=g) for _ in range(2))
    weight, shown = torch.rand(2, 3, 1, 8, 8, generator=g), torch.randn(2, 4, 3, 8, 8, generator=g)
    hides = torch.rand(2, 4, 1, 8, 8, generator=g)
    gap = rest[:, None] - shown[:, :, None] + hides[:, :, None] * back[:, None]
    plain = (weight[:, None] * gap**2).sum(dim=(3, 4, 5))
    assert torch.allclose(_costs(rest, back, weight, shown, hides), plain, rtol=1e-4, atol=1e-3)


def test_likeness_is_a_correlation() -> None:
    """Against numpy's, where the weight is one; a blank picture is like nothing."""
    import numpy as np

    a, b = (torch.randn(1, 3, 9, 9, generator=_seed(k)) for k in (0, 1))
    b = b + a
    ones = torch.ones(1, 1, 9, 9)
    expected = np.corrcoef(a.flatten().numpy(), b.flatten().numpy())[0, 1]
    assert _likeness(a, b, ones).item() == pytest.approx(expected, abs=1e-4)
    assert _likeness(torch.full_like(a, 0.3), b, ones).item() == pytest.approx(0, abs=1e-3)


def test_what_counts_as_painted_is_always_painted() -> None:
    """The oracle weighs only pixels that no watercolour margin reaches."""
    from swapgate.standins.oracle import _inside

    margin = paper_margin(128, torch.randn(64, 2, 7, 7, generator=_seed(0)))
    weighed = _inside(128, margin).expand_as(margin).bool()
    corners = torch.ones_like(weighed)
    corners[..., 12:-12, :] = False
    corners[..., 12:-12] = False
    assert margin[weighed & ~corners].min() > 0.99
    assert max(SHIFTS) * 128 // FINE == 4
    assert len(FINISHES) == 3
