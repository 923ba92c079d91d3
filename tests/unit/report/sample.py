"""A judged run made up for the report's tests: all eight statuses, both languages, hostile prompts, pictures that are gone.

Everything is drawn from the numbers of the request, so that two builds of the sample are byte for byte the same.
"""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swapgate.canonical import dumps
from swapgate.gates.verdict import Finding, Status, Verdict

HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)> "quoted" & \'more\' | pipe `tick` [link](javascript:0)'
PROMPTS = {
    "orange-cat": {
        "en": "An orange cat on a window sill, plane trees and sunlight outside, watercolour",
        "zh": "一只橘猫坐在窗台，窗外有梧桐树和阳光，风格：水彩",
    },
    "white-cup": {"en": "Product picture of a white ceramic cup on a wooden table, soft focus", "zh": "产品图（白色陶瓷杯，木桌，柔焦背景）"},
    "butterfly": {"en": HOSTILE, "zh": "创意场景（机械蝴蝶停在古籍书页上）"},
}
TITLES = {
    "orange-cat": {"en": "A cat in watercolour", "zh": "水彩橘猫"},
    "white-cup": {"en": "White cup", "zh": "白色陶瓷杯"},
    "butterfly": {"en": "Mechanical butterfly", "zh": "机械蝴蝶"},
}
MODEL = "standin-qwen"


def scene(seed: int, task: str, *, shift: int = 0, hue: float = 0.0, side: int = 64) -> np.ndarray:
    """A disc over two bands, (side, side, 3) uint8, told by seed and task; shift moves the disc, hue turns its colour."""
    rng = np.random.default_rng([seed, len(task)])
    base = rng.random()
    sky, floor, disc = (
        np.array(colorsys.hsv_to_rgb((base + turn) % 1, strength, light))
        for turn, strength, light in ((0.0, 0.25, 0.95), (0.08, 0.35, 0.7), (0.5 + hue, 0.75, 0.85))
    )
    y, x = np.mgrid[:side, :side] / side
    picture = np.where((y < 0.62)[..., None], sky, floor) * (1 - 0.12 * x[..., None])
    cx, cy, r = 0.3 + 0.4 * rng.random() + shift / side, 0.45 + 0.15 * rng.random(), 0.16 + 0.08 * rng.random()
    cover = np.clip((r - np.hypot(x - cx, y - cy)) * side, 0, 1)[..., None]
    return (255 * (picture * (1 - cover) + disc * cover)).round().astype(np.uint8)


