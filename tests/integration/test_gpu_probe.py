"""`swapgate probe` on a CUDA device with a model of some GiB: the limit is hard, and what is said of a placement is so. Skipped, with the reason, elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from swapgate.config import find_config
from swapgate.engines.placements import FITS, NOT_TRIED, OUT_OF_MEMORY, PLACEMENTS
from swapgate.suite.probe import Asked, Probe, Row, probe

pytestmark = [pytest.mark.gpu]

GIB = 1024.0
ROOMY, TIGHT, TINY = 16 * GIB, 5.5 * GIB, 1.5 * GIB
CARD = """engine = "diffusers"
source = "medium"
weights = "dry"
tasks = ["f"]
judge = { source = "scripted" }
[call]
num_inference_steps = 8
guidance_scale = 3.5
"""
TASK = 'width = 512\nheight = 512\nseeds = [7]\n[[task]]\nid = "cup"\nprompts = { en = "a cup" }\n'
HARD = """
import json, torch
from swapgate.meters.bound import CudaBound
GIB = 2**30
bound = CudaBound(torch.device("cuda", 0))
torch.zeros(1, device="cuda")
allowed = bound.set(4096.0)
held = torch.empty(2 * GIB, dtype=torch.uint8, device="cuda")
try:
    torch.empty(2 * GIB + GIB // 2, dtype=torch.uint8, device="cuda")
    error = "none"
except torch.OutOfMemoryError as raised:
    error = type(raised).__name__
process = torch.cuda.memory_reserved() / 2**20 + bound.beside()
bound.lift()
more = torch.empty(2 * GIB + GIB // 2, dtype=torch.uint8, device="cuda").numel()
print(json.dumps({"allowed": allowed, "error": error, "process": process, "more": more, "note": bound.note}))
"""


@pytest.fixture(scope="module", autouse=True)
def device() -> None:
    """Asked in another process: this one is to hold nothing of the device."""
    asked = [sys.executable, "-c", "import torch; print(torch.cuda.is_available())"]
    if subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() != "True":
        pytest.skip("no CUDA device: torch.cuda.is_available() is False")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """FLUX with a fifth of its blocks and a third of T5's: 3.6 GiB of denoiser, 6.9 GiB in all, so only offloading helps in 5.5 GiB."""
    from swapgate.engines.dry import skeleton
    from swapgate.engines.dry.architectures import ARCHITECTURES

    root = tmp_path_factory.mktemp("project")
    flux = ARCHITECTURES["flux-1-dev"]
    smaller = {"transformer": {"num_layers": 4, "num_single_layers": 4}, "text_encoder_2": {"num_layers": 8}}
    parts = {name: replace(part, config={**part.config, **smaller.get(name, {})}) for name, part in flux.parts.items()}
    skeleton.write(replace(flux, parts=parts), root / "medium")
    for folder, name, text in (("models", "medium", CARD), ("tasks", "f", TASK)):
        (root / "fixtures" / folder).mkdir(parents=True)
        (root / "fixtures" / folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (root / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    return probe(find_config(root), Asked(cards=("medium",), limits=(ROOMY, TIGHT, TINY)))


def row(found: Probe, name: str, limit: float) -> Row:
    """One placement under one limit."""
    return next(one for one in found.of("medium", limit) if one.placement == name)


def test_the_limit_is_hard() -> None:
    """Of 4 GiB, 2 can be had and 4.5 cannot; torch raises its own error; with the limit lifted they can."""
    done = subprocess.run([sys.executable, "-c", HARD], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["error"] == "OutOfMemoryError", told
    assert 2 * GIB < told["allowed"] < 4 * GIB, told
    assert told["process"] <= 4 * GIB, told
    assert told["more"] == 2.5 * 2**30


def test_everything_fits_where_there_is_room(found: Probe) -> None:
    """All that can be tried here: nf4 needs bitsandbytes."""
    rows = [one for one in found.of("medium", ROOMY) if one.tried.verdict != NOT_TRIED]
    assert {one.placement for one in rows} >= {one.name for one in PLACEMENTS if one.method != "nf4"}
    assert [(one.placement, one.tried.verdict, one.tried.why) for one in rows if not one.fits] == []


def test_what_does_not_fit_failed_with_torchs_own_error(found: Probe) -> None:
    """Not by a comparison of a peak with a number, and not before it was placed."""
    tried = row(found, "all on the device", TIGHT).tried
    assert tried.verdict == OUT_OF_MEMORY
    assert tried.why.startswith("OutOfMemoryError: CUDA out of memory"), tried
    assert tried.stage == "placing"
    assert row(found, "all on the device", TINY).tried.verdict == NOT_TRIED


@pytest.mark.parametrize("name", ["model offload", "group offload"])
def test_what_fits_made_an_image_within_the_limit(name: str, found: Probe) -> None:
    """By the process as a whole, context and libraries among it."""
    tried = row(found, name, TIGHT).tried
    assert tried.verdict == FITS, tried
    assert tried.made >= 2
    assert tried.seconds
    assert tried.process is not None
    assert tried.process <= TIGHT
    assert tried.beside is not None
    assert tried.beside > 100.0  # a CUDA context is never smaller


def test_a_denoiser_larger_than_the_limit_does_not_fit_by_model_offload(found: Probe) -> None:
    """3.6 GiB into 1.5."""
    tried = row(found, "model offload", TINY).tried
    assert tried.verdict == OUT_OF_MEMORY
    assert "OutOfMemoryError" in tried.why


def test_peaks_fall_with_what_lies_on_the_device(found: Probe) -> None:
    """All, then fp8, then only the largest model, then a layer at a time."""
    names = ("all on the device", "fp8", "model offload", "group offload")
    peaks = [row(found, name, ROOMY).tried.allocated or 0.0 for name in names]
    assert peaks == sorted(peaks, reverse=True), dict(zip(names, peaks, strict=True))
    assert peaks[0] > 6.5 * GIB


def test_no_time_is_below_the_floor(found: Probe) -> None:
    """And the plain placement is not far above it, since its products are large."""
    assert all((one.ratio or 2.0) > 1.0 for one in found.rows)
    plain = row(found, "all on the device", ROOMY)
    assert plain.ratio is not None
    assert plain.ratio < 30.0
    assert found.prepared is not None
    assert found.prepared.rate is not None
    assert 5e13 < found.prepared.rate < 3e15
