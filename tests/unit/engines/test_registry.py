"""The table of engines, and what it says when one cannot be had."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from swapgate.cards import Card, Judge
from swapgate.engines import registry
from swapgate.engines.base import OutOfMemoryError, is_out_of_memory
from swapgate.engines.registry import ENGINES, Entry, Setting, create
from swapgate.engines.scripted import Scripted
from swapgate.errors import UserError

CARD = Card(
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
    timeout_seconds=30.0,
    licence="none",
    path=Path("s.toml"),
)


def test_engines_are_named_in_order() -> None:
    """Cards are checked against these."""
    assert set(ENGINES) >= {"diffusers", "scripted"}
    assert list(ENGINES) == sorted(ENGINES)


def test_a_card_gets_its_engine() -> None:
    """By name."""
    assert isinstance(create(CARD, Setting()), Scripted)


def test_an_unknown_engine_is_a_mistake_of_the_card() -> None:
    """It names those that there are."""
    with pytest.raises(UserError, match=r"one of .*diffusers, .*scripted"):
        create(replace(CARD, engine="comfy"), Setting())


def test_a_missing_package_gives_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name under which it is installed, not imported."""
    entry = Entry(factory="nowhere:create", needs=(("no_such_module", "no-such-package"), ("numpy", "numpy")))
    monkeypatch.setitem(registry.TABLE, "scripted", entry)
    with pytest.raises(UserError, match=r"pip install no-such-package$"):
        create(CARD, Setting())


def test_the_table_imports_no_engine() -> None:
    """Reading cards must not load torch."""
    program = """
import sys
import swapgate.engines.registry
assert not {"torch", "diffusers", "swapgate.engines.diffusers", "swapgate.engines.scripted"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=600)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_running_out_of_memory_is_known_in_every_form(error: Exception, expected: bool) -> None:
    """Of torch on a device, of torch on the host, of Python."""
    assert is_out_of_memory(error) is expected


def test_torchs_own_error_is_known() -> None:
    """The class that CUDA allocations raise."""
    torch = pytest.importorskip("torch")
    assert is_out_of_memory(torch.OutOfMemoryError("no memory"))
