"""Seconds to score one picture: health, SSIM, PSNR and the judge, at the stand-ins' size and at a million pixels; and scoring beside a plain loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapgate.metrics.kinds import Cost, Inputs
from swapgate.metrics.open_clip_judge import LOCAL, OpenClipJudge
from swapgate.metrics.pixels import Image
from swapgate.metrics.registry import metric

JUDGE = Path(__file__).parents[2] / "fixtures" / "weights" / "standin-clip"
MEGAPIXEL = 1024
SIZES = (128, MEGAPIXEL)
PROMPT = "A large woman in blue by a sunlit window, film grain."
TIMES = {"cpu": 2.0, "cuda": 5.0}
"""How many times faster than a plain loop of scikit-image and open_clip scoring is to be, with the loop on the same device."""
CLOSE = 1e-4
CEILING = {Cost.CHEAP: 0.1, Cost.MODERATE: 2.0}  # seconds for a million pixels, as `Cost` promises


@lru_cache(maxsize=1)
def judge() -> OpenClipJudge:
    """The bundled judge; its loading is not a part of a score."""
    return OpenClipJudge(f"{LOCAL}{JUDGE}")


def pictures(side: int) -> tuple[Image, Image]:
    """Two pictures of the picture world, drawn at that size."""
    import torch

    from swapgate.standins.render import render
    from swapgate.standins.scene import sample_codes

    drawn = render(sample_codes(2, torch.Generator().manual_seed(1)), generator=torch.Generator().manual_seed(2), size=side)
    first, second = (drawn.permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    return first, second


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("name", ["health", "ssim", "psnr", "alignment", "image_similarity"])
def test_seconds_for_one_picture(benchmark: Any, name: str, side: int, say: Callable[[str], None]) -> None:
    """One picture at a time, the texts known; where a metric promises an order of cost, it keeps it."""
    ours, reference = pictures(side)
    asked = metric(name)
    of_judge = {"prompt": PROMPT, "judge": judge()} if asked.cost is Cost.MODEL else {}
    rounds = iter(range(1000))

    def unseen() -> tuple[tuple[list[Inputs]], dict[str, Any]]:
        """Pictures of this round alone: the judge remembers those it has seen."""
        number = next(rounds)
        fresh = [np.roll(image, number, axis=1) for image in (ours, reference)]
        return ([Inputs(image=fresh[0], width=side, height=side, reference=fresh[1], **of_judge)],), {}

    numbers = benchmark.pedantic(asked.measure, setup=unseen, rounds=15 if side < MEGAPIXEL else 7, warmup_rounds=2)
    assert asked.low <= numbers[0] <= asked.high
    median = benchmark.stats.stats.median
    benchmark.extra_info.update(metric=name, side=side, cost=asked.cost.value)
    say(
        f"scoring {name} at {side} px: {median * 1000:.1f} ms, {benchmark.stats.stats.min * 1000:.1f} to {benchmark.stats.stats.max * 1000:.1f} n={benchmark.stats.stats.rounds}"
    )
    if side == MEGAPIXEL and asked.cost in CEILING:
        assert benchmark.stats.stats.min < CEILING[asked.cost]  # the fastest: other work on the machine only adds


@pytest.mark.parametrize("judges", ["standin-clip", "full-size"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_scoring_is_quicker_than_a_plain_loop_with_the_same_numbers(
    benchmark: Any, device: str, judges: str, tmp_path: Path, say: Callable[[str], None]
) -> None:
    """SSIM, and the whole of scoring; on two cores, or on a GPU. By the medians over rounds in which both arms take turns."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device: torch.cuda.is_available() is False")
    script, found = Path(__file__).with_name("scoring_table.py"), tmp_path / "found.json"
    asked = [f"--device={device}", f"--judges={judges}", f"--cores={2 if device == 'cpu' else 0}", f"--json={found}"]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2] / "tools")
    command = [sys.executable, str(script), *asked]
    done = benchmark.pedantic(subprocess.run, args=(command,), kwargs={"env": environment, "capture_output": True, "text": True}, rounds=1)
    assert done.returncode == 0, done.stderr
    say(done.stdout)
    compared = json.loads(found.read_text(encoding="utf-8"))
    benchmark.extra_info.update(compared=compared)
    assert [one["what"] for one in compared] == ["SSIM", "health, CLIP, SSIM"]
    for one in compared:
        assert max(one["differences"].values()) < CLOSE
        assert one["ratio"] >= TIMES[device], f"{one['what']}: {one['ratio']:.1f} times faster"
