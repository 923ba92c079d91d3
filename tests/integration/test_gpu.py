"""The strong stand-in on a CUDA device through its host: what a run there records. Skipped, with the reason, elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from swapgate.runs.pixels import Pixels
from swapgate.runs.records import Generation, Loaded

ROOT = Path(__file__).parents[2]
MODEL = "standin-qwen"
FORWARDS = 16  # eight steps, each with and without the prompt

pytestmark = [pytest.mark.gpu]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the host said at loading, and one request made twice in its process."""

    loaded: Loaded
    first: tuple[Generation, Pixels | None]
    again: tuple[Generation, Pixels | None]


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    """The host is started once: loading takes longer than all of the tests."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: torch.cuda.is_available() is False")
    from swapgate.config import find_config
    from swapgate.hosts.process import Host
    from swapgate.suite.options import Options
    from swapgate.suite.planning import build_plan, prepare

    setup = prepare(find_config(ROOT), Options(root=ROOT, models=(MODEL,), gates=("usability",)))
    call = build_plan(setup).calls[MODEL][0]
    with Host(setup.models[0]) as host:
        loaded = host.start()
        yield Made(loaded=loaded, first=host.make(call)[0], again=host.make(call)[0])


def test_the_device_is_named_after_its_maker(made: Made) -> None:
    """Its slug is the folder of its baselines."""
    assert made.loaded.accelerator.startswith("nvidia-")
    assert made.loaded.device_name
    assert made.loaded.dtype == "bfloat16"


def test_an_image_is_made_with_every_forward(made: Made) -> None:
    """A picture with something on it, no failure."""
    generation, pixels = made.first
    assert generation.failure is None
    assert generation.forwards == FORWARDS
    assert pixels is not None
    assert pixels.shape == (generation.height, generation.width, 3)
    assert pixels.std() > 0


def test_the_devices_memory_is_measured(made: Made) -> None:
    """By torch's allocator: peaks of the call, and what stays."""
    memory = made.first[0].memory
    assert memory is not None
    assert memory.allocated is not None
    assert memory.reserved is not None
    assert memory.reserved >= memory.allocated > 0
    assert memory.allocated >= memory.held > 0


def test_the_stages_lie_within_the_call(made: Made) -> None:
    """Synchronised seconds: eight steps that are no longer than the whole."""
    times = made.first[0].times
    assert times is not None
    assert len(times.steps) == FORWARDS // 2
    assert all(step > 0 for step in times.steps)
    assert 0 < sum(times.steps) <= times.total


def test_the_same_request_twice_in_one_process_gives_the_same_pixels(made: Made) -> None:
    """Seeds and kernels are fixed, so that a difference is the model's."""
    (first, ours), (again, theirs) = made.first, made.again
    assert first.image is not None
    assert first.image == again.image
    assert ours is not None
    assert theirs is not None
    assert np.array_equal(ours, theirs)
