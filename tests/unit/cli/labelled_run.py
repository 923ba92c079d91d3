"""A small A/B run with real pictures, judged, for the tests of labelling; made here and in tests/integration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from swapgate.canonical import dumps
from swapgate.plan import Request
from swapgate.runs.folder import RunFolder
from swapgate.runs.records import Generation

OLD, NEW = "alpha-model-9", "beta-model-7"
PROMPTS = {"en": "A red cup on a <b>table</b>.", "zh": "桌上一只红杯子。"}


def request(model: str, seed: int, language: str, **changes: Any) -> Request:
    given: dict[str, Any] = {
        "model": model,
        "task": "cup",
        "language": language,
        "seed": seed,
        "index": 0,
        "prompt": PROMPTS[language],
        "negative_prompt": None,
        "width": 16,
        "height": 16,
        "call": (("num_inference_steps", 4 if model == OLD else 8),),
    }
    return Request(**{**given, **changes})


def generation(key: str, sha: str | None) -> Generation:
    return Generation(
        request=key,
        image=sha,
        width=16,
        height=16,
        mode="RGB",
        call=key,
        images_in_call=1,
        number=0,
        first_call=False,
        times=None,
        memory=None,
        forwards=None,
    )


def make(path: Path, seeds: int = 12, *, right: int = 9) -> RunFolder:
    """Both arms with `seeds` pictures in each of two languages, the first seed's the same in both arms.

    Every third picture is dark, which a person would call not usable; the judge is wrong where seed % 10 == `right`.
    """
    wanted = [request(model, seed, language) for model in (OLD, NEW) for seed in range(seeds) for language in PROMPTS]
    beside = [request(NEW, 0, "en", prompt="a red mug", edits="lexical:cup"), request(NEW, 1, "en", repeat=1), request(NEW, seeds + 1, "en")]
    cards = {model: {"judge": ["judge-x", None]} for model in (OLD, NEW)}
    run = RunFolder.create(path, {"environment": {}, "cards": cards, "plan": [one.as_json() for one in [*wanted, *beside]]})
    run.append({"event": "judge", "judge": "judge-x@1", "source": "judge-x"})
    made: dict[tuple[str, int, str], str] = {}
    for place, one in enumerate([*wanted, *beside]):
        shared = one.seed == 0 and not one.edits
        pixels = np.random.default_rng(1000 + list(PROMPTS).index(one.language) if shared else place).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        sha = run.save_image(pixels // 8 if one.seed % 3 == 0 else pixels)
        lost = one.seed > seeds
        run.add_generation(generation(one.key, None if lost else sha))
        if one in wanted:
            made[one.model, one.seed, one.language] = sha
    rows = [row(made, seed, language, right) for seed in range(seeds) for language in PROMPTS]
    models = [{"id": model, "usable": {language: counted(rows, model, language) for language in PROMPTS}} for model in (OLD, NEW)]
    verdicts = {
        "schema": 1,
        "run": run.id,
        "against": OLD,
        "planned": {"cells": 0, "images": len(rows)},
        "measured": {"cells": 0, "images": len(rows)},
        "outcome": {"red": False},
        "verdicts": [],
        "models": models,
        "images": rows,
    }
    (path / "verdicts.json").write_text(dumps(verdicts), encoding="utf-8")
    return run


def row(made: dict[tuple[str, int, str], str], seed: int, language: str, right: int) -> dict[str, Any]:
    usable = truth(seed) != (seed % 10 == right)
    return {
        "model": NEW,
        "task": "cup",
        "language": language,
        "seed": seed,
        "prompt": PROMPTS[language],
        "candidate": made[NEW, seed, language],
        "baseline": made[OLD, seed, language],
        "usable": usable,
        "baseline_usable": usable,
        "failed": [] if usable else ["alignment"],
    }


def counted(rows: list[dict[str, Any]], model: str, language: str) -> list[int]:
    name = "usable" if model == NEW else "baseline_usable"
    mine = [one[name] for one in rows if one["language"] == language]
    return [sum(mine), len(mine)]


def truth(seed: int) -> bool:
    """What a person says of a seed's picture."""
    return seed % 3 != 0


def seed_of(pair: str) -> int:
    return int(pair.split("/")[2])
