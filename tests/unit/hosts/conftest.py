"""Scripted cards and calls for hosts, as fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swapgate.cards import Card, Judge
from swapgate.plan import Call, Request


def scripted(*, timeout: float = 600.0, stall: float | None = None, **options: Any) -> Card:
    return Card(
        id="s",
        title="s",
        engine="scripted",
        source="none",
        revision=None,
        pipeline=None,
        device="auto",
        dtype={"cpu": "float32"},
        call={},
        negative_prompt={},
        expected_forwards=None,
        tasks=("t",),
        judge=Judge(source="j"),
        ceilings={},
        usability_floor=0.0,
        timeout_seconds=timeout,
        stall_seconds=stall,
        licence="none",
        options=options,
        path=Path("s.toml"),
    )


def asked(seed: int) -> Call:
    request = Request(model="s", task="t", language="en", seed=seed, index=0, prompt="a red cup", negative_prompt=None, width=64, height=48, call=())
    return Call(requests=(request,))


@pytest.fixture(scope="session")
def card_of() -> Callable[..., Card]:
    """A scripted card with these options; timeout and stall in seconds."""
    return scripted


@pytest.fixture(scope="session")
def call_of() -> Callable[[int], Call]:
    """A call of one request of 64 x 48 pixels, by its seed."""
    return asked
