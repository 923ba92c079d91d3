"""The environment is recorded without importing anything heavy, and never fails."""

# ruff: noqa: N802 - the fake carries the library's own names
from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from swapgate.runs import environment as module
from swapgate.runs.environment import accelerators, cpu_model, environment, git_state, usable_cores, versions


def git(folder: Path, *words: str) -> str:
    """Run git in a folder."""
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    return subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


def test_it_is_json_with_versions_python_and_processor(tmp_path: Path) -> None:
    """It goes into the manifest as it is."""
    found = environment(tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert found["packages"]["numpy"] == import_module("numpy").__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cpu"]
    assert found["cores"] >= 1
    assert found["git"] is None


def test_nothing_heavy_is_imported() -> None:
    """A fresh interpreter shows it; collecting tests must stay under a second."""
    program = """
import sys
from pathlib import Path
from swapgate.runs.environment import environment
environment(Path("."))
assert not {"torch", "diffusers", "transformers", "numpy", "PIL"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=600)


def test_versions_name_only_what_is_installed() -> None:
    """A package that is not there is left out, not an error."""
    assert versions(("numpy", "no-such-package-at-all")) == {"numpy": import_module("numpy").__version__}


def test_commit_and_changes_of_the_project_are_named(tmp_path: Path) -> None:
    """A changed tracked file makes the tree dirty; a new file beside it does not."""
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None, "no commit yet"
    (tmp_path / "file").write_text("one", encoding="utf-8")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    (tmp_path / "untracked").write_text("x", encoding="utf-8")
    assert git_state(tmp_path) == {"commit": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("two", encoding="utf-8")
    assert git_state(tmp_path) == {"commit": git(tmp_path, "rev-parse", "HEAD"), "dirty": True}


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without git still runs."""
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) is None


def test_the_processor_has_a_name_and_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the system does not tell."""
    assert cpu_model()
    assert usable_cores() >= 1
    monkeypatch.setattr(Path, "read_text", _refuse)
    assert cpu_model()


def test_accelerators_are_none_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """No module, or no driver behind it."""
    monkeypatch.setattr(module, "import_module", _refuse)
    assert accelerators() is None


def test_accelerators_name_driver_and_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old versions of the library give bytes."""
    monkeypatch.setattr(module, "import_module", lambda name: _FakeNvml())
    assert accelerators() == {"driver": "580.1", "names": ["NVIDIA H200", "NVIDIA H200"]}


def _refuse(*args: Any, **kwargs: Any) -> Any:
    raise OSError("not here")


class _FakeNvml:
    NVMLError = RuntimeError

    def nvmlInit(self) -> None:
        """Nothing to do."""

    def nvmlShutdown(self) -> None:
        """Nothing to do."""

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str | bytes:
        return "NVIDIA H200" if handle else b"NVIDIA H200"

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.1"
