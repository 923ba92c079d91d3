"""The judge of a card: which, where, and loaded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.cards import Card, Judge
from swapgate.metrics import devices, open_clip_judge
from swapgate.metrics.scripted_judge import ScriptedJudge
from swapgate.suite import judges
from swapgate.suite.judges import judge_of

CARD = Card(
    id="s", title="s", engine="diffusers", source="none", revision=None, pipeline=None, device="auto", dtype={"cpu": "float32"}, call={},
    negative_prompt={}, expected_forwards=None, tasks=("t",), judge=Judge(source="weights/judge"), ceilings={}, usability_floor=0.0,
    timeout_seconds=600.0, licence="none", path=Path("s.toml"), root=Path("project"),
)  # fmt: skip
ON_CPU, SCRIPTED = replace(CARD, device="cpu"), replace(CARD, engine="scripted")
BALANCED = replace(CARD, options={"device_map": "balanced"})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, str]]:
    """What was loaded, and where; the device is spelled from what was said of the models."""
    loaded: list[tuple[Any, str]] = []

    def load(source: Any, *, device: str) -> object:
        loaded.append((source, device))
        return object()

    def place(asked: str, *, first: bool, taken: Sequence[str]) -> str:
        return f"{asked} first={first} taken={','.join(taken)}"

    judges._open_clip.cache_clear()
    monkeypatch.setattr(open_clip_judge, "OpenClipJudge", load)
    monkeypatch.setattr(devices, "scoring_device", place)
    return loaded


def test_a_folder_lies_in_the_project_and_a_published_model_has_its_tag(made: list[tuple[Any, str]]) -> None:
    """As open_clip names them."""
    judge_of(CARD)
    judge_of(replace(CARD, judge=Judge(source="ViT-B-32", pretrained="webli")))
    assert [source for source, _ in made] == ["local-dir:project/weights/judge", ("ViT-B-32", "webli")]


def test_a_judge_is_loaded_once_per_device(made: list[tuple[Any, str]]) -> None:
    """Cards that name the same one share it."""
    assert judge_of(CARD) is judge_of(replace(CARD, id="other"))
    assert judge_of(CARD, scoring="cuda") is not judge_of(CARD)
    assert len(made) == 2


@pytest.mark.parametrize(
    ("cards", "gpus", "where"),
    [
        ((), (), "auto first=False taken="),
        ((ON_CPU, SCRIPTED), (), "auto first=False taken="),
        ((ON_CPU, CARD), (), "auto first=True taken="),
        ((CARD,), ("GPU-a", "GPU-b"), "auto first=False taken=GPU-a,GPU-b"),
        ((ON_CPU,), ("GPU-a",), "auto first=False taken="),
        ((CARD, BALANCED), (), "cpu"),
    ],
)
def test_the_gpus_of_the_runs_models_are_named(made: list[tuple[Any, str]], cards: tuple[Card, ...], gpus: tuple[str, ...], where: str) -> None:
    """The first one, those that they are spread over, or all."""
    judge_of(CARD, scoring="auto", cards=cards, gpus=gpus)
    assert made[0][1] == where


def test_a_model_on_every_gpu_does_not_overrule_the_user(made: list[tuple[Any, str]]) -> None:
    """Who asks for a GPU gets it."""
    judge_of(CARD, scoring="cuda:1", cards=(BALANCED,))
    assert made[0][1].startswith("cuda:1 ")


def test_the_scripted_judge_needs_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so torch is not loaded for it."""
    monkeypatch.setattr(devices, "scoring_device", None)
    found = judge_of(replace(CARD, judge=Judge(source="scripted")), scoring="cuda")
    assert isinstance(found, ScriptedJudge)
    assert found.device == "cpu"
