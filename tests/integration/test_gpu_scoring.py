"""SSIM and a judge on a CUDA device: the numbers of the CPU. Skipped, with the reason, elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from swapgate.metrics.open_clip_judge import LOCAL, OpenClipJudge
from swapgate.metrics.pixels import Image
from swapgate.metrics.ssim import by_skimage, ssims

ROOT = Path(__file__).parents[2]
JUDGE = f"{LOCAL}{ROOT / 'fixtures' / 'weights' / 'standin-clip'}"

pytestmark = [pytest.mark.gpu]


@pytest.fixture(scope="module")
def devices() -> int:
    """How many GPUs torch sees."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: torch.cuda.is_available() is False")
    return torch.cuda.device_count()


def pair(height: int, width: int, noise: float, seed: int) -> tuple[Image, Image]:
    """A smooth picture and the same with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([127 + 90 * np.sin(x / 17 + y / 31), (x * 3 + y) % 256, 255 - (x + 2 * y) % 200], axis=-1)
    return smooth.astype(np.uint8), np.clip(smooth + rng.normal(0, noise, smooth.shape), 0, 255).astype(np.uint8)


def test_ssim_is_that_of_scikit_image(devices: int) -> None:
    """Sizes at and beside the edges of strips and blocks, a million pixels, flat pictures."""
    sizes = [(11, 11), (137, 139), (138, 138), (139, 266), (267, 1024), (1024, 1024)]
    pairs = [pair(height, width, noise, height) for height, width in sizes for noise in (0.6, 30.0)]
    pairs.append((np.full((64, 64, 3), 255, np.uint8), np.zeros((64, 64, 3), np.uint8)))
    assert ssims(pairs, device="cuda") == pytest.approx([by_skimage(both) for both in pairs], abs=1e-9)


def test_a_judge_scores_as_on_the_cpu(devices: int) -> None:
    """Cosines to 1e-5, an order closer than what is asked: convolutions are not cut to ten bits."""
    images = [picture for seed in range(4) for picture in pair(512, 384, 20.0, seed)]
    texts = ["a red cup on a table", "桌上的一只红色杯子"]
    on_cpu, on_gpu = OpenClipJudge(JUDGE), OpenClipJudge(JUDGE, device="cuda")
    assert (on_gpu.identity, on_gpu.device) == (on_cpu.identity, "cuda")
    ours, theirs = on_gpu.image_features(images), on_cpu.image_features(images)
    assert ours @ ours.T == pytest.approx(theirs @ theirs.T, abs=1e-5)
    assert ours @ on_gpu.text_features(texts).T == pytest.approx(theirs @ on_cpu.text_features(texts).T, abs=1e-5)


def test_a_second_gpu_is_used_without_touching_the_first(devices: int) -> None:
    """No context of this process may stand on the GPU of a model; seen in a process of its own, since a context stays until its end."""
    if devices < 2:
        pytest.skip(f"needs two CUDA devices; torch sees {devices}")
    probe = f"""
import numpy as np, torch
from swapgate.metrics.devices import scoring_device
from swapgate.metrics.open_clip_judge import OpenClipJudge
from swapgate.metrics.ssim import ssims
where = scoring_device("auto", first=True)
assert where == f"cuda:{{torch.cuda.device_count() - 1}}", where
taken = f"GPU-{{torch.cuda.get_device_properties(0).uuid}}"
assert scoring_device("auto", taken=[taken]) == where
images = [np.random.default_rng(n).integers(0, 256, (256, 256, 3), dtype=np.uint8) for n in (1, 2)]
judge = OpenClipJudge({JUDGE!r}, device=where)
judge.image_features(images), judge.text_features(["a red cup"]), ssims([tuple(images)], device=where)
there = [torch._C._cuda_hasPrimaryContext(n) for n in range(torch.cuda.device_count())]
assert there[-1] and not any(there[:-1]), there
"""
    subprocess.run([sys.executable, "-c", probe], check=True, cwd=ROOT / "tools")
