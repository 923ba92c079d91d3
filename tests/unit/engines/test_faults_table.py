"""Every kind of fault parses, acts on a tiny pipeline, proves it with numbers, and changes what it says and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from swapgate.engines.faults import TABLE, apply, parse
from swapgate.errors import UserError

Draw = Callable[..., Any]

PICTURES = (
    "noise:0.05",
    "quantise:4",
    "half-overflow:1e6",
    "vae-overflow:1e6",
    "lora-lost",
    "lora-float8:0.5",
    "lora-scale:0.5",
    "shift:2",
    "no-shift",
    "terminal:0.1",
    "mu-length",
    "mu-offset:0.5",
    "unseeded-noise",
    "guidance:2",
    "tokenizer:0.5",
    "encoder-attention:0.5",
    "truncate:2",
    "coarse-attention:3",
    "shifted-mask:2",
    "no-mask:8",
    "rope-theta:100",
    "rope-offset:2",
    "rope-bits:2",
    "seed-lost",
    "other-generator",
    "vae-tiles:2",
    "vae-scale:1.5",
    "channels",
    "black-decoder",
)
"""Change the picture of a first call of one image, on both pipelines, and leave its size and its forwards alone."""
COSTS = ("slow:1.01", "leak:1", "second-copy:1", "offload-hook", "table-upload:3", "recompile:2", "needless-mask")
"""Change no picture."""
OTHERS = (
    "no-guidance", "guidance-above:4", "embeddings-only", "no-rescale", "template:8", "encoder-rope:0.5", "extra-step", "vae-second-call:1", "lora-stays:0.3",
    "batch-text", "batch-order", "stale", "wrong-size:16", "cache:5", "brittle",
)  # fmt: skip
"""Have tests of their own."""
FAMILIES = ("qwen", "flux")


@pytest.fixture(scope="module")
def clean(draw: Draw) -> dict[str, Any]:
    """What both pipelines draw without a fault."""
    return {family: draw(family) for family in FAMILIES}


def test_every_kind_has_a_test() -> None:
    """A kind without one would be a claim."""
    assert {spec.partition(":")[0] for spec in (*PICTURES, *COSTS, *OTHERS)} == set(TABLE)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("spec", PICTURES)
def test_a_fault_of_the_picture_changes_it_and_nothing_else(spec: str, family: str, draw: Draw, clean: dict[str, Any]) -> None:
    """Another picture of the same size from as many forwards, and a note with numbers that are not all zero."""
    drawn, before = draw(family, spec), clean[family]
    assert drawn.acted
    assert any(float(number) for number in re.findall(r"\d+\.?\d*", drawn.note.removeprefix(spec))), drawn.note
    assert drawn.note.startswith(f"{spec}: ")
    assert drawn.pictures[0].shape == before.pictures[0].shape
    assert not np.array_equal(drawn.pictures[0], before.pictures[0])
    assert drawn.forwards == before.forwards


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("spec", COSTS)
def test_a_fault_of_cost_leaves_the_picture_alone(spec: str, family: str, draw: Draw, clean: dict[str, Any]) -> None:
    """To the rounding of another kernel; forwards are counted as before."""
    drawn = draw(family, spec)
    assert drawn.acted, drawn.note
    assert np.allclose(drawn.pictures[0], clean[family].pictures[0], atol=1e-5)
    assert drawn.forwards == clean[family].forwards


@pytest.mark.parametrize(
    "spec",
    [
        "shift:1",
        "mu-length:1",
        "mu-offset:0",
        "no-shift:0",
        "lora-scale:0",
        "lora-lost:0",
        "unseeded-noise:0",
        "vae-scale:1",
        "channels:0",
        "rope-offset:0",
    ],
)
def test_a_dose_of_nothing_is_no_fault_and_says_so(spec: str, draw: Draw, clean: dict[str, Any]) -> None:
    """The control of a drill: the picture of before, and no claim to have acted."""
    drawn = draw("qwen", spec)
    assert not drawn.acted, drawn.note
    assert np.allclose(drawn.pictures[0], clean["qwen"].pictures[0], atol=1e-5)


@pytest.mark.parametrize(
    ("family", "spec"),
    [
        ("flux", "template:8"),
        ("flux", "encoder-rope:0.5"),
        ("flux", "no-rescale"),
        ("flux", "embeddings-only"),
        ("qwen", "truncate:1000"),
        ("qwen", "batch-text"),
    ],
)
def test_what_a_pipeline_or_a_call_lacks_cannot_be_damaged(family: str, spec: str, draw: Draw, clean: dict[str, Any]) -> None:
    """The fault says that it did nothing; a drill of it is an error and not a miss."""
    drawn = draw(family, spec)
    assert not drawn.acted
    assert np.allclose(drawn.pictures[0], clean[family].pictures[0], atol=1e-5)


def test_a_part_that_is_missing_altogether_is_named() -> None:
    """A pipeline without that part is the user's error, not a traceback."""

    class Empty:
        transformer = None
        unet = None

    with pytest.raises(UserError, match="Empty has"):
        apply(Empty(), "black-decoder", where="card.toml")


@pytest.mark.parametrize("name", TABLE)
def test_bad_amounts_are_the_users_errors(name: str) -> None:
    """Beyond either end, no number, not whole where it must be: each names spec and rule."""
    kind = TABLE[name]
    bad = [f"{name}:{kind.high * 2 + 1:g}", f"{name}:{kind.low - 1:g}", f"{name}:x", f"{name}:nan"]
    bad += [f"{name}:{kind.low + 0.5}"] if kind.whole else []
    bad += [name] if kind.default is None else []
    for spec in bad:
        with pytest.raises(UserError) as caught:
            parse(spec, where="card.toml")
        assert (caught.value.key, caught.value.value) == ("faults", spec)


@pytest.mark.parametrize("name", TABLE)
def test_every_line_of_the_table_is_whole(name: str) -> None:
    """Its default parses and lies in its range, its class exists, and it says what it does."""
    from importlib import import_module

    kind = TABLE[name]
    file, _, found = kind.where.partition(":")
    assert callable(getattr(import_module(f"swapgate.engines.faults.{file}"), found))
    assert kind.low <= kind.high
    assert 10 < len(kind.about) < 90
    if kind.default is not None:
        assert kind.low <= parse(name, where="card").amount <= kind.high


def test_a_near_miss_of_a_name_is_answered_with_the_name() -> None:
    """Typing errors are the usual ones."""
    with pytest.raises(UserError, match="rope-theta"):
        parse("rope-teta:5", where="card.toml")
