"""How long one waits before anything happens: collecting the gates, and the command's help. Neither may load torch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"accelerate", "diffusers", "open_clip", "scipy", "skimage", "torch", "torchvision", "transformers"}
COLLECT = ("-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/gates")
HELP = ("-m", "swapgate.cli.main", "--help")
ROUNDS = 5


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The interpreter with these arguments in the project's root, as a user's shell would start it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=clean, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(("what", "arguments", "limit", "shown"), [
    ("pytest --collect-only", COLLECT, 2.0, "test_latency"),
    ("swapgate --help", HELP, 0.5, "usage: swapgate"),
], ids=["collect", "help"])  # fmt: skip
def test_seconds_until_something_is_seen(
    benchmark: Any, what: str, arguments: tuple[str, ...], limit: float, shown: str, say: Callable[[str], None]
) -> None:
    """The fastest of five fresh interpreters keeps the limit: other work on the machine only adds."""
    done = benchmark.pedantic(lambda: run(*arguments), rounds=ROUNDS, warmup_rounds=1)
    assert shown in done.stdout
    found = benchmark.stats.stats
    benchmark.extra_info.update(command=what, limit=limit)
    say(f"{what}: {found.median:.2f} s, {found.min:.2f} to {found.max:.2f} s, n={ROUNDS}; limit {limit} s")
    assert found.min < limit


@pytest.mark.parametrize("arguments", [COLLECT, HELP], ids=["collect", "help"])
def test_nothing_heavy_is_imported(benchmark: Any, arguments: tuple[str, ...]) -> None:
    """By the interpreter's own list of imports (-X importtime)."""
    done = benchmark.pedantic(lambda: run("-X", "importtime", *arguments), rounds=1)
    imported = set(re.findall(r"^import time:[^|]*\|[^|]*\|\s*(\w+)", done.stderr, re.MULTILINE))
    assert {"argparse", "swapgate"} <= imported, "the list was not read"
    assert not imported & HEAVY
