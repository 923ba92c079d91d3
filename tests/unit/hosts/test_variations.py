"""Which variations are at hand, and in which process of a null each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.cards import Card, Judge
from swapgate.hosts.process import Host
from swapgate.hosts.variations import FULL_ACCUMULATION, MATH_ATTENTION, ONE_THREAD, PLAIN, at_hand, numbered

CARD = Card(
    id="s", title="s", engine="diffusers", source="none", revision=None, pipeline=None, device="auto", dtype={"cpu": "float32"}, call={},
    negative_prompt={}, expected_forwards=None, tasks=("t",), judge=Judge(source="j"), ceilings={}, usability_floor=0.0, timeout_seconds=600.0,
    licence="none", path=Path("s.toml"),
)  # fmt: skip


def names(**given: Any) -> list[str]:
    card = replace(CARD, **{key: given.pop(key) for key in ("engine", "options") if key in given})
    made: dict[str, Any] = {"accelerator": "nvidia-h200", "devices": ["NVIDIA H200"], **given}
    return [one.name for one in at_hand(card, made["accelerator"], made["devices"], made.get("visible"))]


def test_a_cpu_has_another_number_of_threads() -> None:
    """And so has an engine that computes elsewhere, or not at all."""
    assert names(accelerator="cpu-amd-epyc", devices=[]) == ["1 thread"]
    assert names(engine="scripted") == ["1 thread"]


def test_a_device_has_other_kernels() -> None:
    """Attention by plain products, sums in full precision; another attention of the card's own choice is left alone."""
    assert names() == ["math attention", "full-precision accumulation", "1 thread"]
    assert names(options={"attention": "flash"}) == ["full-precision accumulation", "1 thread"]
    assert names(options={"attention": "native"}) == names()


@pytest.mark.parametrize(
    ("devices", "visible", "second"),
    [
        (["NVIDIA H100"] * 2, None, "1"),
        (["NVIDIA H100"] * 8, "5,3,1", "3"),
        (["NVIDIA H100"] * 2, "GPU-aa, GPU-bb", "GPU-bb"),
        (["NVIDIA H100"] * 2, "0", None),
        (["NVIDIA H100"] * 2, "", None),
        (["NVIDIA H100", "NVIDIA T4"], None, None),
        (["NVIDIA H100"], None, None),
    ],
)
def test_another_device_of_the_same_kind_is_the_second_that_may_be_seen(devices: Sequence[str], visible: str | None, second: str | None) -> None:
    """Only where all are of one kind."""
    last = at_hand(CARD, "nvidia-h100", devices, visible)[-1]
    if second is None:
        assert last == ONE_THREAD
    else:
        assert last.name == "another device of the same kind"
        assert last.environment == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": second}


def test_every_second_process_runs_under_one_after_the_other() -> None:
    """Odd ones as the card says; where nothing is at hand all do."""
    told = [numbered(n, (MATH_ATTENTION, FULL_ACCUMULATION, ONE_THREAD)) for n in range(1, 9)]
    assert told == [PLAIN, MATH_ATTENTION, PLAIN, FULL_ACCUMULATION, PLAIN, ONE_THREAD, PLAIN, MATH_ATTENTION]
    assert [numbered(n, ()) for n in (1, 2)] == [PLAIN, PLAIN]
    assert [one.plain for one in told[:2]] == [True, False]


def test_a_process_has_the_variables_of_its_variation() -> None:
    """Over those of its parent."""
    scripted = replace(CARD, engine="scripted")
    with Host(scripted, environment={"CUDA_VISIBLE_DEVICES": "7", "OMP_NUM_THREADS": "5"}, numerics={"attention": "math"}) as host:
        host.start()
        started_with = Path(f"/proc/{host.pid}/environ").read_bytes().split(b"\0")
    assert {b"CUDA_VISIBLE_DEVICES=7", b"OMP_NUM_THREADS=5"} <= set(started_with)