class Shelf:
    """Pictures on disk by hash: the callable that `report.build` asks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, pixels: np.ndarray) -> str:
        sha = hashlib.sha256(pixels.tobytes() + repr(pixels.shape).encode()).hexdigest()
        Image.fromarray(pixels).save(self.folder / f"{sha}.png", compress_level=1)
        return sha

    def __call__(self, sha: str) -> Path | None:
        path = self.folder / f"{sha}.png"
        return path if path.is_file() else None


def make(run: Path) -> Shelf:
    """Write the sample run into `run` and return where its pictures are."""
    shelf = Shelf(run / "images")
    (run / "verdicts.json").write_text(dumps(data(shelf), indent=1), encoding="utf-8")
    return shelf


def data(shelf: Shelf) -> dict[str, Any]:
    """The content of verdicts.json; its pictures are put on the shelf, but for those that are meant to be gone."""
    verdicts = list(_verdicts())
    counts = {status.value: sum(verdict.status is status for verdict in verdicts) for status in Status}
    return {
        "schema": 1,
        "run": "2026-11-22-a1b2c3",
        "path": "2026-11-22-a1b2c3",
        "created": "2026-11-22T17:00:00+00:00",
        "command": "pytest tests/gates --model=standin-qwen",
        "against": "baseline",
        "strict": False,
        "planned": {"cells": 17, "images": 26, "seconds": None},
        "measured": {"cells": len(verdicts), "images": 24, "decided": sum(verdict.decided for verdict in verdicts), "seconds": None},
        "counts": counts,
        "outcome": {
            "red": True,
            "reason": "3 cells red: latency/standin-qwen/all, usability/standin-qwen/orange-cat, drift/standin-qwen/butterfly",
            "false_alarms": 0.01,
        },
        "models": [_model()],
        "warnings": [],
        "suspects": _suspects(),
        "tasks": [{"id": task, "family": "review", "title": TITLES[task], "prompts": PROMPTS[task], "width": 64, "height": 64} for task in PROMPTS],
        "verdicts": [verdict.as_json() for verdict in verdicts],
        "images": list(_images(shelf)),
        "costs": list(_costs()),
        "wording": _wording(shelf),
        "comparison": [],
        "nulls": [{"model": MODEL, "task": "orange-cat", "processes": 4, "ssim": [1.0, 0.997, 1.0, 0.994], "psnr": [100.0] * 4, "clip": [1.0] * 4}],
        "sight": [
            _seen("latency", 8.1, 5.0, "%", claim="total"),
            _seen("usability", 18.4, 5.0, "points", claim="difference"),
            _seen("drift", None, None, "", why="4 repeats tell nothing"),
        ],
        "policy": {"alpha": 0.05, "false_alarms": 0.01, "latency_floor": 0.05, "usability_drop": 0.05},
        "environment": {
            "python": "3.12.4",
            "cpu": "AMD EPYC 9534",
            "packages": {"torch": "2.15.0", "diffusers": "0.42.1"},
            "accelerators": [],
            "git": {"commit": "c602003", "dirty": False},
        },
    }


def _seen(gate: str, smallest: float | None, limit: float | None, unit: str, *, claim: str = "", why: str = "") -> dict[str, Any]:
    return {"model": MODEL, "gate": gate, "claim": claim, "smallest": smallest, "limit": limit, "unit": unit, "n": 24, "why": why}


def _model() -> dict[str, Any]:
    return {
        "id": MODEL,
        "title": "Qwen-Image stand-in",
        "licence": "Apache-2.0",
        "faults": [],
        "accelerator": "cpu",
        "device_name": "AMD EPYC 9534",
        "weights": "9f" * 32,
        "dtype": "float32",
        "placement": "one device",
        "versions": {"torch": "2.15.0", "transformers": "5.23.0"},
        "load_seconds": 1.84,
        "baseline": "standin-qwen/cpu, accepted 2026-10-30, same cohort",
        "chosen": {"accepted for this cohort (cpu) on 2026-10-30 from run r1": 2, "quality is held against the one for any hardware": 1},
        "no_cost": "",
        "usable": {"en": [9, 12], "zh": [11, 12]},
    }


def _suspects() -> list[dict[str, Any]]:
    return [
        {"model": MODEL, "what": "torch", "baseline": "2.14.1", "candidate": "2.15.0"},
        {"model": MODEL, "what": "weights", "baseline": "41c07e52ab90", "candidate": "9f9f9f9f9f9f"},
        {"model": MODEL, "what": "xformers", "baseline": "0.0.35", "candidate": None},
    ]


def finding(name: str, status: Status, **more: Any) -> Finding:
    """A claim with the figures given; everything else is absent."""
    empty: dict[str, Any] = {"effect": None, "low": None, "high": None, "limit": None, "unit": "", "n": 12, "reason": f"{name} was judged"}
    return Finding(name=name, status=status, **{**empty, **more})


def verdict(gate: str, task: str, status: Status, reason: str, *claims: Finding, next_: str = "", model: str = MODEL) -> Verdict:
    """A verdict that its first claim decides."""
    return Verdict(
        gate=gate, model=model, task=task, status=status, reason=reason, next=next_, finding=claims[0] if claims else None, findings=claims
    )


def _accept(cell: str) -> str:
    return f"swapgate baselines accept --run=.swapgate/runs/2026-11-22-a1b2c3 {cell}"


def _latency(status: Status, effect: float, low: float, high: float) -> Finding:
    return finding(
        "total",
        status,
        effect=effect,
        low=low,
        high=high,
        limit=5.0,
        unit="%",
        confidence=0.99,
        baseline=0.412,
        candidate=0.412 * (1 + effect / 100),
        n=24,
        reason=f"total {effect:+.1f} % [{low:+.1f} %, {high:+.1f} %], limit +5 %",
    )


def _points(status: Status, effect: float, low: float, high: float, limit: float = -5.0) -> Finding:
    return finding(
        "difference",
        status,
        effect=effect,
        low=low,
        high=high,
        limit=limit,
        unit="points",
        confidence=0.95,
        baseline=95.8,
        candidate=95.8 + effect,
        reason=f"usable {effect:+.1f} points",
    )


def _verdicts() -> Iterator[Verdict]:
    beside = finding("cold start", Status.INCONCLUSIVE, effect=12.0, unit="%", n=1, baseline=1.6, candidate=1.84, decides=False)
    slower = _latency(Status.REGRESSION, 18.3, 14.9, 21.6)
    yield verdict(
        "latency",
        "all",
        Status.REGRESSION,
        "total is 18.3 % slower [14.9 %, 21.6 %], limit 5 %: 412 ms became 487 ms, mostly in decode",
        slower,
        _latency(Status.PASS, 1.2, 0.1, 2.4),
        beside,
        next_=_accept(f'--reason="why it may get worse" latency/{MODEL}/all'),
    )
    for task, status, span in (
        ("orange-cat", Status.PASS, (1.1, -0.6, 2.9)),
        ("white-cup", Status.IMPROVED, (-9.4, -12.0, -6.7)),
        ("butterfly", Status.INCONCLUSIVE, (4.0, -1.8, 9.6)),
    ):
        yield verdict(
            "latency",
            task,
            status,
            f"total changed by {span[0]:+.1f} %",
            _latency(status, *span),
            next_="" if status is not Status.INCONCLUSIVE else f"pytest tests/gates/test_latency.py --model={MODEL} --task={task}",
        )
    peak = finding("peak", Status.PASS, effect=6.0, limit=128.0, unit="MiB", baseline=1180.0, candidate=1186.0, n=24, reason="peak +6 MiB")
    grows = finding("growth", Status.PASS, effect=0.02, low=-0.1, high=0.15, limit=2.0, unit="MiB/image", candidate=0.02, confidence=0.95)
    yield verdict("memory", "all", Status.PASS, "peak +6 MiB, limit 128 MiB; no growth", peak, grows)
    yield verdict(
        "memory",
        "white-cup",
        Status.INCOMPARABLE,
        "the baseline cannot be used: accelerator cpu now, nvidia-h200 then",
        finding("comparison", Status.INCOMPARABLE, n=0),
        next_=_accept(f"memory/{MODEL}/white-cup"),
    )
    yield verdict(
        "usability",
        "all",
        Status.INCONCLUSIVE,
        "usable 20/24 vs 23/24: −12.5 points [−28.1, +0.4], limit −5.0 points; 40 more pairs would decide",
        _points(Status.INCONCLUSIVE, -12.5, -28.1, 0.4),
        next_=f"pytest tests/gates/test_usability.py --model={MODEL}",
    )
    yield verdict(
        "usability",
        "orange-cat",
        Status.REGRESSION,
        "usable 5/8 vs 8/8: −37.5 points [−60.2, −31.0], limit −30.0 points; facet:colour fails in 3 of 8",
        _points(Status.REGRESSION, -37.5, -60.2, -31.0, -30.0),
        next_=_accept(f'--reason="why it may get worse" usability/{MODEL}/orange-cat'),
    )
    yield verdict("usability", "white-cup", Status.PASS, "usable 8/8 vs 8/8: every image holds", _points(Status.PASS, 0.0, -25.9, 25.9, -30.0))
    yield verdict(
        "drift",
        "orange-cat",
        Status.CHANGED,
        "other weights, other pictures: SSIM 0.81 [0.77, 0.84], limit 0.98; alignment is not worse",
        finding("ssim", Status.CHANGED, effect=0.81, low=0.77, high=0.84, limit=0.98, unit="SSIM", confidence=0.95),
        next_=_accept(f"drift/{MODEL}/orange-cat"),
    )
    yield verdict(
        "drift",
        "white-cup",
        Status.PASS,
        "8 images equal to baseline by identity, pixel for pixel",
        finding("pictures", Status.PASS, effect=1.0, low=1.0, high=1.0, unit="SSIM"),
    )
    yield verdict(
        "drift",
        "butterfly",
        Status.ERROR,
        "1 request of this cell gave no image; the first is butterfly/zh/3/0: out-of-memory in stage decode",
        finding("images", Status.ERROR, effect=1.0, limit=0.0, unit="requests", n=1),
        next_=f"pytest tests/gates/test_drift.py --model={MODEL}",
    )
    yield verdict(
        "stability",
        "all",
        Status.PASS,
        "a rewording changes alignment by a median of ±7 % vs ±6 %",
        finding("change", Status.PASS, effect=1.0, low=-1.4, high=3.2, limit=5.0, unit="points", baseline=6.0, candidate=7.0, n=36),
    )
    yield verdict(
        "stability",
        "butterfly",
        Status.NEW,
        f"no accepted baseline for {MODEL}/butterfly",
        finding("comparison", Status.NEW, n=0),
        next_=_accept(f"stability/{MODEL}/butterfly"),
    )


def _images(shelf: Shelf) -> Iterator[dict[str, Any]]:
    for task, prompts in PROMPTS.items():
        for language in ("en", "zh"):
            for seed in (1, 2, 3, 4):
                yield _image(shelf, task, language, seed, prompts[language])


def _image(shelf: Shelf, task: str, language: str, seed: int, prompt: str) -> dict[str, Any]:
    number = seed + (10 if language == "zh" else 0)
    before = shelf.add(scene(number, task))
    same, lost = task == "white-cup", task == "orange-cat" and language == "en" and seed != 2
    pixels = scene(number, task) if same else scene(number, task, shift=seed, hue=0.3 if lost else 0.02)
    row: dict[str, Any] = {
        "model": MODEL,
        "task": task,
        "language": language,
        "seed": seed,
        "index": 0,
        "edits": "",
        "prompt": prompt,
        "original": prompt,
        "baseline": before,
        "candidate": shelf.add(pixels),
        "identical": same,
        "ssim": 1.0 if same else round(0.97 - 0.04 * seed, 3),
        "psnr": 100.0 if same else 31.5 - seed,
        "clip": 1.0 if same else 0.96,
        "usable": not lost,
        "baseline_usable": True,
        "checks": ["alignment", "facet:colour", "health:noise"],
        "failed": ["facet:colour"] if lost else [],
        "baseline_failed": [],
        "alignment": 0.58 if lost else 0.94,
        "baseline_alignment": 0.95,
        "failure": None,
    }
    gone = {"candidate": None, "usable": None, "ssim": None, "psnr": None, "clip": None, "alignment": None, "identical": False}
    if (task, language, seed) == ("butterfly", "zh", 3):
        return {**row, **gone, "failure": "out-of-memory in stage decode: CUDA out of memory <b>while decoding</b>"}
    if (task, language, seed) == ("butterfly", "zh", 4):
        return {**row, "baseline": None, "baseline_usable": None, "baseline_alignment": None, "ssim": None, "psnr": None, "clip": None}
    if (task, language, seed) == ("butterfly", "en", 4):
        return {**row, "baseline": "dead" * 16}
    return {**row, "candidate": shelf.add(scene(4, task, side=96))} if (task, language, seed) == ("butterfly", "en", 3) else row


def cost(scale: float = 1.0, *, calls: int = 12, seed: int = 0, decode: float = 1.0) -> dict[str, Any]:
    """Cost samples as JSON: 0.4 s an image times `scale`, its decode times `decode`, memory that settles after the first calls."""
    rng = np.random.default_rng(seed)
    noise = 1 + 0.03 * rng.standard_normal(calls)
    parts = {"text": 0.02 * scale * noise, "denoise": 0.3 * scale * noise, "decode": 0.08 * scale * decode * noise}
    total = sum(parts.values()) + 0.012
    peak = 1180 + 6 * scale * (1 - np.exp(-np.arange(calls) / 2)) + rng.random(calls)
    return {
        "seconds": total.tolist(),
        "first_step": (0.05 * noise).tolist(),
        **{name: values.tolist() for name, values in parts.items()},
        "peak_mib": peak.tolist(),
        "held_mib": (peak - 60).tolist(),
        "images": [1] * calls,
        "numbers": list(range(1, calls + 1)),
        "first_call_seconds": 0.9,
        "load_seconds": 1.8,
        "throttled": [],
    }


def _costs() -> Iterator[dict[str, Any]]:
    yield {"model": MODEL, "task": "orange-cat", "baseline": cost(seed=1), "candidate": cost(1.02, seed=2, decode=1.8)}
    yield {"model": MODEL, "task": "white-cup", "baseline": cost(seed=3), "candidate": cost(0.9, seed=4)}
    yield {"model": MODEL, "task": "butterfly", "baseline": None, "candidate": cost(1.1, seed=5, calls=3)}
    yield {"model": MODEL, "task": "all", "baseline": cost(seed=6, calls=36), "candidate": cost(1.05, seed=7, calls=36, decode=1.9)}


def _wording(shelf: Shelf) -> list[dict[str, Any]]:
    before, after = shelf.add(scene(1, "orange-cat")), shelf.add(scene(1, "orange-cat", hue=0.4, shift=6))
    chinese = shelf.add(scene(11, "orange-cat")), shelf.add(scene(11, "orange-cat", hue=0.2))
    return [
        {
            "model": MODEL,
            "task": "orange-cat",
            "language": "en",
            "seed": 1,
            "prompt": PROMPTS["orange-cat"]["en"],
            "reworded": "A ginger cat on a window sill, plane trees and sunshine outside, watercolour",
            "edits": "synonym: orange → ginger; synonym: sunlight → sunshine",
            "kinds": ["synonym"],
            "change": -0.41,
            "flip": True,
            "before": before,
            "after": after,
            "smallest": True,
            "tried": 5,
            "broke": 4,
            "low": 0.284,
            "high": 0.995,
        },
        {
            "model": MODEL,
            "task": "orange-cat",
            "language": "zh",
            "seed": 1,
            "prompt": PROMPTS["orange-cat"]["zh"],
            "reworded": "一只橙色的猫坐在窗台，窗外有阳光和梧桐树，风格：水彩",
            "edits": "order; synonym",
            "kinds": ["order", "synonym"],
            "change": -0.18,
            "flip": False,
            "before": chinese[0],
            "after": chinese[1],
            "smallest": False,
        },
        {
            "model": MODEL,
            "task": "butterfly",
            "language": "en",
            "seed": 1,
            "prompt": HOSTILE,
            "reworded": HOSTILE.replace("quoted", "cited"),
            "edits": "synonym",
            "kinds": ["synonym"],
            "change": -0.02,
            "flip": False,
            "before": "beef" * 16,
            "after": None,
            "smallest": False,
        },
    ]
