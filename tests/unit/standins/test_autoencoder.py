"""Training of the autoencoders: windows, what an error counts, and that both learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swapgate.standins import flux, qwen, render, scene
from swapgate.standins.training import autoencoder, bank
from swapgate.standins.training.stages import Average, StageContext, TrainState


def test_texture_counts_even_where_pixels_average_out() -> None:
    """A picture smoothed free of grain is worse in texture than one with other grain of the same strength."""
    generator = torch.Generator().manual_seed(0)
    flat = torch.zeros(2, 3, 64, 64)
    grain, other = (flat + 0.1 * torch.randn(flat.shape, generator=generator) for _ in range(2))
    strength = autoencoder._fine_strength
    assert (strength(flat) - strength(grain)).abs().mean() > 3 * (strength(other) - strength(grain)).abs().mean()
    assert float(autoencoder.texture_loss(grain, grain)) == 0.0


def test_latent_statistics_normalise_and_have_a_floor() -> None:
    """Channels come out with mean 0 and deviation 1, but for one that is hardly used."""
    raw = torch.randn(400, 16, 4, 4) * torch.linspace(0.5, 2, 16).view(1, -1, 1, 1) + 3
    raw[:, 3] = 3 + 0.001 * torch.randn(400, 4, 4)
    mean, std = autoencoder.latent_statistics(raw)
    normal = (raw - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)
    used = [c for c in range(16) if c != 3]
    assert normal[:, used].std(dim=(0, 2, 3)).sub(1).abs().max() < 0.05
    assert normal.mean().abs() < 0.05
    assert float(normal[:, 3].std()) < 0.1


CODERS = {
    "qwen": lambda: autoencoder.Coder(model=qwen.build_vae(qwen.QwenShape.tiny()), encode=qwen.encode_images, decode=qwen.decode_latents),
    "flux": lambda: autoencoder.Coder(model=flux.build_vae(flux.FluxShape.tiny()), encode=flux.encode_images, decode=flux.decode_latents),
}


@pytest.mark.parametrize("name", CODERS)
def test_an_autoencoder_learns(name: str, tmp_path: Path) -> None:
    """A few steps on a few windows bring both autoencoders' loss on them down by more than chance moves it."""
    ctx = StageContext(stage="qwen-vae", out=tmp_path, checkpoints=tmp_path, device=torch.device("cpu"), seconds=60.0, tiny=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        coder = CODERS[name]()
    codes = bank.training_codes(8, 0)
    picked = autoencoder.VaeSettings(batch=8, crop=32)
    pictures, area = autoencoder._draw(bank.picture_bank(codes, ctx.seeded()), codes, picked, 0.0, ctx.seeded())
    parameters = [p for p in coder.model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=3e-3)
    state = TrainState(modules={"vae": coder.model}, optimiser=optimiser, average=Average(parameters), generator=ctx.seeded())
    with qwen.single_frame():
        losses = [float(autoencoder._step(coder, pictures, area, optimiser, parameters, state)) for _ in range(16)]
    assert max(losses[-4:]) < min(losses[:2])


def scenes(n: int) -> torch.Tensor:
    """Codes of any scenes."""
    return scene.sample_codes(n, torch.Generator().manual_seed(2))


def test_the_area_of_the_objects_holds_them_whatever_the_chance() -> None:
    """Painted without a background, every object pixel of a jittered scene lies within the area, most of which it is not."""
    codes = scenes(96)
    jitter = torch.rand(96, 8, generator=torch.Generator().manual_seed(3)) * 2 - 1
    x, y = render.grid(render.SIZE, torch.device("cpu"))
    _, cover = render.paint_objects(codes[:, 0], torch.ones(96, 3), render.place(codes, jitter), x, y, render.SIZE)
    area = bank.object_area(codes)
    assert area.shape == cover.shape
    assert float((cover * ~area).sum() / cover.sum()) < 0.01
    assert float(area.float().mean()) < 0.4


def test_errors_in_tokens_of_objects_count_more() -> None:
    """Weights are 1 or 1 + the weight of objects, and lie where the area of the objects is, token by token."""
    codes = scenes(20)
    weights = bank.object_weights(codes)
    assert weights.shape == (20, 64, 1)
    assert set(weights.unique().tolist()) == {1.0, 1.0 + bank.OBJECT_WEIGHT}
    cells = bank.object_area(codes).view(20, 8, 16, 8, 16).any(dim=4).any(dim=2).view(20, 64)
    assert torch.equal(weights.squeeze(2) > 1, cells)


@given(side=st.sampled_from([32, 64, 96]), share=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_windows_lie_within_the_picture(side: int, share: float, seed: int) -> None:
    """Corners never leave the picture, and a window shows what the picture has there."""
    codes, generator = scenes(12), torch.Generator().manual_seed(seed)
    corners = autoencoder.crop_corners(codes, side, share, generator)
    assert int(corners.min()) >= 0
    assert int(corners.max()) <= render.SIZE - side
    places = torch.arange(render.SIZE**2).view(1, 1, render.SIZE, render.SIZE).expand(12, -1, -1, -1)
    windows = autoencoder.crops(places, corners, side)
    assert windows.shape == (12, 1, side, side)
    assert torch.equal(windows[:, 0, 0, 0], corners[:, 0] * render.SIZE + corners[:, 1])


def test_windows_around_objects_show_them() -> None:
    """With a share of 1 every window holds part of an object's area; elsewhere many hold none."""
    codes = scenes(200)
    area = bank.object_area(codes)
    seen = [
        autoencoder.crops(area, autoencoder.crop_corners(codes, 32, share, torch.Generator().manual_seed(1)), 32).flatten(1).any(dim=1).float().mean()
        for share in (1.0, 0.0)
    ]
    assert float(seen[0]) == 1.0
    assert float(seen[1]) < 0.9


def test_windows_come_first_and_whole_pictures_last() -> None:
    """Before `whole_from` a batch of windows, then fewer whole pictures; without windows always the same batch."""
    codes = scenes(6)
    pictures = torch.zeros(6, 3, render.SIZE, render.SIZE, dtype=torch.uint8)
    given_ = autoencoder.VaeSettings(batch=5, crop=64, whole_from=0.5, whole_batch=2)
    sizes = [autoencoder._draw(pictures, codes, given_, at, torch.Generator())[0].shape for at in (0.0, 0.49, 0.5)]
    assert sizes == [(5, 3, 64, 64), (5, 3, 64, 64), (2, 3, 128, 128)]
    assert autoencoder._draw(pictures, codes, autoencoder.VaeSettings(batch=5), 0.9, torch.Generator())[1].shape == (5, 1, 128, 128)


def test_a_wrong_colour_on_an_object_costs_more_than_on_the_background() -> None:
    """The same error counts more within the area; one that averages out within cells counts less than one that does not."""
    target, area = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    area[..., :8, :8] = True
    on, off, mixed = (target.clone() for _ in range(3))
    on[..., :8, :8], off[..., 8:, 8:] = 0.2, 0.2
    mixed[..., :8, :8] = 0.2 * (1 - 2 * (torch.arange(8) % 2).float())
    cost = [float(autoencoder.picture_loss(out, target, area)) for out in (on, off, mixed, target)]
    assert cost[0] == pytest.approx((1 + autoencoder.OBJECT_WEIGHT) * cost[1])
    assert cost[2] == pytest.approx(cost[0] / (1 + autoencoder.COLOUR_WEIGHT))
    assert cost[3] == 0.0
