"""What start-up may load, seen where it happens: every entry point is imported in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("accelerate", "diffusers", "open_clip", "scipy", "skimage", "torch", "torchvision", "transformers")
ENTRY_POINTS = (
    "swapgate.cli.main",
    "swapgate.hosts.child",
    "swapgate.hosts.process",
    "swapgate.metrics.registry",
    "swapgate.pytest_plugin",
    "swapgate.report",
    "swapgate.suite.session",
    "swapgate.wording",
)
ROOT = Path(__file__).parents[2]


def loaded_by(statement: str) -> list[str]:
    """The heavy packages that a fresh interpreter has loaded after `statement`."""
    probe = f"import sys, json; {statement}; print(json.dumps(sorted(set({HEAVY!r}) & sys.modules.keys())))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT / "tools")
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_an_entry_point_loads_nothing_heavy(module: str) -> None:
    """Neither torch nor what imports it, nor the scientific packages that cost as much."""
    assert loaded_by(f"import {module}") == []


def test_every_module_of_the_command_line_and_the_suite_loads_nothing_heavy() -> None:
    """Modules that a command imports late are light as well: a heavy package belongs into the function that needs it."""
    layers = ("baselines", "cli", "gates", "hosts", "report", "runs", "suite", "wording")
    files = [path for layer in layers for path in sorted((ROOT / "tools" / "swapgate" / layer).rglob("*.py"))]
    modules = [".".join(path.relative_to(ROOT / "tools").with_suffix("").parts).removesuffix(".__init__") for path in files]
    assert len(modules) > 40
    assert loaded_by(f"import {', '.join(modules)}") == []


def test_the_probe_sees_what_is_loaded() -> None:
    """A module that needs scipy at its top would be named: the probe itself can fail."""
    assert "scipy" in loaded_by("import scipy")
